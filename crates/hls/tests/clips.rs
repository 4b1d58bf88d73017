//! What ffmpeg reads in segments that are made of real clips.

mod support;

use std::path::Path;

use media::{EndReason, Start};
use support::nodes::Node;
use support::*;
use testkit::hls::{MediaPlaylist, lint};
use testkit::{Clip, Ffmpeg, Packets, Program, Recipe};
use weir_hls::{Config, Mode, Numbering, Playlist, Window};

/// What ffprobe tells of a packet, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Packet {
    track: u32,
    dts: f64,
    pts: f64,
    duration: f64,
}

/// A track by its kind, and where it ends, in milliseconds, if the file tells.
#[derive(Clone, Debug)]
struct Track {
    number: u32,
    kind: String,
    end: f64,
}

/// Reads a file with ffprobe, which must not complain.
async fn probe(file: &Path) -> (Vec<Track>, Vec<Packet>) {
    let entries =
        "stream=index,codec_type,duration:packet=stream_index,pts_time,dts_time,duration_time";
    let file = file.to_str().expect("our paths are texts");
    let arguments = [
        "-v",
        "warning",
        "-of",
        "compact",
        "-show_entries",
        entries,
        file,
    ];
    let list = Program::start("ffprobe", arguments).succeeded().await;
    let (mut tracks, mut packets) = (Vec::new(), Vec::new());
    for line in list.lines().filter(|line| !line.is_empty()) {
        let field = |name: &str| {
            let mut fields = line.split('|').filter_map(|field| field.split_once('='));
            fields.find(|(own, _)| *own == name).map(|(_, value)| value)
        };
        let number = |name: &str| {
            field(name)
                .and_then(|it| it.parse().ok())
                .unwrap_or(f64::NAN)
        };
        if line.starts_with("stream") {
            tracks.push(Track {
                number: field("index")
                    .and_then(|it| it.parse().ok())
                    .expect("a number"),
                kind: field("codec_type").expect("a kind").to_owned(),
                end: number("duration") * 1000.0,
            });
        } else if line.starts_with("packet") {
            packets.push(Packet {
                track: field("stream_index")
                    .and_then(|it| it.parse().ok())
                    .expect("a track"),
                dts: number("dts_time") * 1000.0,
                pts: number("pts_time") * 1000.0,
                duration: number("duration_time") * 1000.0,
            });
        }
    }
    (tracks, packets)
}

/// The packets of the track of this kind.
fn of<'a>(
    (tracks, packets): &'a (Vec<Track>, Vec<Packet>),
    kind: &str,
) -> impl DoubleEndedIterator<Item = &'a Packet> + Clone + use<'a> {
    let track = tracks.iter().find(|own| own.kind == kind);
    let track = track.map(|track| track.number);
    packets.iter().filter(move |it| Some(it.track) == track)
}

/// How long the pictures last, or the sound where there is nothing else.
fn length(read: &(Vec<Track>, Vec<Packet>), mode: Mode) -> f64 {
    let kind = match of(read, "video").next() {
        Some(_) => "video",
        None => "audio",
    };
    let packets = of(read, kind);
    let begin = packets.clone().map(|it| it.dts).fold(f64::MAX, f64::min);
    let end = match mode {
        // Transport streams tell the end of nothing.
        Mode::Ts => packets.map(|it| it.dts + it.duration).fold(0.0, f64::max),
        _ => {
            let track = read.0.iter().find(|own| own.kind == kind);
            track.expect("it has packets").end
        }
    };
    end - begin
}

/// All of a clip, packaged, from the first segment to the end.
fn packaged(clip: &Clip, mode: Mode) -> Node {
    let config = Config {
        mode,
        ..Config::default()
    };
    let ring = ring();
    let numbering = Numbering::after_crash(None, NOW);
    let mut publisher = begin(&ring, 1, &config, &numbering);
    let mut node = Node::new(&ring, mode);
    push(&mut publisher, clip.tags.iter().cloned());
    node.package(|_, window| {
        let newest = window.newest().expect("something is there");
        let text = Playlist::media(window, newest, false).expect("it is there");
        assert_eq!(lint(text.text()), [""; 0]);
    });
    ring.end(EndReason::Ended);
    node.package(|_, _| {});
    node
}

fn listed(window: &Window) -> MediaPlaylist {
    let newest = window.newest().expect("something is there");
    let text = Playlist::media(window, newest, false).expect("it is there");
    let (playlist, findings) = MediaPlaylist::parse(text.text());
    assert_eq!(findings, [""; 0]);
    playlist
}

