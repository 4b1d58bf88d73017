//! One place of a network.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};

use tokio::process::Command;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use super::Network;
use super::isolated::Namespace;

/// Where something runs: an address of its own and, in an isolated network, a namespace.
#[derive(Debug, Clone)]
pub struct Place(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    number: u8,
    address: Ipv4Addr,
    namespace: Option<Namespace>,
    /// Runs what this process itself does there.
    runtime: OnceLock<Runtime>,
    /// The switch, and the claim on the address, live as long as the place.
    network: Network,
}

impl Place {
    pub(super) fn loopback(name: &str, number: u8, address: Ipv4Addr, network: Network) -> Self {
        Self::new(name, number, address, None, network)
    }

    pub(super) fn isolated(
        name: &str,
        number: u8,
        address: Ipv4Addr,
        namespace: Namespace,
        network: Network,
    ) -> Self {
        Self::new(name, number, address, Some(namespace), network)
    }

    fn new(
        name: &str,
        number: u8,
        address: Ipv4Addr,
        namespace: Option<Namespace>,
        network: Network,
    ) -> Self {
        Self(Arc::new(Inner {
            name: name.to_owned(),
            number,
            address,
            namespace,
            runtime: OnceLock::new(),
            network,
        }))
    }

    /// What it is called: as the node that runs there.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its address.
    pub fn address(&self) -> IpAddr {
        self.0.address.into()
    }

    /// The network it belongs to.
    pub fn network(&self) -> &Network {
        &self.0.network
    }

    pub(super) fn number(&self) -> u8 {
        self.0.number
    }

    /// An address where something may listen: at `port`, if nothing else on this machine can be
    /// there, else at any.
    ///
    /// # Panics
    /// When no port is free.
    pub(crate) fn listen(&self, port: u16) -> SocketAddr {
        let address = self.address();
        if self.0.namespace.is_some() {
            return (address, port).into();
        }
        // Programs that listen at all addresses have the usual ports; the free ones of an address
        // that only we use stay free.
        let free = TcpListener::bind((address, 0)).expect("a free port");
        free.local_addr().expect("a bound port has a number")
    }

    /// A program that will run there, and that does not outlive this process.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = match &self.0.namespace {
            Some(namespace) => namespace.command("setpriv"),
            None => std::process::Command::new("setpriv"),
        };
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        command.into()
    }

    /// Runs a future there: its sockets, and those of the tasks it spawns, are the place's.
    ///
    /// # Panics
    /// When the system has no thread for it.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let Some(namespace) = &self.0.namespace else {
            return tokio::spawn(future);
        };
        let runtime = self.0.runtime.get_or_init(|| {
            let namespace = namespace.clone();
            let name = format!("at-{}", self.0.name);
            Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name(name)
                .on_thread_start(move || namespace.enter().expect("root may enter"))
                .enable_all()
                .build()
                .expect("a thread")
        });
        runtime.spawn(future)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Tests drop places among futures, where nothing may wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
