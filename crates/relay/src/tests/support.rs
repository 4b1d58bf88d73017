//! A node with streams, and edges that pull them.

use std::any::Any;
use std::collections::HashMap;
use std::future::{Future, pending};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use flv::{Kind, Tag};
use futures::FutureExt;
use futures::future::BoxFuture;
use media::{
    Configuration, Cut, Epoch, Limits, MarkedTag, Marker, Publisher, Relayed, Ring, Segment, Start,
    StreamKey,
};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::{
    About, Action, Auth, Bandwidth, Caller, Client, Described, Event, Feed, Hls, Member, Notice,
    Peer, Pulling, Query, Refusal, RefusalCode, Release, Released, Server, Source, Subscribe,
    Tuning, Viewers,
};

pub(super) const SECRET: &str = "a secret of all nodes";
pub(super) const MS: i64 = 1_000_000;

pub(super) fn key(name: &str) -> StreamKey {
    StreamKey::new("live", name).expect("a key")
}

pub(super) fn epoch(number: u64) -> Epoch {
    Epoch::new(number, 7)
}

pub(super) fn member(node: &str) -> Member {
    Member::new("test", node).expect("names")
}

pub(super) fn secret() -> Auth {
    Auth::secret(SECRET).expect("long enough")
}

pub(super) fn client(node: &str) -> Client {
    Client::new(member(node), secret(), Tuning::default())
}

/// A test that hangs says so.
pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    let soon = tokio::time::timeout(Duration::from_secs(20), future);
    soon.await.expect("within 20 seconds")
}

/// Waits until something that no event tells of is so.
pub(super) async fn until(is_so: impl Fn() -> bool) {
    soon(async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// The node behind the server.
#[derive(Default)]
pub(super) struct Node {
    streams: Mutex<HashMap<StreamKey, Stream>>,
    /// Pulls under way.
    pub(super) feeds: Arc<AtomicUsize>,
    pub(super) callers: Mutex<Vec<Caller>>,
    pub(super) wanted: Mutex<Vec<Subscribe>>,
    pub(super) asked: Mutex<Vec<String>>,
    pub(super) crowd: Arc<Mutex<Vec<Viewers>>>,
    /// What its clock says, if that is not the machine's.
    pub(super) clock: Mutex<Option<Duration>>,
}

/// One of its streams.
#[derive(Clone)]
pub(super) struct Stream {
    pub(super) ring: Ring,
    pub(super) notices: watch::Sender<Notice>,
    pub(super) bandwidth: Arc<Mutex<Bandwidth>>,
    pub(super) changes: watch::Sender<()>,
}

impl Node {
    pub(super) fn stream(&self, name: &str, limits: Limits) -> Stream {
        self.lend(name, Ring::new(limits))
    }

    pub(super) fn lend(&self, name: &str, ring: Ring) -> Stream {
        let stream = Stream {
            ring,
            notices: watch::Sender::new(Notice::None),
            bandwidth: Arc::default(),
            changes: watch::Sender::default(),
        };
        let mut streams = self.streams.lock().expect("not poisoned");
        streams.insert(key(name), stream.clone());
        stream
    }

    pub(super) fn feeds(&self) -> usize {
        self.feeds.load(Ordering::SeqCst)
    }
}

struct Guard(Arc<AtomicUsize>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What it says about an epoch.
pub(super) fn about(epoch: Epoch) -> About {
    About {
        since: epoch.number as i64,
        protocol: "rtmp".to_owned(),
        path: vec!["origin".to_owned()],
        hls: Some(Hls {
            mode: "ll".to_owned(),
            segment_target: Duration::from_secs(2),
            part_target: Duration::from_millis(200),
            window: 10,
        }),
        ..About::default()
    }
}

impl Source for Node {
    fn clock(&self) -> Duration {
        let clock = *self.clock.lock().expect("not poisoned");
        clock.unwrap_or_else(crate::clock::unix)
    }

    fn subscribe(
        &self,
        caller: Caller,
        subscribe: Subscribe,
    ) -> BoxFuture<'_, Result<Feed, Refusal>> {
        let stream = self
            .streams
            .lock()
            .expect("not poisoned")
            .get(&subscribe.key)
            .cloned();
        self.callers.lock().expect("not poisoned").push(caller);
        self.wanted.lock().expect("not poisoned").push(subscribe);
        let Some(stream) = stream else {
            let refusal = Refusal::new(RefusalCode::NotFound, "there is no such stream here");
            return async { Err(refusal) }.boxed();
        };
        self.feeds.fetch_add(1, Ordering::SeqCst);
        let guard: Box<dyn Any + Send> = Box::new(Guard(Arc::clone(&self.feeds)));
        let crowd = Arc::clone(&self.crowd);
        let bandwidth = stream.bandwidth;
        let feed = Feed {
            ring: stream.ring,
            describe: Arc::new(move |epoch| About {
                bandwidth: *bandwidth.lock().expect("not poisoned"),
                ..about(epoch)
            }),
            changes: stream.changes.subscribe(),
            notices: stream.notices.subscribe(),
            viewers: Box::new(move |viewers| crowd.lock().expect("not poisoned").push(viewers)),
            guard,
        };
        async { Ok(feed) }.boxed()
    }

    fn release(&self, _: Caller, release: Release) -> BoxFuture<'_, Result<Released, Refusal>> {
        let answer = match release.identity.as_slice() {
            b"same" => Ok(Released {
                epoch: release.epoch,
                ..Released::default()
            }),
            _ => Err(Refusal::new(RefusalCode::Denied, "somebody else publishes")
                .retry_after(Duration::from_secs(3))),
        };
        async { answer }.boxed()
    }

    fn locate(&self, key: StreamKey) -> BoxFuture<'_, Option<String>> {
        let is_here = self
            .streams
            .lock()
            .expect("not poisoned")
            .contains_key(&key);
        async move { is_here.then(|| r#"{"node":"origin"}"#.to_owned()) }.boxed()
    }

    fn status(&self, query: Query) -> BoxFuture<'_, Result<String, Refusal>> {
        async move { Ok(format!("{query:?}")) }.boxed()
    }

    fn act(&self, caller: Caller, action: Action) -> BoxFuture<'_, Result<String, Refusal>> {
        let asked = format!("{} {action:?}", caller.node);
        self.asked.lock().expect("not poisoned").push(asked);
        async { Ok(String::new()) }.boxed()
    }
}

