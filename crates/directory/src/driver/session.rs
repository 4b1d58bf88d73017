//! A session with the directory, from its first question to its end.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use media::StreamKey;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::GOOD;
use crate::NodeRecord;
use crate::backoff::Backoff;
use crate::error::PATIENCE;
use crate::metrics::Op;
use crate::record::Lease;
use crate::shared::Shared;
use crate::store::{Fault, Outcome, Put, Session, Term, Watch, When, Write};
use crate::{path, wire};

/// So many claims are written at a time.
const AT_ONCE: usize = 32;
/// What could not be written is tried again after this.
const RETRY: Duration = Duration::from_millis(500);
/// Listing everything does not take longer.
const LIST: Duration = Duration::from_secs(10);

/// A session in use.
pub(super) struct Run {
    shared: Arc<Shared>,
    session: Arc<dyn Session>,
    lease: Lease,
    generation: Option<u64>,
    jobs: FuturesUnordered<BoxFuture<'static, Done>>,
    repairs: usize,
    renewing: bool,
    renew_at: Instant,
    announcing: bool,
}

/// Something that was waited for beside the watch.
enum Done {
    Repaired(StreamKey, bool),
    Renewed(Result<bool, Fault>),
    Announced(NodeRecord, Lease, Result<(), Fault>),
}

impl Run {
    pub(super) fn new(shared: Arc<Shared>, session: Arc<dyn Session>) -> Self {
        Self {
            shared,
            session,
            lease: Lease::NONE,
            generation: None,
            jobs: FuturesUnordered::new(),
            repairs: 0,
            renewing: false,
            renew_at: Instant::now(),
            announcing: false,
        }
    }

    /// The number under which it was used last, if it ever was.
    pub(super) fn generation(&self) -> Option<u64> {
        self.generation
    }

