//! A stream as one node has it: from the snapshot of its actor to what other nodes are told.

use std::collections::BTreeMap;

use media::{Configuration, DropReason, Stats};
use ractor::ActorId;
use serde::{Deserialize, Serialize};

use super::{Place, Publish, State, Stream, StreamSnapshot, Subscriber, Timestamp, sketch};
use crate::hls;

/// An encoder that has sent nothing for so long has no rate, in milliseconds.
const SILENT: i64 = 3000;

/// A stream as one node has it, for merging with what others say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Served {
    /// What the API shows, of this node alone.
    #[serde(flatten)]
    pub(crate) stream: Stream,
    /// The node that says so.
    pub(crate) node: String,
    /// What it is to the stream.
    pub(crate) part: Part,
    /// The nodes that the stream passes before this one, the origin first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) path: Vec<String>,
    /// Seconds since the last tag came in, at the origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_tag_age: Option<f64>,
    /// The codecs of all tracks, as RFC 6381 writes them where it does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) codecs: Vec<String>,
    /// Tags that were of no use, by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) dropped: BTreeMap<String, u64>,
    /// Who watches over HLS, as a [`hls::Sketch`] in hexadecimal: whoever goes from node to node is one viewer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) sketch: String,
    /// Where a second encoder publishes from, which stands by here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) standby: Option<String>,
    /// The nodes that pull from this one, and who watches there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) edges: BTreeMap<String, BTreeMap<String, u64>>,
}

/// What a node is to a stream; who knows most comes first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// Its encoder publishes here.
    Origin,
    /// It is pulled.
    Pulled,
    /// There is nothing of it here.
    #[default]
    #[serde(other)]
    Waiting,
}

impl Part {
    /// Its name in the interface.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Pulled => "pulled",
            Self::Waiting => "waiting",
        }
    }
}

/// Whoever knows most of a stream: the origin of the newest publish, or else who pulls that.
pub(crate) fn best(served: &[Served]) -> Option<&Served> {
    let rank = |served: &&Served| (std::cmp::Reverse(served.stream.epoch), served.part);
    served.iter().min_by_key(rank)
}

/// What the node `me` says of a stream at `now` (milliseconds since 1970).
pub(crate) fn served(snapshot: &StreamSnapshot, me: &str, now: i64) -> Served {
    let stats = snapshot.ring.stats();
    let configuration = snapshot.ring.configuration();
    let epoch = stats.epoch.map(|epoch| epoch.number);
    let last_tag = stats.last_ingest.map(|ingest| ingest / 1_000_000);
    let age = last_tag.map(|last| now.saturating_sub(last).max(0));
    let (part, path) = match &snapshot.place {
        Place::Origin => (Part::Origin, Vec::new()),
        Place::Pulled { path, .. } => (Part::Pulled, path.clone()),
        Place::Waiting => (Part::Waiting, Vec::new()),
    };
    let origin = match part {
        Part::Origin => Some(me.to_owned()),
        Part::Pulled => path.first().cloned(),
        Part::Waiting => None,
    };
    let mut stream = Stream {
        stream_key: snapshot.key.as_str().to_owned(),
        app: snapshot.key.app().to_owned(),
        name: snapshot.key.name().to_owned(),
        active: snapshot.state == State::Live,
        state: snapshot.state,
        epoch,
        origin,
        bytes_in: epoch.map(|_| stats.bytes_in),
        bytes_out: snapshot.bytes_out,
        dropped_tags: epoch.map(|_| stats.dropped.total()),
        ..Stream::default()
    };
    if let Some(publish) = &snapshot.publish {
        tell_publish(&mut stream, publish, now);
    }
    tell_viewers(&mut stream, snapshot);
    tell_tracks(&mut stream, &configuration);
    if snapshot.state == State::Live {
        tell_rates(&mut stream, &stats, age);
    }
    Served {
        stream,
        node: me.to_owned(),
        part,
        path,
        last_tag_age: age.map(|age| age as f64 / 1000.0),
        codecs: codecs(&configuration),
        dropped: dropped(&stats),
        sketch: sketch::written(&snapshot.sketch),
        edges: snapshot.edges.clone(),
        ..Served::default()
    }
}

