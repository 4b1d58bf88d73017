//! What nodes and the directory say of streams, put together.

use std::collections::BTreeMap;
use std::sync::Arc;

use directory::{Held, StreamRecord, StreamState};
use media::StreamKey;

use crate::status::{Served, State, Stream, Timestamp, best};

/// All streams that are or were published, by key.
pub(super) fn streams(
    served: impl Iterator<Item = Served>,
    records: &[Arc<Held>],
    unreachable: &[String],
    now: i64,
) -> Vec<Stream> {
    let mut by_key: BTreeMap<String, (Vec<Served>, Option<&StreamRecord>)> = BTreeMap::new();
    for served in served {
        let key = served.stream.stream_key.clone();
        by_key.entry(key).or_default().0.push(served);
    }
    for held in records {
        let key = held.record.key.as_str().to_owned();
        by_key.entry(key).or_default().1 = Some(&held.record);
    }
    let merged = by_key
        .into_values()
        .filter_map(|(served, record)| stream(&served, record, unreachable, now));
    merged.collect()
}

/// One stream: what its origin says, or else who pulls it, or else the directory, and the viewers of
/// all nodes. `None` if nobody publishes it.
pub(super) fn stream(
    served: &[Served],
    record: Option<&StreamRecord>,
    unreachable: &[String],
    now: i64,
) -> Option<Stream> {
    let source = best(served).filter(|source| source.stream.epoch.is_some());
    let mut stream = match (source, record) {
        (Some(source), _) => source.stream.clone(),
        (None, Some(record)) => recorded(record, now),
        (None, None) => return None,
    };
    let mut viewers: BTreeMap<String, u64> = BTreeMap::new();
    let mut count = |by_protocol: &BTreeMap<String, u64>| {
        for (protocol, number) in by_protocol {
            let sum = viewers.entry(protocol.clone()).or_default();
            *sum = sum.saturating_add(*number);
        }
    };
    for served in served {
        count(&served.stream.viewers_by_protocol);
    }
    // Of nodes that do not answer, whoever they pull from may know.
    let told = served.iter().flat_map(|served| &served.edges);
    let told: BTreeMap<_, _> = told.collect();
    for (node, by_protocol) in told {
        if unreachable.contains(node) {
            count(by_protocol);
        }
    }
    stream.viewers = viewers.values().fold(0, |sum, it| sum.saturating_add(*it));
    stream.viewers_by_protocol = viewers;
    stream.bytes_out = served
        .iter()
        .filter_map(|served| served.stream.bytes_out)
        .reduce(u64::saturating_add);
    Some(stream)
}

/// What the directory alone says of a stream.
fn recorded(record: &StreamRecord, now: i64) -> Stream {
    let key: &StreamKey = &record.key;
    let since = i64::try_from(record.since).unwrap_or(i64::MAX);
    let started = Timestamp::from_millis(since);
    let state = state(record.state);
    Stream {
        stream_key: key.as_str().to_owned(),
        app: key.app().to_owned(),
        name: key.name().to_owned(),
        active: state == State::Live,
        state,
        epoch: Some(record.epoch.number),
        origin: Some(record.node.to_string()),
        protocol: Some(record.protocol.clone()).filter(|protocol| !protocol.is_empty()),
        started_at: Some(started),
        duration: Some(started.seconds_to(Timestamp::from_millis(now))),
        ..Stream::default()
    }
}

/// The directory's word for how a stream stands, in ours.
pub(super) fn state(state: StreamState) -> State {
    match state {
        StreamState::Live => State::Live,
        StreamState::Waiting => State::Waiting,
    }
}
