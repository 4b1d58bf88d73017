//! Who may publish and play.

use std::collections::BTreeMap;
use std::fmt;

use super::section::section;
use super::{secret, tokens};

section! {
    /// Who may publish and play.
    AuthConfig: "auth" {
        /// Tokens by stream key: `"live/cam" = { publish = "…" }`, `{ play = "…" }`, or both. **What is
        /// left out is open**: with `play` alone anybody may publish. A bare `"live/cam" = "token"`
        /// is for both, so viewers need it too. Keys may be patterns (`live/*`). Without any entry
        /// everything is open; with any, a key that is not covered is refused. Who publishes is known by the token alone: of two encoders
        /// with the same one, the later replaces the earlier, unless `publish.on_conflict` is
        /// `reject`.
        r#static: StaticTokens = StaticTokens::default(), "tokens";
        /// Opens the API to whoever sends it as a bearer token.
        admin_key: Option<Secret> = None, "secret";
    }
}

impl AuthConfig {
    /// Pattern, publish token, play token. No token: the action is open to all.
    pub fn rules(&self) -> impl Iterator<Item = (&str, Option<&str>, Option<&str>)> {
        self.r#static.0.iter().map(|(pattern, token)| match token {
            StaticToken::Both(token) => {
                (pattern.as_str(), Some(token.expose()), Some(token.expose()))
            }
            StaticToken::Each { publish, play } => (
                pattern.as_str(),
                publish.as_ref().map(Secret::expose),
                play.as_ref().map(Secret::expose),
            ),
        })
    }
}

/// Tokens by key pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaticTokens(pub BTreeMap<String, StaticToken>);

/// What opens the keys of one pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StaticToken {
    /// One token for publishing and playing.
    Both(Secret),
    /// One for each; where there is none, everybody may.
    Each {
        /// Opens publishing.
        publish: Option<Secret>,
        /// Opens playing.
        play: Option<Secret>,
    },
}

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

    /// The text itself, for comparing.
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
