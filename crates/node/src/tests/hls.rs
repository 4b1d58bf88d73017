//! Streams over HLS, asked for as the web does, without its sockets.

mod ending;
mod moving;
mod numbers;
mod packaging;
mod pulled;
mod refused;
mod viewers;

use std::collections::BTreeMap;
use std::sync::Arc;

use ::hls::{Answer, Found, Name, Playlist, Version, Window};

use super::*;
use crate::hls::{Request, Stream, View};
use crate::watch::Refused;

/// A viewer of that number.
fn request(name: &str, viewer: u64) -> Request {
    let (path, query) = name.split_once('?').unwrap_or((name, ""));
    Request {
        path: format!("live/{path}"),
        query: query.to_owned(),
        token: None,
        viewer,
        peer: "10.0.0.1:4000".parse().expect("an address"),
        name: None,
    }
}

async fn ask(node: &Node, name: &str) -> Stream {
    let asked = timeout(PATIENCE, node.hls(&request(name, 1))).await;
    asked.expect("in time").expect("it is there")
}

async fn refused(node: &Node, name: &str) -> Refused {
    let asked = timeout(PATIENCE, node.hls(&request(name, 1))).await;
    asked.expect("in time").expect_err("refused")
}

/// The first view of which that holds.
async fn view(stream: &Stream, what: &str, mut is_so: impl FnMut(&View) -> bool) -> Arc<View> {
    let seen = stream.until(|view| is_so(view).then_some(()));
    let seen = timeout(PATIENCE, seen).await;
    seen.unwrap_or_else(|_| panic!("{what}; there is {:?}", stream.now()))
        .unwrap_or_else(|| panic!("{what}, and the stream is over"));
    stream.now()
}

/// What there is once it is all that is listed.
async fn full(stream: &Stream) -> Arc<View> {
    view(stream, "a full window", |view| {
        view.is_caught_up()
            && listed(view).is_some_and(|text| text.matches("#EXTINF").count() >= 10)
    })
    .await
}

/// The newest playlist, if it is what everybody would be told.
fn listed(view: &View) -> Option<String> {
    let newest = view.window().newest()?;
    let is_exact = view.window().is_exact(newest);
    let playlist = view.media(newest, false).filter(|_| is_exact)?;
    Some(playlist.text().to_owned())
}

fn sequence(text: &str) -> u64 {
    let (_, rest) = text.split_once("#EXT-X-MEDIA-SEQUENCE:").expect("a number");
    let number = rest.lines().next().expect("a line");
    number.parse().expect("a number")
}

/// Sends so much of a stream: 25 pictures a second, a keyframe every second, and sound. As fast as it goes.
async fn send(publisher: &Publisher, seconds: std::ops::Range<u32>) {
    let (from, to) = (seconds.start * 1000, seconds.end * 1000);
    if from == 0 {
        publisher.send(avc_record()).await.expect("open");
        publisher
            .send(aac(0, &[0, 0x11, 0x90]))
            .await
            .expect("open");
    }
    let pictures = (from..to).step_by(40).map(picture);
    // 1024 samples at 48 kHz.
    let sound = (0..).map(|n| from + n * 64 / 3).take_while(|dts| *dts < to);
    let sound = sound.map(|dts| aac(dts, &[1, 0x21, 0x10, 4]));
    let mut tags: Vec<_> = pictures.chain(sound).collect();
    tags.sort_by_key(|tag| tag.dts);
    for tag in tags {
        publisher.send(tag).await.expect("open");
    }
}

fn avc_record() -> Tag {
    let record = [
        0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1F, 0xFF, 0xE1, 0, 4, 0x67, 0x64, 0, 0x1F, 1, 0, 1, 0x68,
    ];
    Tag::new(Kind::Video, 0, Bytes::copy_from_slice(&record))
}

fn picture(dts: u32) -> Tag {
    let is_key = dts.is_multiple_of(1000);
    let (head, unit) = if is_key { (0x17, 0x65) } else { (0x27, 0x41) };
    let mut payload = vec![head, 1, 0, 0, 0, 0, 0, 0, 100, unit];
    payload.extend(dts.to_be_bytes());
    payload.resize(9 + 100, 0);
    Tag::new(Kind::Video, dts, payload.into())
}

fn aac(dts: u32, payload: &[u8]) -> Tag {
    Tag::new(Kind::Audio, dts, [&[0xaf], payload].concat().into())
}

/// All that can be asked of a window: files, and versions of the playlist that are exact.
fn everything(window: &Window) -> BTreeMap<String, Bytes> {
    let mut all = BTreeMap::new();
    let mut file = |name: Name| {
        let bytes = match window.find(&name) {
            Answer::There(Found::Init(init)) => init.body.clone(),
            Answer::There(Found::Media(body)) => body.to_bytes(),
            _ => return,
        };
        all.insert(name.to_string(), bytes);
    };
    for segment in window.segments() {
        segment.init().into_iter().for_each(|it| file(it.name()));
        file(segment.name());
        let parts = (0..).zip(segment.parts());
        parts.for_each(|(part, _)| file(segment.part_name(part)));
    }
    for segment in window.segments() {
        for (part, _) in (0..).zip(segment.parts()) {
            let (msn, part) = (segment.msn(), segment.has_parts().then_some(part));
            let version = Version { msn, part };
            for skip in [false, true] {
                if window.is_exact(version) {
                    let playlist = Playlist::media(window, version, skip).expect("it is there");
                    let name = format!("{msn} {part:?} {skip}");
                    all.insert(name, playlist.text().to_owned().into());
                }
            }
        }
    }
    all
}

/// Checks that two nodes serve the same, as far as both serve it; and how much that is.
fn same(one: &View, other: &View) -> usize {
    let (one, other) = (everything(one.window()), everything(other.window()));
    let both = one.iter().filter_map(|(name, bytes)| {
        let other = other.get(name)?;
        assert_eq!(bytes, other, "{name} differs");
        Some(name)
    });
    both.count()
}

/// Whether the stream is packaged on this node.
fn is_packaged(node: &Node, name: &str) -> bool {
    let table = &node.context().hls;
    table.is_listed(&key(name))
}

/// Waits until a stream is known to a node that packages nothing of it.
async fn is_published(node: &Node) {
    until("it is published", async || {
        node.health().await.active_streams == 1
    })
    .await;
}
