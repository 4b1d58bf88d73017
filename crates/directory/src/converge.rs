//! Making the directory say what it should of a key.

use media::StreamKey;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

use crate::claims::Step;
use crate::metrics::Op;
use crate::record::{Held, Lease};
use crate::shared::Shared;
use crate::state::Unreadable;
use crate::store::Outcome;
use crate::{Error, Revision, StreamRecord};

/// So often we find something else than what we were just told. It takes as many others who write
/// the same key at the same moment.
const TRIES: usize = 16;

/// How it ended.
pub(crate) enum End {
    /// The directory says what it should.
    Done,
    /// Somebody else has the key.
    Lost(Arc<Held>),
    /// Somebody else has the key, of a release far from this one.
    Unreadable,
    /// There is nothing to say, or no such claim. Where something was deleted: at this revision.
    Gone(Option<Revision>),
}

/// One thing that was done about a key.
enum Did {
    Wrote(Outcome, Option<Arc<StreamRecord>>, Lease, u64),
    End(End),
}

impl Shared {
    /// Writes what the directory should say of `key`, until it says so or it is clear that it never
    /// will. Whoever is at it already goes first.
    pub(crate) async fn converge(
        &self,
        key: &StreamKey,
        op: Op,
        deadline: Instant,
    ) -> Result<End, Error> {
        let turn = match self.state().claims.get(key) {
            Some(own) => own.turn.clone(),
            None => return Ok(End::Gone(None)),
        };
        let turn = timeout_at(deadline, turn.lock()).await;
        let _turn = turn.map_err(|_| Error::TimedOut)?;
        let mut deleted = None;
        for _ in 0..TRIES {
            let lease = self.state().lease;
            if let Some(end) = self.end(key, lease) {
                return Ok(end.deleted(deleted));
            }
            let did = self.ask(op, deadline, |open| async move {
                // Under the lease of the session that is open now.
                let step = self.state().step(key, open.lease);
                Ok(match step {
                    Step::Write(write, record) => {
                        let outcome = open.session.write(write).await?;
                        Did::Wrote(outcome, record, open.lease, open.generation)
                    }
                    _ => Did::End(self.end(key, open.lease).unwrap_or(End::Gone(None))),
                })
            });
            match did.await? {
                Did::End(end) => return Ok(end.deleted(deleted)),
                Did::Wrote(outcome, record, lease, generation) => {
                    if let (Outcome::Done(at), None) = (&outcome, &record) {
                        deleted = Some(Revision(*at));
                    }
                    let mut state = self.state();
                    // After a listing in between, what it said is newer.
                    if state.generation == generation
                        && let Err(Unreadable) = state.wrote(key, record, lease, outcome)
                    {
                        return Ok(End::Unreadable);
                    }
                }
            }
        }
        // Somebody writes faster than we do; the driver will try again.
        Err(Error::TimedOut)
    }

    /// How it ends if nothing is to be written.
    fn end(&self, key: &StreamKey, lease: Lease) -> Option<End> {
        match self.state().step(key, lease) {
            Step::Done(_) => Some(End::Done),
            Step::Lost(held) => Some(End::Lost(held)),
            Step::Gone => Some(End::Gone(None)),
            Step::Write(..) => None,
        }
    }

    /// What the driver does about a key that is marked.
    pub(crate) async fn repair(&self, key: &StreamKey, deadline: Instant) -> Result<(), Error> {
        if self
            .state()
            .claims
            .get(key)
            .is_some_and(|own| own.asking.is_some())
        {
            // Whoever asks for it will see to it.
            return Ok(());
        }
        let end = self.converge(key, Op::Claim, deadline).await?;
        let unreadable = matches!(end, End::Unreadable);
        match self.state().conclude(key, unreadable) {
            true => Ok(()),
            // Something else is to be written by now; not in circles, though.
            false => Err(Error::TimedOut),
        }
    }
}

impl End {
    fn deleted(self, deleted: Option<Revision>) -> Self {
        match self {
            Self::Gone(None) => Self::Gone(deleted),
            end => end,
        }
    }
}
