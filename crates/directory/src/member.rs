//! A node's membership in a directory, whatever keeps it.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use media::{Epoch, StreamKey};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::claim::Claim;
use crate::converge::End;
use crate::driver;
use crate::error::PATIENCE;
use crate::metrics::Op;
use crate::record::Lease;
use crate::shared::Shared;
use crate::state::Ask;
use crate::store::{Item, Outcome, Put, Store, Term, When, Write};
use crate::{
    Changes, ClaimError, ClockDifference, Directory, Error, Expect, Held, Kind, Life, NodeId,
    NodeRecord, Options, Revision, Setting, SettingError, SettingName, Standing, StreamRecord,
    UpdateError, path, wire,
};

/// After a release the watch is waited for, so that what was released is not looked up any more; no
/// longer than this.
const ECHO: Duration = Duration::from_millis(500);
/// Whoever finds a key busy again after its turn looks again after this.
const BUSY: Duration = Duration::from_millis(10);

/// A node's membership. Its one task, the [driver](crate::driver), ends with it.
pub(crate) struct Member {
    shared: Arc<Shared>,
    driver: JoinHandle<()>,
}

impl Member {
    /// Joins the directory that is kept in `store`. Wants a tokio runtime.
    pub(crate) fn join(store: impl Store, node: NodeId, options: Options) -> Arc<dyn Directory> {
        Arc::new(Self::start(store, node, options))
    }

    fn start(store: impl Store, node: NodeId, options: Options) -> Self {
        let shared = Shared::new(node, options, store.leases_expire());
        let driver = tokio::spawn(driver::drive(shared.clone(), Box::new(store)));
        Self { shared, driver }
    }

    fn handle(&self, key: StreamKey, id: u64) -> Claim {
        Claim::new(key, id, Arc::downgrade(&self.shared))
    }

    async fn claim_now(
        &self,
        record: StreamRecord,
        over: Option<Revision>,
    ) -> Result<Claim, ClaimError> {
        let shared = &*self.shared;
        let deadline = Instant::now() + PATIENCE;
        let key = record.key.clone();
        let mut waited = false;
        let id = loop {
            let ask = shared.state().ask(record.clone(), over);
            match ask {
                Ask::As(id) => break id,
                Ask::Held(held) => return Err(ClaimError::Held(held)),
                Ask::Busy(turn) => {
                    let over = async {
                        // A turn that is nobody's is had at once: do not ask in circles.
                        if waited {
                            sleep(BUSY).await;
                        }
                        drop(turn.lock().await);
                    };
                    let over = timeout_at(deadline, over).await;
                    over.map_err(|_| Error::TimedOut)?;
                    waited = true;
                }
            }
        };
        // From here on it is there to be given up, also by a caller who does not wait for the end.
        let claim = self.handle(key, id);
        let end = shared.converge(claim.key(), Op::Claim, deadline).await;
        match end? {
            End::Done => {
                shared.state().settled(claim.key(), claim.id());
                Ok(claim)
            }
            End::Lost(held) => Err(ClaimError::Held(held)),
            End::Unreadable => Err(ClaimError::Unreadable),
            End::Gone(_) => Err(Error::TimedOut.into()),
        }
    }

    async fn update_now(&self, claim: &Claim, record: StreamRecord) -> Result<(), UpdateError> {
        let shared = &*self.shared;
        let key = claim.key();
        if !claim.is_of(shared) || !shared.state().change(key, claim.id(), record) {
            return Err(UpdateError::Lost(self.other(key)));
        }
        let _marked = Marked(shared);
        let end = shared
            .converge(key, Op::Update, Instant::now() + PATIENCE)
            .await?;
        let mut state = shared.state();
        match end {
            End::Done => {
                state.settled(key, claim.id());
                Ok(())
            }
            End::Lost(held) => {
                state.lose_claim(key, claim.id(), Some(held.clone()));
                Err(UpdateError::Lost(Some(held)))
            }
            End::Unreadable => {
                state.lose_claim(key, claim.id(), None);
                Err(UpdateError::Lost(None))
            }
            End::Gone(_) => {
                drop(state);
                Err(UpdateError::Lost(self.other(key)))
            }
        }
    }

