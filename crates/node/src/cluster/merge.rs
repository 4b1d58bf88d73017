//! What nodes and the directory say of streams, put together.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::hls::Sketch;
use directory::{Held, StreamRecord, StreamState};
use media::StreamKey;

use super::listing::{Listing, first};
use crate::hls;
use crate::status::{Served, Silent, State, Stream, Subscriber, Timestamp, best, read_sketch};

/// The streams that are or were published, by key, and how many there are.
pub(super) fn streams(
    listings: Vec<Listing<Served>>,
    records: &[Arc<Held>],
    silent: &Silent,
    now: i64,
) -> (Vec<Stream>, usize) {
    // What a node does not list is in the directory, as long as that is there.
    let least = listings.iter().map(|it| it.total).max().unwrap_or(0);
    let mut by_key: BTreeMap<String, (Vec<Served>, Option<&StreamRecord>)> = BTreeMap::new();
    for served in listings.into_iter().flat_map(|it| it.listed) {
        let key = served.stream.stream_key.clone();
        by_key.entry(key).or_default().0.push(served);
    }
    for held in records {
        let key = held.record.key.as_str().to_owned();
        by_key.entry(key).or_default().1 = Some(&held.record);
    }
    let merged = by_key
        .into_values()
        .filter_map(|(served, record)| stream(&served, record, silent, now));
    let merged: Vec<_> = merged.collect();
    let total = merged.len().max(least);
    (first(merged), total)
}

/// Who watches a stream, by node and in the order of their coming, and how many there are.
pub(super) fn subscribers(listings: Vec<Listing<Subscriber>>) -> (Vec<Subscriber>, usize) {
    let totals = listings.iter().map(|it| it.total.max(it.listed.len()));
    let total = totals.fold(0, usize::saturating_add);
    let mut listed: Vec<_> = listings.into_iter().flat_map(|it| it.listed).collect();
    listed.sort_by(|a, b| (&a.node, a.started_at, &a.id).cmp(&(&b.node, b.started_at, &b.id)));
    (first(listed), total)
}

