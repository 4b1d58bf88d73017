//! Streams that are packaged, and what comes of them.

use bytes::Bytes;
use flv::Tag;
use testkit::hls::{MediaPlaylist, lint};
use weir_hls::{Answer, Config, Found, Mode, Name, Numbering, Playlist, Version, Window};

use super::nodes::Node;
use super::streams::{Make, real_avc_header};
use super::*;

pub(crate) fn config(mode: Mode) -> Config {
    Config {
        mode,
        ..Config::default()
    }
}

/// Pictures and sound of so many seconds, 25 pictures a second and a keyframe every two.
pub(crate) fn stream(seconds: f64) -> Vec<Tag> {
    let headers = vec![
        metadata(&[("framerate", 25.0), ("videocodecid", 7.0)]),
        real_avc_header(0, 0),
        aac_header(0),
    ];
    let pictures = pictures(25.0, 50, seconds).into_iter();
    let pictures = pictures.map(|tag| (Make::REAL.picture)(tag.dts, tag.is_keyframe()));
    let sound = sound(seconds).into_iter();
    let sound = sound.map(|tag| (Make::REAL.sound)(tag.dts));
    interleaved(headers, &[pictures.collect(), sound.collect()])
}

/// A node that has packaged such a stream, which goes on.
pub(crate) fn packaged(config: &Config, tags: Vec<Tag>) -> Node {
    let ring = ring();
    let numbering = Numbering::after_crash(None, NOW);
    let mut publisher = begin(&ring, 1, config, &numbering);
    let mut node = Node::new(&ring, config.mode);
    for tag in tags {
        push(&mut publisher, [tag]);
        node.package(|_, _| {});
    }
    node
}

pub(crate) fn newest(window: &Window) -> Version {
    window.newest().expect("something is there")
}

pub(crate) fn playlist(window: &Window, version: Version) -> String {
    let playlist = Playlist::media(window, version, false).expect("it is there");
    let text = playlist.text().to_owned();
    assert_eq!(lint(&text), [""; 0], "{text}");
    text
}

pub(crate) fn parsed(window: &Window) -> MediaPlaylist {
    MediaPlaylist::parse(&playlist(window, newest(window))).0
}

pub(crate) fn bytes(window: &Window, name: &str) -> Option<Bytes> {
    match window.find(&Name::parse(name)?) {
        Answer::There(Found::Init(init)) => Some(init.body.clone()),
        Answer::There(Found::Media(body)) => Some(body.to_bytes()),
        _ => None,
    }
}

/// The first number of these streams.
pub(crate) const FIRST: u64 = (1_750_000_000 - 1_735_689_600) * 4;
/// The discontinuity sequence number that goes with it.
pub(crate) const DISCONTINUITY: u64 = (1_750_000_000 - 1_735_689_600) * 12 / 3600;
