//! What a cluster says about itself.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::Cluster;
use crate::{Answer, KeyValue};

/// How often something is looked at that cannot tell by itself.
const LOOK: Duration = Duration::from_millis(20);
/// What is shown of each log when something did not happen.
const TAIL: usize = 30;

impl Cluster {
    /// Waits until `look` finds something, no longer than `limit`.
    ///
    /// # Panics
    /// When it has not by then; shows the ends of all logs.
    pub async fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl AsyncFnMut() -> Option<T>,
    ) -> T {
        let end = Instant::now() + limit;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            if Instant::now() >= end {
                panic!("waited {limit:?} in vain for {what}\n{}", self.logs());
            }
            sleep(LOOK).await;
        }
    }

    /// The ends of all logs, for a person to read.
    pub fn logs(&self) -> String {
        self.nodes()
            .map(|node| format!("--- {}\n{}", node.name(), node.log.tail(TAIL)))
            .collect()
    }

    /// A metric of each node that answers, summed over its labels.
    pub async fn sums(&self, metric: &str) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for node in self
            .nodes()
            .filter(|node| node.is_running() && !node.is_paused())
        {
            if let Some(sum) = node.try_sum(metric).await {
                sums.insert(node.name().to_owned(), sum);
            }
        }
        sums
    }

    /// A metric of all nodes that answer, summed.
    pub async fn sum(&self, metric: &str) -> f64 {
        self.sums(metric).await.values().sum()
    }

    /// Waits until the sum of a metric over nodes and labels is this.
    ///
    /// # Panics
    /// When it is not within `limit`.
    pub async fn sum_becomes(&self, metric: &str, value: f64, limit: Duration) {
        let what = format!("{metric} = {value} over all nodes");
        self.until(&what, limit, async || {
            (self.sum(metric).await == value).then_some(())
        })
        .await;
    }

    /// What is in the directory under `streams/`, as etcd has it: one entry per claim.
    ///
    /// # Errors
    /// When no member of the etcd answers.
    pub async fn claims(&self) -> Result<Vec<KeyValue>, String> {
        self.directory("streams/").await
    }

    /// What is in the directory under `nodes/`, as etcd has it.
    ///
    /// # Errors
    /// When no member of the etcd answers.
    pub async fn node_records(&self) -> Result<Vec<KeyValue>, String> {
        self.directory("nodes/").await
    }

    /// What is in the directory under a part of its keys, `""` for all.
    ///
    /// # Errors
    /// When no member of the etcd answers.
    pub async fn directory(&self, part: &str) -> Result<Vec<KeyValue>, String> {
        let prefix = format!("/weir/{}/{part}", Self::NAME);
        self.etcd().get(&prefix).await
    }

    /// Tells a node to drain, by the API of that node.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn drain(&self, node: &str) -> Answer {
        let path = format!("/api/v1/nodes/{node}/drain");
        self.node(node).post(&path, &json!({})).await
    }

    /// Has a stream pulled by so many edges before anybody watches, by the API of a node.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn warm(&self, by: &str, stream: &str, edges: usize) -> Answer {
        let body = json!({ "streamKey": stream, "edges": edges });
        self.node(by).post("/api/v1/warm", &body).await
    }

    /// The streams of the cluster, as a node tells them; `None` when it does not.
    pub async fn streams(&self, by: &str) -> Option<Vec<Value>> {
        self.list(by, "streams").await
    }

    /// The nodes of the cluster, as a node tells them; `None` when it does not.
    pub async fn nodes_seen(&self, by: &str) -> Option<Vec<Value>> {
        self.list(by, "nodes").await
    }

    async fn list(&self, by: &str, what: &str) -> Option<Vec<Value>> {
        let answer = self.node(by).try_get(&format!("/api/v1/{what}")).await?;
        answer.json()[what].as_array().cloned()
    }
}
