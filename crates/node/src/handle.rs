//! A running node, as the program that hosts it sees it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use directory::{Directory, NodeId};
use ractor::rpc::CallResult;
use ractor::{Actor, ActorRef, ActorStatus, RpcReplyPort};
use tracing::debug;

use crate::admission::Admitted;
use crate::cluster::Cluster;
use crate::config::{Config, Listen, Problem, advertised, certificate, public_url};
use crate::connection::{Accepted, Speaks};
use crate::context::Context;
use crate::hls;
use crate::keeper::Place;
use crate::listener::Endpoint;
use crate::membership::Membership;
use crate::node::{self, Part};
use crate::status::{Answer, Done, Order, Question, Refusal};
use crate::stream;
use crate::watch::{Refused, Request, Wanted, Watch};

/// Answers within a node take microseconds.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// A probe of the node's life waits so long for a number that it could do without.
const SOON: Duration = Duration::from_millis(200);
/// How often the last connections are counted while draining.
const LOOK: Duration = Duration::from_millis(20);

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address can't be listened on.
    // The error is in the text, so it is no source: who prints the chain would print it twice.
    #[error("{}", listen.explain(key, error))]
    Bind {
        /// The configuration key.
        key: &'static str,
        /// What it is set to.
        listen: Listen,
        /// What the system says.
        error: io::Error,
    },
    /// The certificate files can't be used.
    #[error("{0}")]
    Tls(Problem),
    /// `rtmps.listen` is set without a certificate.
    #[error("rtmps.listen needs tls.cert and tls.key")]
    NoCertificate,
    /// What nodes prove themselves with can't be used.
    #[error("relay: {0}")]
    Relay(relay::AuthError),
    /// Nodes of a cluster prove themselves to each other.
    #[error("a cluster needs relay.secret or relay.tls")]
    NoRelayAuth,
    /// The node or its cluster has a name that can't be.
    #[error("directory.cluster: {0}")]
    ClusterName(relay::NameError),
    /// The node has a name that can't be.
    #[error("node.id: {0}")]
    Id(directory::NodeIdError),
    /// The actor system refused.
    #[error("the node's actor did not start: {0}")]
    Actor(#[from] ractor::SpawnErr),
}

/// What a node says about its health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Streams there are, those included that wait for their publisher.
    pub active_streams: u64,
}

/// A running node. Cloning gives another handle; the node runs until it is drained or the process ends.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    actor: ActorRef<node::Message>,
    addresses: Vec<(&'static str, SocketAddr)>,
    id: String,
    /// As many streams as there were when somebody last asked.
    streams: AtomicU64,
    drain_timeout: Duration,
    cluster: Cluster,
    context: Arc<Context>,
}

impl Node {
    /// Binds the addresses and starts the actors.
    pub async fn start(config: Config) -> Result<Node, StartError> {
        Node::start_in(config, None).await
    }

    /// As [`Node::start`], in a cluster with that directory.
    pub async fn join(config: Config, directory: Arc<dyn Directory>) -> Result<Node, StartError> {
        Node::start_in(config, Some(directory)).await
    }

    async fn start_in(
        config: Config,
        directory: Option<Arc<dyn Directory>>,
    ) -> Result<Node, StartError> {
        let id = match &directory {
            Some(directory) => directory.node().to_string(),
            None => config.node.id.clone().unwrap_or_else(generated_id),
        };
        let endpoints = bind(&config, directory.is_some())?;
        let addresses: Vec<_> = endpoints
            .iter()
            .map(|endpoint| (endpoint.protocol, endpoint.address()))
            .collect();
        let name = NodeId::parse(&id).map_err(StartError::Id)?;
        let membership = Membership::new(&config, name, directory)?;
        let drain_timeout = config.node.drain_timeout;
        let context = Arc::new(Context::new(config, membership));
        let place = Arc::new(place(&context, &addresses));
        let mut parts: Vec<_> = endpoints.into_iter().map(part).collect();
        parts.push(Part::Keeper(place));
        let arguments = node::Arguments {
            context: Arc::clone(&context),
            parts,
        };
        let (actor, _) = Actor::spawn(None, node::Node, arguments).await?;
        let cluster = Cluster::new(&context, actor.clone());
        Ok(Node {
            inner: Arc::new(Inner {
                actor,
                addresses,
                id,
                streams: AtomicU64::new(0),
                drain_timeout,
                cluster,
                context,
            }),
        })
    }

