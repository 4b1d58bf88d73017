//! Three nodes of one process, around a directory in memory.
//!
//! Their clock runs: one that is paused leaps to the next timer whenever all tasks wait, and here they wait for
//! sockets, whose answers would then come after any time-out. So what must take a while is set to be short, and what
//! must not come in the meantime is set to be long.

mod absent;
mod door;
mod edge;
mod ended;
mod fencing;
mod first_play;
mod linger;
mod takeover;
mod warm;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use directory::{Directory, Embedded, Held, NodeId, Options};
use flv::{Kind, Tag};
use ractor::rpc::CallResult;
use rtmp::client::Event;
use rtmp::net::{Client, ClientError, Publisher, Puller};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{PATIENCE, key, until};
use crate::config::{Coalesce, Config, Role, Secret, StaticToken};
use crate::metrics::recorded::Recorded;
use crate::node::Message;
use crate::{Health, Node, stream};

/// What does not come within a test.
pub(super) const NEVER: Duration = Duration::from_secs(3600);

/// Two origins and an edge that know of each other.
pub(super) struct Cluster {
    embedded: Embedded,
    pub(super) o1: Member,
    pub(super) o2: Member,
    pub(super) e1: Member,
}

/// A node, and what it sees of the directory.
pub(super) struct Member {
    pub(super) node: Node,
    directory: Arc<dyn Directory>,
}

impl Cluster {
    /// With this said of all nodes, by name.
    pub(super) async fn new(change: impl Fn(&str, &mut Config)) -> Cluster {
        let embedded = Embedded::new();
        let join = async |name: &str, role| {
            let mut config = Config::default();
            let here = || "127.0.0.1:0".parse().expect("an address");
            config.node.role = role;
            config.node.drain_delay = Duration::ZERO;
            config.node.drain_timeout = Duration::from_millis(300);
            config.rtmp.listen = Some(here());
            config.relay.listen = Some("127.0.0.1:0".to_owned());
            config.relay.secret = Some(relay::Secret::new("known to all of them".to_owned()));
            config.egress.coalesce = Coalesce::Fixed(Duration::ZERO);
            // Whatever else this machine does at the moment.
            config.limits.headroom = 1.0;
            config.pull.linger = NEVER;
            change(name, &mut config);
            let directory = embedded.join(id(name), Options::default());
            let node = Node::join(config, Arc::clone(&directory)).await;
            let node = node.expect("a node");
            Member { node, directory }
        };
        let o1 = join("o1", Role::Origin).await;
        let o2 = join("o2", Role::Origin).await;
        let e1 = join("e1", Role::Edge).await;
        let cluster = Cluster {
            embedded,
            o1,
            o2,
            e1,
        };
        for member in cluster.members() {
            until("all know of each other", async || {
                member.directory.nodes().len() == 3
            })
            .await;
        }
        cluster
    }

    fn members(&self) -> [&Member; 3] {
        [&self.o1, &self.o2, &self.e1]
    }

    /// Ends all nodes.
    pub(super) async fn drain(self) {
        let drains = self.members().map(|member| member.node.drain());
        futures::future::join_all(drains).await;
    }
}

impl Member {
    fn url(&self, stream: &str) -> rtmp::Url {
        let addresses = self.node.addresses();
        let address = addresses.iter().find(|(protocol, _)| *protocol == "rtmp");
        let (_, address) = address.expect("it serves RTMP");
        rtmp::Url::parse(&format!("rtmp://{address}/live/{stream}")).expect("a URL")
    }

    /// Who has the stream, as far as it knows.
    fn held(&self, stream: &str) -> Option<Arc<Held>> {
        self.directory.lookup(&key(stream))
    }

    /// Waits until it has heard that a node has the stream.
    pub(super) async fn hears_of(&self, stream: &str, node: &str) {
        until(&format!("{stream} is at {node}"), async || {
            let held = self.held(stream);
            held.is_some_and(|held| held.record.node.as_str() == node)
        })
        .await;
    }

    /// Waits until it has heard that nobody has the stream.
    pub(super) async fn hears_of_nobody(&self, stream: &str) {
        until("it has ended", async || self.held(stream).is_none()).await;
    }

    /// Waits until it has heard that segments of the stream have come to that discontinuity.
    pub(super) async fn hears_of_number(&self, stream: &str, discontinuity: u64) {
        until("its numbers are told", async || {
            let held = self.held(stream);
            held.is_some_and(|held| held.record.numbering.discontinuity_sequence >= discontinuity)
        })
        .await;
    }

    /// Publishes, and is accepted.
    pub(super) async fn publish(&self, stream: &str) -> Publisher {
        let published = timeout(PATIENCE, Client::default().publish(&self.url(stream))).await;
        published.expect("in time").expect("accepted")
    }

    /// Who watches here, and at the nodes that pull from here, by protocol.
    pub(super) async fn viewers(&self, stream: &str) -> BTreeMap<String, u64> {
        let find = |reply| Message::Find(key(stream), reply);
        let found = self.node.actor().call(find, Some(PATIENCE)).await;
        let Ok(CallResult::Success(Some(found))) = found else {
            return BTreeMap::new();
        };
        let told = found.call(stream::Message::Snapshot, Some(PATIENCE)).await;
        let Ok(CallResult::Success(told)) = told else {
            return BTreeMap::new();
        };
        let mut viewers = BTreeMap::new();
        if told.hls > 0 {
            viewers.insert("hls".to_owned(), told.hls);
        }
        for (protocol, count) in told.edges.values().flatten() {
            *viewers.entry(protocol.clone()).or_default() += count;
        }
        viewers
    }

