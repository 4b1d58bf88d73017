//! Why the directory did not do what it was asked.

use std::sync::Arc;
use std::time::Duration;

use crate::Held;

/// How long anything waits for the directory.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Why the directory could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It has been out of reach for a while, and was not asked.
    #[error("the directory is out of reach")]
    Down,
    /// It did not answer in time. It may have done what it was asked.
    #[error("the directory did not answer in time")]
    TimedOut,
    /// It answered that it will not.
    #[error("the directory refused: {0}")]
    Refused(String),
}

impl Error {
    /// Whether the same may work later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// Why a key could not be claimed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// Somebody has it. Where it was to be superseded: not what was expected there.
    #[error("{} is held by {}", .0.record.key, .0.record.node)]
    Held(Arc<Held>),
    /// Somebody of a release far from this one has it.
    #[error("the key is held by a node of another release")]
    Unreadable,
    /// The directory could not be asked. The key can be served nonetheless:
    /// [`assume`](crate::Directory::assume).
    #[error(transparent)]
    Unreachable(#[from] Error),
}

impl ClaimError {
    /// Whether the same may work later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Held(_) | Self::Unreadable => false,
            Self::Unreachable(error) => error.is_retryable(),
        }
    }
}

/// Why what a claim says was not changed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// The key is somebody else's now; nothing, if it is not known whose.
    #[error("the claim is lost")]
    Lost(Option<Arc<Held>>),
    /// The directory could not be told. It will be, as soon as it can be.
    #[error(transparent)]
    Unreachable(#[from] Error),
}

impl UpdateError {
    /// Whether it will be done without being asked for again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable(error) if error.is_retryable())
    }
}
