//! What an edge knows is what its origin knows, wherever it began to pull and however often it
//! broke.
#![cfg(not(loom))]

mod support;

use bytes::Bytes;
use flv::{Kind, Metadata, Tag};
use proptest::prelude::*;
use weir_media::{
    Configuration, Cursor, Cut, Epoch, Limits, MarkedTag, Marker, Publisher, Relayed, Replica,
    Ring, Segment, Start,
};

const MS: i64 = 1_000_000;

/// Each keypoint begins a segment, and three are listed.
#[derive(Debug)]
struct EachKeypoint(u64);

impl Marker for EachKeypoint {
    fn mark(&mut self, tag: &MarkedTag, configuration: &Configuration) -> Option<Cut> {
        assert_eq!(tag.version, configuration.version);
        let msn = self.0 + 1;
        let segment = Segment {
            first_listed: msn.saturating_sub(2).max(1),
            discontinuity: 0,
            version: tag.version,
            date_time: tag.ingest,
            independent: true,
            target: std::time::Duration::from_secs(2),
            part_target: None,
        };
        tag.keypoint.then(|| {
            self.0 = msn;
            Cut {
                msn,
                part: 0,
                start: tag.time,
                segment: Some(segment),
            }
        })
    }
}

/// A ring that keeps all, for comparison.
fn origin() -> Ring {
    Ring::new(Limits {
        max_duration: std::time::Duration::from_secs(86_400),
        ..Limits::default()
    })
}

fn begin(ring: &Ring, number: u64) -> Publisher {
    let next = ring.newest_segment().map_or(0, |newest| newest.msn);
    ring.begin_marked(Epoch::new(number, 1), 0, Box::new(EachKeypoint(next)))
}

/// An edge, and how far its pull has come.
struct Edge {
    ring: Ring,
    replica: Replica,
    cursor: Cursor,
    described: Option<Epoch>,
}

impl Edge {
    /// Pulls from the window on.
    fn new(origin: &Ring) -> Self {
        let ring = Ring::new(Limits::default());
        let mut edge = Self {
            replica: ring.replica(),
            ring,
            cursor: origin.cursor(Start::Window).0,
            described: None,
        };
        edge.pull(origin, usize::MAX);
        edge.replica.caught_up().unwrap();
        edge
    }

    /// Pulls at most so many tags, as a relay does: each epoch is described first.
    fn pull(&mut self, origin: &Ring, max: usize) {
        for _ in 0..max {
            let at = self.cursor.position();
            let Some(tag) = self.cursor.read_at_most(1).unwrap().first().cloned() else {
                break;
            };
            if self.described != Some(tag.epoch) {
                let join = origin.cursor(Start::At(at)).1;
                assert_eq!(join.position, at);
                let description = join.describe(true).unwrap();
                self.replica.describe(description).unwrap();
                self.described = Some(tag.epoch);
            }
            self.replica.push(Relayed::from(&tag)).unwrap();
        }
    }

    /// The connection breaks, and another one goes on.
    fn reconnect(&mut self, origin: &Ring) {
        let (epoch, number) = self.ring.next_number().unwrap();
        (self.cursor, _) = origin.resume(epoch, number).expect("in time");
        self.described = None;
        self.replica = self.ring.replica();
    }

    /// Compares all that is the same on every node.
    fn check(&self, origin: &Ring) {
        let mut here = self.ring.cursor(Start::Oldest).0;
        let mut compared = 0;
        loop {
            let batch = here.read().unwrap();
            if batch.is_empty() {
                break;
            }
            for tag in batch {
                let (mut there, _) = origin.resume(tag.epoch, tag.number).unwrap();
                let other = there.read_at_most(1).unwrap().first().cloned().unwrap();
                assert_eq!(tag.epoch, other.epoch);
                assert_eq!(Relayed::from(tag), Relayed::from(&other));
                let ours = self.ring.configuration_at(tag.seq).unwrap();
                let theirs = origin.configuration_at(other.seq).unwrap();
                assert_same(&ours, &theirs);
                compared += 1;
            }
        }
        assert!(compared > 0);
        let ((_, ours), (_, theirs)) = (
            self.ring.cursor(Start::CaughtUp),
            origin.cursor(Start::CaughtUp),
        );
        // In sound alone a joiner starts about a second back, anywhere.
        if origin.configuration().main_video().is_some() {
            assert_eq!(ours.next, theirs.next);
            assert_same(&ours.configuration, &theirs.configuration);
        }
        assert_eq!(ours.waits_for_keypoint, theirs.waits_for_keypoint);
        assert_same(&self.ring.configuration(), &origin.configuration());
        assert_eq!(self.ring.newest_segment(), origin.newest_segment());
    }
}

