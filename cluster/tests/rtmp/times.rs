//! Times beyond 24 bits.

use testkit::players::{Kind, Received};
use testkit::{Clip, Ffmpeg, Recipe};
use weir_cluster::Node;

/// A stream crosses 0xFFFFFF ms in frames longer than a chunk.
async fn crosses(publisher: Ffmpeg, chunk_size: u32) {
    let size = format!("rtmp.chunk_size={chunk_size}");
    let node = Node::start(&["play.wait=20s", "publish.grace=0s", &size]).await;
    let url = node.url("live/cam");
    // 0xFFFFFF ms are 16 777.215 s.
    let late = ["-output_ts_offset", "16774"];
    let clip = Clip::of(Recipe::HEAVY).rewritten(publisher, &late).await;
    let times = clip
        .tags
        .iter()
        .filter(|tag| tag.is_frame())
        .map(|tag| tag.dts);
    let range = (times.clone().min().unwrap_or(0), times.max().unwrap_or(0));
    assert!(
        range.0 < 0xFF_FFFF && range.1 > 0xFF_FFFF,
        "the clip crosses the border: {range:?}"
    );
    let large = clip
        .tags
        .iter()
        .filter(|tag| tag.payload.len() > 65_536)
        .count();
    assert!(large > 0, "the clip has frames longer than any chunk");

    let players = [
        Kind::Ffmpeg(Ffmpeg::Installed),
        Kind::Ffmpeg(Ffmpeg::Nine),
        Kind::Rtmpdump,
    ];
    let playing: Vec<_> = players
        .iter()
        .map(|kind| kind.play(&url, node.folder()))
        .collect();
    node.plays(players.len()).await;
    publisher
        .publish_with(&clip.file, 4.0, &late, &url)
        .succeeded()
        .await;
    let packets = clip.packets(Ffmpeg::Nine).await;
    for player in playing {
        let name = player.name();
        match player.received().await {
            Received::Packets(received) => {
                received.equal(&packets, name);
            }
            Received::Tags(received) => {
                let frames = |tags: &[flv::Tag]| -> Vec<_> {
                    tags.iter()
                        .filter(|tag| tag.is_frame())
                        .map(|tag| (tag.kind, tag.payload.clone()))
                        .collect()
                };
                assert!(
                    frames(&received) == frames(&clip.tags),
                    "{name}: all frames, in order"
                );
                // rtmpdump counts from the first; no step may be larger than those of the clip.
                for video in [true, false] {
                    let frames = received
                        .iter()
                        .filter(|tag| tag.is_frame() && tag.is_video() == video);
                    let times: Vec<_> = frames.map(|tag| tag.dts).collect();
                    assert!(
                        times
                            .windows(2)
                            .all(|pair| pair[1].wrapping_sub(pair[0]) <= 45),
                        "{name}: {times:?}"
                    );
                }
            }
        }
    }
    node.stopped().await;
}

#[tokio::test]
async fn time_goes_on_over_24_bits_in_small_chunks() {
    crosses(Ffmpeg::Installed, 128).await;
}

#[tokio::test]
async fn time_goes_on_over_24_bits_in_medium_chunks() {
    crosses(Ffmpeg::Nine, 4096).await;
}

#[tokio::test]
async fn time_goes_on_over_24_bits_in_large_chunks() {
    crosses(Ffmpeg::Installed, 65_536).await;
}