/// Who watches at the node `me`.
pub(crate) fn subscribers(snapshot: &StreamSnapshot, me: &str, now: i64) -> Vec<Subscriber> {
    let subscribers = snapshot.subscribers.iter();
    subscribers
        .map(|subscribed| {
            let started = Timestamp::from_millis(subscribed.since);
            Subscriber {
                id: name(me, subscribed.id),
                node: me.to_owned(),
                protocol: subscribed.format.protocol().to_owned(),
                address: subscribed.address.to_string(),
                started_at: Some(started),
                duration: Some(started.seconds_to(Timestamp::from_millis(now))),
            }
        })
        .collect()
}

/// What a viewer of the node `me` is called in the cluster.
fn name(me: &str, id: ActorId) -> String {
    format!("{me}.{}", id.pid())
}

/// The node that a viewer of this name is at, and its number there.
pub(crate) fn read_name(name: &str) -> Option<(&str, u64)> {
    let (node, number) = name.rsplit_once('.')?;
    Some((node, number.parse().ok()?))
}

fn tell_publish(stream: &mut Stream, publish: &Publish, now: i64) {
    let told = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let started = Timestamp::from_millis(publish.since);
    stream.protocol = told(&publish.protocol);
    stream.encoder = told(&publish.encoder);
    stream.publisher_addr = told(&publish.publisher);
    stream.started_at = Some(started);
    stream.duration = Some(started.seconds_to(Timestamp::from_millis(now)));
}

fn tell_viewers(stream: &mut Stream, snapshot: &StreamSnapshot) {
    stream.viewers = snapshot.viewers();
    if snapshot.hls > 0 {
        let over_hls = stream.viewers_by_protocol.entry(hls::PROTOCOL.to_owned());
        *over_hls.or_default() += snapshot.hls;
    }
    for subscribed in &snapshot.subscribers {
        let protocol = subscribed.format.protocol().to_owned();
        *stream.viewers_by_protocol.entry(protocol).or_default() += 1;
    }
}

fn tell_tracks(stream: &mut Stream, configuration: &Configuration) {
    if let Some(video) = configuration.main_video() {
        stream.video_codec = video.codec.map(|codec| codec.name().to_owned());
        let size = video.info.as_ref().map(|info| (info.width, info.height));
        let size = size.filter(|&(width, height)| width > 0 && height > 0);
        stream.resolution = size.map(|(width, height)| format!("{width}x{height}"));
    }
    if let Some(audio) = configuration.main_audio() {
        stream.audio_codec = audio.codec.map(|codec| codec.name().to_owned());
        let info = audio.info.as_ref();
        let known = |number: u32| Some(number).filter(|&number| number > 0);
        stream.audio_sample_rate = info.and_then(|info| known(info.sample_rate));
        stream.audio_channels = info.and_then(|info| known(info.channels));
    }
}

/// The ring measures as tags come in, so what it says of a silent encoder is old.
fn tell_rates(stream: &mut Stream, stats: &Stats, age: Option<i64>) {
    let silent = age.is_none_or(|age| age > SILENT);
    let (bits, pictures) = match silent {
        true => (0.0, 0.0),
        false => (stats.bit_rate, stats.frame_rate),
    };
    // Nothing is measured yet in the first second.
    stream.bitrate = (silent || bits > 0.0).then_some(bits.round() as u64);
    let pictures = (pictures * 100.0).round() / 100.0;
    let has_video = stream.video_codec.is_some();
    stream.fps = (has_video && (silent || pictures > 0.0)).then_some(pictures);
    let interval = stats.keyframe_interval;
    stream.keyframe_interval = interval.map(|it| (it.as_secs_f64() * 1000.0).round() / 1000.0);
}

