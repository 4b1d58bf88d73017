//! What other nodes want of a stream: to pull it, or its key.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use directory::Fingerprint;
use ractor::{ActorRef, RpcReplyPort};
use relay::{
    CarryOn, End, Feed, Notice, Refusal as No, RefusalCode, Release, Released, Subscribe, Viewers,
};
use tokio::sync::watch;
use tracing::{debug, info};

use super::conflict::Newcomer;
use super::pulling::ByProtocol;
use super::{Book, Message, Phase, State};
use crate::config::OnConflict;
use crate::membership::PROBE;

/// Another node wants to pull.
pub(crate) struct LendRequest {
    pub(crate) node: String,
    pub(crate) subscribe: Subscribe,
    pub(crate) reply: RpcReplyPort<Result<Feed, No>>,
}

/// Another node wants the key.
pub(crate) struct ReleaseRequest {
    pub(crate) node: String,
    pub(crate) release: Release,
    pub(crate) reply: RpcReplyPort<Result<Released, No>>,
}

impl ReleaseRequest {
    /// There is nothing here that would hold the key.
    pub(crate) fn free(self, carry_on: Option<CarryOn>) {
        let released = Released {
            epoch: self.release.epoch,
            carry_on,
            window: false,
            tags: 0,
        };
        drop(self.reply.send(Ok(released)));
    }

    /// It would be let go of.
    pub(super) fn consent(self) {
        let released = Released {
            epoch: self.release.epoch,
            carry_on: None,
            window: true,
            tags: 0,
        };
        drop(self.reply.send(Ok(released)));
    }

    pub(super) fn only_asks(&self) -> bool {
        self.release.only_asks
    }

    pub(super) fn refuse(self, sentence: impl Into<String>) {
        let no = No::new(RefusalCode::Denied, sentence);
        drop(self.reply.send(Err(no)));
    }

    pub(super) fn is_closed(&self) -> bool {
        self.reply.is_closed()
    }

    fn identity(&self) -> Option<Fingerprint> {
        let text = std::str::from_utf8(&self.release.identity).ok()?;
        text.parse().ok()
    }

    /// The host of the newcomer.
    fn host(&self) -> Option<IpAddr> {
        let address: std::net::SocketAddr = self.release.publisher.parse().ok()?;
        Some(address.ip())
    }
}

/// The nodes that pull the stream from here.
pub(super) struct Lent {
    notices: watch::Sender<Notice>,
    book: Book,
    feeds: HashMap<u64, Borrower>,
    last: u64,
}

struct Borrower {
    node: String,
    viewers: Viewers,
}

/// So many nodes wait for an encoder that is about to be taken in.
const MAX_BORROWING: usize = 1000;

/// Says when dropped that the node with this feed has left.
struct Guard(ActorRef<Message>, u64);

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.cast(Message::FeedLeft(self.1)));
    }
}

impl Lent {
    /// With what there is to say of the publishes.
    pub(super) fn new(book: Book) -> Lent {
        Lent {
            notices: watch::Sender::default(),
            book,
            feeds: HashMap::new(),
            last: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.feeds.is_empty()
    }

    pub(super) fn notify(&self, notice: Notice) {
        self.notices.send_replace(notice);
    }

    /// Ends all feeds, and begins a new page for those to come.
    fn end(&mut self, end: End) {
        std::mem::take(&mut self.notices).send_replace(Notice::End(end));
    }

    pub(super) fn watch(&mut self, feed: u64, viewers: Viewers) {
        if let Some(borrower) = self.feeds.get_mut(&feed) {
            borrower.viewers = viewers;
        }
    }

    pub(super) fn left(&mut self, feed: u64) {
        self.feeds.remove(&feed);
    }

    /// Who watches at other nodes.
    pub(super) fn viewers(&self) -> ByProtocol {
        let mut all = ByProtocol::new();
        for borrower in self.feeds.values() {
            for (protocol, count) in &borrower.viewers.0 {
                let sum = all.entry(protocol.clone()).or_default();
                *sum = sum.saturating_add(*count);
            }
        }
        all
    }

    /// The nodes that pull it from here, and how many watch there.
    pub(super) fn edges(&self) -> BTreeMap<String, BTreeMap<String, u64>> {
        let mut edges = BTreeMap::new();
        for borrower in self.feeds.values() {
            let counts: &mut BTreeMap<String, u64> =
                edges.entry(borrower.node.clone()).or_default();
            for (protocol, count) in &borrower.viewers.0 {
                *counts.entry(protocol.clone()).or_default() += u64::from(*count);
            }
        }
        edges
    }

    fn open(&mut self, myself: &ActorRef<Message>, node: String, ring: media::Ring) -> Feed {
        self.last += 1;
        let id = self.last;
        let viewers = Viewers::default();
        self.feeds.insert(id, Borrower { node, viewers });
        let book = self.book.clone();
        let changes = book.changes();
        let stream = myself.clone();
        Feed {
            ring,
            describe: Arc::new(move |epoch| book.about(epoch).unwrap_or_default()),
            changes,
            notices: self.notices.subscribe(),
            viewers: Box::new(move |viewers| {
                drop(stream.cast(Message::FeedViewers(id, viewers)));
            }),
            guard: Box::new(Guard(myself.clone(), id)),
        }
    }
}

impl State {
    /// Opens the stream to a node that pulls it. While an encoder is about to be taken in, it waits for that: the
    /// node that had the stream has told others to come here.
    pub(super) fn lend(&mut self, myself: &ActorRef<Message>, request: LendRequest) {
        let is_coming = self.claiming.is_some() && !matches!(self.phase, Phase::Live(_));
        if is_coming && self.borrowing.len() < MAX_BORROWING {
            return self.borrowing.push(request);
        }
        let LendRequest {
            node,
            subscribe: _,
            reply,
        } = request;
        debug!(parent: &self.span, node, "asked to lend");
        let answer = match self.phase {
            Phase::Live(_) | Phase::Grace => Ok(self.lent.open(myself, node, self.ring.clone())),
            // Who asks has heard that it is here, of one that was here, or of one that comes.
            Phase::Expected | Phase::Pulled | Phase::Over => Err(self.not_here()),
        };
        drop(reply.send(answer));
    }

