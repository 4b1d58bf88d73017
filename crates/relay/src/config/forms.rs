//! How the values are read and written. What is not set is written as an empty text, so that the effective
//! configuration shows every key.

use std::fmt;

use serde::de::{Deserialize, Deserializer};
use serde::ser::Serializer;

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// What a secret looks like where it would be printed.
    pub const MASK: &'static str = "********";

    /// Keeps `text` from being printed.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::MASK)
    }
}

/// Texts and paths; empty is none.
pub(super) mod optional {
    use super::{Deserialize, Deserializer, Serializer};

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>, T: From<String>>(
        from: D,
    ) -> Result<Option<T>, D::Error> {
        let text = String::deserialize(from)?;
        Ok(Some(text).filter(|text| !text.is_empty()).map(T::from))
    }

    pub(in super::super) fn serialize<S: Serializer, T: AsRef<std::ffi::OsStr>>(
        value: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.collect_str(&value.as_ref().display()),
            None => to.serialize_str(""),
        }
    }
}

/// Secrets; empty is none.
pub(super) mod secret {
    use super::{Deserialize, Deserializer, Secret, Serializer};

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Secret>, D::Error> {
        // Not through the error of the text, which would show what is there instead.
        let wrong = |_| <D::Error as serde::de::Error>::custom("expected a text in quotes");
        let text = String::deserialize(from).map_err(wrong)?;
        Ok(Some(text).filter(|text| !text.is_empty()).map(Secret::new))
    }

    pub(in super::super) fn serialize<S: Serializer>(
        value: &Option<Secret>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(value.as_ref().map_or("", |_| Secret::MASK))
    }
}
