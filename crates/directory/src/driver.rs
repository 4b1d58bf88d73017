//! The one task of a member: keeps a session with the directory, and what is known current.
//!
//! It opens a session, makes sure of the node's lease, lists everything, and watches from there;
//! meanwhile it renews the lease, announces the node, and writes what the directory does not say as
//! it should. When a session breaks it opens the next, with growing pauses. It ends with the member.

mod session;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use self::session::Run;
use crate::backoff::Backoff;
use crate::metrics::Op;
use crate::shared::Shared;
use crate::store::{Fault, Session, Store};

/// Opening a session does not take longer.
const CONNECT: Duration = Duration::from_secs(3);
/// A session, or a watch, that lasted for so long was a good one.
const GOOD: Duration = Duration::from_secs(5);

/// Drives a member, until it is aborted.
pub(crate) async fn drive(shared: Arc<Shared>, store: Box<dyn Store>) {
    let mut backoff = Backoff::default();
    loop {
        let began = Instant::now();
        match connect(&shared, store.as_ref()).await {
            Ok(session) => {
                let mut run = Run::new(shared.clone(), session);
                let fault = run.until_it_breaks().await;
                match run.generation() {
                    Some(generation) => {
                        tracing::debug!(error = %fault, "the session with the directory broke");
                        shared.broken(generation);
                    }
                    // It never came to anything.
                    None => shared.unreachable(&fault),
                }
            }
            Err(fault) => shared.unreachable(&fault),
        }
        if began.elapsed() > GOOD + CONNECT {
            backoff.reset();
        }
        tokio::time::sleep(backoff.next()).await;
    }
}

async fn connect(shared: &Shared, store: &dyn Store) -> Result<Arc<dyn Session>, Fault> {
    let began = Instant::now();
    let silent = |_| Fault::Broken("nobody answers".to_owned());
    let session = timeout(CONNECT, store.connect()).await.map_err(silent)??;
    shared.metrics.answered(Op::Connect, began.elapsed());
    Ok(session)
}

#[cfg(test)]
mod tests;
