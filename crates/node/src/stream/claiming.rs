//! How a key becomes this node's: from the directory, or from the node that has it.

use std::sync::Arc;
use std::time::Duration;

use directory::{Claim, ClaimError, Directory, Fingerprint, Revision, StreamRecord, StreamState};
use media::{Epoch, Ring, StreamKey};
use ractor::ActorRef;
use relay::{Error, Refusal as No, RefusalCode, Release, Released};
use tokio::time::{Instant, sleep};
use tracing::{debug, info};

use super::{Message, Refusal};
use crate::config::OnConflict;
use crate::context::Context;
use crate::locate::ask_around;
use crate::membership::PROBE;

/// A key changes hands a few times at most while one asks for it.
const ROUNDS: u32 = 16;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);
/// So long an encoder waits at most for the window of the publish before, and as long again for the end of that.
const WINDOW: Duration = Duration::from_secs(1);
/// How often one looks whether it is there.
const WINDOW_LOOK: Duration = Duration::from_millis(5);
/// How much longer than its lease a node may seem to live.
const SLACK: Duration = Duration::from_secs(2);

/// Who wants which key.
pub(super) struct Wanted {
    pub(super) context: Arc<Context>,
    pub(super) key: StreamKey,
    pub(super) identity: Option<Fingerprint>,
    pub(super) protocol: &'static str,
    /// The address of the encoder.
    pub(super) publisher: String,
    /// The highest epoch that is known here.
    pub(super) known: Option<Epoch>,
    /// What is here of the stream.
    pub(super) ring: Ring,
    pub(super) stream: ActorRef<Message>,
}

/// A key that is this node's.
pub(crate) struct Claimed {
    pub(super) claim: Claim,
    pub(super) record: StreamRecord,
    pub(super) numbering: hls::Numbering,
}

/// What the holder of a key says.
enum Answer {
    /// It has let go, and of what; or it never had it.
    Free(Option<Box<Released>>),
    Refused(Refusal),
    /// It cannot be reached.
    Silent,
}

impl Wanted {
    /// Claims the key, in place of whoever has it if that one agrees or is gone.
    pub(super) async fn claim(mut self) -> Result<Claimed, Refusal> {
        let directory = Arc::clone(&self.context.membership.directory);
        let (mut over, mut previous, mut released) = (None, None, None);
        // It does not answer, which is found out before it counts as out of reach.
        let mut hangs = false;
        for round in 0..ROUNDS {
            let (record, numbering) = self.record(previous.as_ref(), released.as_deref());
            let held = match directory.claim(record.clone(), over.take()).await {
                Ok(claim) => {
                    return Ok(Claimed {
                        claim,
                        record,
                        numbering,
                    });
                }
                Err(ClaimError::Held(held)) if directory.is_up() => held.record.clone(),
                Err(error @ (ClaimError::Held(_) | ClaimError::Unreachable(_))) => {
                    debug!(%error, "claims without the directory");
                    hangs = true;
                    match self.find_holder().await {
                        Some(held) => held,
                        None => return Ok(self.assume(previous.as_ref(), released.as_deref())),
                    }
                }
                Err(ClaimError::Unreadable) => return Err(Refusal::Occupied(self.key)),
                Err(_) => return Err(Refusal::Fault),
            };
            self.known = self.known.max(Some(held.epoch));
            let same = self.identity.is_some() && self.identity == held.identity;
            match self.ask(&held).await {
                Answer::Refused(refusal) => return Err(refusal),
                Answer::Free(None) => {}
                Answer::Free(Some(now)) => {
                    self.known = self.known.max(Some(now.epoch));
                    self.have_all(&now).await;
                    released = Some(now).filter(|now| now.carry_on.is_some()).or(released);
                }
                // Not for ever, should it have its encoder all the while and only this node cannot reach it.
                Answer::Silent
                    if same
                        && self
                            .context
                            .feuds
                            .may_replace(&self.key, Instant::now().into_std()) =>
                {
                    info!(key = %self.key, node = %held.node, "taken over from a node that does not answer");
                }
                Answer::Silent => self.wait_for_lease(&held).await?,
            }
            over = still_there(&*directory, &held);
            previous = Some(held);
            if hangs || !directory.is_up() {
                return Ok(self.assume(previous.as_ref(), released.as_deref()));
            }
            if round > 0 {
                sleep(PAUSE).await;
            }
        }
        Err(Refusal::Occupied(self.key))
    }