    /// Answers the nodes that have waited for an encoder.
    pub(super) fn lend_to_those_who_wait(&mut self, myself: &ActorRef<Message>) {
        for request in std::mem::take(&mut self.borrowing) {
            self.lend(myself, request);
        }
    }

    fn not_here(&self) -> No {
        No::new(RefusalCode::NotFound, self.no_such_stream().to_string())
            .retry_after(std::time::Duration::from_millis(100))
    }

    /// Another node has the encoder of this stream, or one who says so.
    pub(super) async fn asked_to_release(
        &mut self,
        myself: &ActorRef<Message>,
        request: ReleaseRequest,
    ) {
        let current = match &self.phase {
            Phase::Grace => return self.release(myself, request).await,
            Phase::Live(current) => current,
            Phase::Expected | Phase::Pulled | Phase::Over => {
                return request.free(None);
            }
        };
        if self.draining {
            return self.release(myself, request).await;
        }
        let identity = request.identity();
        let same = identity.is_some() && identity == current.identity;
        let policy = self.context.config.publish.on_conflict;
        if policy == OnConflict::Reject {
            return request.refuse(self.occupied().to_string());
        }
        let replaces = same && policy != OnConflict::Backup || policy == OnConflict::Always;
        if !replaces {
            return self
                .wait_for_silence(myself, Newcomer::There(request))
                .await;
        }
        if !self.may_replace(request.host(), request.only_asks()) {
            return request.refuse(super::Refusal::JustReplaced.to_string());
        }
        self.release(myself, request).await;
    }

    /// Gives the key to the node that asked for it, unless that only asked whether it would.
    pub(super) async fn release(&mut self, myself: &ActorRef<Message>, request: ReleaseRequest) {
        if request.only_asks() {
            return request.consent();
        }
        let last = self.ring.next_number();
        if let Some((epoch, _)) = last {
            // Nothing is added any more: whoever has pulled all of it has what everybody has.
            drop(self.ring.begin(epoch, self.context.clock.now()));
        }
        let tags = self.ring.next_number().map_or(0, |(_, next)| next);
        let newest = self.ring.newest_segment();
        let carry_on = newest.map(|newest| CarryOn {
            next_segment: newest.msn.saturating_add(1),
            next_discontinuity: newest.segment.discontinuity.saturating_add(1),
            date_time: newest.end,
        });
        let released = Released {
            epoch: self.epoch.unwrap_or(request.release.epoch),
            carry_on,
            window: false,
            tags,
        };
        info!(parent: &self.span, node = request.node, "released to another node");
        let claim = self.claim.take().and_then(Arc::into_inner);
        self.hand_over(
            myself,
            &request.node,
            "this stream is published at another node now",
        )
        .await;
        let directory = Arc::clone(&self.context.membership.directory);
        let reply = request.reply;
        tokio::spawn(async move {
            if let Some(claim) = claim {
                // Where that fails or takes too long, who asked supersedes it.
                drop(tokio::time::timeout(PROBE, directory.release(claim)).await);
            }
            drop(reply.send(Ok(released)));
        });
    }

    /// The key is another node's: its publisher here is told, nodes that pull look there, and so do players here.
    pub(super) async fn hand_over(&mut self, myself: &ActorRef<Message>, node: &str, why: &str) {
        if let Phase::Live(current) = std::mem::replace(&mut self.phase, Phase::Pulled) {
            self.evict(&current, why);
        }
        self.refuse_waiting();
        self.claim = None;
        self.record = None;
        let node = node.to_owned();
        self.lent.end(End::Moved { node });
        self.follow(myself, "published at another node").await;
    }
}