fn assert_same(ours: &Configuration, theirs: &Configuration) {
    let tags = |it: &Configuration| it.tags.iter().map(|it| Relayed::from(&**it)).collect();
    let (mut our_tags, mut their_tags): (Vec<_>, Vec<_>) = (tags(ours), tags(theirs));
    for tag in our_tags.iter_mut().chain(&mut their_tags) {
        // Where a tag in the list says more than that, it was for those who read it.
        (tag.cut, tag.metadata) = (None, None);
    }
    assert_eq!(our_tags, their_tags);
    assert_eq!(ours.video, theirs.video);
    assert_eq!(ours.audio, theirs.audio);
    assert_eq!(
        (ours.version, ours.epoch),
        (theirs.version, theirs.epoch),
        "{ours:?} {theirs:?}"
    );
}

#[test]
fn real_streams_are_at_the_edge_as_they_are_at_the_origin() {
    for (name, tags) in support::captures() {
        let origin = origin();
        let mut publisher = begin(&origin, 1);
        let push = |publisher: &mut Publisher, tags: &[Tag]| {
            for tag in tags {
                let ingest = i64::from(tag.dts) * MS;
                publisher.push(tag.clone(), ingest).unwrap();
            }
        };
        let quarter = tags.len() / 4;
        push(&mut publisher, &tags[..quarter]);
        let mut early = (origin.head() > 0).then(|| Edge::new(&origin));
        push(&mut publisher, &tags[quarter..2 * quarter]);
        if let Some(edge) = &mut early {
            edge.pull(&origin, quarter / 2);
            edge.reconnect(&origin);
        }
        push(&mut publisher, &tags[2 * quarter..3 * quarter]);
        let mut late = Edge::new(&origin);
        late.check(&origin);
        push(&mut publisher, &tags[3 * quarter..]);
        // The same encoder again.
        let mut publisher = begin(&origin, 2);
        push(&mut publisher, &tags[..3 * quarter]);
        for edge in early.iter_mut().chain([&mut late, &mut Edge::new(&origin)]) {
            edge.pull(&origin, usize::MAX);
            edge.replica.caught_up().unwrap();
            edge.check(&origin);
        }
        println!("{name}: {} tags", origin.head());
    }
}

fn of(kind: Kind, payload: &[u8]) -> Tag {
    Tag::new(kind, 0, Bytes::copy_from_slice(payload))
}

