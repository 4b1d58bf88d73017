//! What ffmpeg, old and new, reads in segments that follow each other: every packet and its time,
//! and nothing to complain about.

mod support;

use std::fmt::Write as _;
use std::path::Path;

use support::clips::{segments, stream};
use testkit::{Clip, Ffmpeg, Packet, Packets, Recipe};
use weir_mpegts::{LEAD, Writer};

const BOTH: [Ffmpeg; 2] = [Ffmpeg::Installed, Ffmpeg::Nine];

/// Where the times wrap, less a second.
const NEARLY_WRAPPED: u64 = (1 << 33) - 90_000;

/// How a reader is brought to show packets as they were in FLV: without what streams of packets
/// need and files do not.
struct Form {
    /// Of the packets of FLV.
    sent: &'static [&'static str],
    /// Of those of the segments.
    received: &'static [&'static str],
}

/// FFmpeg puts an empty packet in front of some sound.
const MD5_OF_NOTHING: &str = "d41d8cd98f00b204e9800998ecf8427e";

const H264: &str = "filter_units=remove_types=7|8|9";
const HEVC: &str = "filter_units=remove_types=32|33|34|35|39";

const AAC: Form = Form {
    sent: &[],
    received: &["-bsf:a", "aac_adtstoasc"],
};
const H264_ALONE: Form = Form {
    sent: &["-bsf:v", "h264_mp4toannexb,filter_units=remove_types=7|8|9"],
    received: &["-bsf:v", H264],
};
const H264_AAC: Form = Form {
    sent: H264_ALONE.sent,
    received: &["-bsf:v", H264, "-bsf:a", "aac_adtstoasc"],
};
const HEVC_AAC: Form = Form {
    sent: &[
        "-bsf:v",
        "hevc_mp4toannexb,filter_units=remove_types=32|33|34|35|39",
    ],
    received: &["-bsf:v", HEVC, "-bsf:a", "aac_adtstoasc"],
};
const AS_IT_IS: Form = Form {
    sent: &[],
    received: &[],
};

async fn packets(by: Ffmpeg, file: &Path, form: &[&str]) -> Packets {
    let file = file.to_str().expect("our paths are texts");
    let read = [
        "-v", "warning", "-copyts", "-i", file, "-map", "0", "-c", "copy",
    ];
    let list = by.run(&[&read, form, &["-f", "framemd5", "-"]].concat());
    let mut packets = Packets::parse(&list.succeeded().await);
    packets.audio.retain(|packet| packet.hash != MD5_OF_NOTHING);
    packets
}

/// Checks that these are the same packets at the same times, which are in 1/90,000 s here, in ms
/// there; and so many ms later. Sound has 1 ms to be wrong by, as its times are told with the
/// first of several frames.
fn compare(sent: &[Packet], received: &[Packet], later: i64, tolerance: i64, who: &str) {
    assert_eq!(received.len(), sent.len(), "{who}");
    for (number, (sent, received)) in sent.iter().zip(received).enumerate() {
        assert_eq!(received.hash, sent.hash, "{who}: packet {number}");
        for (sent, received) in [(sent.dts, received.dts), (sent.pts, received.pts)] {
            let apart = (received - (sent + later) * 90).abs();
            assert!(
                apart <= tolerance * 90,
                "{who}: {received} is not {sent} + {later} ms"
            );
        }
    }
}

async fn read(recipe: Recipe, form: Form) {
    let clip = Clip::of(recipe);
    let sent = packets(Ffmpeg::Nine, &clip.file, form.sent).await;
    let folder = tempfile::tempdir().unwrap();
    for (start, later) in [(LEAD, 500), (NEARLY_WRAPPED, -1000)] {
        let (tracks, frames) = stream(&clip.tags, start);
        let writer = Writer::new(&tracks).unwrap();
        let mut playlist = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n".to_owned();
        for (number, frames) in segments(&frames).into_iter().enumerate() {
            let file = folder.path().join(format!("{number}.ts"));
            std::fs::write(&file, writer.segment(number as u64, frames)).unwrap();
            write!(playlist, "#EXTINF:1.0,\n{}\n", file.display()).unwrap();
        }
        playlist.push_str("#EXT-X-ENDLIST\n");
        let file = folder.path().join("list.m3u8");
        std::fs::write(&file, playlist).unwrap();
        for by in BOTH {
            let who = format!("{by:?} of {} from {start}", recipe.name);
            let received = packets(by, &file, form.received).await;
            compare(
                &sent.video,
                &received.video,
                later,
                0,
                &format!("{who}: video"),
            );
            compare(
                &sent.audio,
                &received.audio,
                later,
                1,
                &format!("{who}: audio"),
            );
            let file = file.to_str().expect("our paths are texts");
            let decode = ["-v", "warning", "-i", file, "-map", "0", "-f", "null", "-"];
            by.run(&decode).succeeded().await;
        }
    }
}

#[tokio::test]
async fn h264_and_aac() {
    read(Recipe::H264_AAC, H264_AAC).await;
}

#[tokio::test]
async fn one_of_them_alone() {
    read(Recipe::VIDEO, H264_ALONE).await;
    read(Recipe::AUDIO, AAC).await;
}

#[tokio::test]
async fn hevc() {
    read(Recipe::HEVC_AAC, HEVC_AAC).await;
}

#[tokio::test]
async fn opus() {
    read(Recipe::H264_OPUS, H264_ALONE).await;
}

#[tokio::test]
async fn other_sound() {
    let sound = |name, audio| Recipe {
        name,
        by: Ffmpeg::Nine,
        audio: Some(audio),
        ..Recipe::AUDIO
    };
    read(sound("mp3", "-c:a libmp3lame -ar 44100 -b:a 64k"), AS_IT_IS).await;
    read(sound("ac3", "-c:a ac3 -ac 2 -b:a 96k"), AS_IT_IS).await;
    read(sound("eac3", "-c:a eac3 -ac 2 -b:a 96k"), AS_IT_IS).await;
    read(sound("aac-8k", "-c:a aac -ar 8000 -ac 1"), AAC).await;
    read(sound("aac-44k", "-c:a aac -ar 44100 -ac 2"), AAC).await;
}
