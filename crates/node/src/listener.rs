//! One address that peers connect to.
//!
//! Started by the [`Node`](crate::node), and again when it fails. Its socket is bound before and
//! outlives it, so that a restart loses no address.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::net::TcpListener;
use tracing::{debug, warn};

use crate::admission::Admitted;
use crate::config::Listen;
use crate::connection::{Accepted, Speaks};
use crate::context::Context;
use crate::node;
use crate::pump::Pump;
use crate::transport::Transport;

/// A pause after a failed accept, most often for want of descriptors.
const PAUSE: Duration = Duration::from_millis(50);
/// It lasts, so it is not said at each try.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// Where peers connect, and what they speak there.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) protocol: &'static str,
    pub(crate) tls: Option<Arc<rtmp::tls::ReloadingAcceptor>>,
    socket: Arc<TcpListener>,
}

impl Endpoint {
    /// Binds the address.
    pub(crate) fn bind(
        protocol: &'static str,
        listen: &Listen,
        tls: Option<Arc<rtmp::tls::ReloadingAcceptor>>,
    ) -> io::Result<Endpoint> {
        let socket = Arc::new(TcpListener::from_std(listen.bind()?)?);
        Ok(Endpoint {
            protocol,
            tls,
            socket,
        })
    }

    /// Another handle of the socket, for who wants one of its own.
    pub(crate) fn duplicate(&self) -> io::Result<std::net::TcpListener> {
        Ok(rustix::io::dup(&*self.socket)?.into())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket
            .local_addr()
            .unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)))
    }
}

/// What a listener is started with.
pub(crate) struct Arguments {
    pub(crate) context: Arc<Context>,
    pub(crate) node: ActorRef<node::Message>,
    pub(crate) endpoint: Endpoint,
}

/// What a listener is told.
#[derive(Debug)]
pub(crate) enum Message {
    PumpEnded,
}

/// The actor.
pub(crate) struct Listener;

/// A listener's state.
pub(crate) struct State {
    _pump: Pump,
}

impl Actor for Listener {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let pump = Pump::reporting(accept(arguments), move |_| {
            drop(myself.cast(Message::PumpEnded));
        });
        Ok(State { _pump: pump })
    }

    async fn handle(
        &self,
        _myself: ActorRef<Message>,
        message: Message,
        _state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::PumpEnded => Err("the accept loop ended".into()),
        }
    }
}

async fn accept(arguments: Arguments) {
    let Arguments {
        context,
        node,
        endpoint,
    } = arguments;
    let mut warned: Option<Instant> = None;
    loop {
        let (socket, addr) = match endpoint.socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_peers_fault(&error) => continue,
            Err(error) => {
                if warned.is_none_or(|when| when.elapsed() > WARN_EVERY) {
                    warn!(%error, "no connection can be accepted");
                    warned = Some(Instant::now());
                }
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // `[::]` shows IPv4 peers in IPv6 form, which nobody looks for in a log.
        let addr = SocketAddr::new(addr.ip().to_canonical(), addr.port());
        let (permit, refusal) = match context.admit(addr.ip()) {
            Admitted::Yes(permit) => (permit, None),
            Admitted::Refused(permit, why) => (permit, Some(why)),
            Admitted::Closed => {
                context.metrics.disconnected(endpoint.protocol, "limit");
                continue;
            }
        };
        let tls = endpoint.tls.as_ref();
        let tls = tls.map(|certificates| certificates.config(Instant::now()));
        let transport = match Transport::new(socket, tls) {
            Ok(transport) => transport,
            Err(error) => {
                warn!(%error, "no TLS for a connection");
                continue;
            }
        };
        if let Err(error) = transport.prepare(context.config.egress.kernel_buffer) {
            debug!(peer = %addr, %error, "socket options not set");
        }
        let accepted = Accepted {
            transport,
            addr,
            protocol: endpoint.protocol,
            permit,
            refusal,
            speaks: Speaks::Rtmp,
        };
        if node.cast(node::Message::Accepted(accepted)).is_err() {
            return;
        }
    }
}

/// The peer gave up before it was accepted.
fn is_peers_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