fn codecs(configuration: &Configuration) -> Vec<String> {
    let video = configuration.video.iter().filter_map(|track| {
        let named = track.info.as_ref().map(|info| info.codec_string.clone());
        named.or_else(|| track.codec.map(|codec| codec.name().to_owned()))
    });
    let audio = configuration.audio.iter().filter_map(|track| {
        let named = track.info.as_ref().map(|info| info.codec_string.clone());
        named.or_else(|| track.codec.map(|codec| codec.name().to_owned()))
    });
    video.chain(audio).collect()
}

fn dropped(stats: &Stats) -> BTreeMap<String, u64> {
    let counted = [
        (DropReason::Unconfigured, stats.dropped.unconfigured),
        (DropReason::NoKeyframe, stats.dropped.no_keyframe),
        (DropReason::WrongCodec, stats.dropped.wrong_codec),
        (DropReason::Malformed, stats.dropped.malformed),
        (DropReason::TooManyTracks, stats.dropped.too_many_tracks),
        (DropReason::TooLarge, stats.dropped.too_large),
    ];
    let some = counted.into_iter().filter(|(_, count)| *count > 0);
    some.map(|(reason, count)| (reason.name().to_owned(), count))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use bytes::Bytes;
    use flv::{Kind, Tag};
    use media::{Epoch, Limits, Ring, StreamKey};

    use super::*;
    use crate::format::Format;
    use crate::status::Subscribed;

    const NOW: i64 = 1_767_225_600_000;

    pub(crate) fn snapshot(place: Place, ring: Ring) -> StreamSnapshot {
        StreamSnapshot {
            key: StreamKey::parse("live/room/cam").expect("a key"),
            state: State::Live,
            place,
            publish: Some(Publish {
                since: NOW - 61_500,
                protocol: "rtmp".to_owned(),
                encoder: "FMLE/3.0".to_owned(),
                publisher: "10.0.0.9:5000".to_owned(),
            }),
            ring,
            subscribers: vec![
                Subscribed {
                    id: ActorId::Local(7),
                    address: "10.0.0.1:4000".parse().expect("an address"),
                    format: Format::Rtmp,
                    since: NOW - 2000,
                };
                2
            ],
            hls: 0,
            sketch: ::hls::Sketch::default(),
            edges: BTreeMap::new(),
            bytes_out: None,
        }
    }

    /// Two seconds of 25 pictures each, a keyframe every second, the last one at `NOW`.
    fn ring() -> Ring {
        let ring = Ring::new(Limits::default());
        let begun = (NOW - 2000) * 1_000_000;
        let mut publisher = ring.begin(Epoch::new(9, 1), begun);
        for frame in 0..=50u32 {
            // Sorenson H.263, which needs no configuration.
            let head = if frame % 25 == 0 { 0x12 } else { 0x22 };
            let mut payload = vec![0; 1000];
            payload[..4].copy_from_slice(&[head, 0, 0, 0x84]);
            let tag = Tag::new(Kind::Video, frame * 40, Bytes::from(payload));
            let at = begun + i64::from(frame) * 40_000_000;
            publisher.push(tag, at).expect("the only publisher");
        }
        let stray = Tag::new(Kind::Audio, 0, Bytes::from_static(&[0xAF, 1, 0]));
        publisher
            .push(stray, NOW * 1_000_000)
            .expect("the only publisher");
        ring
    }

    #[test]
    fn an_origin_says_what_it_measures() {
        let told = served(&snapshot(Place::Origin, ring()), "o1", NOW + 40);
        let stream = &told.stream;
        assert_eq!((told.part, told.last_tag_age), (Part::Origin, Some(0.04)));
        assert_eq!(
            (
                stream.stream_key.as_str(),
                stream.app.as_str(),
                stream.name.as_str()
            ),
            ("live/room/cam", "live", "room/cam")
        );
        assert_eq!((stream.active, stream.epoch), (true, Some(9)));
        assert_eq!(stream.origin.as_deref(), Some("o1"));
        assert_eq!(stream.duration, Some(61));
        assert_eq!(stream.video_codec.as_deref(), Some("sorenson-h263"));
        assert_eq!(stream.bytes_in, Some(51_000));
        assert_eq!(stream.viewers_by_protocol.get("rtmp"), Some(&2));
        assert_eq!(stream.keyframe_interval, Some(1.0));
        let near = |value: f64, wanted: f64| (value - wanted).abs() < wanted / 20.0;
        assert!(near(stream.fps.expect("measured"), 25.0), "{stream:?}");
        let bitrate = stream.bitrate.expect("measured");
        assert!(near(bitrate as f64, 200_000.0), "{bitrate}");
        assert_eq!(stream.dropped_tags, Some(1));
        assert_eq!(told.dropped.get("unconfigured"), Some(&1));
    }

    #[test]
    fn those_who_watch_over_hls_are_viewers_too() {
        let mut snapshot = snapshot(Place::Origin, ring());
        snapshot.hls = 3;
        let told = served(&snapshot, "o1", NOW).stream;
        let by_protocol: Vec<_> = told.viewers_by_protocol.into_iter().collect();
        let counted = [("hls", 3), ("rtmp", 2)].map(|(name, count)| (name.to_owned(), count));
        assert_eq!((told.viewers, by_protocol), (5, counted.to_vec()));
    }

    #[test]
    fn a_silent_encoder_has_no_rate() {
        let told = served(&snapshot(Place::Origin, ring()), "o1", NOW + 10_000);
        assert_eq!((told.stream.bitrate, told.stream.fps), (Some(0), Some(0.0)));
        let mut waiting = snapshot(Place::Origin, ring());
        waiting.state = State::Waiting;
        let told = served(&waiting, "o1", NOW + 10_000);
        assert!(!told.stream.active);
        assert_eq!((told.stream.bitrate, told.stream.fps), (None, None));
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let mut snapshot = snapshot(Place::Waiting, Ring::new(Limits::default()));
        (snapshot.state, snapshot.publish) = (State::Waiting, None);
        let told = served(&snapshot, "e1", NOW);
        let json = serde_json::to_value(&told.stream).expect("JSON");
        let keys: Vec<_> = json.as_object().expect("an object").keys().collect();
        assert_eq!(
            keys,
            [
                "active",
                "app",
                "name",
                "state",
                "streamKey",
                "viewers",
                "viewersByProtocol"
            ]
        );
    }

    #[test]
    fn it_goes_to_other_nodes_and_back() {
        let pulled = Place::Pulled {
            from: "o1".to_owned(),
            path: vec!["o1".to_owned()],
            since: NOW,
        };
        let mut snapshot = snapshot(pulled, ring());
        let watching = BTreeMap::from([("rtmp".to_owned(), 3)]);
        snapshot.edges.insert("e2".to_owned(), watching);
        let told = served(&snapshot, "e1", NOW);
        assert_eq!(told.stream.origin.as_deref(), Some("o1"));
        let json = serde_json::to_string(&told).expect("JSON");
        let read: Served = serde_json::from_str(&json).expect("ours");
        assert_eq!(read, told);
        let later = json.replace(r#""part":"pulled""#, r#""part":"invented","more":[1]"#);
        let read: Served = serde_json::from_str(&later).expect("of a later release");
        assert_eq!(read.part, Part::Waiting);
    }

    #[test]
    fn a_viewer_is_known_by_its_node_and_number() {
        let listed = subscribers(&snapshot(Place::Origin, ring()), "node.1", NOW);
        assert_eq!(
            (listed.len(), listed[0].duration, listed[0].address.as_str()),
            (2, Some(2), "10.0.0.1:4000")
        );
        assert_eq!(read_name(&listed[0].id), Some(("node.1", 7)));
        for wrong in ["", "7", "node.x", "node."] {
            assert_eq!(read_name(wrong), None, "{wrong}");
        }
    }
}
