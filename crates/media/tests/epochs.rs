//! Time as players see it, from one publish to the next.

use bytes::Bytes;
use flv::{Kind, Tag};
use weir_media::{Epoch, Limits, MarkedTag, Publisher, Ring, Start};

const MS: i64 = 1_000_000;

fn picture(key: bool, dts: u32, composition: i32) -> Tag {
    let [_, a, b, c] = composition.to_be_bytes();
    let head = if key { 0x17 } else { 0x27 };
    let payload = [head, 1, a, b, c, 0xaa];
    Tag::new(Kind::Video, dts, Bytes::copy_from_slice(&payload))
}

/// A header, then pictures with two B-frames between each two others, from time 0 on.
fn publish(publisher: &mut Publisher, pictures: u32, since: i64) {
    let header = [0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, 0xff];
    let header = Tag::new(Kind::Video, 0, Bytes::copy_from_slice(&header));
    publisher.push(header, since).unwrap();
    for n in 0..pictures {
        let dts = n * 40;
        let composition = [80, 160, 40, 40][n as usize % 4];
        let ingest = since + i64::from(dts) * MS;
        publisher
            .push(picture(n == 0, dts, composition), ingest)
            .unwrap();
    }
}

/// When a picture is shown, in milliseconds.
fn shown(marked: &MarkedTag) -> i64 {
    i64::from(marked.play_ms()) + i64::from(marked.tag.composition())
}

/// When pictures of the first and of the second publish are shown: the last and the first.
fn border(gap_ms: i64) -> (i64, i64) {
    let ring = Ring::new(Limits::default());
    let (mut cursor, _) = ring.cursor(Start::Oldest);
    // It ends right after a picture that is shown after the one behind it would have been.
    publish(&mut ring.begin(Epoch::new(1, 1), 0), 6, 0);
    let since = (200 + gap_ms) * MS;
    publish(&mut ring.begin(Epoch::new(2, 1), since), 6, since);
    let mut tags = Vec::new();
    loop {
        let batch = cursor.read().unwrap();
        if batch.is_empty() {
            break;
        }
        tags.extend(batch.iter().filter(|it| it.tag.is_frame()).cloned());
    }
    let of = |epoch| tags.iter().filter(move |it| it.epoch.number == epoch);
    let (last, first) = (of(1).map(shown).max(), of(2).map(shown).min());
    (last.unwrap(), first.unwrap())
}

#[test]
fn an_encoder_that_is_back_at_once_is_shown_after_all_it_sent_before() {
    for gap_ms in [0, 1, 40, 100, 160] {
        let (last, first) = border(gap_ms);
        assert!(last < first, "{gap_ms} ms: {last}, then {first}");
        assert!(first <= last + 160, "{gap_ms} ms: {last}, then {first}");
    }
    // Later than what was to be shown: the time that went by counts.
    let (_, first) = border(1000);
    assert_eq!(first, 200 + 1000 + 80);
}

#[test]
fn a_picture_that_claims_to_be_shown_in_hours_delays_nothing_that_long() {
    let ring = Ring::new(Limits::default());
    let mut publisher = ring.begin(Epoch::new(1, 1), 0);
    publish(&mut publisher, 1, 0);
    let hours = 0x7f_ffff;
    publisher.push(picture(false, 40, hours), 40 * MS).unwrap();
    publish(&mut ring.begin(Epoch::new(2, 1), 40 * MS), 1, 80 * MS);
    assert!(ring.stats().play_ms < 20_000, "{}", ring.stats().play_ms);
}
