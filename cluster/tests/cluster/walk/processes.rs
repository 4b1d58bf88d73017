//! Nodes as processes, around a real etcd.

use std::time::Duration;

use weir_cluster::{Cluster, Network, Node, Side};

use super::embedded::empty;
use super::world::{NODES, World, name};
use super::{GRACE, LEASE, LINGER, TOKEN};

/// A node that is told to leave has by then.
const LEAVING: Duration = Duration::from_secs(20);
/// Files that a node may have open when nobody is there any more, beyond those at its start: connections to other
/// nodes are kept for a while.
const FILES: usize = 40;

/// Three processes and an etcd.
pub(super) struct Processes {
    cluster: Cluster,
    can_cut: bool,
    files: usize,
}

impl Processes {
    /// In that network, or where there is none on the loopback network.
    pub(super) async fn start(network: Option<Network>) -> Self {
        let can_cut = network.is_some();
        let cluster = Cluster::builder()
            .etcd(1)
            .nodes(NODES)
            .network(network.unwrap_or_else(Network::loopback))
            .set("limits.headroom=1")
            .set(&format!(
                "auth.static={{\"live/*\" = {{ publish = {TOKEN:?} }}}}"
            ))
            .set(&millis("directory.lease_ttl", LEASE))
            .set(&millis("publish.grace", GRACE))
            .set(&millis("pull.linger", LINGER))
            .set("pull.negative_ttl=200ms")
            .set("node.drain_delay=500ms")
            .set("node.drain_timeout=6s");
        let cluster = cluster.start().await;
        let files = cluster.nodes().map(Node::open_files).max().unwrap_or(0);
        Self {
            cluster,
            can_cut,
            files,
        }
    }

    fn node(&self, node: usize) -> &Node {
        self.cluster.node(&name(node))
    }
}

fn millis(key: &str, time: Duration) -> String {
    format!("{key}={}ms", time.as_millis())
}

impl World for Processes {
    fn url(&self, node: usize, stream: &str) -> String {
        self.node(node).url(stream)
    }

    fn can_cut(&self) -> bool {
        self.can_cut
    }

    async fn kill(&mut self, node: usize) {
        self.node(node).kill().await;
    }

    async fn stop(&mut self, node: usize) {
        let node = self.node(node);
        node.terminate();
        let status = node.gone(LEAVING).await;
        assert!(status.success(), "{}: {status}", node.name());
    }

    async fn start(&mut self, node: usize) {
        self.node(node).restart().await;
    }

    async fn pause(&mut self, node: usize) {
        self.node(node).pause().await;
    }

    async fn resume(&mut self, node: usize) {
        self.node(node).resume();
    }

    async fn cut(&mut self, node: usize) {
        self.cluster.partition(&name(node), Side::Etcd);
    }

    async fn heal(&mut self, node: usize) {
        self.cluster.heal(&name(node), Side::Etcd);
    }

    async fn expire(&mut self, node: usize) {
        let records = self.cluster.node_records().await.expect("etcd answers");
        let its = format!("/nodes/{}", name(node));
        if let Some(record) = records.iter().find(|record| record.key.ends_with(&its)) {
            let revoked = self.cluster.etcd().revoke(record.lease).await;
            // Where it ran out in the meantime, all is as it was to be.
            drop(revoked);
        }
    }

    async fn owners(&self) -> Option<Vec<(String, String)>> {
        let claims = self.cluster.claims().await.ok()?;
        let owner = |claim: &weir_cluster::KeyValue| {
            let (_, key) = claim.key.split_once("/streams/")?;
            let value = claim.json();
            Some((key.to_owned(), value["node"].as_str()?.to_owned()))
        };
        Some(claims.iter().filter_map(owner).collect())
    }

    async fn metrics(&self, node: usize) -> Option<String> {
        let answer = self.node(node).try_get("/metrics").await;
        Some(answer?.body)
    }

    fn logs(&self) -> String {
        self.cluster.logs()
    }

    async fn is_empty(&self) -> Result<(), String> {
        let owners = self.owners().await;
        if owners.as_ref().is_none_or(|owners| !owners.is_empty()) {
            return Err(format!("in the directory: {owners:?}"));
        }
        for number in 0..NODES {
            let (node, name) = (self.node(number), name(number));
            let text = self.metrics(number).await.unwrap_or_default();
            empty(&text).map_err(|what| format!("{name}: {what}"))?;
            let files = node.open_files();
            if files > self.files + FILES {
                return Err(format!("{name}: {files} files, {} before", self.files));
            }
            let errors = node.log.errors();
            if !errors.is_empty() {
                return Err(format!("{name}: {errors:?}"));
            }
        }
        Ok(())
    }
}
