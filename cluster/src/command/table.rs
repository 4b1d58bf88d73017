//! What is shown, as lines of text.

use serde_json::Value;
use weir_cluster::Cluster;

use super::act::Stage;
use super::sample::{Row, Sample};

/// Streams that are shown; of more, how many there are.
const STREAMS: usize = 6;

/// How many lines there are, whatever happens.
pub(crate) fn height(cluster: &Cluster) -> usize {
    // Balancer, etcd, key, two headings, a count of further streams, and a gap.
    cluster.nodes().count() + STREAMS + 7
}

pub(crate) fn lines(cluster: &Cluster, stage: &Stage, sample: &Sample) -> Vec<String> {
    let mut lines = vec![balancer(cluster), etcd(cluster), key(cluster)];
    lines.push(format!(
        "{:<5} {:<7} {:<10} {:<22} {:<22} {:>7} {:>5} {:>7} {:>5} {:>9} {:>7}",
        "node",
        "role",
        "state",
        "rtmp",
        "http",
        "streams",
        "pubs",
        "viewers",
        "pulls",
        "out",
        "memory"
    ));
    for node in cluster.nodes() {
        let row = sample.nodes.get(node.name()).cloned().unwrap_or_default();
        let role = cluster.role(node.name()).unwrap_or_default();
        let (rtmp, http) = (node.rtmp.to_string(), node.http.to_string());
        let name = node.name();
        let start = format!(
            "{name:<5} {role:<7} {:<10} {rtmp:<22} {http:<22}",
            row.state
        );
        lines.push(start + &counts(&row));
    }
    lines.extend(streams(stage, sample));
    lines
}

fn counts(row: &Row) -> String {
    format!(
        " {:>7} {:>5} {:>7} {:>5} {:>7.1} M {:>4} MB",
        row.streams,
        row.publishers,
        row.viewers,
        row.pulls,
        row.egress / 1e6,
        row.memory / 1024,
    )
}

fn balancer(cluster: &Cluster) -> String {
    let balancer = cluster.balancer();
    let state = if balancer.is_running() { "up" } else { "down" };
    let (play, http, ingest) = (balancer.rtmp, balancer.http, balancer.ingest);
    format!("balancer {state}: publish rtmp://{ingest}/…, play rtmp://{play}/… http://{http}/…")
}

fn etcd(cluster: &Cluster) -> String {
    let Some(etcd) = cluster.try_etcd() else {
        return "no etcd: nodes know nothing of each other".to_owned();
    };
    let endpoints = etcd.endpoints();
    let members = endpoints.iter().enumerate().map(|(member, url)| {
        let state = match (etcd.is_running(member), etcd.is_paused(member)) {
            (false, _) => "down",
            (true, true) => "paused",
            (true, false) => "up",
        };
        format!("etcd{member} {state} {url}")
    });
    members.collect::<Vec<_>>().join(", ")
}

/// What the nodes' API wants to be shown.
fn key(cluster: &Cluster) -> String {
    match cluster.nodes().find_map(weir_cluster::Node::admin_key) {
        Some(key) => format!("WEIR_API_KEY={key} weir nodes --api http://…"),
        None => "weir nodes --api http://…".to_owned(),
    }
}

fn streams(stage: &Stage, sample: &Sample) -> Vec<String> {
    let heading = format!(
        "{:<24} {:<8} {:<7} {:>15} {:>7}  {}",
        "stream", "state", "origin", "epoch", "viewers", "ours"
    );
    let mut lines = vec![heading];
    match &sample.streams {
        Some(streams) => {
            let shown = streams.iter().take(STREAMS);
            lines.extend(shown.map(|stream| told(stage, stream)));
            if streams.len() > STREAMS {
                lines.push(format!("… and {} more", streams.len() - STREAMS));
            }
        }
        // No node lists them; then at least what we do ourselves.
        None => {
            let keys = stage.encoders.keys().chain(stage.viewers.keys());
            let mut keys: Vec<_> = keys.collect();
            keys.sort();
            keys.dedup();
            let shown = keys.into_iter().take(STREAMS);
            lines.extend(shown.map(|key| format!("{key:<66} {}", ours(stage, key))));
        }
    }
    lines
}

fn told(stage: &Stage, stream: &Value) -> String {
    let text = |name: &str| match &stream[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let key = text("streamKey");
    format!(
        "{key:<24} {:<8} {:<7} {:>15} {:>7}  {}",
        text("state"),
        text("origin"),
        text("epoch"),
        text("viewers"),
        ours(stage, &key)
    )
}

/// What our own encoders and viewers have to say about a stream.
fn ours(stage: &Stage, key: &str) -> String {
    let encoder = stage.encoders.get(key);
    let encoder = encoder.map(|encoder| format!("published, {} starts", encoder.starts()));
    let viewers = stage.viewers.get(key).into_iter().flatten();
    let viewers = viewers.map(|viewer| {
        viewer.look(|seen| {
            let last = seen.frames.last().map(|frame| frame.at.elapsed());
            let last = last.map_or("nothing".to_owned(), |age| {
                format!("{:.1} s ago", age.as_secs_f64())
            });
            format!("viewer: {last}, {} closes", seen.closes.len())
        })
    });
    encoder
        .into_iter()
        .chain(viewers)
        .collect::<Vec<_>>()
        .join("; ")
}