/// A server that runs until dropped.
pub(super) struct Running {
    pub(super) node: Arc<Node>,
    pub(super) peer: Peer,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A node named `origin`.
pub(super) async fn origin() -> Running {
    serve(secret(), Tuning::default()).await
}

pub(super) async fn serve(auth: Auth, tuning: Tuning) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("has an address").to_string();
    let node = Arc::new(Node::default());
    let source: Arc<dyn Source> = Arc::clone(&node) as _;
    let server = Server::new(member("origin"), auth, tuning, source);
    let task = tokio::spawn(async move { server.serve(listener, pending()).await });
    Running {
        node,
        peer: Peer::new("origin", address).expect("a name"),
        task,
    }
}

/// Begins a segment with each keyframe and a part with each fourth tag behind.
#[derive(Debug)]
pub(super) struct Cutter {
    msn: u64,
    tags: u32,
}

impl Cutter {
    pub(super) fn boxed() -> Box<dyn Marker> {
        Box::new(Self { msn: 99, tags: 0 })
    }
}

impl Marker for Cutter {
    fn mark(&mut self, tag: &MarkedTag, _: &Configuration) -> Option<Cut> {
        if tag.tag.is_keyframe() {
            self.msn += 1;
            self.tags = 0;
        } else {
            self.tags += 1;
        }
        if self.msn < 100 || !self.tags.is_multiple_of(4) {
            return None;
        }
        let segment = Segment {
            first_listed: self.msn.saturating_sub(2).max(100),
            discontinuity: 3,
            version: tag.version,
            date_time: 1_790_000_000_000_000_000 + tag.time,
            independent: true,
            target: Duration::from_secs(2),
            part_target: Some(Duration::from_millis(160)),
        };
        Some(Cut {
            msn: self.msn,
            part: self.tags / 4,
            start: tag.time,
            segment: (self.tags == 0).then_some(segment),
        })
    }
}

