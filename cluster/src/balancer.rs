//! HAProxy in front of the nodes: a plain round-robin balancer that asks each node whether it is
//! ready.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use tempfile::TempDir;
use testkit::wait::until;
use tokio::net::TcpStream;

use crate::process::demand;
use crate::service::Service;
use crate::{Log, Network, Node, Place};

/// Short sessions and long ones, and a new try elsewhere when a node is not there. `on-marked-down`
/// is left at its default: sessions of a node that is no longer ready go on. Connections go to the
/// nodes in turn; of HTTP each request does.
const DEFAULTS: &str = "\
global
    fd-hard-limit 20000
defaults
    mode tcp
    balance roundrobin
    timeout connect 1s
    timeout client 1h
    timeout server 1h
    timeout check 1s
    retries 3
    option redispatch 1
    option httpchk GET /ready
    default-server check inter 200ms fastinter 100ms fall 2 rise 1
";

/// A balancer. It is killed when this is dropped.
#[derive(Debug)]
pub struct Balancer {
    /// Where RTMP players connect.
    pub rtmp: SocketAddr,
    /// Where HTTP players connect.
    pub http: SocketAddr,
    /// Where encoders connect.
    pub ingest: SocketAddr,
    service: Service,
    file: PathBuf,
    _folder: TempDir,
}

impl Balancer {
    /// Starts one that sends players to some nodes and encoders to others, in turn, and waits
    /// until it takes connections.
    ///
    /// # Panics
    /// When HAProxy is not installed, or does not come up.
    pub async fn start(network: &Network, players: &[&Node], encoders: &[&Node]) -> Self {
        demand("haproxy");
        let place = network.place("balancer");
        let [rtmp, http, ingest] = [1935, 8080, 1936].map(|port| place.listen(port));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("haproxy.cfg");
        let mut text = DEFAULTS.to_owned();
        listen(&mut text, "rtmp", rtmp, players, |node| node.rtmp);
        listen(&mut text, "http", http, players, |node| node.http);
        text.push_str("    mode http\n");
        listen(&mut text, "ingest", ingest, encoders, |node| node.rtmp);
        std::fs::write(&file, text).expect("our own folder can be written");
        let service = Service::new(place, "haproxy", folder.path().to_owned());
        let balancer = Self {
            rtmp,
            http,
            ingest,
            service,
            file,
            _folder: folder,
        };
        balancer.restart().await;
        balancer
    }

    /// Starts it again after its end.
    ///
    /// # Panics
    /// When it still runs, or does not come up.
    pub async fn restart(&self) {
        let file = self.file.as_os_str();
        self.service.launch(["-db".as_ref(), "-f".as_ref(), file]);
        until("the balancer to listen", async || {
            let log = &self.service.log;
            assert!(self.is_running(), "HAProxy ended:\n{}", log.text());
            TcpStream::connect(self.http).await.ok().map(drop)
        })
        .await;
    }

    /// Where it runs.
    pub fn place(&self) -> &Place {
        &self.service.place
    }

    /// What it complains about.
    pub fn log(&self) -> &Log {
        &self.service.log
    }

    /// The URL of a stream for players: `live/cam`.
    pub fn url(&self, stream: &str) -> String {
        format!("rtmp://{}/{stream}", self.rtmp)
    }

    /// The URL of a stream for encoders: `live/cam?token=…`.
    pub fn ingest_url(&self, stream: &str) -> String {
        format!("rtmp://{}/{stream}", self.ingest)
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.service.is_running()
    }

    /// Ends it as a loss of power would.
    pub async fn kill(&self) {
        self.service.kill().await;
    }
}

fn listen(
    text: &mut String,
    name: &str,
    at: SocketAddr,
    nodes: &[&Node],
    address: impl Fn(&Node) -> SocketAddr,
) {
    let _ = writeln!(text, "listen {name}\n    bind {at}");
    for node in nodes {
        let (name, address, health) = (node.name(), address(node), node.http);
        let _ = writeln!(
            text,
            "    server {name} {address} addr {} port {}",
            health.ip(),
            health.port()
        );
    }
}
