//! The relay.

use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use flv::{Kind, Tag};
use futures::FutureExt;
use futures::future::BoxFuture;
use media::{Epoch, Limits, Publisher, Ring, StreamKey};
use tokio::net::TcpListener;
use tokio::sync::watch;
use weir_relay::{
    About, Action, Auth, Caller, Client, Event, Feed, Member, Notice, Peer, Query, Refusal,
    RefusalCode, Release, Released, Server, Source, Subscribe, Tuning,
};

use crate::Carrier;
use crate::encoders::STREAMS;
use crate::thread::Thread;

pub(crate) struct Ours {
    publishers: Vec<Publisher>,
    arrived: Arc<AtomicU64>,
    ages: Arc<Mutex<Vec<Duration>>>,
}

struct Node {
    rings: Vec<Ring>,
    quiet: watch::Sender<Notice>,
}

fn now() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("after 1970")
}

fn auth() -> Auth {
    Auth::secret("a secret of all nodes").expect("long enough")
}

fn key(stream: usize) -> StreamKey {
    StreamKey::new("live", &stream.to_string()).expect("a key")
}

impl Carrier for Ours {
    fn start(origin: &Thread, edge: &Thread) -> Self {
        let rings: Vec<_> = (0..STREAMS).map(|_| Ring::new(Limits::default())).collect();
        let mut publishers: Vec<_> = rings
            .iter()
            .map(|ring| ring.begin(Epoch::new(1, 1), 0))
            .collect();
        let avc: &[u8] = &[0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, 0xff, 0];
        let aac: &[u8] = &[0xaf, 0, 0x11, 0x90];
        let keyframe: &[u8] = &[0x17, 1, 0, 0, 0, 0xaa];
        for publisher in &mut publishers {
            for (kind, payload) in [
                (Kind::Video, avc),
                (Kind::Audio, aac),
                (Kind::Video, keyframe),
            ] {
                publisher
                    .push(Tag::new(kind, 0, payload.into()), 0)
                    .expect("not fenced");
            }
        }
        let node = Node {
            rings,
            quiet: watch::Sender::new(Notice::None),
        };
        let member = |name: &str| Member::new("bench", name).expect("names");
        let server = Server::new(member("origin"), auth(), Tuning::default(), Arc::new(node));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("has an address").to_string();
        origin.handle.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a socket");
            server.serve(listener, pending()).await;
        });

        let client = Client::new(member("edge"), auth(), Tuning::default());
        let peer = Peer::new("origin", address).expect("a name");
        let (arrived, ages) = (Arc::<AtomicU64>::default(), Arc::<Mutex<Vec<_>>>::default());
        let caught_up = Arc::new(AtomicU64::new(0));
        for stream in 0..STREAMS {
            let (client, peer) = (client.clone(), peer.clone());
            let (arrived, ages, caught_up) = (arrived.clone(), ages.clone(), caught_up.clone());
            edge.handle.spawn(async move {
                let pulled = client.pull(&peer, Subscribe::new(key(stream))).await;
                let (_, mut pulling) = pulled.expect("pulls");
                let mut is_live = false;
                // The connection breaks when the bench is over.
                while let Ok(event) = pulling.next().await {
                    match event {
                        Event::Tags(tags) if is_live => {
                            if let (0, Some(tag)) = (stream % 20, tags.first()) {
                                let ingest = Duration::from_nanos(tag.ingest as u64);
                                ages.lock()
                                    .expect("no panic")
                                    .push(now().saturating_sub(ingest));
                            }
                            arrived.fetch_add(tags.len() as u64, Ordering::Relaxed);
                        }
                        Event::CaughtUp => {
                            is_live = true;
                            caught_up.fetch_add(1, Ordering::Relaxed);
                        }
                        _ => {}
                    }
                }
            });
        }
        while caught_up.load(Ordering::Relaxed) < STREAMS as u64 {
            std::thread::sleep(Duration::from_millis(1));
        }
        Self {
            publishers,
            arrived,
            ages,
        }
    }

    fn push(&mut self, stream: usize, tag: Tag) {
        let ingest = now().as_nanos() as i64;
        self.publishers[stream]
            .push(tag, ingest)
            .expect("not fenced");
    }

    fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }

    fn ages(&self) -> Vec<Duration> {
        self.ages.lock().expect("no panic").clone()
    }
}

fn no<T: Send + 'static>() -> BoxFuture<'static, Result<T, Refusal>> {
    async { Err(Refusal::new(RefusalCode::Unsupported, "a bench")) }.boxed()
}

impl Source for Node {
    fn subscribe(&self, _: Caller, wanted: Subscribe) -> BoxFuture<'_, Result<Feed, Refusal>> {
        let stream: usize = wanted.key.name().parse().expect("a number");
        let feed = Feed {
            ring: self.rings[stream].clone(),
            describe: Arc::new(|_| About::default()),
            changes: watch::channel(()).1,
            notices: self.quiet.subscribe(),
            viewers: Box::new(|_| ()),
            guard: Box::new(()),
        };
        async { Ok(feed) }.boxed()
    }

    fn release(&self, _: Caller, _: Release) -> BoxFuture<'_, Result<Released, Refusal>> {
        no()
    }

    fn locate(&self, _: StreamKey) -> BoxFuture<'_, Option<String>> {
        async { None }.boxed()
    }

    fn status(&self, _: Query) -> BoxFuture<'_, Result<String, Refusal>> {
        no()
    }

    fn act(&self, _: Caller, _: Action) -> BoxFuture<'_, Result<String, Refusal>> {
        no()
    }
}
