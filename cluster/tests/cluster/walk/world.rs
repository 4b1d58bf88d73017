//! What a walk goes through.

/// How many nodes there are.
pub(super) const NODES: usize = 3;

/// Nodes that do everything, around a directory. They are numbered from 0 and called `n1`, `n2`, `n3`.
pub(super) trait World {
    /// The URL of a stream at a node, the same over all its lives.
    fn url(&self, node: usize, stream: &str) -> String;

    /// Whether nodes can be cut off from the directory.
    fn can_cut(&self) -> bool;

    /// Ends a node as a loss of power would.
    async fn kill(&mut self, node: usize);

    /// Tells a node to leave, and waits until it has.
    async fn stop(&mut self, node: usize);

    /// Starts a node again after its end, and waits until it serves.
    async fn start(&mut self, node: usize);

    /// Holds a node where it is, with all its sockets.
    async fn pause(&mut self, node: usize);

    /// Ends a pause.
    async fn resume(&mut self, node: usize);

    /// Cuts a node off from the directory, and from nothing else.
    async fn cut(&mut self, node: usize);

    /// Ends a cut.
    async fn heal(&mut self, node: usize);

    /// The lease of a node is gone, whatever has become of the node.
    async fn expire(&mut self, node: usize);

    /// The streams in the directory, and whose they are: `live/a` and `n1`. `None` when it does not answer.
    async fn owners(&self) -> Option<Vec<(String, String)>>;

    /// What a node counts, in the text that Prometheus reads; `None` when it does not answer.
    async fn metrics(&self, node: usize) -> Option<String>;

    /// What has to be known where something does not hold.
    fn logs(&self) -> String;

    /// Nothing is left that was there for viewers and encoders, now that these are gone.
    async fn is_empty(&self) -> Result<(), String>;
}

/// What a node is called.
pub(super) fn name(node: usize) -> String {
    format!("n{}", node + 1)
}
