//! A no, with a reason.

use std::fmt;
use std::time::Duration;

use proto::relay::v1 as wire;

use crate::wire::text;

/// Why a node does not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Refusal {
    /// For the program.
    pub code: RefusalCode,
    /// For a person: what is wrong and what to do.
    pub sentence: String,
    /// Trying again makes sense after this, if at all.
    pub retry_after: Option<Duration>,
}

/// What kind of no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalCode {
    /// One that this release does not know.
    Unknown,
    /// There is no such stream here.
    NotFound,
    /// No version of the protocol that both speak.
    Version,
    /// The stream would feed itself, or pass too many nodes.
    Loop,
    /// What was asked makes no sense.
    Invalid,
    /// The node has no headroom.
    Busy,
    /// The node is about to stop.
    Draining,
    /// The node's rules say no.
    Denied,
    /// The node is older than the question.
    Unsupported,
    /// A higher epoch exists.
    Fenced,
}

impl Refusal {
    /// A no that stays one.
    pub fn new(code: RefusalCode, sentence: impl Into<String>) -> Self {
        Self {
            code,
            sentence: sentence.into(),
            retry_after: None,
        }
    }

    /// A no for now.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        Self {
            retry_after: Some(after),
            ..self
        }
    }

    pub(crate) fn from_wire(refusal: wire::Refusal) -> Self {
        let after = Duration::from_millis(refusal.retry_after.into());
        Self {
            code: RefusalCode::from_wire(refusal.code()),
            sentence: text(refusal.sentence),
            retry_after: (!after.is_zero()).then_some(after),
        }
    }

    pub(crate) fn to_wire(&self) -> wire::Refusal {
        // One millisecond is not nothing: rounding down would turn "soon" into "never".
        let after = self.retry_after.map_or(0, |after| after.as_millis().max(1));
        wire::Refusal {
            code: self.code.to_wire().into(),
            sentence: self.sentence.clone(),
            retry_after: u32::try_from(after).unwrap_or(u32::MAX),
        }
    }
}

/// Both directions from one list.
macro_rules! codes {
    ($($ours:ident = $theirs:ident),+ $(,)?) => {
        impl RefusalCode {
            fn from_wire(code: wire::refusal::Code) -> Self {
                match code {
                    $(wire::refusal::Code::$theirs => Self::$ours,)+
                }
            }

            fn to_wire(self) -> wire::refusal::Code {
                match self {
                    $(Self::$ours => wire::refusal::Code::$theirs,)+
                }
            }
        }
    };
}

codes! {
    Unknown = Unspecified,
    NotFound = NotFound,
    Version = Version,
    Loop = Loop,
    Invalid = Invalid,
    Busy = Busy,
    Draining = Draining,
    Denied = Denied,
    Unsupported = Unsupported,
    Fenced = Fenced,
}

impl RefusalCode {
    /// Its name in metrics and answers: `"not_found"`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::NotFound => "not_found",
            Self::Version => "version",
            Self::Loop => "loop",
            Self::Invalid => "invalid",
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::Denied => "denied",
            Self::Unsupported => "unsupported",
            Self::Fenced => "fenced",
        }
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_over_the_wire_and_back() {
        for refusal in [
            Refusal::new(RefusalCode::Busy, "no headroom").retry_after(Duration::from_secs(2)),
            Refusal::new(RefusalCode::NotFound, "no such stream here"),
        ] {
            assert_eq!(Refusal::from_wire(refusal.to_wire()), refusal);
        }
    }

    #[test]
    fn a_code_of_a_later_release_is_unknown() {
        let refusal = wire::Refusal {
            code: 99,
            ..Default::default()
        };
        assert_eq!(Refusal::from_wire(refusal).code, RefusalCode::Unknown);
    }

    #[test]
    fn a_novel_is_cut() {
        let refusal = wire::Refusal {
            sentence: "ä".repeat(100_000),
            ..Default::default()
        };
        assert_eq!(Refusal::from_wire(refusal).sentence, "ä".repeat(256));
    }
}