    async fn release_now(&self, claim: Claim) -> Result<(), Error> {
        let shared = &*self.shared;
        let key = claim.key();
        if !claim.is_of(shared) || !shared.state().disown(key, claim.id()) {
            return Ok(());
        }
        let _marked = Marked(shared);
        let end = shared
            .converge(key, Op::Release, Instant::now() + PATIENCE)
            .await?;
        shared.state().forget(key);
        if let End::Gone(Some(Revision(at))) = end {
            let mut progress = shared.progress.subscribe();
            let _ = timeout(ECHO, progress.wait_for(|progress| *progress >= at)).await;
        }
        Ok(())
    }

    /// Who has a key, unless it is us.
    fn other(&self, key: &StreamKey) -> Option<Arc<Held>> {
        let held = self.lookup(key);
        held.filter(|held| held.record.node != self.shared.node)
    }

    async fn change_setting(
        &self,
        kind: Kind,
        name: &SettingName,
        put: Option<(Vec<u8>, Life)>,
        expect: Expect,
    ) -> Result<Revision, SettingError> {
        let when = match expect {
            Expect::Any => When::Always,
            Expect::Absent => When::Absent,
            Expect::At(revision) => When::At(revision.0),
        };
        let (put, key) = (&put, &path::setting(kind, name));
        let asked = self
            .shared
            .ask(Op::Setting, Instant::now() + PATIENCE, |open| async move {
                let mut fixed = None;
                let change = match put {
                    None => Put::Nothing,
                    Some((value, life)) => {
                        let lease = match life {
                            Life::Kept => Lease::NONE,
                            Life::Node => open.lease,
                            Life::For(time) => {
                                let term = Term::Fixed(whole_seconds(*time));
                                *fixed.insert(open.session.grant(term).await?)
                            }
                        };
                        let value = value.clone();
                        Put::Value { value, lease }
                    }
                };
                let write = Write {
                    key: key.clone(),
                    when,
                    change,
                };
                let outcome = open.session.write(write).await?;
                if let (Outcome::Differs(_), Some(lease)) = (&outcome, fixed) {
                    // Nothing hangs on it; if this fails it runs out.
                    let _ = open.session.revoke(lease).await;
                }
                Ok(outcome)
            });
        match asked.await? {
            Outcome::Done(revision) => Ok(Revision(revision)),
            Outcome::Differs(there) => match (there, put) {
                // Asked twice, because the first answer was lost.
                (Some(item), Some((value, _))) if item.value == *value => {
                    Ok(Revision(item.revision))
                }
                (None, None) if expect == Expect::Any => Ok(Revision::NONE),
                (there, _) => Err(SettingError::Changed(there.as_ref().and_then(setting))),
            },
        }
    }
}

/// A term that every store takes: at least a second, and at most a century.
fn whole_seconds(time: Duration) -> Duration {
    const CENTURY: u64 = 100 * 365 * 24 * 3600;
    let seconds = time
        .as_secs()
        .saturating_add(u64::from(time.subsec_nanos() > 0));
    Duration::from_secs(seconds.clamp(1, CENTURY))
}

/// Something is marked, and whoever asks for it may give up waiting: then the driver sees to it.
struct Marked<'a>(&'a Shared);

impl Drop for Marked<'_> {
    fn drop(&mut self) {
        self.0.wake.notify_one();
    }
}

fn setting(item: &Item) -> Option<Arc<Setting>> {
    let value = wire::read_setting(&item.value).ok()?;
    Some(Arc::new(Setting {
        value,
        revision: Revision(item.revision),
    }))
}

impl Drop for Member {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Directory for Member {
    fn node(&self) -> &NodeId {
        &self.shared.node
    }

    fn is_up(&self) -> bool {
        self.shared.is_up()
    }

    fn was_up(&self) -> bool {
        self.shared.was_up()
    }

    fn next_epoch(&self, known: Option<Epoch>) -> Epoch {
        let mut state = self.shared.state();
        if let Some(known) = known {
            state.highest.saw(known);
        }
        let now = state.clock.now();
        let number = state.node.number();
        state.highest.next(now, number)
    }

    fn lookup(&self, key: &StreamKey) -> Option<Arc<Held>> {
        self.shared.state().stream(key).cloned()
    }

