//! A key that is held.

use std::fmt;
use std::sync::Weak;

use media::StreamKey;

use crate::shared::Shared;

/// A key that a node holds in the directory, or will as soon as that can be reached. Dropping it
/// releases the key, sooner or later; [`release`](crate::Directory::release) does it now.
pub struct Claim {
    key: StreamKey,
    id: u64,
    owner: Weak<Shared>,
}

impl Claim {
    pub(crate) fn new(key: StreamKey, id: u64, owner: Weak<Shared>) -> Self {
        Self { key, id, owner }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &StreamKey {
        &self.key
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Whether this member handed it out.
    pub(crate) fn is_of(&self, owner: &Shared) -> bool {
        std::ptr::eq(self.owner.as_ptr(), owner)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(owner) = self.owner.upgrade()
            && owner.state().disown(&self.key, self.id)
        {
            owner.wake.notify_one();
        }
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claim({})", self.key)
    }
}
