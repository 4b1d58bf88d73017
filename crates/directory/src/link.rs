//! How what a member is asked reaches the directory.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep, timeout_at};

use crate::Error;
use crate::metrics::Op;
use crate::record::Lease;
use crate::shared::Shared;
use crate::store::{Fault, Session};

/// Who is told again and again to ask anew does so after this, not in circles.
const AGAIN: Duration = Duration::from_millis(20);

/// The way to the directory at the moment.
#[derive(Clone)]
pub(crate) enum Link {
    /// There is none for a moment. It is worth waiting for one.
    Connecting,
    /// There is none, and nobody knows when there will be.
    Down,
    /// There is one.
    Open(Open),
}

/// A session, and the lease to write under.
#[derive(Clone)]
pub(crate) struct Open {
    pub(crate) session: Arc<dyn Session>,
    pub(crate) lease: Lease,
    pub(crate) generation: u64,
}

impl Link {
    fn is(&self, generation: u64) -> bool {
        matches!(self, Self::Open(open) if open.generation == generation)
    }
}

impl Shared {
    /// Asks the directory. What fails because the connection broke is asked again on the next one:
    /// whatever is asked must not mind to be asked twice.
    pub(crate) async fn ask<T, F, Fut>(&self, op: Op, deadline: Instant, ask: F) -> Result<T, Error>
    where
        F: Fn(Open) -> Fut,
        Fut: Future<Output = Result<T, Fault>>,
    {
        let mut link = self.link.subscribe();
        let mut again = false;
        loop {
            let open = self.open(&mut link, deadline).await?;
            let generation = open.generation;
            let began = Instant::now();
            match timeout_at(deadline, ask(open)).await {
                Ok(Ok(answer)) => {
                    self.metrics.answered(op, began.elapsed());
                    self.contact();
                    return Ok(answer);
                }
                Ok(Err(Fault::Refused(what))) => return Err(Error::Refused(what)),
                Ok(Err(Fault::NoLease)) => self.doubt_lease(generation),
                Ok(Err(Fault::Broken(_) | Fault::Compacted)) => self.broken(generation),
                Err(_) => {
                    // It may be slow, or gone: if it said nothing to anybody in the meantime, gone.
                    if self.state().last_contact() < began {
                        self.broken(generation);
                    }
                    return Err(Error::TimedOut);
                }
            }
            let next = async {
                if again {
                    sleep(AGAIN).await;
                }
                link.wait_for(|link| !link.is(generation)).await.map(drop)
            };
            let next = timeout_at(deadline, next).await.map(drop);
            next.map_err(|_| Error::TimedOut)?;
            again = true;
        }
    }

    async fn open(
        &self,
        link: &mut watch::Receiver<Link>,
        deadline: Instant,
    ) -> Result<Open, Error> {
        let settled = link.wait_for(|link| !matches!(link, Link::Connecting));
        match timeout_at(deadline, settled).await {
            Ok(Ok(link)) => match &*link {
                Link::Open(open) => Ok(open.clone()),
                _ => Err(Error::Down),
            },
            Ok(Err(_)) => Err(Error::Down),
            Err(_) => Err(Error::TimedOut),
        }
    }

    /// This session is of no more use.
    pub(crate) fn broken(&self, generation: u64) {
        let broken = self.link.send_if_modified(|link| {
            let is = link.is(generation);
            if is {
                *link = Link::Connecting;
            }
            is
        });
        if broken {
            self.wake.notify_one();
        }
    }

    /// Whether this session is the one that is used.
    pub(crate) fn is_open(&self, generation: u64) -> bool {
        self.link.borrow().is(generation)
    }
}