    fn is_ours(&self, held: &StreamRecord) -> bool {
        held.node == *self.context.membership.me()
    }

    /// Who has the key where the directory does not answer: what it last told may be long over.
    async fn find_holder(&self) -> Option<StreamRecord> {
        let membership = &self.context.membership;
        if let Some((_, record)) = ask_around(membership, &self.key).await {
            return Some(record);
        }
        let told = membership.directory.lookup(&self.key)?;
        (!self.is_ours(&told.record)).then(|| told.record.clone())
    }

    /// Serves the key without having asked: the directory is out of reach.
    fn assume(&self, previous: Option<&StreamRecord>, released: Option<&Released>) -> Claimed {
        let (record, numbering) = self.record(previous, released);
        Claimed {
            claim: self.context.membership.directory.assume(record.clone()),
            record,
            numbering,
        }
    }

    /// Asks the holder of the key to let go of it.
    async fn ask(&self, held: &StreamRecord) -> Answer {
        let membership = &self.context.membership;
        if self.is_ours(held) {
            return Answer::Free(None);
        }
        let peer = membership.peer(&held.node);
        let (Some(relay), Some(peer)) = (&membership.relay, peer) else {
            return Answer::Silent;
        };
        // Who is alive says so at once, though its answer may take as long as a publisher may be silent.
        match relay.client.ping(&peer, PROBE).await {
            Err(error) if !error.is_answer() => return Answer::Silent,
            _ => {}
        }
        let rejects = self.context.config.publish.on_conflict == OnConflict::Reject;
        if rejects && held.state == StreamState::Live {
            return Answer::Refused(Refusal::Occupied(self.key.clone()));
        }
        let identity = self
            .identity
            .map(|identity| identity.to_string().into_bytes());
        let release = |only_asks| {
            let release = Release {
                key: self.key.clone(),
                epoch: held.epoch,
                identity: identity.clone().unwrap_or_default(),
                publisher: self.publisher.clone(),
                only_asks,
            };
            relay.client.release(&peer, release)
        };
        let mut answer = None;
        if self.context.config.hls.mode.is_some() {
            // First, so that the window is not pulled for who is refused.
            match release(true).await {
                Ok(may) if may.window => self.have_window(held).await,
                other => answer = Some(other),
            }
        }
        let answer = match answer {
            Some(answer) => answer,
            None => release(false).await,
        };
        match answer {
            Ok(released) => Answer::Free(Some(Box::new(released))),
            Err(Error::Refused(no)) => refused(&no, &self.key),
            Err(error) => {
                debug!(%peer, %error, "did not answer about a key");
                Answer::Silent
            }
        }
    }

    /// Has the window of the stream pulled from the node that publishes it, so that it goes on in the next publish.
    /// Without, should that take too long, it begins empty.
    async fn have_window(&self, held: &StreamRecord) {
        drop(self.stream.cast(Message::WantWindow));
        let is_here = || {
            let epoch = self.ring.next_number().map(|next| next.0);
            epoch >= Some(held.epoch) && !self.ring.is_backfilling()
        };
        self.wait_for_window(is_here).await;
    }

    /// What came in there up to the end is still on its way.
    async fn have_all(&self, released: &Released) {
        let epoch = self.ring.next_number().map(|next| next.0);
        if released.tags > 0 && epoch == Some(released.epoch) {
            self.wait_for_window(|| self.has_all(released)).await;
        }
    }

    fn has_all(&self, released: &Released) -> bool {
        let all = Some((released.epoch, released.tags));
        released.tags > 0 && self.ring.next_number() == all && !self.ring.is_backfilling()
    }

