//! What ffmpeg, old and new, reads in what is written: every packet, its time and its length,
//! and nothing to complain about.

mod support;

use std::path::Path;

use support::{AUDIO, Stream, VIDEO};
use testkit::{Clip, Ffmpeg, Packets, Recipe};
use weir_fmp4::init;

const BOTH: [Ffmpeg; 2] = [Ffmpeg::Installed, Ffmpeg::Nine];

/// What players decode after ten weeks of a stream, so that no time fits 32 bits.
const DELAY: u64 = 6_000_000_000;

/// FFmpeg puts an empty packet in front of FLAC and behind it.
const MD5_OF_NOTHING: &str = "d41d8cd98f00b204e9800998ecf8427e";

async fn run(by: Ffmpeg, file: &Path, arguments: &[&str]) -> String {
    let file = file.to_str().expect("our paths are texts");
    let arguments = [&["-v", "warning", "-i", file, "-map", "0"], arguments].concat();
    by.run(&arguments).succeeded().await
}

/// From the first packet of a medium to the end of its last, by what framemd5 lists; `None` where
/// that does not tell.
fn duration(list: &str, medium: &str) -> Option<i64> {
    let heads = list
        .lines()
        .filter_map(|line| line.strip_prefix("#media_type "));
    let number = heads
        .filter_map(|head| head.strip_suffix(medium)?.strip_suffix(": "))
        .next();
    let of_medium = |line: &&str| line.split(',').next() == number;
    let mut packets = list.lines().filter(of_medium).map(|line| {
        let fields: Vec<i64> = line
            .split(',')
            .take(4)
            .map(|field| field.trim().parse().unwrap())
            .collect();
        (fields[1], fields[1] + fields[3])
    });
    let (start, first_end) = packets.next()?;
    let (last, end) = packets.next_back().unwrap_or((start, first_end));
    (end > last).then_some(end - start)
}

async fn read(recipe: Recipe) {
    let clip = Clip::of(recipe);
    // The old one knows no new codec in FLV, but all of them in MP4.
    let mut sent = clip.packets(Ffmpeg::Nine).await;
    sent.audio.retain(|packet| packet.hash != MD5_OF_NOTHING);
    let stream = Stream::of(&clip.tags);
    let folder = tempfile::tempdir().unwrap();
    for delay in [0, DELAY] {
        let file = folder.path().join(format!("{delay}.mp4"));
        std::fs::write(&file, stream.file(delay)).unwrap();
        for by in BOTH {
            let who = format!("{by:?} of {} after {delay} ms", recipe.name);
            let list = run(by, &file, &["-c", "copy", "-f", "framemd5", "-"]).await;
            let mut packets = Packets::parse(&list);
            packets.configurations.clone_from(&sent.configurations);
            packets.equal(&sent, &who);
            assert_eq!(
                packets.video.len() + packets.audio.len(),
                stream.frames.len()
            );
            for (track, medium) in [(VIDEO, "video"), (AUDIO, "audio")] {
                let written = stream.duration(track);
                let Some(read) = duration(&list, medium) else {
                    // The old one does not tell it of Opus and FLAC.
                    let is_old = by == Ffmpeg::Installed && medium == "audio";
                    assert!(written == 0 || is_old, "{who}: {medium}");
                    continue;
                };
                // It counts samples of sound anew, too, and rounds them.
                assert!(
                    (read - written).abs() <= 1,
                    "{who}: {medium} of {read} ms, not {written}"
                );
            }
            run(by, &file, &["-f", "null", "-"]).await;
        }
    }
}

#[tokio::test]
async fn h264_and_aac() {
    read(Recipe::H264_AAC).await;
}

#[tokio::test]
async fn one_of_them_alone() {
    read(Recipe::VIDEO).await;
    read(Recipe::AUDIO).await;
}

#[tokio::test]
async fn hevc() {
    read(Recipe::HEVC_AAC).await;
}

#[tokio::test]
async fn av1() {
    read(Recipe::AV1_AAC).await;
}

#[tokio::test]
async fn vp9_and_opus() {
    read(Recipe::VP9_OPUS).await;
}

#[tokio::test]
async fn other_sound() {
    let sound = |name, audio| Recipe {
        name,
        by: Ffmpeg::Nine,
        audio: Some(audio),
        ..Recipe::AUDIO
    };
    read(sound("mp3", "-c:a libmp3lame -ar 44100 -b:a 64k")).await;
    read(sound("mp3-low-rate", "-c:a libmp3lame -ar 22050 -b:a 32k")).await;
    read(sound("flac", "-c:a flac -ac 2")).await;
    read(sound("ac3", "-c:a ac3 -ac 2 -b:a 96k")).await;
    read(sound("eac3", "-c:a eac3 -ac 2 -b:a 96k")).await;
    read(sound("aac-8k", "-c:a aac -ar 8000 -ac 1")).await;
    read(sound("aac-96k", "-c:a aac -ar 96000 -ac 2")).await;
}

#[tokio::test]
async fn pixels_that_are_no_squares() {
    let recipe = Recipe {
        name: "h264-wide-pixels",
        video: "-vf setsar=16/11 -c:v libx264 -preset veryfast -g 25 -pix_fmt yuv420p",
        seconds: 1,
        ..Recipe::VIDEO
    };
    let stream = Stream::of(&Clip::of(recipe).tags);
    let init = init(&stream.tracks).unwrap();
    let aspect = [
        b"\0\0\0\x10pasp",
        &16u32.to_be_bytes()[..],
        &11u32.to_be_bytes()[..],
    ]
    .concat();
    assert!(init.windows(aspect.len()).any(|bytes| bytes == aspect));
    let shown = [(320u32 << 16) * 16 / 11, 180 << 16]
        .map(u32::to_be_bytes)
        .concat();
    assert!(init.windows(shown.len()).any(|bytes| bytes == shown));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wide.mp4");
    std::fs::write(&file, stream.file(0)).unwrap();
    for by in BOTH {
        let list = run(by, &file, &["-c", "copy", "-f", "framemd5", "-"]).await;
        assert!(list.contains("#sar 0: 16/11"), "{by:?}: {list}");
    }
}
