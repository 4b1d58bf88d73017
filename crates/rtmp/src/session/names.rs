//! Names and parameters as clients put them into `connect`, `publish` and `play`.

use std::fmt;
use std::sync::Arc;

use amf::{Object, Value};

/// The app when a client names none.
pub const DEFAULT_APP: &str = "live";
/// The stream when a client names none.
pub const DEFAULT_NAME: &str = "default";

/// The most parameters in one part; in memory each takes many times the bytes it came in.
const MAX_PARAMS: usize = 64;

/// Query parameters in the order in which they are looked up: of the stream name, the app, the
/// `tcUrl`, then what else `connect` carried.
///
/// Values may be secrets, so printing shows the names alone.
#[derive(Clone, Default)]
pub struct Params(
    // Shared part by part: every command's event names what `connect` carried, which may be long.
    Vec<Arc<[(String, String)]>>,
);

impl Params {
    /// Reads `a=1&b=2`, percent-decoded: the first 64.
    #[must_use]
    pub fn parse(query: &str) -> Self {
        let pairs = query.split(['&', '?']).filter(|pair| !pair.is_empty());
        Self::new(pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(name), percent_decode(value))
        }))
    }

    fn new(pairs: impl Iterator<Item = (String, String)>) -> Self {
        let part: Arc<[_]> = pairs.take(MAX_PARAMS).collect();
        Self(if part.is_empty() {
            Vec::new()
        } else {
            vec![part]
        })
    }

    /// The first value of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// Names and values, in order of precedence.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.0.iter().flat_map(|part| part.iter());
        pairs.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These first, then `others`.
    #[must_use]
    pub fn or(mut self, others: &Self) -> Self {
        self.0.extend_from_slice(&others.0);
        self
    }
}

impl PartialEq for Params {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Params {}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, _)| name))
            .finish()
    }
}

/// The path of a stream: app and name, cleaned of slashes at their ends, defaults in place of
/// nothing. `live` with `sub/cam` and `live/sub` with `cam` are one stream, and so are `live` with
/// `cam` and `live/cam` with nothing, which is what ffmpeg makes of `rtmp://host/live/cam/`.
#[must_use]
pub fn stream_path(app: &str, name: &str) -> String {
    let app = clean(app, DEFAULT_APP);
    match clean(name, default_name(app)) {
        "" => app.to_owned(),
        name => format!("{app}/{name}"),
    }
}

/// What an empty name stands for: nothing where the app already holds a name.
pub(super) fn default_name(app: &str) -> &'static str {
    if app.contains('/') { "" } else { DEFAULT_NAME }
}

/// Splits off the query, and the slashes at both ends; `default` in place of nothing.
pub(super) fn split(text: &str, default: &str) -> (String, Params) {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    (clean(path, default).to_owned(), Params::parse(query))
}

fn clean<'a>(text: &'a str, default: &'a str) -> &'a str {
    match text.trim_matches('/') {
        "" => default,
        text => text,
    }
}

/// What `connect` says about the app: its name, and the parameters of app, `tcUrl` and of the
/// rest, in that order.
pub(super) fn app(object: &Object, arguments: &[Value]) -> (String, Params) {
    let text = |name| object.get_ignore_case(name).and_then(Value::as_str);
    let tc_url = text("tcUrl").unwrap_or_default();
    let (tc_path, tc_query) = tc_url.split_once('?').unwrap_or((tc_url, ""));
    let (app, params) = match text("app") {
        Some(app) => split(app, DEFAULT_APP),
        None => {
            let rest = tc_path.split_once("://").map_or(tc_path, |(_, rest)| rest);
            split(
                rest.split_once('/').map_or("", |(_, path)| path),
                DEFAULT_APP,
            )
        }
    };
    let known = ["app", "tcUrl", "flashVer", "swfUrl", "pageUrl", "type"];
    let arguments = arguments
        .iter()
        .filter_map(Value::as_object)
        .flat_map(Object::iter);
    let others = object.iter().chain(arguments).filter_map(|(name, value)| {
        let is_known = known.iter().any(|known| known.eq_ignore_ascii_case(name));
        value
            .as_str()
            .filter(|_| !is_known)
            .map(|value| (name.to_owned(), value.to_owned()))
    });
    let others = Params::new(others);
    (app, params.or(&Params::parse(tc_query)).or(&others))
}

/// `%41` becomes `A`; what is no escape, or no UTF-8 afterwards, stays as it is. `+` stays too:
/// tokens hold it, and nobody writes forms here.
fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.first_chunk::<2>().filter(|_| first == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let escape = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// A name for logs: it may be a secret.
pub(crate) struct Short<'a>(pub(crate) &'a str);

impl fmt::Debug for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(8) {
            Some(_) => write!(f, "{}…", self.0.chars().take(3).collect::<String>()),
            None => f.write_str(self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_found_wherever_they_stand() {
        let params = Params::parse("a=b&token=x%2Fy%zz+1&flag&token=second");
        assert_eq!(params.get("a"), Some("b"));
        assert_eq!(params.get("token"), Some("x/y%zz+1"));
        assert_eq!(params.get("flag"), Some(""));
        assert_eq!(params.get("none"), None);
    }

    #[test]
    fn parameters_joined_are_shared() {
        let connect = Params::parse("token=long");
        let joined = Params::parse("a=b").or(&connect).or(&Params::default());
        let shared = (connect.get("token").unwrap(), joined.get("token").unwrap());
        assert!(std::ptr::eq(shared.0, shared.1));
        assert_eq!(joined, Params::parse("a=b&token=long"));
        assert!(Params::default().is_empty() && !joined.is_empty());
    }

    #[test]
    fn names_lose_query_and_outer_slashes() {
        for (text, name) in [
            ("cam?token=x", "cam"),
            ("/cam/", "cam"),
            ("sub/cam", "sub/cam"),
            ("?token=x", "default"),
            ("", "default"),
        ] {
            assert_eq!(split(text, DEFAULT_NAME).0, name, "{text}");
        }
        assert_eq!(
            stream_path("live/sub", "cam"),
            stream_path("live/", "sub/cam")
        );
        assert_eq!(stream_path("", ""), "live/default");
        assert_eq!(stream_path("cam", "/"), "cam/default");
        for (app, name) in [
            ("live", "cam/"),
            ("live/cam", ""),
            ("live/cam/", ""),
            ("live/cam", "/"),
        ] {
            assert_eq!(stream_path(app, name), "live/cam", "{app} with {name}");
        }
        assert_eq!(stream_path("live/cam", "default"), "live/cam/default");
    }

    #[test]
    fn the_token_is_found_in_app_then_tc_url_then_connect_object() {
        let mut object = Object::new();
        object.insert("tcurl", "rtmp://host/app/?token=two&only=tc");
        object.insert("token", "three");
        object.insert("user", "me");
        let (name, params) = app(&object, &[]);
        assert_eq!(name, "app");
        assert_eq!(
            (params.get("token"), params.get("user")),
            (Some("two"), Some("me"))
        );
        object.insert("app", "live/?token=one");
        let extra: Object = [("extra", "yes")].into_iter().collect();
        let (name, params) = app(&object, &[true.into(), extra.into()]);
        assert_eq!(name, "live");
        assert_eq!(
            (params.get("token"), params.get("only")),
            (Some("one"), Some("tc"))
        );
        assert_eq!(params.get("extra"), Some("yes"));
    }

    #[test]
    fn printing_keeps_secrets() {
        let printed = format!(
            "{:?} {:?}",
            Params::parse("token=secret"),
            Short("verysecretkey")
        );
        assert_eq!(printed, "[\"token\"] ver…");
    }
}
