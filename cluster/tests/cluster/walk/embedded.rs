//! Nodes in this process, around a directory in its memory.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use directory::{Directory, Embedded, NodeId, Options};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use node::Node;
use node::config::{Coalesce, Config, Secret, StaticToken};
use tokio::runtime::{Builder, Runtime};
use tokio::task::spawn_blocking;
use weir_cluster::{Network, Place, sum};

use super::world::{NODES, World, name};
use super::{GRACE, LEASE, LINGER, TOKEN};

/// A runtime that is told to end has by then.
const DYING: Duration = Duration::from_secs(5);

/// Three nodes, each on a runtime of its own: dropping that is the end of everything in it, without a word to
/// anybody, and blocking its only thread holds it where it is.
pub(super) struct InProcess {
    embedded: Embedded,
    watch: Arc<dyn Directory>,
    nodes: Vec<Place>,
    lives: Vec<Option<Life>>,
    counts: Vec<Counts>,
    addresses: Vec<SocketAddr>,
    pauses: Vec<Option<mpsc::Sender<()>>>,
}

struct Life {
    runtime: Runtime,
    node: Node,
}

/// What a node counts, over all its lives: what one of them does not take back shows in the next.
struct Counts {
    recorder: &'static PrometheusRecorder,
    handle: PrometheusHandle,
}

impl InProcess {
    pub(super) async fn start() -> Self {
        let embedded = Embedded::new();
        let watch = embedded.join(id("watch"), Options::default());
        let network = Network::loopback();
        let mut world = Self {
            embedded,
            watch,
            nodes: (0..NODES).map(|node| network.place(&name(node))).collect(),
            lives: Vec::new(),
            counts: Vec::new(),
            addresses: Vec::new(),
            pauses: Vec::new(),
        };
        for node in 0..NODES {
            let recorder = Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
            let handle = recorder.handle();
            world.counts.push(Counts { recorder, handle });
            world
                .addresses
                .push(SocketAddr::new(world.nodes[node].address(), 0));
            world.pauses.push(None);
            world.lives.push(None);
            world.start_life(node).await;
        }
        world
    }

    fn config(&self, node: usize) -> Config {
        let mut config = Config::default();
        let token = StaticToken::Each {
            publish: Some(Secret::new(TOKEN.to_owned())),
            play: None,
        };
        config.auth.r#static.0.insert("live/*".to_owned(), token);
        config.rtmp.listen = self.addresses[node].to_string().parse().ok();
        config.relay.listen = Some(format!("{}:0", self.nodes[node].address()));
        config.relay.secret = Some(relay::Secret::new("known to all of them".to_owned()));
        config.publish.grace = GRACE;
        config.pull.linger = LINGER;
        config.pull.negative_ttl = Duration::from_millis(200);
        config.node.drain_delay = Duration::from_millis(100);
        config.node.drain_timeout = Duration::from_secs(4);
        config.egress.coalesce = Coalesce::Fixed(Duration::ZERO);
        config.limits.headroom = 1.0;
        config
    }

    async fn start_life(&mut self, node: usize) {
        let counts = self.counts[node].recorder;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            // All that is counted in a thread of this node is its own.
            .on_thread_start(move || std::mem::forget(metrics::set_default_local_recorder(counts)))
            .build()
            .expect("a runtime");
        let (embedded, config, id) = (self.embedded.clone(), self.config(node), id(&name(node)));
        let options = Options {
            lease_ttl: LEASE,
            ..Options::default()
        };
        let started =
            runtime.spawn(async move { Node::join(config, embedded.join(id, options)).await });
        let node_itself = started.await.expect("no panic").expect("a node");
        let listens = node_itself.addresses().iter();
        let rtmp = listens.clone().find(|(protocol, _)| *protocol == "rtmp");
        self.addresses[node] = rtmp.expect("it serves RTMP").1;
        let node_life = Life {
            runtime,
            node: node_itself,
        };
        self.lives[node] = Some(node_life);
    }

    async fn end_life(&mut self, node: usize) {
        if let Some(Life { runtime, node }) = self.lives[node].take() {
            let ended = spawn_blocking(move || runtime.shutdown_timeout(DYING)).await;
            ended.expect("no panic");
            drop(node);
        }
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        for life in self.lives.iter_mut().filter_map(Option::take) {
            // To wait for it would hold the test's own thread.
            life.runtime.shutdown_background();
        }
    }
}

fn id(name: &str) -> NodeId {
    NodeId::parse(name).expect("a name")
}

impl World for InProcess {
    fn url(&self, node: usize, stream: &str) -> String {
        format!("rtmp://{}/{stream}", self.addresses[node])
    }

    fn can_cut(&self) -> bool {
        true
    }

    async fn kill(&mut self, node: usize) {
        // Its claims are not given back: that takes a lease that runs out.
        self.embedded.cut(&id(&name(node)));
        self.end_life(node).await;
    }

    async fn stop(&mut self, node: usize) {
        if let Some(life) = &self.lives[node] {
            let leaving = life.node.clone();
            let left = life.runtime.spawn(async move { leaving.drain().await });
            left.await.expect("no panic");
        }
        self.end_life(node).await;
    }

    async fn start(&mut self, node: usize) {
        self.embedded.heal(&id(&name(node)));
        self.start_life(node).await;
    }

    async fn pause(&mut self, node: usize) {
        let (resume, resumed) = mpsc::channel();
        let (stands, stood) = tokio::sync::oneshot::channel();
        if let Some(life) = &self.lives[node] {
            drop(life.runtime.spawn(async move {
                let _ = stands.send(());
                // On purpose: nothing else runs there meanwhile.
                let _ = resumed.recv();
            }));
        }
        stood.await.expect("it stands");
        self.pauses[node] = Some(resume);
    }

    async fn resume(&mut self, node: usize) {
        self.pauses[node] = None;
    }

    async fn cut(&mut self, node: usize) {
        self.embedded.cut(&id(&name(node)));
    }

    async fn heal(&mut self, node: usize) {
        self.embedded.heal(&id(&name(node)));
    }

    async fn expire(&mut self, node: usize) {
        self.embedded.expire(&id(&name(node)));
    }

    async fn owners(&self) -> Option<Vec<(String, String)>> {
        let streams = self.watch.streams();
        let owner = |held: &Arc<directory::Held>| {
            let record = &held.record;
            (record.key.as_str().to_owned(), record.node.to_string())
        };
        Some(streams.iter().map(owner).collect())
    }

    async fn metrics(&self, node: usize) -> Option<String> {
        self.lives[node].as_ref()?;
        Some(self.counts[node].handle.render())
    }

    fn logs(&self) -> String {
        self.watch
            .streams()
            .iter()
            .map(|held| format!("{held:?}\n"))
            .collect()
    }

    async fn is_empty(&self) -> Result<(), String> {
        if !self.watch.streams().is_empty() {
            return Err(self.logs());
        }
        for node in 0..NODES {
            let text = self.counts[node].handle.render();
            empty(&text).map_err(|what| format!("{}: {what}", name(node)))?;
        }
        Ok(())
    }
}

/// Whether a node counts nobody and nothing.
pub(super) fn empty(metrics: &str) -> Result<(), String> {
    let gone = [
        "weir_connections",
        "weir_publishers",
        "weir_subscribers",
        "weir_streams",
        "weir_claims",
        "weir_relay_pulls",
        "weir_relay_feeds",
    ];
    let left = gone.into_iter().find(|name| sum(metrics, name) != 0.0);
    match left {
        Some(name) => Err(format!("{name} is {}", sum(metrics, name))),
        None => Ok(()),
    }
}