/// The things encoders send, some rarely and some never.
fn menu() -> Vec<Tag> {
    let video = |payload: &[u8]| of(Kind::Video, payload);
    let audio = |payload: &[u8]| of(Kind::Audio, payload);
    let told = |names: &[(&str, f64)]| {
        let mut metadata = Metadata::default();
        names
            .iter()
            .for_each(|(name, value)| metadata.set(name, *value));
        metadata.to_tag(0)
    };
    let record = |flavour| [0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, 0xff, flavour];
    let both = |flavour| {
        let head = [0x96, 0x10, b'a', b'v', b'c', b'1'];
        [&head[..], &[0, 0, 0, 2, 1, flavour, 1, 0, 0, 2, 1, flavour]].concat()
    };
    let second = |frame: u8, packet| [frame << 4 | 0x86, packet, b'a', b'v', b'c', b'1', 1, 9];
    let vp8 = |width| {
        let head = [0x91, b'v', b'p', b'0', b'8', 0x10, 0, 0];
        [&head[..], &[0x9d, 0x01, 0x2a, width, 0, 90, 0]].concat()
    };
    let mut clear = b"\x02\x00\x0f@clearDataFrame".to_vec();
    clear.extend_from_slice(b"\x02\x00\x0aonMetaData");
    vec![
        told(&[
            ("width", 640.0),
            ("videocodecid", 7.0),
            ("audiocodecid", 10.0),
        ]),
        told(&[("audiocodecid", 2.0), ("framerate", 25.0)]),
        of(Kind::Data, &clear),
        of(Kind::Data, b"\x02\x00\x04onFI\x05"),
        video(&record(1)),
        video(&record(2)),
        video(&both(1)),
        video(&both(2)),
        video(&second(1, 0)),
        // HDR metadata of track 0.
        video(&[0x94, b'a', b'v', b'c', b'1', 2, 0, 0]),
        audio(&[0xaf, 0, 0x11, 0x90]),
        audio(&[0xaf, 0, 0x12, 0x10]),
        // MP3, Opus in track 1, G.711.
        audio(&[0x2f, 0xff, 0xfb, 0x90, 0x64, 0, 0]),
        audio(&[0x95, 0x01, b'O', b'p', b'u', b's', 1, 0xfc]),
        audio(&[0x7f, 0x55]),
        // The end of a track.
        video(&[0x17, 2, 0, 0, 0]),
        video(&vp8(100)),
        video(&vp8(200)),
        video(&second(1, 3)),
        video(&second(2, 3)),
        video(&[0x17, 1, 0, 0, 0, 0xaa]),
        video(&[0x17, 1, 0, 0, 0, 0xaa]),
        video(&[0x27, 1, 0, 0, 40, 0xbb]),
        video(&[0x27, 1, 0, 0, 40, 0xbb]),
        audio(&[0xaf, 1, 0x21]),
        audio(&[0xaf, 1, 0x21]),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Push { what: usize, after: u32 },
    Publish,
    Pull { edge: usize, tags: usize },
    Reconnect { edge: usize },
    NewEdge,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let push = (0..menu().len(), 0..600_u32).prop_map(|(what, after)| Step::Push { what, after });
    let step = prop_oneof![
        40 => push,
        1 => Just(Step::Publish),
        6 => (0..3_usize, 0..40_usize).prop_map(|(edge, tags)| Step::Pull { edge, tags }),
        2 => (0..3_usize).prop_map(|edge| Step::Reconnect { edge }),
        1 => Just(Step::NewEdge),
    ];
    proptest::collection::vec(step, 1..300)
}

proptest! {
    #[test]
    fn anything_is_at_the_edge_as_it_is_at_the_origin(steps in steps()) {
        let menu = menu();
        let origin = origin();
        let mut epochs = 1;
        let mut publisher = begin(&origin, epochs);
        let mut edges: Vec<Edge> = Vec::new();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Push { what, after } => {
                    now += after;
                    let tag = menu[what].clone().with_dts(now);
                    publisher.push(tag, i64::from(now) * MS).unwrap();
                }
                Step::Publish => {
                    epochs += 1;
                    publisher = begin(&origin, epochs);
                }
                Step::NewEdge if origin.head() > 0 && edges.len() < 3 => {
                    edges.push(Edge::new(&origin));
                }
                Step::NewEdge => {}
                Step::Pull { edge, tags } => {
                    if let Some(edge) = edges.get_mut(edge) {
                        edge.pull(&origin, tags);
                    }
                }
                Step::Reconnect { edge } => {
                    if let Some(edge) = edges.get_mut(edge) {
                        edge.reconnect(&origin);
                    }
                }
            }
        }
        // A publish of which nothing came is nothing yet to who reads tags.
        publisher.push(of(Kind::Data, b"\x02\x00\x04onFI\x05"), 0).unwrap();
        edges.push(Edge::new(&origin));
        for mut edge in edges {
            edge.pull(&origin, usize::MAX);
            edge.replica.caught_up().unwrap();
            edge.check(&origin);
        }
    }
}
