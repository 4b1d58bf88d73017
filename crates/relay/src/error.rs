//! What goes wrong between nodes, as the caller sees it.

use std::io;
use std::time::Duration;

use crate::{Refusal, RefusalCode};

/// Why a call or a pull failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody is there: no connection could be made.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Where.
        address: String,
        /// Why; [`io::ErrorKind::TimedOut`] after [`Tuning::connect_timeout`](crate::Tuning::connect_timeout).
        source: io::Error,
    },
    /// The certificates of both sides do not go together.
    #[error("no TLS with {address}: {what}")]
    Tls {
        /// Where.
        address: String,
        /// Why.
        what: String,
    },
    /// The peer does not believe that we are who we are.
    #[error("{sentence}")]
    NotAdmitted {
        /// Why.
        reason: NotAdmitted,
        /// Why, and what to do.
        sentence: String,
    },
    /// Who answers does not know the secret.
    #[error(
        "who answers at {address} does not know the relay's secret: it is no node of this cluster"
    )]
    Impostor {
        /// Where.
        address: String,
    },
    /// The peer said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The connection broke, or the peer stopped in mid-sentence.
    #[error("the connection broke: {0}")]
    Lost(String),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// What the peer sent makes no sense.
    #[error("what the peer sent makes no sense: {0}")]
    Malformed(&'static str),
}

/// Why a node does not believe a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotAdmitted {
    /// It came without a token.
    Missing,
    /// The secrets differ.
    Secret,
    /// The clocks differ by more than half a minute.
    Clock,
    /// The call was made before, or could have been.
    Replay,
    /// It is of another cluster.
    Cluster,
    /// It means another node.
    Callee,
    /// More calls than can be remembered.
    Busy,
    /// For a reason of another release.
    Unknown,
}

impl NotAdmitted {
    const ALL: [Self; 7] = [
        Self::Missing,
        Self::Secret,
        Self::Clock,
        Self::Replay,
        Self::Cluster,
        Self::Callee,
        Self::Busy,
    ];

    /// Its name in metrics and on the wire: `"secret"`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Secret => "secret",
            Self::Clock => "clock",
            Self::Replay => "replay",
            Self::Cluster => "cluster",
            Self::Callee => "callee",
            Self::Busy => "busy",
            Self::Unknown => "unknown",
        }
    }

    pub(crate) fn from_name(name: &str) -> Self {
        let found = Self::ALL.into_iter().find(|reason| reason.name() == name);
        found.unwrap_or(Self::Unknown)
    }
}

impl Error {
    /// Whether the same call may succeed soon without anybody doing anything about it.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Lost(_) | Self::TimedOut(_) => true,
            Self::Refused(refusal) => refusal.retry_after.is_some(),
            Self::NotAdmitted { reason, .. } => {
                matches!(reason, NotAdmitted::Replay | NotAdmitted::Busy)
            }
            Self::Tls { .. } | Self::Impostor { .. } | Self::Malformed(_) => false,
        }
    }

    /// When to try again, where the peer says so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            _ => None,
        }
    }

    /// Whether the peer is there and speaks, whatever it says.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::NotAdmitted { .. })
    }

    /// Whether one of the two does not believe that the other is a node of its cluster: their settings, or their
    /// clocks, differ, and that does not pass by itself.
    #[must_use]
    pub fn is_distrust(&self) -> bool {
        match self {
            Self::Impostor { .. } | Self::Tls { .. } => true,
            Self::NotAdmitted { reason, .. } => {
                !matches!(reason, NotAdmitted::Replay | NotAdmitted::Busy)
            }
            _ => false,
        }
    }

    /// Its name in metrics: `"connect"`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::Tls { .. } => "tls",
            Self::NotAdmitted { .. } => "not_admitted",
            Self::Impostor { .. } => "impostor",
            Self::Refused(_) => "refused",
            Self::Lost(_) => "lost",
            Self::TimedOut(_) => "timed_out",
            Self::Malformed(_) => "malformed",
        }
    }

    pub(crate) fn invalid(sentence: impl Into<String>) -> Refusal {
        Refusal::new(RefusalCode::Invalid, sentence)
    }
}
