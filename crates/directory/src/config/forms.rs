//! How the values are read and written. What is not set is written as an empty text, so that the
//! effective configuration shows every key.

use std::fmt;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
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

/// Durations in words: `5s`, `1m30s`; a bare number is seconds.
pub(super) mod duration {
    use std::time::Duration;

    use super::{Deserializer, Serializer, Visitor, fmt};

    const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

    struct Form;

    impl Visitor<'_> for Form {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration such as 5s or 1m30s")
        }

        fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<Duration, E> {
            Ok(Duration::from_secs(seconds))
        }

        fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<Duration, E> {
            let wrong = |_| E::invalid_value(serde::de::Unexpected::Signed(seconds), &self);
            u64::try_from(seconds)
                .map(Duration::from_secs)
                .map_err(wrong)
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Duration, E> {
            let wrong = || E::invalid_value(serde::de::Unexpected::Str(text), &self);
            parse(text.trim()).ok_or_else(wrong)
        }
    }

    fn parse(text: &str) -> Option<Duration> {
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let mut total = 0_u64;
        let mut rest = text;
        while !rest.is_empty() {
            let (number, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
            let end = tail
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(end);
            let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
            total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*millis)?)?;
            rest = tail;
        }
        (!text.is_empty()).then(|| Duration::from_millis(total))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Duration, D::Error> {
        from.deserialize_any(Form)
    }

    pub(in super::super) fn serialize<S: Serializer>(
        value: &Duration,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value.subsec_nanos() {
            0 => to.collect_str(&format_args!("{}s", value.as_secs())),
            _ => to.collect_str(&format_args!("{}ms", value.as_millis())),
        }
    }
}

/// Lists of texts: `["a", "b"]` or `a,b`.
pub(super) mod list {
    use super::{Deserializer, SeqAccess, Serializer, Visitor, fmt};

    struct Form;

    impl<'de> Visitor<'de> for Form {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list such as [\"http://host:2379\"]")
        }

        fn visit_str<E>(self, text: &str) -> Result<Vec<String>, E> {
            let parts = text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty());
            Ok(parts.map(str::to_owned).collect())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
            let mut parts = Vec::new();
            while let Some(part) = list.next_element()? {
                parts.push(part);
            }
            Ok(parts)
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<String>, D::Error> {
        from.deserialize_any(Form)
    }

    pub(in super::super) fn serialize<S: Serializer>(
        value: &[String],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(value)
    }
}

/// Texts and paths; empty is none.
pub(super) mod optional {
    use std::ffi::OsString;
    use std::path::Path;

    use serde::Deserialize;

    use super::{Deserializer, Serializer};

    /// What an optional text is made of, and made to.
    pub(in super::super) trait Text: From<String> {
        fn text(&self) -> String;
    }

    impl Text for String {
        fn text(&self) -> String {
            self.clone()
        }
    }

    impl Text for std::path::PathBuf {
        fn text(&self) -> String {
            OsString::from(Path::new(self))
                .to_string_lossy()
                .into_owned()
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>, T: Text>(
        from: D,
    ) -> Result<Option<T>, D::Error> {
        let text = String::deserialize(from)?;
        Ok((!text.is_empty()).then(|| T::from(text)))
    }

    pub(in super::super) fn serialize<S: Serializer, T: Text>(
        value: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&value.as_ref().map(T::text).unwrap_or_default())
    }
}

/// Secrets; empty is none. They are written masked, and not repeated in errors.
pub(super) mod secret {
    use serde::Deserialize;

    use super::{Deserializer, Secret, Serializer};

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Secret>, D::Error> {
        // Not through the error of the text, which would show what is there instead.
        let wrong = |_| <D::Error as super::Error>::custom("expected a text in quotes");
        let text = String::deserialize(from).map_err(wrong)?;
        Ok((!text.is_empty()).then(|| Secret::new(text)))
    }

    pub(in super::super) fn serialize<S: Serializer>(
        value: &Option<Secret>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(value.as_ref().map_or("", |_| Secret::MASK))
    }
}
