//! The token that a request came with.

use std::net::IpAddr;

use ::hls::Query;
use aws_lc_rs::digest::{Context, SHA256};
use axum::http::{HeaderValue, StatusCode};

use crate::error::Refusal;
use crate::percent;

/// What playlists carry on. All else in a query is for this request alone.
const TOKEN: &str = "token";
/// The node looks at no more parameters.
const MOST: usize = 64;

const TOO_LONG: Refusal = Refusal::fixed(
    StatusCode::BAD_REQUEST,
    "invalid",
    "the token is too long to stand in each line of a playlist: send it as a bearer token",
);

/// The token of a request, and how it was given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    /// What goes into the URIs of playlists: a token that was in a query.
    pub(super) carried: Option<Query>,
    /// The token as it came.
    token: Option<String>,
}

impl Given {
    /// That of a request with this query and this bearer token. The one in the query goes first.
    pub(super) fn read(query: &str, bearer: Option<&str>) -> Result<Self, Refusal> {
        let mut parameters = query
            .split(['&', '?'])
            .filter(|it| !it.is_empty())
            .take(MOST);
        let token = parameters.find_map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let is_it = name == TOKEN || percent::decoded(name).is_some_and(|name| name == TOKEN);
            is_it.then_some(value)
        });
        let Some(token) = token else {
            return Ok(Self {
                carried: None,
                token: bearer.map(str::to_owned),
            });
        };
        let carried = Query::new(&format!("{TOKEN}={}", written(token)));
        Ok(Self {
            carried: Some(carried.ok_or(TOO_LONG)?),
            token: Some(token.to_owned()),
        })
    }

    /// Whether the answer is for this token alone.
    pub(super) fn is_private(&self) -> bool {
        self.token.is_some()
    }

    /// Who asks: the same number on every node, so that who goes from one to the other counts once. It is made by a
    /// hash that tells nothing of the token.
    pub(super) fn viewer(&self, address: IpAddr, agent: Option<&HeaderValue>) -> u64 {
        let address = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        let mut hash = Context::new(&SHA256);
        hash.update(&address.octets());
        hash.update(agent.map_or(&[], |agent| agent.as_bytes()));
        hash.update(&[0]);
        hash.update(self.token.as_deref().unwrap_or_default().as_bytes());
        let hash = hash.finish();
        hash.as_ref()
            .first_chunk()
            .map_or(0, |first| u64::from_be_bytes(*first))
    }
}

/// As a URI takes it: what players write into queries beyond that is encoded.
fn written(value: &str) -> String {
    let mut written = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$()*+,;=:@/%".contains(&byte) {
            written.push(char::from(byte));
        } else {
            written.push_str(&format!("%{byte:02X}"));
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(query: &str, bearer: Option<&str>) -> Given {
        Given::read(query, bearer).expect("a token")
    }

    #[test]
    fn the_token_of_a_query_is_carried_and_nothing_else() {
        for (query, carried) in [
            ("token=a", Some("token=a")),
            ("x=1&token=a%2Fb&_HLS_msn=7", Some("token=a%2Fb")),
            ("token=a&token=b", Some("token=a")),
            ("%74oken=a", Some("token=a")),
            ("token=it's\"<", Some("token=it%27s%22%3C")),
            ("token=", Some("token=")),
            ("token", Some("token=")),
            ("", None),
            ("tokens=a&_HLS_skip=YES", None),
        ] {
            let given = given(query, None);
            assert_eq!(
                given.carried.as_ref().map(Query::as_str),
                carried,
                "{query}"
            );
            assert_eq!(given.is_private(), carried.is_some(), "{query}");
        }
        assert_eq!(given("", Some("b")).carried, None);
        assert!(given("", Some("b")).is_private());
        assert!(Given::read(&format!("token={}", "a".repeat(2000)), None).is_err());
    }

    #[test]
    fn viewers_are_told_apart_by_address_agent_and_token() {
        let agent = |agent| Some(HeaderValue::from_static(agent));
        let viewer = |address: &str, agent: Option<HeaderValue>, given: Given| {
            given.viewer(address.parse().expect("an address"), agent.as_ref())
        };
        let one = viewer("10.0.0.1", agent("vlc"), given("token=a", None));
        assert_eq!(
            one,
            viewer("::ffff:10.0.0.1", agent("vlc"), given("x=1&token=a", None))
        );
        assert_eq!(one, viewer("10.0.0.1", agent("vlc"), given("", Some("a"))));
        for other in [
            viewer("10.0.0.2", agent("vlc"), given("token=a", None)),
            viewer("10.0.0.1", agent("mpv"), given("token=a", None)),
            viewer("10.0.0.1", agent("vlc"), given("token=b", None)),
            viewer("10.0.0.1", None, given("", None)),
        ] {
            assert_ne!(one, other);
        }
        // All nodes of a cluster must agree, those of other versions too.
        let fixed = viewer("10.0.0.1", None, given("", None));
        assert_eq!(fixed, 15_651_565_282_896_805_122);
    }
}
