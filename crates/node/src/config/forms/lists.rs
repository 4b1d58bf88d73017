//! Kinds that hold several values.

/// Lists of names: `["live", "event"]` or `live,event`.
pub mod names {
    use std::fmt;

    use serde::de::{Deserializer, SeqAccess, Visitor};
    use serde::ser::Serializer;

    struct Names;

    impl<'de> Visitor<'de> for Names {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of names such as [\"live\", \"event\"]")
        }

        fn visit_str<E>(self, text: &str) -> Result<Vec<String>, E> {
            let names = text
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty());
            Ok(names.map(str::to_owned).collect())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
            let mut names = Vec::new();
            while let Some(name) = list.next_element()? {
                names.push(name);
            }
            Ok(names)
        }
    }

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
        from.deserialize_any(Names)
    }

    /// Writes one.
    pub fn serialize<S: Serializer>(value: &[String], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(value)
    }
}

/// Tokens by stream key; they are written masked.
pub mod tokens {
    use std::collections::BTreeMap;
    use std::fmt;

    use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
    use serde::ser::{Serialize, SerializeMap, Serializer};

    use crate::config::{Secret, StaticToken, StaticTokens};

    struct Token(StaticToken);

    struct TokenVisitor;

    impl<'de> Visitor<'de> for TokenVisitor {
        type Value = StaticToken;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a token in quotes, or { publish = \"…\", play = \"…\" }")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<StaticToken, E> {
            secret(text).map(StaticToken::Both)
        }

        // What is no text may still be a token, so errors must not show it.
        fn visit_i64<E: Error>(self, _: i64) -> Result<StaticToken, E> {
            Err(E::custom("a token is a text in quotes"))
        }

        fn visit_f64<E: Error>(self, _: f64) -> Result<StaticToken, E> {
            Err(E::custom("a token is a text in quotes"))
        }

        fn visit_bool<E: Error>(self, _: bool) -> Result<StaticToken, E> {
            Err(E::custom("a token is a text in quotes"))
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StaticToken, A::Error> {
            let (mut publish, mut play) = (None, None);
            while let Some(action) = map.next_key::<String>()? {
                let token = match action.as_str() {
                    "publish" => &mut publish,
                    "play" => &mut play,
                    other => {
                        return Err(A::Error::custom(format!(
                            "expected publish or play, found {other:?}"
                        )));
                    }
                };
                // Not through its own error, which would show the value.
                let Ok(text) = map.next_value::<String>() else {
                    return Err(A::Error::custom(format!(
                        "the token of {action} must be a text in quotes"
                    )));
                };
                *token = Some(secret(&text)?);
            }
            if publish.is_none() && play.is_none() {
                return Err(A::Error::custom(
                    "expected a token for publish or play, found neither",
                ));
            }
            Ok(StaticToken::Each { publish, play })
        }
    }

    /// An empty token would let everybody in who sends none.
    fn secret<E: Error>(text: &str) -> Result<Secret, E> {
        if text.is_empty() {
            return Err(E::custom("a token must not be empty"));
        }
        Ok(Secret::new(text.to_owned()))
    }

    impl<'de> Deserialize<'de> for Token {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            from.deserialize_any(TokenVisitor).map(Token)
        }
    }

    /// Reads them.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<StaticTokens, D::Error> {
        let tokens = BTreeMap::<String, Token>::deserialize(from)?;
        Ok(StaticTokens(
            tokens
                .into_iter()
                .map(|(pattern, Token(token))| (pattern, token))
                .collect(),
        ))
    }

    struct Masked<'a>(&'a StaticToken);

    impl Serialize for Masked<'_> {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            match self.0 {
                StaticToken::Both(_) => to.serialize_str(Secret::MASK),
                StaticToken::Each { publish, play } => {
                    let mut map = to.serialize_map(None)?;
                    for (action, token) in [("publish", publish), ("play", play)] {
                        if token.is_some() {
                            map.serialize_entry(action, Secret::MASK)?;
                        }
                    }
                    map.end()
                }
            }
        }
    }

    /// Writes them, masked.
    pub fn serialize<S: Serializer>(value: &StaticTokens, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(
            value
                .0
                .iter()
                .map(|(pattern, token)| (pattern, Masked(token))),
        )
    }
}
