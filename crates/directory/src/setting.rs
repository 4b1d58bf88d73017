//! Small things that all nodes of a cluster share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use media::StreamKey;

use crate::{Error, Revision};

/// A kind of shared setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Tokens that open streams.
    Tokens,
    /// Where streams are forwarded to.
    Forwards,
    /// Who may publish and play.
    Rules,
    /// What is pulled before its first viewer.
    Warm,
    /// What is recorded.
    Recordings,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Tokens,
        Self::Forwards,
        Self::Rules,
        Self::Warm,
        Self::Recordings,
    ];

    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Forwards => "forwards",
            Self::Rules => "rules",
            Self::Warm => "warm",
            Self::Recordings => "recordings",
        }
    }
}

/// The name of a setting within its kind: like a stream key, but one segment is enough.
///
/// It is a part of a key in the directory, so it is no secret: a token is named by its fingerprint.
/// It may hold a stream's key, which may be a secret of the encoder, so it is printed shortened.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SettingName(Arc<str>);

/// The text is no name of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the name of a setting is 1 to 255 letters, digits, '.', '_', '~', '-' and '/', with no empty segment and none of dots"
)]
pub struct SettingNameError;

impl SettingName {
    /// The name that is written like this.
    pub fn parse(text: &str) -> Result<Self, SettingNameError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._~-/".contains(c);
        let fine = (1..=StreamKey::MAX_LEN).contains(&text.len())
            && text.chars().all(allowed)
            && !text
                .split('/')
                .any(|segment| matches!(segment, "" | "." | ".."));
        fine.then(|| Self(text.into())).ok_or(SettingNameError)
    }

    /// The whole name: for the directory, never for a log.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&StreamKey> for SettingName {
    fn from(key: &StreamKey) -> Self {
        Self(key.as_str().into())
    }
}

/// So many characters of a long name are printed.
const PRINTED: usize = 8;

impl fmt::Display for SettingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.get(..PRINTED) {
            Some(start) if self.0.len() > PRINTED => write!(f, "{start}…"),
            _ => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for SettingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SettingName({self})")
    }
}

/// A shared setting. Its value may hold secrets, so it is not printed.
#[derive(Clone, PartialEq)]
pub struct Setting {
    /// What is set. Its form is that of the feature it belongs to.
    pub value: serde_json::Value,
    /// Since when it is set.
    pub revision: Revision,
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setting")
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// How long a setting stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Life {
    /// Until it is deleted.
    #[default]
    Kept,
    /// As long as this node's lease: where that runs out in an outage, whoever set it sets it again.
    Node,
    /// For so long; rounded up to whole seconds, at least one.
    For(Duration),
}

/// What must be there for a setting to be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expect {
    /// Anything or nothing.
    #[default]
    Any,
    /// Nothing.
    Absent,
    /// The value of this revision.
    At(Revision),
}

/// Why a setting was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// Something else is there than was expected.
    #[error("the setting was changed by somebody else")]
    Changed(Option<Arc<Setting>>),
    /// The value is longer than the directory keeps.
    #[error("the setting has {0} bytes, {max} are allowed", max = crate::wire::MAX_VALUE)]
    TooLong(usize),
    /// The directory did not take it.
    #[error(transparent)]
    Directory(#[from] Error),
}

impl SettingError {
    /// Whether the same may work later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Directory(error) if error.is_retryable())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_lead_elsewhere() {
        for fine in ["a", "live/cam", "live/cam/1.x~y-z"] {
            assert_eq!(SettingName::parse(fine).expect("a name").as_str(), fine);
        }
        for wrong in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "..",
            "a/../b",
            "a b",
            "ä",
            &"n".repeat(256),
        ] {
            assert!(SettingName::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn neither_long_names_nor_values_are_printed() {
        let name = SettingName::parse("live/sk-0123456789").expect("a name");
        assert_eq!(
            format!("{name} {name:?}"),
            "live/sk-… SettingName(live/sk-…)"
        );
        let setting = Setting {
            value: "secret".into(),
            revision: Revision(3),
        };
        assert!(!format!("{setting:?}").contains("secret"));
    }
}
