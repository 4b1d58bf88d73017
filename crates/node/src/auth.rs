//! Who may publish and play what.

use std::fmt;

use media::StreamKey;

use crate::config::AuthConfig;

/// What a peer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Publish,
    Play,
}

/// Who publishes, as far as its credentials tell. Two publishers with the same one are the same encoder.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Identity(String);

impl Identity {
    /// Who it is: secret.
    pub(crate) fn subject(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It holds the token.
        f.write_str("Identity(…)")
    }
}

/// Why not, in a sentence for the person at the encoder or player.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Denied {
    #[error("{0} this stream needs a token: add ?token=… to the stream key")]
    NoToken(&'static str),
    #[error(
        "the token given is not right for {0} this stream: check it, and that it belongs to this stream key"
    )]
    WrongToken(&'static str),
    #[error(
        "this node has no token for this stream key: check its spelling, or add it to auth.static"
    )]
    UnknownKey,
}

/// The static tokens.
pub(crate) struct Auth {
    rules: Vec<Rule>,
}

struct Rule {
    pattern: String,
    publish: Option<String>,
    play: Option<String>,
}

impl Rule {
    /// What fits a stream best comes first: its own name, then patterns that name more of it.
    fn reach(&self) -> (bool, std::cmp::Reverse<usize>) {
        (
            self.pattern.contains('*'),
            std::cmp::Reverse(self.pattern.len()),
        )
    }
}

impl Auth {
    pub(crate) fn new(config: &AuthConfig) -> Auth {
        let rules = config.rules().map(|(pattern, publish, play)| Rule {
            pattern: pattern.to_owned(),
            publish: publish.map(str::to_owned),
            play: play.map(str::to_owned),
        });
        let mut rules: Vec<Rule> = rules.collect();
        rules.sort_by_key(Rule::reach);
        Auth { rules }
    }

    /// Whether anyone may do anything.
    pub(crate) fn is_open(&self) -> bool {
        self.rules.is_empty()
    }

    /// Decides; an identity comes from a token that was asked for.
    pub(crate) fn check(
        &self,
        action: Action,
        key: &StreamKey,
        token: Option<&str>,
    ) -> Result<Option<Identity>, Denied> {
        if self.is_open() {
            return Ok(None);
        }
        let doing = match action {
            Action::Publish => "publishing",
            Action::Play => "playing",
        };
        let mut denied = None;
        for rule in self
            .rules
            .iter()
            .filter(|rule| matches(&rule.pattern, key.as_str()))
        {
            let wanted = match action {
                Action::Publish => &rule.publish,
                Action::Play => &rule.play,
            };
            match (wanted, token) {
                // Only the rule that fits best leaves a stream open.
                (None, _) if denied.is_none() => return Ok(None),
                (None, _) => {}
                (Some(wanted), Some(token)) if same(wanted, token) => {
                    return Ok(Some(Identity(token.to_owned())));
                }
                (Some(_), Some(_)) => denied = Some(Denied::WrongToken(doing)),
                (Some(_), None) => denied = Some(Denied::NoToken(doing)),
            }
        }
        Err(denied.unwrap_or(Denied::UnknownKey))
    }
}

/// Whether a pattern covers a key: `*` stands for anything, slashes included.
fn matches(pattern: &str, key: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == key,
        Some((head, tail)) => key.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len())
                .filter(|&at| rest.is_char_boundary(at))
                .any(|at| rest.get(at..).is_some_and(|rest| matches(tail, rest)))
        }),
    }
}

/// Compares without telling by its time how much was right.
fn same(wanted: &str, given: &str) -> bool {
    let (wanted, given) = (wanted.as_bytes(), given.as_bytes());
    let mut differs = wanted.len() ^ given.len();
    for (index, byte) in given.iter().enumerate() {
        differs |= usize::from(
            byte ^ wanted
                .get(index % wanted.len().max(1))
                .copied()
                .unwrap_or(0),
        );
    }
    differs == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth() -> Auth {
        let rule = |pattern: &str, publish: Option<&str>, play: Option<&str>| Rule {
            pattern: pattern.to_owned(),
            publish: publish.map(str::to_owned),
            play: play.map(str::to_owned),
        };
        Auth {
            rules: vec![
                rule("live/cam", Some("secret"), Some("secret")),
                rule("live/open-*", Some("p"), None),
            ],
        }
    }

    fn key(text: &str) -> StreamKey {
        StreamKey::parse(text).expect("a valid key")
    }

    #[test]
    fn a_token_opens_its_own_stream_only() {
        let auth = auth();
        let check = |action, name: &str, token| auth.check(action, &key(name), token).is_ok();
        assert!(check(Action::Publish, "live/cam", Some("secret")));
        assert!(!check(Action::Publish, "live/cam", Some("secretsecret")));
        assert!(!check(Action::Publish, "live/cam", Some("")));
        assert!(!check(Action::Publish, "live/cam", None));
        assert!(!check(Action::Publish, "live/other", Some("secret")));
        assert!(check(Action::Play, "live/open-day", None));
        assert!(!check(Action::Publish, "live/open-day", Some("secret")));
    }

    #[test]
    fn a_star_stands_for_anything() {
        assert!(matches("live/*", "live/a/b"));
        assert!(matches("*", "live/a"));
        assert!(matches("live/*-cam", "live/a-cam"));
        assert!(!matches("live/*-cam", "live/a-cam2"));
        assert!(!matches("live/*", "other/a"));
    }
}
