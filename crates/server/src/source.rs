//! What the web says about the node.

use metrics_exporter_prometheus::PrometheusHandle;
use node::config::Secret;
use node::status::{Answer, Done, Order, Question, Refusal};
use node::watch::{Refused, Request};
use node::{Node, Watch};
use web::Check;

/// The running node, as the web sees it.
pub(crate) struct NodeSource {
    pub(crate) node: Node,
    pub(crate) role: &'static str,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) admin_key: Option<Secret>,
}

impl web::Source for NodeSource {
    fn node_id(&self) -> &str {
        self.node.id()
    }

    fn role(&self) -> &'static str {
        self.role
    }

    async fn active_streams(&self) -> u64 {
        self.node.health().await.active_streams
    }

    async fn checks(&self) -> Vec<Check> {
        self.node.ready().await
    }

    fn metrics(&self) -> String {
        self.metrics.render()
    }

    fn admin_key(&self) -> Option<&str> {
        self.admin_key.as_ref().map(Secret::expose)
    }

    async fn ask(&self, question: Question) -> Result<Answer, Refusal> {
        self.node.ask_cluster(question).await
    }

    fn watch(&self, watch: Watch) {
        self.node.watch(watch);
    }

    async fn may_watch(&self, request: &Request) -> Result<(), Refused> {
        self.node.may_watch(request).await
    }

    async fn hls(&self, request: &node::hls::Request) -> Result<node::hls::Stream, Refused> {
        self.node.hls(request).await
    }

    async fn order(&self, order: Order) -> Result<Done, Refusal> {
        self.node.order_cluster(order).await
    }
}
