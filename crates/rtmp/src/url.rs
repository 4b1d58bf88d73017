//! Where a stream is: `rtmp://host/app/name?query`.

use std::fmt;
use std::str::FromStr;

use crate::session::Short;

/// The port of `rtmp://` when a URL names none.
pub const RTMP_PORT: u16 = 1935;
/// The port of `rtmps://` when a URL names none.
pub const RTMPS_PORT: u16 = 443;

/// The longest URL that [`Url::parse`] takes; it ends up in AMF strings, which hold 65535 bytes.
const MAX_LEN: usize = 8192;

/// The address of a stream on an RTMP server.
///
/// The first path element is the app, the rest is the name, slashes included; a query belongs to
/// the name. Nothing is percent-decoded: servers compare what is written.
///
/// ```
/// # use weir_rtmp as rtmp;
/// let url = rtmp::Url::parse("rtmp://example.org/live/studio/one?token=x")?;
/// assert_eq!((url.host(), url.port()), ("example.org", 1935));
/// assert_eq!((url.app(), url.name()), ("live", "studio/one"));
/// assert_eq!(url.stream(), "studio/one?token=x");
/// assert_eq!(url.tc_url(), "rtmp://example.org/live");
/// # Ok::<(), rtmp::UrlError>(())
/// ```
///
/// Printing shortens the name and leaves the query out, because both may be secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    tls: bool,
    host: String,
    port: u16,
    app: String,
    name: String,
    query: Option<String>,
}

/// Why a text is no RTMP URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It begins with neither `rtmp://` nor `rtmps://`.
    #[error("an RTMP URL begins with rtmp:// or rtmps://")]
    Scheme,
    /// Nothing stands between the scheme and the path.
    #[error("the URL names no host")]
    Host,
    /// What follows the host's colon is no port.
    #[error("the URL's port is not a number from 1 to 65535")]
    Port,
    /// `user:password@host`: RTMP has no common way to send them.
    #[error("user names in an RTMP URL are not supported; put the token into the query")]
    UserInfo,
    /// A control character, a space, or more than 8192 bytes.
    #[error("the URL is too long, or holds a space or a control character")]
    Text,
}

impl Url {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// See [`UrlError`].
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        let is_blank = |c: char| c.is_control() || c.is_whitespace();
        if text.len() > MAX_LEN || text.chars().any(is_blank) {
            return Err(UrlError::Text);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "rtmp" => false,
            "rtmps" => true,
            _ => return Err(UrlError::Scheme),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (host, port) = split_authority(authority)?;
        let port = port.unwrap_or(if tls { RTMPS_PORT } else { RTMP_PORT });

        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (path, None),
        };
        let path = path.strip_prefix('/').unwrap_or(path);
        let (app, name) = path.split_once('/').unwrap_or((path, ""));
        Ok(Self {
            tls,
            host: host.to_owned(),
            port,
            app: app.to_owned(),
            name: name.to_owned(),
            query: query.filter(|query| !query.is_empty()),
        })
    }

    /// Whether the connection is encrypted (`rtmps://`).
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The host, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, the scheme's own if the URL names none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The first path element; may be empty.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// The rest of the path, without the query; may be empty.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What follows the question mark.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The name as `play` and `publish` send it: with the query.
    pub fn stream(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.name),
            None => self.name.clone(),
        }
    }

    /// The same URL with another name, for a destination that names only the app.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The `tcUrl` of `connect`: scheme, host and app. A port that goes without saying is left
    /// out, since some servers look the virtual host up by this text.
    pub fn tc_url(&self) -> String {
        format!("{}/{}", self.server(), self.app)
    }

    /// `host:port`, as a socket call wants it.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    fn server(&self) -> String {
        let (scheme, usual) = if self.tls {
            ("rtmps", RTMPS_PORT)
        } else {
            ("rtmp", RTMP_PORT)
        };
        let bracketed = self.host.contains(':');
        let (open, close) = if bracketed { ("[", "]") } else { ("", "") };
        if self.port == usual {
            format!("{scheme}://{open}{}{close}", self.host)
        } else {
            format!("{scheme}://{open}{}{close}:{}", self.host, self.port)
        }
    }
}

