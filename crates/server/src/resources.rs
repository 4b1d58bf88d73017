//! What the system lets one process have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Files, listeners and the like, beside connections.
const OTHERS: u64 = 256;

/// Raises the limit of open files as far as it goes, and says so if that is too little for
/// `connections`.
pub(crate) fn raise_file_limit(connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    // No number is no limit.
    let reached = match (limit.current, limit.maximum) {
        (current, maximum) if current == maximum => current,
        (current, maximum) => {
            match setrlimit(
                Resource::Nofile,
                Rlimit {
                    current: maximum,
                    maximum,
                },
            ) {
                Ok(()) => maximum,
                Err(_) => current,
            }
        }
    };
    let needed = (connections as u64).saturating_add(OTHERS);
    if let Some(reached) = reached
        && reached < needed
    {
        warn!(
            open_files = reached,
            needed,
            "the system allows fewer open files than limits.connections needs: raise `ulimit -n`"
        );
    }
}
