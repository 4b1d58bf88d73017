//! Answers of a node, for people.

use std::collections::BTreeMap;

use node::status::{Node, Nodes, REFUSED, State, Stream, Streams, Warm, Why, by_reason};
use serde_json::Value;

use super::table::{Table, plain};

pub(super) fn nodes(nodes: &Nodes) -> String {
    let mut table = Table::new([
        "NODE",
        "ROLE",
        "STATE",
        "ZONE",
        "VERSION",
        "UP",
        "LOAD",
        "STREAMS",
        "PUBLISHERS",
        "VIEWERS",
        "RTMP",
    ]);
    for node in &nodes.nodes {
        table.row([
            node.id.clone(),
            node.role.clone(),
            state(node, nodes).to_owned(),
            text(&node.zone),
            text(&node.version),
            node.uptime.map(span).unwrap_or_default(),
            node.load.map(percent).unwrap_or_default(),
            number(node.streams),
            number(node.publishers),
            number(node.viewers),
            text(&node.addresses.get("rtmp").cloned()),
        ]);
    }
    // Whose state says why is not told of again.
    let mut rest = nodes.clone();
    let is_told = |node: &String| state_is_reason(nodes, node);
    rest.unreachable.retain(|node| !is_told(node));
    rest.unreachable_because.retain(|node, _| !is_told(node));
    table.text() + &notes(&rest)
}

pub(super) fn streams(streams: &Streams) -> String {
    let unreachable = unreachable(&streams.unreachable, &streams.unreachable_because);
    if streams.streams.is_empty() {
        return format!("no streams\n{unreachable}");
    }
    let mut table = Table::new([
        "STREAM", "STATE", "ORIGIN", "UP", "VIEWERS", "VIDEO", "SIZE", "FPS", "AUDIO", "RATE",
        "FROM", "ENCODER",
    ]);
    for stream in &streams.streams {
        table.row([
            stream.stream_key.clone(),
            stream.state.name().to_owned(),
            text(&stream.origin),
            stream.duration.map(span).unwrap_or_default(),
            stream.viewers.to_string(),
            text(&stream.video_codec),
            text(&stream.resolution),
            stream
                .fps
                .map(|fps| format!("{fps:.1}"))
                .unwrap_or_default(),
            text(&stream.audio_codec),
            stream.bitrate.map(rate).unwrap_or_default(),
            text(&stream.publisher_addr),
            text(&stream.encoder),
        ]);
    }
    let missing = streams.total.saturating_sub(streams.streams.len());
    let more = match missing {
        0 => String::new(),
        missing => format!("and {missing} more\n"),
    };
    table.text() + &more + &unreachable
}

pub(super) fn why(why: &Why) -> String {
    let mut text = format!("{}\n", plain(&why.verdict));
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            text += &format!("{name:10}{}\n", plain(&value));
        }
    };
    line("path", why.path.join(" <- "));
    line(
        "epoch",
        why.epoch.map(|it| it.to_string()).unwrap_or_default(),
    );
    let age = why.last_tag_age.map(|age| format!("{age:.2} s ago"));
    line("last tag", age.unwrap_or_default());
    line("codecs", why.codecs.join(", "));
    let standbys = why.nodes.iter().filter_map(|node| {
        let from = node.standby.as_ref()?;
        Some(format!("{} (from {from})", node.node))
    });
    line("standby", standbys.collect::<Vec<_>>().join(", "));
    if why.nodes.len() > 1 {
        let mut table = Table::new(["NODE", "PART", "EPOCH", "LAST TAG", "VIEWERS"]);
        for node in &why.nodes {
            let age = node.last_tag_age.map(|age| format!("{age:.2} s ago"));
            table.row([
                node.node.clone(),
                node.part.name().to_owned(),
                number(node.epoch),
                age.unwrap_or_default(),
                node.viewers.to_string(),
            ]);
        }
        text += &table.text();
    }
    text
}

pub(super) fn warm(warm: &Warm, wanted: usize) -> String {
    let key = &warm.stream_key;
    let on = warm.edges.join(", ");
    let mut text = match (warm.edges.len(), warm.until) {
        (0, _) if wanted == 0 => format!("{key} is not kept warm any longer\n"),
        (0, _) => format!("{key} is to be kept warm, and no node can yet\n"),
        (_, Some(until)) => format!("{key} is kept warm on {on} until {until}\n"),
        (_, None) => format!("{key} is kept warm on {on} until told otherwise\n"),
    };
    let edges = warm.edges.len();
    if (1..wanted).contains(&edges) {
        text += &format!("note: {wanted} edges were wanted, and there are {edges} that can\n");
    }
    text
}

