//! How the values of each kind are read from, and written to, a configuration.
//!
//! Each module serves `#[serde(with = "…")]`, and its name stands in the reference. Where something
//! is not set it is written as an empty text, so that the effective configuration shows every key.

use std::fmt;

use serde::de::{Deserializer, Error as _, Visitor};
use serde::ser::Serializer;

mod lists;
pub use lists::{names, tokens};

/// A value that is neither a list nor a table.
#[derive(Debug)]
enum Scalar {
    Text(String),
    Integer(i64),
    Float(f64),
    Flag(bool),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
        }
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a number")
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Integer(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Scalar, E> {
        i64::try_from(number)
            .map(Scalar::Integer)
            .map_err(|_| E::custom("the number is too large"))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar::Float(number))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Scalar, E> {
        Ok(Scalar::Flag(flag))
    }
}

fn read<'de, D: Deserializer<'de>, T>(
    from: D,
    parse: impl FnOnce(Scalar) -> Result<T, String>,
) -> Result<T, D::Error> {
    parse(from.deserialize_any(ScalarVisitor)?).map_err(D::Error::custom)
}

fn expected<T>(what: &str, found: &Scalar) -> Result<T, String> {
    Err(format!("expected {what}, found {found}"))
}

/// Integers and texts as a number that is not negative.
fn natural(value: &Scalar, what: &str) -> Result<u64, String> {
    let number = match value {
        Scalar::Integer(number) => u64::try_from(*number).ok(),
        Scalar::Text(text) => text.trim().parse().ok(),
        Scalar::Float(_) | Scalar::Flag(_) => None,
    };
    number.map_or_else(|| expected(what, value), Ok)
}

/// Texts, where an empty one is none.
fn text_or_none(value: Scalar, what: &str) -> Result<Option<String>, String> {
    match value {
        Scalar::Text(text) if text.is_empty() => Ok(None),
        Scalar::Text(text) => Ok(Some(text)),
        other => expected(what, &other),
    }
}

/// Durations: `500ms`, `2s`, `1h30m`; a bare number is seconds.
pub mod duration {
    use std::time::Duration;

    use super::{Deserializer, Scalar, Serializer, expected, read};
    use crate::config::written::{self, parse_duration, write_duration};

    pub(super) fn parse(value: Scalar) -> Result<Duration, String> {
        match value {
            Scalar::Text(text) => parse_duration(&text),
            Scalar::Integer(number) => written::seconds(number as f64, &number.to_string()),
            Scalar::Float(number) => written::seconds(number, &number.to_string()),
            flag => expected("a duration such as 500ms, 2s or 1h30m", &flag),
        }
    }

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        read(from, parse)
    }

    /// Writes one.
    pub fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&write_duration(*value))
    }
}

/// Sizes: `64KiB`, `4MB`; a bare number is bytes.
pub mod size {
    use serde::ser::Error as _;

    use super::{Deserializer, Scalar, Serializer, natural, read};
    use crate::config::written::{parse_size, write_size};

    /// Reads one into whatever holds it.
    pub fn deserialize<'de, D: Deserializer<'de>, T: TryFrom<u64>>(from: D) -> Result<T, D::Error> {
        read(from, |value| {
            let bytes = match &value {
                Scalar::Text(text) => parse_size(text)?,
                other => natural(other, "a size such as 64KiB, 4MB or a number of bytes")?,
            };
            T::try_from(bytes).map_err(|_| format!("{value} is too large"))
        })
    }

    /// Writes one.
    pub fn serialize<S: Serializer, T: Copy + TryInto<u64>>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let bytes = (*value)
            .try_into()
            .map_err(|_| S::Error::custom("the size is too large"))?;
        match i64::try_from(bytes) {
            Ok(number) if bytes % 1024 != 0 || bytes == 0 => to.serialize_i64(number),
            _ => to.serialize_str(&write_size(bytes)),
        }
    }
}

/// Counts.
pub mod count {
    use super::{Deserializer, Serializer, natural, read};

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
        read(from, |value| {
            let count = natural(&value, "a count")?;
            usize::try_from(count).map_err(|_| format!("{value} is too large"))
        })
    }

    /// Writes one.
    pub fn serialize<S: Serializer>(value: &usize, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(*value as u64)
    }
}

/// `true` and `false`.
pub mod flag {
    use super::{Deserializer, Scalar, Serializer, expected, read};

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
        read(from, |value| match value {
            Scalar::Flag(flag) => Ok(flag),
            other => expected("true or false", &other),
        })
    }

    /// Writes one.
    pub fn serialize<S: Serializer>(value: &bool, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bool(*value)
    }
}

/// Texts; empty is none.
pub mod text {
    use super::{Deserializer, Serializer, read, text_or_none};

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
        read(from, |value| text_or_none(value, "a text in quotes"))
    }

    /// Writes one.
    pub fn serialize<S: Serializer>(value: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(value.as_deref().unwrap_or_default())
    }
}

/// Texts that are never printed; empty is none.
pub mod secret {
    use serde::de::Error;