    /// The addresses it listens on, by protocol.
    pub fn addresses(&self) -> &[(&'static str, SocketAddr)] {
        &self.inner.addresses
    }

    /// Its name in the cluster.
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// How it does. Who probes whether it lives does not wait long, so a busy node says what it last knew.
    pub async fn health(&self) -> Health {
        let streams = &self.inner.streams;
        let asked = self.inner.actor.call(node::Message::Streams, Some(SOON));
        if let Ok(CallResult::Success(now)) = asked.await {
            streams.store(now as u64, Ordering::Relaxed);
        }
        let active_streams = streams.load(Ordering::Relaxed);
        Health { active_streams }
    }

    /// Whether it can take work, by check.
    pub async fn ready(&self) -> Vec<(&'static str, Result<(), String>)> {
        let listeners = match self.ask(node::Message::Listening).await {
            Some(true) => Ok(()),
            Some(false) => Err("a part of the node failed and is being started again".to_owned()),
            None => Err("the node's actor does not answer".to_owned()),
        };
        let drain = if self.inner.context.leave.has_begun() {
            Err("the node is draining".to_owned())
        } else {
            Ok(())
        };
        // One that is out of reach later stops nobody: what was known goes on.
        let directory = &self.inner.context.membership.directory;
        let directory = if directory.was_up() {
            Ok(())
        } else {
            Err("the directory has not been reached since the start".to_owned())
        };
        let relay = self.inner.context.membership.belongs();
        let headroom = self.inner.context.has_room();
        vec![
            ("listeners", listeners),
            ("directory", directory),
            ("relay", relay),
            ("drain", drain),
            ("headroom", headroom),
        ]
    }

    /// Answers for the whole cluster.
    pub async fn ask_cluster(&self, question: Question) -> Result<Answer, Refusal> {
        self.inner.cluster.ask(question).await
    }

    /// Does something in the cluster, here or wherever it is to be done.
    pub async fn order_cluster(&self, order: Order) -> Result<Done, Refusal> {
        self.inner.cluster.order(order).await
    }

    /// Returns once an order came for this node to leave. Who hosts it drains it then.
    pub async fn leave_ordered(&self) {
        self.inner.context.leave.ordered().await;
    }

    /// Serves a player that somebody else has heard.
    pub fn watch(&self, watch: Watch) {
        let context = &self.inner.context;
        let ip = watch.peer.ip().to_canonical();
        let addr = SocketAddr::new(ip, watch.peer.port());
        let (transport, wish) = watch.into_parts();
        let protocol = wish.format.protocol();
        let (permit, refusal) = match context.admit(ip) {
            Admitted::Yes(permit) => (permit, None),
            Admitted::Refused(permit, over) => (permit, Some(over)),
            Admitted::Closed => return context.metrics.disconnected(protocol, "limit"),
        };
        if let Err(error) = transport.prepare(context.config.egress.kernel_buffer) {
            debug!(peer = %addr, %error, "socket options not set");
        }
        let accepted = Accepted {
            transport,
            addr,
            protocol,
            permit,
            refusal,
            speaks: Speaks::Wish(Box::new(wish)),
        };
        // A node that has ended serves nobody.
        drop(self.inner.actor.cast(node::Message::Accepted(accepted)));
    }

    /// Whether a player with this request would get something, as far as this node knows without looking elsewhere.
    ///
    /// # Errors
    ///
    /// What it would be told.
    pub async fn may_watch(&self, request: &Request) -> Result<(), Refused> {
        let context = &self.inner.context;
        let Wanted { key, .. } = request.check(context)?;
        if context.membership.directory.lookup(&key).is_some() {
            return Ok(());
        }
        let found = self.ask(|reply| node::Message::Find(key.clone(), reply));
        match found.await.flatten() {
            Some(_) => Ok(()),
            None => Err(stream::Refusal::NotFound(key).into()),
        }
    }

    /// The stream over HLS that is asked for, once it is known to exist: there may be nothing of it here yet.
    ///
    /// # Errors
    ///
    /// What who asks is told.
    pub async fn hls(&self, request: &hls::Request) -> Result<hls::Stream, Refused> {
        hls::ask(&self.inner.context, &self.inner.actor, request).await
    }

    /// Ends a stream and disconnects its publisher.
    pub fn stop_stream(&self, key: media::StreamKey, why: &str) {
        drop(
            self.inner
                .actor
                .cast(node::Message::StopStream(key, why.to_owned())),
        );
    }

    /// Returns when the node has ended, drained or failed.
    pub async fn ended(&self) {
        // Without a time-out there is nothing to fail.
        drop(self.inner.actor.wait(None).await);
    }

    /// How many peers are connected.
    pub async fn connections(&self) -> usize {
        self.ask(node::Message::Connections).await.unwrap_or(0)
    }

    /// Leaves politely: accepts nobody, tells everybody, and returns when all have gone or the time for it is over.
    pub async fn drain(&self) {
        self.inner.context.leave.begin();
        let deadline = Instant::now() + self.inner.drain_timeout;
        let actor = &self.inner.actor;
        let told = actor.cast(node::Message::Drain);
        let runs = || actor.get_status() < ActorStatus::Stopping;
        // One who is busy answers late, and has not left.
        while told.is_ok()
            && self.ask(node::Message::HasLeft).await != Some(true)
            && runs()
            && Instant::now() < deadline
        {
            tokio::time::sleep(LOOK).await;
        }
        drop(
            self.inner
                .actor
                .stop_and_wait(None, Some(ANSWER_TIME))
                .await,
        );
        self.inner.context.membership.directory.leave().await;
    }

    #[cfg(test)]
    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.inner.context
    }