fn split_authority(authority: &str) -> Result<(&str, Option<u16>), UrlError> {
    if authority.contains('@') {
        return Err(UrlError::UserInfo);
    }
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(UrlError::Host)?;
        host.parse::<std::net::Ipv6Addr>()
            .map_err(|_| UrlError::Host)?;
        (host, rest)
    } else {
        let colon = authority.find(':').unwrap_or(authority.len());
        authority.split_at(colon)
    };
    if host.is_empty() {
        return Err(UrlError::Host);
    }
    match port {
        "" => Ok((host, None)),
        port => match port.strip_prefix(':').map(str::parse::<u16>) {
            Some(Ok(port)) if port != 0 => Ok((host, Some(port))),
            _ => Err(UrlError::Port),
        },
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.server(), self.app)?;
        if !self.name.is_empty() {
            write!(f, "/{:?}", Short(&self.name))?;
        }
        if self.query.is_some() {
            f.write_str("?…")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn splits_app_and_name_at_the_first_slash() {
        let url = url("rtmp://h/app/a/b?token=x&y=a/b");
        assert_eq!(
            (url.app(), url.name(), url.query()),
            ("app", "a/b", Some("token=x&y=a/b"))
        );
        assert_eq!(url.stream(), "a/b?token=x&y=a/b");
    }

    #[test]
    fn knows_the_default_ports() {
        assert_eq!(url("rtmp://h/a/b").port(), 1935);
        assert_eq!(url("RTMPS://h/a/b").port(), 443);
        assert_eq!(url("rtmps://h:8443/a/b").port(), 8443);
        assert!(url("rtmps://h/a/b").is_tls());
    }

    #[test]
    fn leaves_the_usual_port_out_of_tc_url() {
        assert_eq!(url("rtmp://h:1935/app/n").tc_url(), "rtmp://h/app");
        assert_eq!(url("rtmp://h:1936/app/n").tc_url(), "rtmp://h:1936/app");
        assert_eq!(url("rtmps://h/app/n").tc_url(), "rtmps://h/app");
    }

    #[test]
    fn takes_ipv6_hosts() {
        let url = url("rtmp://[::1]:1936/live/x");
        assert_eq!((url.host(), url.port()), ("::1", 1936));
        assert_eq!(url.authority(), "[::1]:1936");
        assert_eq!(url.tc_url(), "rtmp://[::1]:1936/live");
    }

    #[test]
    fn takes_a_missing_app_or_name() {
        assert_eq!((url("rtmp://h").app(), url("rtmp://h").name()), ("", ""));
        assert_eq!(
            (url("rtmp://h//key").app(), url("rtmp://h//key").name()),
            ("", "key")
        );
        let only_app = url("rtmp://h/live?token=x");
        assert_eq!(
            (only_app.app(), only_app.name(), only_app.query()),
            ("live", "", Some("token=x"))
        );
        assert_eq!(only_app.with_name("cam").stream(), "cam?token=x");
    }

    #[test]
    fn refuses_what_is_no_rtmp_url() {
        for (text, error) in [
            ("http://h/a", UrlError::Scheme),
            ("h/a/b", UrlError::Scheme),
            ("rtmp:///a/b", UrlError::Host),
            ("rtmp://[::1/a", UrlError::Host),
            ("rtmp://[nonsense]/a", UrlError::Host),
            ("rtmp://h:/a", UrlError::Port),
            ("rtmp://h:0/a", UrlError::Port),
            ("rtmp://h:70000/a", UrlError::Port),
            ("rtmp://[::1]x/a", UrlError::Port),
            ("rtmp://u:p@h/a", UrlError::UserInfo),
            ("rtmp://h/a b/c", UrlError::Text),
            ("rtmp://h/a/b\u{3000}?", UrlError::Text),
        ] {
            assert_eq!(Url::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn prints_neither_a_long_name_nor_a_query() {
        let url = url("rtmp://h/live/very-secret-key?token=x");
        assert_eq!(url.to_string(), "rtmp://h/live/ver…?…");
        assert_eq!(format!("{url:?}"), "Url(rtmp://h/live/ver…?…)");
    }
}