    use super::{Deserializer, Scalar, Serializer, read};
    use crate::config::Secret;

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
        let secret = read(from, |value| match value {
            Scalar::Text(text) if text.is_empty() => Ok(None),
            Scalar::Text(text) => Ok(Some(Secret::new(text))),
            _ => Err(String::new()),
        });
        // Not through the errors above: what is no text may still be the secret.
        secret.map_err(|_| D::Error::custom("expected a text in quotes"))
    }

    /// Writes one, masked.
    pub fn serialize<S: Serializer>(value: &Option<Secret>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(value.as_ref().map_or("", |_| Secret::MASK))
    }
}

/// Shares of a whole: `0.95`, `95%`.
pub mod share {
    use super::{Deserializer, Scalar, Serializer, expected, read};

    fn parse(value: &Scalar) -> Option<f64> {
        let share = match value {
            Scalar::Float(share) => *share,
            // 1 is the whole, not a percent.
            Scalar::Integer(share) => *share as f64,
            Scalar::Text(text) => match text.trim().strip_suffix('%') {
                Some(percent) => percent.trim_end().parse::<f64>().ok()? / 100.0,
                None => text.trim().parse().ok()?,
            },
            Scalar::Flag(_) => return None,
        };
        (0.0..=1.0).contains(&share).then_some(share)
    }

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        read(from, |value| match parse(&value) {
            Some(share) => Ok(share),
            None => expected("a share such as 0.95 or 95%", &value),
        })
    }

    /// Writes one.
    pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(*value)
    }
}

/// Paths of files; empty is none.
pub mod file {
    use std::path::PathBuf;

    use super::{Deserializer, Serializer, read, text_or_none};

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
        read(from, |value| {
            Ok(text_or_none(value, "the path of a file")?.map(PathBuf::from))
        })
    }

    /// Writes one.
    pub fn serialize<S: Serializer>(value: &Option<PathBuf>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(
            &value
                .as_deref()
                .unwrap_or(std::path::Path::new(""))
                .display(),
        )
    }
}

/// Paths of folders.
pub mod folder {
    use std::path::{Path, PathBuf};

    use super::{Deserializer, Serializer, read, text_or_none};

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        read(from, |value| {
            match text_or_none(value, "the path of a folder")? {
                Some(path) => Ok(PathBuf::from(path)),
                None => Err("expected the path of a folder, found nothing".to_owned()),
            }
        })
    }

    /// Writes one.
    pub fn serialize<S: Serializer>(value: &Path, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&value.display())
    }
}

/// Addresses to listen at; empty is off.
pub mod address {
    use super::{Deserializer, Scalar, Serializer, read};
    use crate::config::Listen;

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Listen>, D::Error> {
        read(from, |value| match value {
            Scalar::Text(text) if text.trim().is_empty() => Ok(None),
            Scalar::Text(text) => text.parse().map(Some),
            other => other.to_string().parse().map(Some),
        })
    }

    /// Writes one.
    pub fn serialize<S: Serializer>(value: &Option<Listen>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(listen) => to.collect_str(listen),
            None => to.serialize_str(""),
        }
    }
}

/// A few names to choose from.
pub trait Choice: Copy + PartialEq + 'static {
    /// All of them.
    const CHOICES: &'static [(&'static str, Self)];
}

/// The name of a choice.
pub(crate) fn name_of<T: Choice>(value: &T) -> &'static str {
    T::CHOICES
        .iter()
        .find(|(_, choice)| choice == value)
        .map_or("", |(name, _)| name)
}

/// One of a few names.
pub mod choice {
    use super::{Choice, Deserializer, Scalar, Serializer, name_of, read};

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>, T: Choice>(from: D) -> Result<T, D::Error> {
        read(from, |value| {
            if let Scalar::Text(text) = &value
                && let Some((_, choice)) = T::CHOICES.iter().find(|(name, _)| name == text)
            {
                return Ok(*choice);
            }
            let names: Vec<_> = T::CHOICES.iter().map(|(name, _)| *name).collect();
            Err(format!(
                "expected one of {}; found {value}",
                names.join(", ")
            ))
        })
    }

    /// Writes one.
    pub fn serialize<S: Serializer, T: Choice>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(name_of(value))
    }
}

/// `adaptive` or a duration.
pub mod coalesce {
    use super::{Deserializer, Scalar, Serializer, duration, read};
    use crate::config::{Coalesce, write_duration};

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Coalesce, D::Error> {
        read(from, |value| match value {
            Scalar::Text(text) if text == "adaptive" => Ok(Coalesce::Adaptive),
            other => {
                let found = other.to_string();
                let wrong =
                    |_| format!("expected adaptive or a duration such as 40ms, found {found}");
                duration::parse(other).map(Coalesce::Fixed).map_err(wrong)
            }
        })
    }

    /// Writes one.
    pub fn serialize<S: Serializer>(value: &Coalesce, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Coalesce::Adaptive => to.serialize_str("adaptive"),
            Coalesce::Fixed(gather) => to.serialize_str(&write_duration(*gather)),
        }
    }
}
