//! What is known of a stream, and told of it.

mod metadata;
mod sizes;
mod tracks;

use bytes::Bytes;
use flv::{Kind, Tag};

use crate::{Epoch, Join, Limits, Publisher, Pushed, Ring, Start};

fn tag(kind: Kind, dts: u32, payload: &[u8]) -> Tag {
    Tag::new(kind, dts, Bytes::copy_from_slice(payload))
}

fn avc_header() -> Tag {
    tag(Kind::Video, 0, &[0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, 0xff])
}

fn keyframe(dts: u32) -> Tag {
    tag(Kind::Video, dts, &[0x17, 1, 0, 0, 0, 0xaa])
}

fn inter(dts: u32) -> Tag {
    tag(Kind::Video, dts, &[0x27, 1, 0, 0, 0, 0xbb])
}

fn aac_header() -> Tag {
    tag(Kind::Audio, 0, &[0xaf, 0, 0x11, 0x90])
}

fn aac(dts: u32) -> Tag {
    tag(Kind::Audio, dts, &[0xaf, 1, 0x21])
}

fn begin() -> (Ring, Publisher) {
    let ring = Ring::new(Limits::default());
    let publisher = ring.begin(Epoch::new(1, 1), 0);
    (ring, publisher)
}

/// Pushes tags that come in when their timestamps say.
fn push(publisher: &mut Publisher, tags: impl IntoIterator<Item = Tag>) {
    for tag in tags {
        let ingest = i64::from(tag.dts) * 1_000_000;
        let pushed = publisher.push(tag, ingest).unwrap();
        assert!(matches!(pushed, Pushed::Stored(_)), "{pushed:?}");
    }
}

fn join(ring: &Ring) -> Join {
    ring.cursor(Start::CaughtUp).1
}
