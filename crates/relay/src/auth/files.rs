//! The certificate files, which are followed: who renews them need not say so.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tracing::{info, warn};

use super::{AuthError, Loaded, TlsFiles};

/// How often they are looked at, at most.
const LOOK: Duration = Duration::from_secs(1);

/// What was read from the files, and is read again when they change.
#[derive(Debug)]
pub(super) struct Followed {
    files: TlsFiles,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    loaded: Arc<Loaded>,
    /// What the files looked like when they were last read, whatever came of it.
    tried: Stamp,
    looked: Instant,
}

/// What tells that a file has changed. The file behind a link counts, so a mounted secret that is replaced by
/// switching a link is seen.
#[derive(Debug, PartialEq, Eq)]
struct Stamp([Option<(SystemTime, u64)>; 3]);

impl Followed {
    pub(super) fn read(files: TlsFiles) -> Result<Self, AuthError> {
        let tried = Stamp::of(&files);
        let state = State {
            loaded: Arc::new(Loaded::read(&files)?),
            tried,
            looked: Instant::now(),
        };
        Ok(Self {
            files,
            state: Mutex::new(state),
        })
    }

    /// For a connection that is made now. Those there are stay what they are.
    pub(super) fn now(&self) -> Arc<Loaded> {
        match self.look(Instant::now()) {
            None => {}
            Some(Ok(())) => {
                let certificate = self.files.cert.display();
                info!(%certificate, "the relay's certificates were read again");
            }
            Some(Err(error)) => {
                warn!(%error, "the relay's new certificates cannot be used; the old ones stay in use");
            }
        }
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&state.loaded)
    }

    /// Reads files that have changed since they were last read; each change once, even if it cannot be used.
    fn look(&self, now: Instant) -> Option<Result<(), AuthError>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(state.looked) < LOOK {
            return None;
        }
        state.looked = now;
        // Taken before they are read: a change in between is seen next time.
        let stamp = Stamp::of(&self.files);
        if stamp == state.tried {
            return None;
        }
        state.tried = stamp;
        let loaded = Loaded::read(&self.files);
        Some(loaded.map(|loaded| state.loaded = Arc::new(loaded)))
    }
}

impl Stamp {
    fn of(files: &TlsFiles) -> Self {
        let of = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        Self([of(&files.ca), of(&files.cert), of(&files.key)])
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use tempfile::TempDir;

    use super::*;

    /// Writes a certificate that is its own authority.
    fn renew(files: &TlsFiles) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["node.example".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("signs").pem();
        fs::write(&files.ca, &certificate).expect("writes");
        fs::write(&files.cert, &certificate).expect("writes");
        fs::write(&files.key, key.serialize_pem()).expect("writes");
    }

    fn files_in(folder: &TempDir) -> TlsFiles {
        let files = TlsFiles {
            ca: folder.path().join("ca.pem"),
            cert: folder.path().join("cert.pem"),
            key: folder.path().join("key.pem"),
            name: None,
        };
        renew(&files);
        files
    }

    #[test]
    fn a_change_is_read_once_and_what_cannot_be_used_leaves_the_old_in_use() {
        let folder = TempDir::new().expect("a folder");
        let files = files_in(&folder);
        let followed = Followed::read(files.clone()).expect("files");
        let held = || {
            let state = followed.state.lock().expect("not poisoned");
            Arc::clone(&state.loaded)
        };
        let first = held();
        let mut now = Instant::now();
        let mut look = || {
            now += LOOK;
            followed.look(now)
        };
        assert!(look().is_none(), "nothing has changed");
        // A renewal that is seen half done.
        let other = KeyPair::generate().expect("a key");
        fs::write(&files.key, other.serialize_pem()).expect("writes");
        assert!(look().is_some_and(|read| read.is_err()));
        assert!(look().is_none(), "that has been said");
        assert!(Arc::ptr_eq(&first, &held()));
        renew(&files);
        assert!(look().is_some_and(|read| read.is_ok()));
        assert!(!Arc::ptr_eq(&first, &held()));
    }

    #[test]
    fn the_files_are_looked_at_now_and_then_and_not_for_each_connection() {
        let folder = TempDir::new().expect("a folder");
        let files = files_in(&folder);
        let followed = Followed::read(files.clone()).expect("files");
        let read = followed.state.lock().expect("not poisoned").looked;
        fs::remove_file(&files.key).expect("removes");
        assert!(followed.look(read + LOOK / 2).is_none());
        assert!(followed.look(read + LOOK).is_some());
    }
}