    async fn wait_for_window(&self, is_here: impl Fn() -> bool) {
        let until = Instant::now() + WINDOW;
        while !is_here() && Instant::now() < until {
            sleep(WINDOW_LOOK).await;
        }
    }

    /// Waits until what is held by a node that does not answer is free.
    async fn wait_for_lease(&self, held: &StreamRecord) -> Result<(), Refusal> {
        let directory = &self.context.membership.directory;
        let patience = self.context.config.directory.lease_ttl + SLACK;
        let until = Instant::now() + patience;
        let mut changes = directory.changes();
        while directory.is_up() && still_there(&**directory, held).is_some() {
            let change = tokio::time::timeout_at(until, changes.next()).await;
            if !matches!(change, Ok(Some(_))) {
                return Err(Refusal::Unreachable {
                    key: self.key.clone(),
                    node: held.node.to_string(),
                });
            }
        }
        if !directory.is_up() {
            // As long as its lease would have lasted.
            sleep(self.context.config.directory.lease_ttl).await;
        }
        Ok(())
    }

    fn record(
        &self,
        previous: Option<&StreamRecord>,
        released: Option<&Released>,
    ) -> (StreamRecord, hls::Numbering) {
        let membership = &self.context.membership;
        let numbering = self.numbering(previous, released);
        let record = StreamRecord {
            key: self.key.clone(),
            node: membership.me().clone(),
            epoch: membership.next_epoch(self.known),
            identity: self.identity,
            protocol: self.protocol.to_owned(),
            state: StreamState::Live,
            since: self.context.clock.unix_millis(),
            numbering: written(&numbering),
        };
        (record, numbering)
    }

    fn numbering(
        &self,
        previous: Option<&StreamRecord>,
        released: Option<&Released>,
    ) -> hls::Numbering {
        let newest = self.ring.newest_segment();
        let cuts = self.context.config.hls.cutting();
        if let (Some(released), Some(newest), Some(cuts)) = (released, &newest, &cuts)
            && self.has_all(released)
        {
            return hls::Numbering::carry_on(newest, cuts);
        }
        if let Some(carry_on) = released.and_then(|released| released.carry_on) {
            return hls::Numbering {
                msn: carry_on.next_segment,
                discontinuity: carry_on.next_discontinuity,
                not_before: Some(carry_on.date_time),
                carried: None,
            };
        }
        let told = previous.map(|record| &record.numbering);
        let seen = newest.as_ref();
        let known = self.context.numbers.last(&self.key);
        let msn = told
            .map(|told| told.media_sequence)
            .max(seen.map(|newest| newest.msn))
            .max(known.map(|known| known.msn));
        let discontinuity = told
            .map(|told| told.discontinuity_sequence)
            .max(seen.map(|newest| newest.segment.discontinuity))
            .max(known.map(|known| known.discontinuity));
        let last = msn
            .zip(discontinuity)
            .map(|(msn, discontinuity)| hls::LastKnown { msn, discontinuity });
        hls::Numbering::after_crash(last, self.context.clock.now())
    }
}

/// What of a numbering is in the directory.
pub(super) fn written(numbering: &hls::Numbering) -> directory::Numbering {
    directory::Numbering {
        media_sequence: numbering.msn,
        discontinuity_sequence: numbering.discontinuity,
        carries_on: numbering.carries_on(),
    }
}

/// The revision at which the record can be superseded, if it is the one that was seen.
fn still_there(directory: &dyn Directory, held: &StreamRecord) -> Option<Revision> {
    let now = directory.lookup(&held.key)?;
    let same = now.record.node == held.node && now.record.epoch == held.epoch;
    same.then_some(now.revision)
}

fn refused(no: &No, key: &StreamKey) -> Answer {
    match no.code {
        // The directory has not heard yet that it is free.
        RefusalCode::NotFound => Answer::Free(None),
        RefusalCode::Denied => Answer::Refused(Refusal::Elsewhere(no.sentence.clone())),
        _ => Answer::Refused(Refusal::Occupied(key.clone())),
    }
}
