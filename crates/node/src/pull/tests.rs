//! Pulls from a node that does as it is told.

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use directory::{Directory, Embedded, NodeId, NodeRecord, Numbering, Options, Role};
use directory::{StreamRecord, StreamState};
use flv::{Kind, Tag};
use futures::FutureExt;
use futures::future::BoxFuture;
use media::{Limits, Publisher, Start};
use relay::{
    Action, Auth, Backfill, Caller, End, Feed, Member, Notice, Query, Refusal, RefusalCode,
    Release, Released, Server, Source, Subscribe, Tuning,
};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::config::Config;
use crate::membership::Membership;

const SECRET: &str = "known to all of them";
const SECOND: i64 = 1_000_000_000;

fn key(name: &str) -> StreamKey {
    StreamKey::new("live", name).expect("a key")
}

fn id(name: &str) -> NodeId {
    NodeId::parse(name).expect("a name")
}

/// Waits until something is so that no event tells of.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waited = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), waited).await;
    in_time.unwrap_or_else(|_| panic!("{what}"));
}

/// A node whose streams are all the same one.
struct Origin {
    ring: Ring,
    has_it: AtomicBool,
    notices: watch::Sender<Notice>,
    wanted: Mutex<Vec<(Instant, Subscribe)>>,
    located: Mutex<Vec<Instant>>,
    /// How often it was asked for the time.
    asked: AtomicUsize,
    /// How far its clock is ahead, in nanoseconds.
    ahead: AtomicI64,
    /// Nobody is told its clock.
    is_secretive: AtomicBool,
}

impl Origin {
    fn new() -> (Arc<Origin>, Publisher) {
        let ring = Ring::new(Limits::default());
        let publisher = ring.begin(Epoch::new(5, 1), 0);
        let origin = Origin {
            ring,
            has_it: AtomicBool::new(true),
            notices: watch::Sender::default(),
            wanted: Mutex::default(),
            located: Mutex::default(),
            asked: AtomicUsize::default(),
            ahead: AtomicI64::default(),
            is_secretive: AtomicBool::default(),
        };
        (Arc::new(origin), publisher)
    }

    fn wanted(&self) -> Vec<(Instant, Subscribe)> {
        self.wanted.lock().expect("not poisoned").clone()
    }

    fn located(&self) -> Vec<Instant> {
        self.located.lock().expect("not poisoned").clone()
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Source for Origin {
    fn clock(&self) -> Duration {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let is_secretive = self.is_secretive.load(Ordering::SeqCst);
        assert!(!is_secretive, "a question that is not answered");
        let ahead = self.ahead.load(Ordering::SeqCst);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.expect("after 1970") + Duration::from_nanos(ahead.unsigned_abs())
    }

    fn subscribe(&self, _: Caller, wanted: Subscribe) -> BoxFuture<'_, Result<Feed, Refusal>> {
        let now = Instant::now();
        self.wanted
            .lock()
            .expect("not poisoned")
            .push((now, wanted));
        let lent = match self.has_it.load(Ordering::SeqCst) {
            true => Ok(Feed {
                ring: self.ring.clone(),
                describe: Arc::new(|_| About::default()),
                changes: watch::channel(()).1,
                notices: self.notices.subscribe(),
                viewers: Box::new(drop),
                guard: Box::new(()),
            }),
            false => Err(Refusal::new(RefusalCode::NotFound, "it is not here")),
        };
        async { lent }.boxed()
    }

    fn release(&self, _: Caller, _: Release) -> BoxFuture<'_, Result<Released, Refusal>> {
        async { Ok(Released::default()) }.boxed()
    }

    fn locate(&self, _: StreamKey) -> BoxFuture<'_, Option<String>> {
        let now = Instant::now();
        self.located.lock().expect("not poisoned").push(now);
        async { None }.boxed()
    }

    fn status(&self, _: Query) -> BoxFuture<'_, Result<String, Refusal>> {
        async { Ok(String::new()) }.boxed()
    }

    fn act(&self, _: Caller, _: Action) -> BoxFuture<'_, Result<String, Refusal>> {
        async { Ok(String::new()) }.boxed()
    }
}

