//! A cluster to be measured: an etcd, an origin and an edge.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::server::{self, Kind, Server, Setup, Spec};

/// Nodes that know each other; those we started end with it.
pub(crate) struct Cluster {
    // Dropped in this order.
    pub(crate) edge: Server,
    pub(crate) origin: Server,
    _etcd: Option<Server>,
}

impl Cluster {
    /// Starts all of it, the edge on a core of its choice and the rest on the server's.
    pub(crate) fn start(spec: &Spec, etcd: &Path, setup: &Setup, edge_core: usize) -> Result<Self> {
        ensure!(spec.kind == Kind::Weir, "{spec} forms no cluster");
        let etcd = Server::start_etcd(etcd, setup)?;
        let endpoints = format!("[\"http://{}\"]", etcd.target.authority);
        let secret = format!("{:?}", secret());
        let node = |role: &str, core| {
            let http = format!("127.0.0.1:{}", server::free_port()?);
            let settings = [
                ("node.id", role),
                ("node.role", role),
                // It ends when nobody needs it any more.
                ("node.drain_timeout", "1s"),
                ("directory.kind", "etcd"),
                ("directory.endpoints", &endpoints),
                ("relay.listen", "127.0.0.1:0"),
                ("relay.secret", &secret),
                ("http.listen", &http),
            ];
            let node = Server::start_node(spec, setup, core, &settings)?;
            node.until("become ready", || is_ready(&http).unwrap_or(false))
        };
        Ok(Self {
            origin: node("origin", setup.core)?,
            edge: node("edge", edge_core)?,
            _etcd: Some(etcd),
        })
    }

    /// One that somebody else started.
    pub(crate) fn found(origin: &str, edge: &str) -> Result<Self> {
        Ok(Self {
            origin: Server::found(origin, None)?,
            edge: Server::found(edge, None)?,
            _etcd: None,
        })
    }
}

/// Nobody else on this machine knows it.
fn secret() -> String {
    let number = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", number(), number())
}

/// Whether a node says so: it knows the directory then.
fn is_ready(address: &str) -> io::Result<bool> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    let question = format!("GET /ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(question.as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200 "))
}