    #[cfg(test)]
    pub(crate) fn actor(&self) -> &ActorRef<node::Message> {
        &self.inner.actor
    }

    async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(RpcReplyPort<T>) -> node::Message,
    ) -> Option<T> {
        match self.inner.actor.call(ask, Some(ANSWER_TIME)).await {
            Ok(CallResult::Success(answer)) => Some(answer),
            Ok(CallResult::Timeout | CallResult::SenderError) | Err(_) => None,
        }
    }
}

fn bind(config: &Config, is_clustered: bool) -> Result<Vec<Endpoint>, StartError> {
    let mut endpoints = Vec::new();
    let failed = |key, listen: &Listen| {
        let listen = listen.clone();
        move |error| StartError::Bind { key, listen, error }
    };
    if let Some(listen) = &config.rtmp.listen {
        let endpoint = Endpoint::bind("rtmp", listen, None);
        endpoints.push(endpoint.map_err(failed("rtmp.listen", listen))?);
    }
    if let Some(listen) = &config.rtmps.listen {
        let (Some(certificate), Some(key)) = (&config.tls.cert, &config.tls.key) else {
            return Err(StartError::NoCertificate);
        };
        let certificates = rtmp::tls::ReloadingAcceptor::new(certificate, key)
            .map_err(|error| StartError::Tls(certificate::explain(&error, certificate, key)))?;
        let endpoint = Endpoint::bind("rtmps", listen, Some(Arc::new(certificates)));
        endpoints.push(endpoint.map_err(failed("rtmps.listen", listen))?);
    }
    if is_clustered || config.is_clustered() {
        let listen = config.relay.listen.as_deref();
        let listen = listen.and_then(|listen| listen.parse().ok());
        let listen = listen.unwrap_or_else(|| Listen::any(0));
        let endpoint = Endpoint::bind("relay", &listen, None);
        endpoints.push(endpoint.map_err(failed("relay.listen", &listen))?);
    }
    Ok(endpoints)
}

/// A name for a node that was given none and has nowhere to keep one.
fn generated_id() -> String {
    let mut bytes = [0; 4];
    // Without randomness the process number still tells two nodes of one machine apart.
    if rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).is_err() {
        bytes = std::process::id().to_be_bytes();
    }
    format!("weir-{:08x}", u32::from_be_bytes(bytes))
}

fn part(endpoint: Endpoint) -> Part {
    match endpoint.protocol {
        "relay" => Part::Relay(endpoint),
        _ => Part::Listener(endpoint),
    }
}

/// Where others reach this node.
fn place(context: &Context, addresses: &[(&'static str, SocketAddr)]) -> Place {
    let config = &context.config;
    let mut told = BTreeMap::new();
    for (protocol, bound) in addresses {
        let address = match *protocol {
            "relay" => advertised(*bound, config),
            "rtmp" => public_url(*bound, config),
            // Of the two ways in for encoders, others are told one.
            "rtmps" if config.rtmp.listen.is_none() => {
                told.insert("rtmp".to_owned(), public_url(*bound, config));
                continue;
            }
            _ => continue,
        };
        told.insert((*protocol).to_owned(), address);
    }
    Place {
        addresses: told,
        started: context.clock.unix_millis(),
    }
}