/// Stands in for the streams' actors.
struct Nobody;

impl Actor for Nobody {
    type Msg = stream::Message;
    type State = ();
    type Arguments = ();

    async fn pre_start(
        &self,
        _: ActorRef<stream::Message>,
        (): (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

/// An edge, and the node that it pulls from.
struct Pair {
    embedded: Embedded,
    context: Arc<Context>,
    there: Arc<dyn Directory>,
    server: JoinHandle<()>,
    claims: Vec<directory::Claim>,
    pulls: Vec<ActorRef<Message>>,
}

impl Pair {
    async fn new(origin: &Arc<Origin>) -> Pair {
        let embedded = Embedded::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address").to_string();
        let config = Config::default();
        let me = Member::new(config.directory.cluster.as_str(), "origin").expect("names");
        let auth = Auth::secret(SECRET).expect("long enough");
        let server = Server::new(me, auth, Tuning::default(), Arc::clone(origin) as _);
        let server = tokio::spawn(async move { server.serve(listener, pending()).await });
        let there = embedded.join(id("origin"), Options::default());
        let mut record = NodeRecord::new(id("origin"), Role::Origin);
        record.addresses.insert("relay".to_owned(), address);
        there.announce(record);

        let here = embedded.join(id("edge"), Options::default());
        let mut config = config;
        config.relay.secret = Some(relay::Secret::new(SECRET.to_owned()));
        let membership = Membership::new(&config, id("edge"), Some(Arc::clone(&here)));
        let membership = membership.expect("nothing that could fail");
        let context = Arc::new(Context::new(config, membership));
        until("they know each other", || {
            here.find_node(&id("origin")).is_some()
        })
        .await;
        Pair {
            embedded,
            context,
            there,
            server,
            claims: Vec::new(),
            pulls: Vec::new(),
        }
    }

    /// Pulls a stream that the directory knows of.
    async fn pull(&mut self, name: &str) -> Ring {
        let record = StreamRecord {
            key: key(name),
            node: id("origin"),
            epoch: self.there.next_epoch(None),
            identity: None,
            protocol: "rtmp".to_owned(),
            state: StreamState::Live,
            since: 0,
            numbering: Numbering::default(),
        };
        let claim = self.there.claim(record, None).await;
        self.claims.push(claim.expect("it is free"));
        let directory = &self.context.membership.directory;
        until("the edge knows", || directory.lookup(&key(name)).is_some()).await;
        let ring = Ring::new(Limits::default());
        let (stream, _) = Actor::spawn(None, Nobody, ()).await.expect("an actor");
        let arguments = Arguments {
            context: Arc::clone(&self.context),
            key: key(name),
            ring: ring.clone(),
            book: Book::default(),
            stream,
            is_known: false,
            span: Span::none(),
        };
        let pull = Actor::spawn(None, Pull, arguments).await;
        self.pulls.push(pull.expect("an actor").0);
        ring
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.server.abort();
        self.pulls.iter().for_each(|pull| pull.stop(None));
    }
}

fn keyframe() -> Tag {
    // Of Sorenson H.263, which needs no configuration.
    Tag::new(Kind::Video, 0, Bytes::from_static(&[0x12, 0, 0, 0x84]))
}

/// When the newest tag of a ring came in at its origin, by the clock of who holds it.
fn newest(ring: &Ring) -> i64 {
    let (mut cursor, _) = ring.cursor(Start::At(ring.head().saturating_sub(1)));
    let batch = cursor.read().expect("there");
    batch.last().map_or(0, |tag| tag.ingest)
}

/// Lets so much time go by at once.
async fn leap(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn who_lagged_takes_up_the_stream_where_players_do_and_does_not_hurry() {
    let (origin, mut publisher) = Origin::new();
    publisher.push(keyframe(), 0).expect("not fenced");
    origin.notices.send_replace(Notice::End(End::Lagged));
    let mut pair = Pair::new(&origin).await;
    let ring = pair.pull("a").await;
    until("it tries again", || origin.wanted().len() >= 6).await;
    let wanted = origin.wanted();
    let begins: Vec<_> = wanted.iter().map(|(_, wanted)| wanted.backfill).collect();
    assert_eq!(begins[0], Backfill::Window);
    assert!(
        begins[1..].iter().all(|begin| *begin == Backfill::Join),
        "{begins:?}"
    );
    let pause = wanted[5].0 - wanted[4].0;
    assert!(pause >= Duration::from_millis(400), "{pause:?}");

    // One that comes so far is a feed like others.
    origin.notices.send_replace(Notice::None);
    until("it has caught up", || !ring.is_backfilling()).await;
    let before = origin.wanted().len();
    origin.notices.send_replace(Notice::End(End::Lost));
    until("it begins anew", || origin.wanted().len() > before).await;
    let (_, next) = &origin.wanted()[before];
    assert_eq!(next.backfill, Backfill::Window);
    assert!(next.resume.is_some());
}

#[tokio::test]
async fn nodes_that_were_asked_in_vain_are_not_asked_again_at_once() {
    let (origin, _publisher) = Origin::new();
    origin.has_it.store(false, Ordering::SeqCst);
    let mut pair = Pair::new(&origin).await;
    pair.pull("a").await;
    until("it is refused", || !origin.wanted().is_empty()).await;
    pair.embedded.cut(&id("edge"));
    until("it asks the nodes", || origin.located().len() >= 3).await;
    let located = origin.located();
    for (one, next) in located.iter().zip(&located[1..]) {
        let pause = *next - *one;
        assert!(pause >= Duration::from_millis(990), "{pause:?}");
    }
}

#[tokio::test]
async fn pulls_that_begin_together_ask_for_the_time_once() {
    let (origin, mut publisher) = Origin::new();
    origin.ahead.store(3600 * SECOND, Ordering::SeqCst);
    let mut pair = Pair::new(&origin).await;
    let there = pair.context.clock.now() + 3600 * SECOND;
    publisher.push(keyframe(), there).expect("not fenced");
    let mut rings = Vec::new();
    for number in 0..8 {
        rings.push(pair.pull(&format!("s{number}")).await);
    }
    until("all have it", || rings.iter().all(|ring| ring.head() == 1)).await;
    assert_eq!(origin.asked(), 1);
    let now = pair.context.clock.now();
    for ring in &rings {
        assert!(now.abs_diff(newest(ring)) < 60 * SECOND.unsigned_abs());
    }
}

#[tokio::test]
async fn a_clock_that_was_not_told_or_is_set_is_known_while_the_pull_goes_on() {
    let (origin, mut publisher) = Origin::new();
    origin.ahead.store(3600 * SECOND, Ordering::SeqCst);
    origin.is_secretive.store(true, Ordering::SeqCst);
    let mut pair = Pair::new(&origin).await;
    let clock = Arc::clone(&pair.context);
    let now = || clock.clock.now();
    let mut tag = move |ingest| publisher.push(keyframe(), ingest).expect("not fenced");
    tag(now() + 3600 * SECOND);
    let ring = pair.pull("a").await;
    until("it comes in", || ring.head() == 1).await;
    assert!(newest(&ring) > now() + 3000 * SECOND, "nobody knows better");

    let is_right = || now().abs_diff(newest(&ring)) < 60 * SECOND.unsigned_abs();
    let mut send_until = async |what: &str, ahead: i64, done: &dyn Fn() -> bool| {
        let sent = async {
            while !done() {
                tag(now() + ahead);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(20), sent).await;
        in_time.unwrap_or_else(|_| panic!("{what}"));
    };
    origin.is_secretive.store(false, Ordering::SeqCst);
    leap(Duration::from_secs(10)).await;
    send_until("it is asked again", 3600 * SECOND, &is_right).await;

    // There the clock is set by another hour.
    origin.ahead.store(7200 * SECOND, Ordering::SeqCst);
    send_until("nobody knows yet", 7200 * SECOND, &|| !is_right()).await;
    leap(Duration::from_secs(60)).await;
    send_until("it is asked again", 7200 * SECOND, &is_right).await;
    assert_eq!(origin.wanted().len(), 1, "all in one pull");
}