    /// Uses the session as long as it works.
    pub(super) async fn until_it_breaks(&mut self) -> Fault {
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            match self.use_it().await {
                // Too far behind for the watch: list again, watch again.
                Fault::Compacted => {
                    tracing::info!("the directory's history is compacted; listing it anew")
                }
                fault => return fault,
            }
            if began.elapsed() > GOOD {
                backoff.reset();
            }
            // Where what is listed is forgotten before it is watched, that would go on for ever.
            sleep(backoff.next()).await;
        }
    }

    async fn use_it(&mut self) -> Fault {
        let watch = match self.begin().await {
            Ok(watch) => watch,
            Err(fault) => return fault,
        };
        match self.go_on(watch).await {
            Ok(never) => match never {},
            Err(fault) => fault,
        }
    }

    /// Makes sure of the lease, learns what there is, and watches from there.
    async fn begin(&mut self) -> Result<Box<dyn Watch>, Fault> {
        let shared = self.shared.clone();
        // Where leases do not run out with time, how long it took to come here says nothing.
        let is_new = self.generation.is_none();
        let was_down = !shared.is_up() || !shared.leases_expire && is_new;
        self.lease = self.sure_lease().await?;
        shared.contact();
        if was_down {
            shared.state().settle_from_now();
        }
        let began = Instant::now();
        let listing = in_time(LIST, self.session.list()).await?;
        shared.metrics.answered(Op::List, began.elapsed());
        let revision = listing.revision;
        let watch = in_time(PATIENCE, self.session.watch(revision)).await?;
        {
            // Before anybody uses the session: what was listed is older than what they write.
            let mut state = shared.state();
            if state.lease != self.lease {
                state.lease_changed(self.lease);
            }
            state.listed(listing);
        }
        shared.progress.send_replace(revision);
        self.generation = Some(shared.opened(self.session.clone(), self.lease));
        self.renew_at = Instant::now() + self.renewal();
        Ok(watch)
    }

    /// The lease this node had, if it still has it.
    async fn sure_lease(&mut self) -> Result<Lease, Fault> {
        let lease = self.shared.state().lease;
        if lease != Lease::NONE && in_time(PATIENCE, self.session.keep_alive(lease)).await? {
            return Ok(lease);
        }
        self.grant(lease).await
    }

    async fn grant(&mut self, lost: Lease) -> Result<Lease, Fault> {
        if self.shared.is_leaving() {
            return Err(Fault::Broken("this node is leaving".to_owned()));
        }
        if lost != Lease::NONE {
            let claims = self.shared.state().claims.count();
            tracing::warn!(
                claims,
                "the lease of this node ran out; claiming again what it serves"
            );
        }
        let term = Term::Renewed(self.shared.options.lease_ttl);
        in_time(PATIENCE, self.session.grant(term)).await
    }

    fn renewal(&self) -> Duration {
        self.shared.options.lease_ttl / 3
    }

    /// Follows the watch, and does what is to be done.
    async fn go_on(
        &mut self,
        mut watch: Box<dyn Watch>,
    ) -> Result<std::convert::Infallible, Fault> {
        let shared = self.shared.clone();
        loop {
            self.start_what_is_due()?;
            let (settling, announce) = self.timers();
            tokio::select! {
                events = watch.next() => {
                    let events = events?;
                    shared.contact();
                    let mut state = shared.state();
                    let last = events.last().map(crate::store::Event::revision);
                    for event in events {
                        state.happened(event);
                    }
                    drop(state);
                    if let Some(last) = last {
                        shared.progress.send_replace(last);
                    }
                }
                Some(done) = self.jobs.next() => self.ended(done).await?,
                () = shared.wake.notified() => {}
                () = sleep_until(self.renew_at), if shared.leases_expire && !self.renewing => self.renew(),
                () = until(settling) => shared.state().settle(),
                () = until(announce), if !self.announcing => self.announce(),
            }
        }
    }

    fn timers(&self) -> (Option<Instant>, Option<Instant>) {
        let state = self.shared.state();
        let announce = state.announcing.due(self.lease, self.shared.leases_expire);
        (state.settling_until(), announce)
    }

    fn start_what_is_due(&mut self) -> Result<(), Fault> {
        if let Some(generation) = self.generation {
            if !self.shared.is_open(generation) {
                return Err(Fault::Broken("a question was not answered".to_owned()));
            }
            if self.shared.is_doubted(generation) && !self.renewing {
                self.renew();
            }
        }
        while self.repairs < AT_ONCE {
            let Some(key) = self.shared.state().dirty.pop_first() else {
                break;
            };
            self.repairs += 1;
            let shared = self.shared.clone();
            self.jobs.push(
                async move {
                    let done = shared.repair(&key, Instant::now() + PATIENCE).await.is_ok();
                    if !done {
                        sleep(RETRY).await;
                    }
                    Done::Repaired(key, done)
                }
                .boxed(),
            );
        }
        Ok(())
    }

    fn renew(&mut self) {
        self.renewing = true;
        let (shared, session, lease) = (self.shared.clone(), self.session.clone(), self.lease);
        self.jobs.push(
            async move {
                let began = Instant::now();
                let renewed = in_time(PATIENCE, session.keep_alive(lease)).await;
                shared.metrics.answered(Op::KeepAlive, began.elapsed());
                Done::Renewed(renewed)
            }
            .boxed(),
        );
    }

    fn announce(&mut self) {
        let (shared, session, lease) = (self.shared.clone(), self.session.clone(), self.lease);
        let record = {
            let state = shared.state();
            state.announcing.next(state.clock.now())
        };
        let Some(record) = record else {
            return;
        };
        self.announcing = true;
        self.jobs.push(
            async move {
                let change = Put::Value {
                    value: wire::write_node(&record),
                    lease,
                };
                let write = Write {
                    key: path::node(&record.id),
                    when: When::Always,
                    change,
                };
                let began = Instant::now();
                let written = in_time(PATIENCE, session.write(write)).await;
                shared.metrics.answered(Op::Announce, began.elapsed());
                let written = written.map(|_: Outcome| ());
                Done::Announced(record, lease, written)
            }
            .boxed(),
        );
    }

    async fn ended(&mut self, done: Done) -> Result<(), Fault> {
        let shared = self.shared.clone();
        match done {
            Done::Repaired(key, done) => {
                self.repairs -= 1;
                if !done {
                    shared.state().mark(&key);
                }
            }
            Done::Renewed(renewed) => {
                self.renewing = false;
                self.renew_at = Instant::now() + self.renewal();
                let alive = renewed?;
                shared.contact();
                if !alive {
                    let lost = self.lease;
                    self.lease = self.grant(lost).await?;
                }
                // A new lease, or one that was doubted without reason: both are used from here on.
                if !alive
                    || self
                        .generation
                        .is_some_and(|generation| shared.is_doubted(generation))
                {
                    self.generation = Some(shared.opened(self.session.clone(), self.lease));
                }
            }
            Done::Announced(record, lease, written) => {
                self.announcing = false;
                let mut state = shared.state();
                match written {
                    Ok(()) => state.announcing.said(record, lease),
                    Err(Fault::NoLease) => {
                        state.announcing.failed();
                        drop(state);
                        if let Some(generation) = self.generation {
                            shared.doubt_lease(generation);
                        }
                    }
                    Err(Fault::Refused(what)) => {
                        state.announcing.failed();
                        tracing::warn!(error = %what, "the directory refuses the record of this node");
                    }
                    Err(fault) => {
                        state.announcing.failed();
                        return Err(fault);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Waits for an answer, but not for ever.
async fn in_time<T>(
    time: Duration,
    answer: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let silent = |_| Fault::Broken("there is no answer".to_owned());
    timeout(time, answer).await.map_err(silent)?
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}