/// What an encoder sends: configuration, then pictures and sound, a keyframe with each 25th picture.
#[derive(Default)]
pub(super) struct Encoder {
    frame: u32,
}

/// Nanoseconds of unix time, when the first tag of an encoder comes in.
const INGEST: i64 = 1_790_000_000_123_456_789;

impl Encoder {
    pub(super) fn start(&self, publisher: &mut Publisher) {
        let mut metadata = flv::Metadata::default();
        metadata.set("framerate", 25.0);
        metadata.set("encoder", "a test");
        self.push(publisher, metadata.to_tag(0));
        let avc: &[u8] = &[0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, 0xff, 0];
        self.push(publisher, Tag::new(Kind::Video, 0, Bytes::from_static(avc)));
        let aac: &[u8] = &[0xaf, 0, 0x11, 0x90];
        self.push(publisher, Tag::new(Kind::Audio, 0, Bytes::from_static(aac)));
    }

    pub(super) fn send(&mut self, publisher: &mut Publisher, frames: u32) {
        for _ in 0..frames {
            let size = if self.frame.is_multiple_of(25) {
                20_000
            } else {
                3_000
            };
            self.picture(publisher, size);
        }
    }

    /// One picture of that many bytes, and the sound with it.
    pub(super) fn picture(&mut self, publisher: &mut Publisher, size: usize) {
        let is_key = self.frame.is_multiple_of(25);
        let mut picture = vec![self.frame as u8; size];
        // Shown a frame later than decoded.
        picture[..5].copy_from_slice(&[if is_key { 0x17 } else { 0x27 }, 1, 0, 0, 40]);
        let mut sound = vec![!(self.frame as u8); 300];
        sound[..2].copy_from_slice(&[0xaf, 1]);
        let dts = self.frame * 40;
        self.push(publisher, Tag::new(Kind::Video, dts, picture.into()));
        self.push(publisher, Tag::new(Kind::Audio, dts, sound.into()));
        self.frame += 1;
    }

    fn push(&self, publisher: &mut Publisher, tag: Tag) {
        let ingest = INGEST + i64::from(tag.dts) * MS + i64::from(tag.dts % 7) * 1000;
        publisher.push(tag, ingest).expect("not fenced");
    }
}

/// All that lies in a ring from `start` on, as it is the same on every node.
pub(super) fn contents(ring: &Ring, start: Start) -> Vec<(Epoch, Relayed)> {
    let (mut cursor, _) = ring.cursor(start);
    let mut all = Vec::new();
    loop {
        match cursor.read() {
            Ok(batch) if batch.is_empty() => return all,
            Ok(batch) => all.extend(batch.iter().map(|tag| (tag.epoch, tag.into()))),
            Err(media::ReadError::Ended(_)) => return all,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Begins a pull.
pub(super) async fn pull(client: &Client, peer: &Peer, name: &str) -> (Described, Pulling) {
    let pulled = soon(client.pull(peer, Subscribe::new(key(name)))).await;
    pulled.expect("pulls")
}

/// The next event, which must be tags.
pub(super) async fn tags(pulling: &mut Pulling) -> Vec<Relayed> {
    match soon(pulling.next()).await.expect("no error") {
        Event::Tags(tags) => tags,
        other => panic!("tags, not {other:?}"),
    }
}

/// All tags up to the caught-up mark.
pub(super) async fn backfill(pulling: &mut Pulling) -> Vec<Relayed> {
    let mut all = Vec::new();
    loop {
        match soon(pulling.next()).await.expect("no error") {
            Event::Tags(tags) => all.extend(tags),
            Event::CaughtUp => return all,
            other => panic!("tags, not {other:?}"),
        }
    }
}
