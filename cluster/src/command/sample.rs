//! What the nodes say at a moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use weir_cluster::{Cluster, Node, sum};

/// Who has not answered by then is silent.
const PATIENCE: Duration = Duration::from_millis(700);

/// What there is to show.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// By node.
    pub(crate) nodes: BTreeMap<String, Row>,
    /// As the first node tells them that can.
    pub(crate) streams: Option<Vec<Value>>,
}

/// What there is to show of a node.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    pub(crate) state: &'static str,
    pub(crate) streams: f64,
    pub(crate) publishers: f64,
    pub(crate) viewers: f64,
    pub(crate) pulls: f64,
    /// Bits a second, to viewers.
    pub(crate) egress: f64,
    /// KiB.
    pub(crate) memory: u64,
    sent: f64,
}

/// Takes samples, and knows the one before for what is counted in bytes a second.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    before: Option<(Instant, BTreeMap<String, Row>)>,
}

impl Sampler {
    pub(crate) async fn take(&mut self, cluster: &Arc<Cluster>) -> Sample {
        let mut asked = JoinSet::new();
        for node in cluster.nodes() {
            let (cluster, name) = (cluster.clone(), node.name().to_owned());
            asked.spawn(async move {
                let row = row(cluster.node(&name)).await;
                (name, row)
            });
        }
        let mut nodes: BTreeMap<_, _> = asked.join_all().await.into_iter().collect();
        let now = Instant::now();
        if let Some((then, before)) = &self.before {
            for (name, row) in &mut nodes {
                let sent = before.get(name).map_or(0.0, |before| before.sent);
                // A node that was started again counts from 0.
                row.egress = (row.sent - sent).max(0.0) * 8.0 / (now - *then).as_secs_f64();
            }
        }
        self.before = Some((now, nodes.clone()));
        let able = cluster
            .nodes()
            .find(|node| nodes[node.name()].state == "up");
        let streams = match able {
            Some(node) => cluster.streams(node.name()).await,
            None => None,
        };
        Sample { nodes, streams }
    }
}

async fn row(node: &Node) -> Row {
    let mut row = Row::default();
    row.state = if !node.is_running() {
        "down"
    } else if node.is_paused() {
        "paused"
    } else {
        match timeout(PATIENCE, ask(node, &mut row)).await {
            Ok(Some(state)) => state,
            Ok(None) | Err(_) => "silent",
        }
    };
    row
}

async fn ask(node: &Node, row: &mut Row) -> Option<&'static str> {
    let ready = node.try_get("/ready").await?.status == 200;
    let metrics = node.try_get("/metrics").await?.body;
    let sum = |name| sum(&metrics, name);
    row.streams = sum("weir_streams");
    row.publishers = sum("weir_publishers");
    row.viewers = sum("weir_subscribers");
    row.pulls = sum("weir_relay_pulls");
    row.sent = to_viewers(&metrics);
    row.memory = node.try_resident().unwrap_or(0);
    Some(match (ready, sum("weir_draining") > 0.0) {
        (_, true) => "draining",
        (true, false) => "up",
        (false, false) => "not ready",
    })
}

/// Bytes that went to viewers: those to other nodes count under the same name.
fn to_viewers(metrics: &str) -> f64 {
    let to_nodes = sum(metrics, r#"weir_egress_bytes_total{protocol="relay"}"#);
    sum(metrics, "weir_egress_bytes_total") - to_nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_nodes_pull_does_not_go_to_viewers() {
        let metrics = "# TYPE weir_egress_bytes_total counter\n\
            weir_egress_bytes_total{protocol=\"rtmp\"} 700\n\
            weir_egress_bytes_total{protocol=\"relay\"} 5000\n\
            weir_egress_bytes_total{protocol=\"srt\"} 70\n";
        assert_eq!(to_viewers(metrics), 770.0);
        assert_eq!(to_viewers(""), 0.0);
    }
}