pub(super) fn status(health: &Value, ready: &Value, nodes: &Nodes, streams: &Streams) -> String {
    let said = |name: &str| health.get(name).and_then(Value::as_str).unwrap_or("?");
    let up = health.get("uptimeSeconds").and_then(Value::as_u64);
    let mut text = format!(
        "node {} ({}), version {}, up {}\n",
        said("nodeId"),
        said("role"),
        said("version"),
        span(up.unwrap_or(0)),
    );
    text += &match ready.get("ready").and_then(Value::as_bool) {
        Some(true) => "ready for new work\n".to_owned(),
        _ => format!("not ready: {}\n", plain(&checks(ready))),
    };
    let live = |stream: &&Stream| stream.state == State::Live;
    let viewers: u64 = streams.streams.iter().map(|stream| stream.viewers).sum();
    text += &format!(
        "{}, {} ({} live), {}\n",
        counted(nodes.total as u64, "node"),
        counted(streams.total as u64, "stream"),
        streams.streams.iter().filter(live).count(),
        counted(viewers, "viewer"),
    );
    text + &notes(nodes)
}

/// What is not as it should be.
fn checks(ready: &Value) -> String {
    let checks = ready.get("checks").and_then(Value::as_object);
    let wrong = checks.into_iter().flatten().filter_map(|(name, state)| {
        let state = state.as_str()?;
        (state != "ok").then(|| format!("{name}: {state}"))
    });
    wrong.collect::<Vec<_>>().join("; ")
}

fn notes(nodes: &Nodes) -> String {
    let mut text = unreachable(&nodes.unreachable, &nodes.unreachable_because);
    let is_cut_off = |node: &&Node| node.directory_up == Some(false);
    let cut_off: Vec<_> = nodes.nodes.iter().filter(is_cut_off).collect();
    if !cut_off.is_empty() {
        let ids: Vec<_> = cut_off.iter().map(|node| node.id.as_str()).collect();
        text += &format!(
            "note: the directory is out of reach of {}: what runs goes on, and what changes elsewhere is not known \
             there; see etcd and directory.endpoints\n",
            ids.join(", ")
        );
    }
    for node in &nodes.nodes {
        if let Some(seconds) = node.clock_difference {
            let (by, way) = (
                seconds.abs(),
                if seconds > 0.0 { "ahead" } else { "behind" },
            );
            text += &format!(
                "note: the clock of {} is {by:.1} s {way}; is time synchronised?\n",
                node.id
            );
        }
    }
    text
}

fn unreachable(nodes: &[String], because: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (_, names, why) in by_reason(because) {
        text += &format!("note: no answer from {} ({})\n", plain(&names), plain(why));
    }
    // A node of the release before gives no reasons.
    for node in nodes.iter().filter(|node| !because.contains_key(*node)) {
        text += &format!("note: no answer from {}\n", plain(node));
    }
    text
}

/// Whether one of the two nodes does not believe the other, which is no trouble of the network.
fn state_is_reason(nodes: &Nodes, node: &str) -> bool {
    let why = nodes.unreachable_because.get(node);
    why.is_some_and(|why| why.starts_with(REFUSED))
}

fn state<'a>(node: &Node, nodes: &'a Nodes) -> &'a str {
    match node.ready {
        _ if state_is_reason(nodes, &node.id) => &nodes.unreachable_because[&node.id],
        _ if nodes.unreachable.contains(&node.id) => "unreachable",
        _ if node.draining => "draining",
        Some(true) => "ready",
        Some(false) => "not ready",
        None => "",
    }
}

fn text(text: &Option<String>) -> String {
    text.clone().unwrap_or_default()
}

fn number(number: Option<u64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

fn counted(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        many => format!("{many} {what}s"),
    }
}

fn rate(bits: u64) -> String {
    match bits {
        0..1_000_000 => format!("{:.0} kbit/s", bits as f64 / 1e3),
        _ => format!("{:.1} Mbit/s", bits as f64 / 1e6),
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}