/// Checks what ffmpeg reads in each segment, and in all of them, of a clip.
async fn check(recipe: Recipe, mode: Mode, by: Ffmpeg) {
    let who = format!("{} as {mode:?}", recipe.name);
    let clip = Clip::of(recipe);
    let node = packaged(&clip, mode);
    let window = node.packager.window();
    let folder = tempfile::tempdir().expect("a folder");
    let suffix = if mode == Mode::Ts { "ts" } else { "mp4" };
    let file = folder.path().join(format!("segment.{suffix}"));
    let mut all = Vec::new();
    let playlist = listed(window);
    assert!(playlist.ended && playlist.complete().count() >= 3, "{who}");
    for (segment, told) in window.segments().zip(playlist.complete()) {
        let init = segment.init().map(|init| init.body.to_vec());
        let init = init.unwrap_or_default();
        let body = segment.body().expect("it is whole").to_bytes();
        if all.is_empty() {
            all.extend_from_slice(&init);
        }
        all.extend_from_slice(&body);
        std::fs::write(&file, [&init[..], &body].concat()).expect("a file can be written");
        let read = probe(&file).await;
        let expected = told.duration as f64 / 1e6;
        let found = length(&read, mode);
        // Sound may outlast the pictures, and then the last of these lasts as long, where a file
        // can tell it.
        let is_last = Some(segment.msn()) == playlist.complete().last().map(|it| it.msn);
        let is_told = mode != Mode::Ts || !is_last;
        assert!(
            (found - expected).abs() < 1.0 || !is_told,
            "{who}: {found} ms, told {expected} ms"
        );
        // A part can be read alone as well.
        for (part, told) in segment.parts().iter().zip(&told.parts) {
            let body = part.body().expect("there is something in it").to_bytes();
            std::fs::write(&file, [&init[..], &body].concat()).expect("a file can be written");
            if told.uri.ends_with(".0.m4s") {
                let found = length(&probe(&file).await, mode);
                let expected = told.duration as f64 / 1e6;
                assert!(
                    (found - expected).abs() < 1.0,
                    "{who}: {found} ms of {}",
                    told.uri
                );
            }
        }
    }

    std::fs::write(&file, &all).expect("a file can be written");
    let read = probe(&file).await;
    let sent = support::all(&node.ring, Start::Oldest);
    // Transport streams begin at ten seconds.
    let shift = if mode == Mode::Ts { 10_000.0 } else { 0.0 };
    for kind in ["video", "audio"] {
        let sent = sent.iter().filter(|it| it.tag.is_frame());
        let sent = sent
            .filter(|it| it.tag.is_video() == (kind == "video"))
            .rev();
        let read = of(&read, kind).rev();
        let (count, all) = (read.clone().count(), sent.clone().count());
        // The sound in front of the first picture is in no segment.
        assert!(
            count <= all && all <= count + 3,
            "{who}: {count} {kind} of {all}"
        );
        for (read, sent) in read.zip(sent) {
            let dts = sent.time as f64 / 1e6;
            let pts = dts + sent.composition as f64 / 1e6;
            let off = (read.dts - shift - dts, read.pts - shift - pts);
            let is_same = off.0.abs() < 0.02 && off.1.abs() < 0.02;
            assert!(is_same, "{who}: {kind} {read:?}, sent at {dts}, {pts}");
        }
    }
    if mode != Mode::Ts {
        let path = file.to_str().expect("our paths are texts");
        let list = by.run(&["-i", path, "-map", "0", "-c", "copy", "-f", "framemd5", "-"]);
        let read = Packets::parse(&list.succeeded().await);
        let (video, audio) = read.suffix(&clip.packets(by).await, &who);
        assert!(video == 0 && audio <= 3, "{who}: {video} {audio}");
    }
}

/// Long enough for some segments.
fn long(recipe: Recipe, name: &'static str) -> Recipe {
    Recipe {
        name,
        seconds: 7,
        ..recipe
    }
}

#[tokio::test]
async fn h264_with_b_frames_and_aac_is_read_as_it_was_sent() {
    for mode in [Mode::LowLatency, Mode::Fmp4, Mode::Ts] {
        let recipe = long(Recipe::H264_AAC, "hls-h264-aac");
        check(recipe, mode, Ffmpeg::Installed).await;
    }
}

#[tokio::test]
async fn one_track_alone_is_read_as_it_was_sent() {
    for mode in [Mode::LowLatency, Mode::Fmp4, Mode::Ts] {
        check(long(Recipe::AUDIO, "hls-aac"), mode, Ffmpeg::Installed).await;
        check(long(Recipe::VIDEO, "hls-h264"), mode, Ffmpeg::Installed).await;
    }
}

#[tokio::test]
async fn hevc_is_read_as_it_was_sent() {
    for mode in [Mode::LowLatency, Mode::Ts] {
        check(long(Recipe::HEVC_AAC, "hls-hevc-aac"), mode, Ffmpeg::Nine).await;
    }
}

#[tokio::test]
async fn codecs_of_the_web_are_read_as_they_were_sent() {
    for (recipe, name) in [
        (Recipe::AV1_AAC, "hls-av1-aac"),
        (Recipe::VP9_OPUS, "hls-vp9-opus"),
        (Recipe::H264_OPUS, "hls-h264-opus"),
    ] {
        check(long(recipe, name), Mode::LowLatency, Ffmpeg::Nine).await;
    }
}