    /// Plays; the refusal, or the end, is among the events.
    async fn play(&self, stream: &str) -> Puller {
        let played = timeout(PATIENCE, Client::default().pull(&self.url(stream))).await;
        played.expect("in time").expect("connected")
    }

    /// Asks for a stream that is not there; the sentence it is refused with.
    async fn refuses_play(&self, stream: &str) -> String {
        let mut player = self.play(stream).await;
        let refused = async {
            loop {
                match player.next().await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("closed without a word"),
                    Err(error) => return error.to_string(),
                }
            }
        };
        timeout(PATIENCE, refused).await.expect("in time")
    }

    pub(super) async fn streams(&self) -> u64 {
        let Health { active_streams } = self.node.health().await;
        active_streams
    }
}

fn id(name: &str) -> NodeId {
    NodeId::parse(name).expect("a name")
}

/// Lets publishers of `live/a` and others be known by a token.
pub(super) fn with_token(config: &mut Config) {
    let token = StaticToken::Each {
        publish: Some(Secret::new("token".to_owned())),
        play: None,
    };
    config.auth.r#static.0.insert("live/*".to_owned(), token);
}

/// A keyframe that is told from others by its last byte.
fn picture(dts: u32, mark: u8) -> Tag {
    // Of Sorenson H.263, which needs no configuration.
    let payload = [0x12, 0, 0, 0x84, mark];
    Tag::new(Kind::Video, dts, Bytes::copy_from_slice(&payload))
}

/// An encoder that sends keyframes of one mark.
struct Encoder {
    sends: watch::Sender<bool>,
    task: JoinHandle<Result<(), ClientError>>,
}

impl Encoder {
    /// Publishes to a node; the refusal if it is refused.
    async fn start(at: &Member, stream: &str, mark: u8) -> Result<Encoder, ClientError> {
        let publish = Client::default().publish(&at.url(stream)).await;
        let mut publisher = publish?;
        let (sends, mut may_send) = watch::channel(true);
        let task = tokio::spawn(async move {
            let mut dts = 0;
            loop {
                let pause = tokio::time::sleep(Duration::from_millis(20));
                let silent = async {
                    drop(may_send.wait_for(|may| *may).await);
                    pause.await;
                };
                tokio::select! {
                    () = silent => {
                        dts += 20;
                        if publisher.send(picture(dts, mark)).await.is_err() {
                            return publisher.finish().await;
                        }
                    }
                    event = publisher.event() => {
                        if event.is_none() {
                            return publisher.finish().await;
                        }
                    }
                }
            }
        });
        Ok(Encoder { sends, task })
    }

    /// Publishes, and is accepted.
    async fn accepted(at: &Member, stream: &str, mark: u8) -> Encoder {
        let accepted = timeout(PATIENCE, Encoder::start(at, stream, mark)).await;
        accepted.expect("in time").expect("accepted")
    }

    /// Publishes, and is not; why.
    async fn refused(at: &Member, stream: &str) -> String {
        let refused = timeout(PATIENCE, Encoder::start(at, stream, 0)).await;
        match refused.expect("in time") {
            Ok(_) => panic!("accepted"),
            Err(error) => error.to_string(),
        }
    }

    /// Keeps its connection and says no more.
    fn falls_silent(&self) {
        self.sends.send_replace(false);
    }

    /// Waits until it is disconnected; what it was told.
    async fn ended(mut self) -> String {
        let ended = timeout(PATIENCE, &mut self.task).await;
        match ended.expect("in time").expect("no panic") {
            Ok(()) => "closed".to_owned(),
            Err(error) => error.to_string(),
        }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The mark and the time of the next picture.
async fn next_picture(player: &mut Puller) -> (u8, u32) {
    let seen = async {
        loop {
            match player.next().await.expect("a connection that lives") {
                Some(Event::Tag(tag)) if tag.is_video() => {
                    return (tag.payload.last().copied().unwrap_or(0), tag.dts);
                }
                Some(Event::StreamEnded) | None => panic!("the stream ended"),
                Some(_) => {}
            }
        }
    };
    timeout(PATIENCE, seen).await.expect("a picture")
}

/// Watches until a picture with that mark comes. Those before have the mark that they may have, and time goes on.
async fn goes_over(player: &mut Puller, before: u8, mark: u8) {
    let mut last = 0;
    loop {
        let (seen, dts) = next_picture(player).await;
        assert!(dts >= last, "from {last} back to {dts}");
        last = dts;
        if seen == mark {
            return;
        }
        assert_eq!(seen, before, "before {mark}");
    }
}

/// Does something with all that is counted meanwhile.
pub(super) fn counted(work: impl AsyncFnOnce(&Recorded)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let recorded = Recorded::default();
    recorded.during(|| runtime.block_on(work(&recorded)));
}

/// Pulls that began.
fn pulls_begun(recorded: &Recorded) -> f64 {
    recorded.count("weir_relay_pulls_total{result=\"opened\"}")
}

/// Pulls that there are.
pub(super) fn pulls(recorded: &Recorded) -> f64 {
    recorded.count("weir_relay_pulls{}")
}