/// One stream: what its origin says, or else who pulls it, or else the directory, and the viewers of
/// all nodes. `None` if nobody publishes it.
pub(super) fn stream(
    served: &[Served],
    record: Option<&StreamRecord>,
    silent: &Silent,
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
    // Who watches over HLS may be a viewer of many nodes.
    let mut over_hls = Sketch::default();
    for served in served {
        let mut by_protocol = served.stream.viewers_by_protocol.clone();
        if let Some(sketch) = read_sketch(&served.sketch) {
            over_hls.merge(&sketch);
            by_protocol.remove(hls::PROTOCOL);
        }
        count(&by_protocol);
    }
    // Of nodes that do not answer, whoever they pull from may know.
    let told = served.iter().flat_map(|served| &served.edges);
    let told: BTreeMap<_, _> = told.collect();
    for (node, by_protocol) in told {
        if silent.has(node) {
            count(by_protocol);
        }
    }
    let estimate = over_hls.estimate();
    if estimate > 0 {
        let sum = viewers.entry(hls::PROTOCOL.to_owned()).or_default();
        *sum = sum.saturating_add(estimate);
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

#[cfg(test)]
mod tests {
    use directory::{Embedded, NodeId, Numbering};
    use media::Epoch;

    use super::super::listing::LISTED;
    use super::super::listing::tests::{served, viewer};
    use super::*;
    use crate::status::Part;

    const NOW: i64 = 1_767_225_600_000;

    fn told(node: &str, part: Part, epoch: Option<u64>, viewers: u64) -> Served {
        let rtmp = (viewers > 0).then(|| ("rtmp".to_owned(), viewers));
        Served {
            stream: Stream {
                stream_key: "live/cam".to_owned(),
                epoch,
                viewers,
                viewers_by_protocol: rtmp.into_iter().collect(),
                encoder: Some(format!("told by {node}")),
                ..Stream::default()
            },
            node: node.to_owned(),
            part,
            ..Served::default()
        }
    }

    async fn held(key: &str) -> Arc<Held> {
        let directory = Embedded::alone(NodeId::parse("o1").expect("a name"));
        let key = StreamKey::parse(key).expect("a key");
        let record = StreamRecord {
            key: key.clone(),
            node: directory.node().clone(),
            epoch: Epoch::new(7, 1),
            identity: None,
            protocol: "rtmp".to_owned(),
            state: StreamState::Waiting,
            since: 1_767_225_540_000,
            numbering: Numbering::default(),
        };
        let claim = directory.claim(record, None).await.expect("free");
        let held = directory.lookup(&key).expect("claimed");
        drop(claim);
        held
    }

    #[test]
    fn the_origin_tells_and_viewers_of_all_nodes_are_added() {
        let served = [
            told("e1", Part::Pulled, Some(7), 3),
            told("o1", Part::Origin, Some(7), 1),
            told("e2", Part::Pulled, Some(7), 0),
            told("e3", Part::Waiting, None, 2),
        ];
        let stream = stream(&served, None, &Silent::default(), NOW).expect("published");
        assert_eq!(stream.encoder.as_deref(), Some("told by o1"));
        assert_eq!(stream.viewers, 6);
        assert_eq!(stream.viewers_by_protocol.get("rtmp"), Some(&6));
    }

    #[test]
    fn who_watches_at_several_nodes_in_turn_is_one_viewer() {
        let at = |node: &str, viewers: std::ops::Range<u64>| {
            let mut served = told(node, Part::Pulled, Some(7), 1);
            let count = viewers.end - viewers.start;
            let by_protocol = &mut served.stream.viewers_by_protocol;
            by_protocol.insert("hls".to_owned(), count);
            let mut sketch = Sketch::default();
            viewers.for_each(|viewer| sketch.add(viewer));
            let bytes = sketch.to_bytes();
            let bytes = bytes.iter().map(|byte| format!("{byte:02x}"));
            served.sketch = bytes.collect();
            served
        };
        let mut served = vec![at("e1", 0..300), at("e2", 100..400)];
        let counted = |served: &[Served]| {
            let stream = stream(served, None, &Silent::default(), NOW).expect("published");
            (stream.viewers, stream.viewers_by_protocol["hls"])
        };
        assert_eq!(counted(&served), (402, 400));
        // Of one that does not say who they are, all count.
        let bare = Served {
            sketch: String::new(),
            ..at("e3", 0..50)
        };
        served.push(bare);
        assert_eq!(counted(&served), (453, 450));
    }

    #[test]
    fn of_two_origins_the_newer_publish_counts() {
        let served = [
            told("o1", Part::Origin, Some(7), 0),
            told("o2", Part::Origin, Some(8), 0),
            told("e1", Part::Pulled, Some(9), 0),
        ];
        let by = |served: &[Served]| {
            stream(served, None, &Silent::default(), NOW).and_then(|it| it.encoder)
        };
        assert_eq!(by(&served[..2]).as_deref(), Some("told by o2"));
        assert_eq!(by(&served).as_deref(), Some("told by e1"));
    }

    #[test]
    fn what_nobody_publishes_is_no_stream() {
        let served = [told("e1", Part::Waiting, None, 2)];
        assert_eq!(stream(&served, None, &Silent::default(), NOW), None);
        assert_eq!(stream(&[], None, &Silent::default(), NOW), None);
    }

    #[test]
    fn viewers_of_a_silent_node_are_known_from_the_node_it_pulls_from() {
        let mut origin = told("o1", Part::Origin, Some(7), 1);
        for node in ["e1", "e2"] {
            let rtmp = BTreeMap::from([("rtmp".to_owned(), 5)]);
            origin.edges.insert(node.to_owned(), rtmp);
        }
        let served = [origin, told("e2", Part::Pulled, Some(7), 4)];
        let mut silent = Silent::default();
        silent.add("e1", "no connection");
        let stream = stream(&served, None, &silent, NOW).expect("published");
        assert_eq!(stream.viewers, 1 + 5 + 4);
    }

    #[tokio::test]
    async fn of_a_silent_origin_the_directory_tells() {
        let records = [held("live/cam").await, held("live/other").await];
        let served = [told("e1", Part::Pulled, Some(7), 3)];
        let listings = vec![Listing::streams(served.into())];
        let mut silent = Silent::default();
        silent.add("o1", "no connection");
        let (merged, total) = streams(listings, &records, &silent, NOW);
        assert_eq!(total, 2);
        let keys: Vec<_> = merged.iter().map(|it| it.stream_key.as_str()).collect();
        assert_eq!(keys, ["live/cam", "live/other"]);
        assert_eq!(merged[0].encoder.as_deref(), Some("told by e1"));
        let other = &merged[1];
        assert_eq!((other.state, other.active), (State::Waiting, false));
        assert_eq!(other.origin.as_deref(), Some("o1"));
        assert_eq!((other.epoch, other.duration), (Some(7), Some(60)));
        assert_eq!(other.video_codec, None);
    }

    #[test]
    fn whoever_is_asked_lists_and_counts_the_same_of_very_many() {
        let keys = |from| (from..LISTED + 7).map(|it| format!("live/{it:05}"));
        let node = |from| keys(from).map(|key| served(&key, Some(1))).collect();
        let told = || [Listing::streams(node(0)), Listing::streams(node(3))];
        let (listed, total) = streams(told().into(), &[], &Silent::default(), NOW);
        assert_eq!((listed.len(), total), (LISTED, LISTED + 7));
        let keys: Vec<_> = listed.into_iter().map(|it| it.stream_key).collect();
        assert_eq!(
            (&*keys[0], &*keys[LISTED - 1]),
            ("live/00000", "live/09999")
        );
        let [a, b] = told();
        let (other_way, total) = streams(vec![b, a], &[], &Silent::default(), NOW);
        let other_way: Vec<_> = other_way.into_iter().map(|it| it.stream_key).collect();
        assert_eq!((other_way, total), (keys, LISTED + 7));
    }

    #[test]
    fn viewers_of_all_nodes_are_counted_and_the_first_ones_listed() {
        let node = |name: &str, many: usize| {
            let viewers = (0..many as i64).map(|it| viewer(name, it));
            Listing::subscribers(viewers.collect())
        };
        let older = Listing {
            total: 0,
            ..node("c", 2)
        };
        let listings = vec![older, node("b", 12_000), node("a", 11_000)];
        let (listed, total) = subscribers(listings);
        assert_eq!((listed.len(), total), (LISTED, 12_000 + 11_000 + 2));
        assert!(listed.iter().all(|viewer| viewer.node == "a"));
        let few = vec![node("b", 1), node("a", 2)];
        let (listed, total) = subscribers(few);
        let ids: Vec<_> = listed.iter().map(|viewer| viewer.id.as_str()).collect();
        assert_eq!((ids, total), (vec!["a.0", "a.1", "b.0"], 3));
    }
}