    fn resolve<'a>(
        &'a self,
        key: &'a StreamKey,
    ) -> BoxFuture<'a, Result<Option<Arc<Held>>, Error>> {
        async move {
            let path = &path::stream(key);
            let deadline = Instant::now() + PATIENCE;
            let asked = self.shared.ask(Op::Resolve, deadline, |open| async move {
                let item = open.session.get(path).await?;
                Ok((item, open.generation))
            });
            let (item, generation) = asked.await?;
            Ok(self.shared.state().resolved(key, item, generation))
        }
        .boxed()
    }

    fn streams(&self) -> Vec<Arc<Held>> {
        self.shared.state().streams().cloned().collect()
    }

    fn nodes(&self) -> Vec<Arc<NodeRecord>> {
        self.shared.state().known.nodes().cloned().collect()
    }

    fn find_node(&self, id: &NodeId) -> Option<Arc<NodeRecord>> {
        self.shared.state().known.node(id).cloned()
    }

    fn claim(
        &self,
        mut record: StreamRecord,
        over: Option<Revision>,
    ) -> BoxFuture<'_, Result<Claim, ClaimError>> {
        record.node = self.shared.node.clone();
        self.claim_now(record, over).boxed()
    }

    fn assume(&self, mut record: StreamRecord) -> Claim {
        record.node = self.shared.node.clone();
        let key = record.key.clone();
        let id = self.shared.state().assume(record);
        self.shared.wake.notify_one();
        self.handle(key, id)
    }

    fn update<'a>(
        &'a self,
        claim: &'a Claim,
        mut record: StreamRecord,
    ) -> BoxFuture<'a, Result<(), UpdateError>> {
        record.node = self.shared.node.clone();
        record.key = claim.key().clone();
        self.update_now(claim, record).boxed()
    }

    fn release(&self, claim: Claim) -> BoxFuture<'_, Result<(), Error>> {
        self.release_now(claim).boxed()
    }

    fn standing(&self, claim: &Claim) -> Standing {
        let state = self.shared.state();
        match claim.is_of(&self.shared) {
            true => state.standing(claim.key(), claim.id()),
            false => Standing::Gone,
        }
    }

    fn announce(&self, mut record: NodeRecord) {
        record.id = self.shared.node.clone();
        // What is no number has no form in the directory, and is never the same.
        record.load = if record.load.is_nan() {
            0.0
        } else {
            record.load.clamp(0.0, 1.0)
        };
        self.shared.state().announcing.set(record);
        self.shared.wake.notify_one();
    }

    fn changes(&self) -> Changes {
        Changes::new(self.shared.state().subscribe())
    }

    fn clock_differences(&self) -> Vec<ClockDifference> {
        self.shared.state().clocks.differences()
    }

    fn setting(&self, kind: Kind, name: &SettingName) -> Option<Arc<Setting>> {
        self.shared.state().known.setting(kind, name).cloned()
    }

    fn settings(&self, kind: Kind) -> Vec<(SettingName, Arc<Setting>)> {
        let state = self.shared.state();
        let settings = state.known.settings(kind);
        settings
            .map(|(name, setting)| (name.clone(), setting.clone()))
            .collect()
    }

    fn put_setting(
        &self,
        kind: Kind,
        name: SettingName,
        value: serde_json::Value,
        life: Life,
        expect: Expect,
    ) -> BoxFuture<'_, Result<Revision, SettingError>> {
        async move {
            let written = wire::write_setting(&value);
            if written.len() > wire::MAX_VALUE {
                return Err(SettingError::TooLong(written.len()));
            }
            self.change_setting(kind, &name, Some((written, life)), expect)
                .await
        }
        .boxed()
    }

    fn delete_setting(
        &self,
        kind: Kind,
        name: SettingName,
        expect: Expect,
    ) -> BoxFuture<'_, Result<(), SettingError>> {
        async move {
            self.change_setting(kind, &name, None, expect)
                .await
                .map(drop)
        }
        .boxed()
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        async move {
            let shared = &*self.shared;
            shared.leave();
            let deadline = Instant::now() + PATIENCE;
            let revoked = shared.ask(Op::Release, deadline, |open| async move {
                match open.lease {
                    Lease::NONE => Ok(()),
                    lease => open.session.revoke(lease).await,
                }
            });
            if let Err(error) = revoked.await {
                tracing::info!(%error, "left without telling the directory; the lease of this node will");
            }
            self.driver.abort();
            shared.left();
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests;
