//! The name of a stream.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a stream in the cluster: `app/name`, at most 255 bytes.
///
/// The first segment is the application, the rest is the name; both are made of
/// `[A-Za-z0-9._~-]` and `/`, with no empty segment, no `.` and no `..`. Case matters. The name
/// may be a secret that only the encoder knows, so both `Display` and `Debug` print it
/// shortened; [`as_str`](Self::as_str) is the whole key, for the wire.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamKey(Arc<str>);

/// Why a text is no stream key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The application or the name is missing.
    #[error("a stream key is an application and a name, like live/camera")]
    Incomplete,
    /// More than [`StreamKey::MAX_LEN`] bytes.
    #[error("the stream key has {0} bytes, {max} are allowed", max = StreamKey::MAX_LEN)]
    TooLong(usize),
    /// A character outside of `[A-Za-z0-9._~-]` and `/`.
    #[error("the stream key has a character that is not allowed: {0:?}")]
    Character(char),
    /// A segment that is empty, `.` or `..`.
    #[error("the stream key has an empty segment or one of dots")]
    Segment,
}

impl StreamKey {
    /// How long a whole key may be, in bytes.
    pub const MAX_LEN: usize = 255;

    /// The key of the stream `name` in the application `app`.
    pub fn new(app: &str, name: &str) -> Result<Self, KeyError> {
        if app.is_empty() || name.is_empty() {
            return Err(KeyError::Incomplete);
        }
        let len = app.len().saturating_add(name.len()).saturating_add(1);
        if len > Self::MAX_LEN {
            return Err(KeyError::TooLong(len));
        }
        Self::parse(&format!("{app}/{name}"))
    }

    /// The key that is written `app/name`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text.len() > Self::MAX_LEN {
            return Err(KeyError::TooLong(text.len()));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._~-/".contains(c);
        if let Some(other) = text.chars().find(|&c| !allowed(c)) {
            return Err(KeyError::Character(other));
        }
        if !text.contains('/') {
            return Err(KeyError::Incomplete);
        }
        if text
            .split('/')
            .any(|segment| matches!(segment, "" | "." | ".."))
        {
            return Err(KeyError::Segment);
        }
        Ok(Self(text.into()))
    }

    /// The application: everything before the first slash.
    pub fn app(&self) -> &str {
        self.0.split_once('/').map_or("", |(app, _)| app)
    }

    /// The name within the application: everything behind the first slash.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }

    /// The whole key, secret or not: for the wire and the directory, never for a log.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StreamKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::parse(text)
    }
}

/// Names up to this long are printed whole: nobody keeps a secret in so few characters.
const PRINTED_WHOLE: usize = 8;
/// Of longer names, so many characters are printed.
const PRINTED: usize = 3;

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match name.get(..PRINTED) {
            Some(start) if name.len() > PRINTED_WHOLE => write!(f, "{}/{start}…", self.app()),
            _ => write!(f, "{}/{name}", self.app()),
        }
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_into_application_and_name() {
        let key = StreamKey::new("live", "room/camera-1").unwrap();
        assert_eq!(key.as_str(), "live/room/camera-1");
        assert_eq!(key.app(), "live");
        assert_eq!(key.name(), "room/camera-1");
        assert_eq!(StreamKey::parse("live/room/camera-1"), Ok(key));
    }

    #[test]
    fn is_the_same_key_wherever_the_application_ends() {
        let nested = StreamKey::new("live/room", "camera").unwrap();
        assert_eq!(nested, StreamKey::new("live", "room/camera").unwrap());
        assert_eq!(nested.app(), "live");
    }

    #[test]
    fn refuses_what_could_lead_elsewhere() {
        for (app, name, error) in [
            ("", "x", KeyError::Incomplete),
            ("live", "", KeyError::Incomplete),
            ("live", "../x", KeyError::Segment),
            ("live", "a/./b", KeyError::Segment),
            ("live", "a//b", KeyError::Segment),
            ("live", "a/", KeyError::Segment),
            ("live", "/a", KeyError::Segment),
            ("live", "a b", KeyError::Character(' ')),
            ("live", "a?token=b", KeyError::Character('?')),
            ("live", "ä", KeyError::Character('ä')),
            ("live", "a\0", KeyError::Character('\0')),
        ] {
            assert_eq!(StreamKey::new(app, name), Err(error), "{app}/{name}");
        }
        assert_eq!(StreamKey::parse("live"), Err(KeyError::Incomplete));
        assert_eq!(
            StreamKey::new("a", &"b".repeat(253))
                .unwrap()
                .as_str()
                .len(),
            255
        );
        assert_eq!(
            StreamKey::new("a", &"b".repeat(254)),
            Err(KeyError::TooLong(256))
        );
    }

    #[test]
    fn case_matters() {
        assert_ne!(StreamKey::parse("live/A"), StreamKey::parse("live/a"));
    }

    #[test]
    fn prints_long_names_shortened() {
        let key = StreamKey::parse("live/sk-0123456789").unwrap();
        assert_eq!(key.to_string(), "live/sk-…");
        assert_eq!(format!("{key:?}"), "StreamKey(live/sk-…)");
        assert_eq!(
            StreamKey::parse("live/camera-1").unwrap().to_string(),
            "live/camera-1"
        );
    }
}
