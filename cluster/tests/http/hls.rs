//! HLS of one node, as programs read it that many people have.

use serde_json::Value;
use testkit::players::Kind;
use testkit::{Clip, Ffmpeg, Packet, Packets, Program, Recipe};
use weir_cluster::Node;

/// Long enough for several segments.
const RECIPE: Recipe = Recipe {
    name: "h264-aac-8s",
    seconds: 8,
    ..Recipe::H264_AAC
};
/// Segments are waited for in part, so that it takes less than it plays.
const FAST: f64 = 2.0;

/// What is published comes out whole, from the first frame to the last, in the order it had.
async fn all_of_it(settings: &[&str], path: &str, same_bytes: bool) {
    let node = Node::start(&[settings, &["publish.grace=0s", "limits.headroom=1"]].concat()).await;
    let clip = Clip::of(RECIPE).rewritten(Ffmpeg::Installed, &[]).await;
    let publishing = Ffmpeg::Installed.publish(&clip.file, FAST, &node.url("live/cam"));
    // It is there once there is something to begin with.
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let index = format!("/live/cam/index.m3u8?{query}");
    testkit::wait::until("a playlist", async || {
        (node.get(&index).await.status == 200).then_some(())
    })
    .await;
    let url = format!("http://{}{path}", node.http);
    let playing = [Ffmpeg::Installed, Ffmpeg::Nine].map(|ffmpeg| {
        let file = node.folder().join(Kind::Ffmpeg(ffmpeg).name());
        let list = file.to_str().expect("our paths are texts");
        // From the beginning of what is listed, and not from near the end.
        let input = ["-live_start_index", "0", "-i", &url, "-map", "0"];
        let packets = ["-c", "copy", "-f", "framemd5", "-y", list];
        let decoded = ["-map", "0", "-f", "null", "-"];
        (ffmpeg.run(&[&input[..], &packets, &decoded].concat()), file)
    });
    publishing.succeeded().await;
    let sent = clip.packets(Ffmpeg::Nine).await;
    for (program, file) in playing {
        program.succeeded().await;
        let list = std::fs::read_to_string(&file).expect("ffmpeg has left a list");
        let received = Packets::parse(&list);
        let who = file.display().to_string();
        match same_bytes {
            true => assert_eq!(received.suffix(&sent, &who), (0, 0), "{who}"),
            false => {
                let counts = |of: &Packets| (of.video.len(), of.audio.len());
                assert_eq!(counts(&received), counts(&sent), "{who}");
            }
        }
        in_order(&received.video, &who);
        in_order(&received.audio, &who);
    }
    let requests = r#"weir_hls_requests_total{kind="media",status="200"}"#;
    assert!(node.metric(requests).await >= 2.0);
    let sent = node
        .metric(r#"weir_egress_bytes_total{protocol="hls"}"#)
        .await;
    let size = std::fs::metadata(&clip.file).expect("a file").len();
    assert!(sent > size as f64, "{sent} of {size}");
    assert_eq!(node.metric("weir_hls_waiting").await, 0.0);
    node.stopped().await;
}

fn in_order(packets: &[Packet], who: &str) {
    for pair in packets.windows(2) {
        assert!(pair[0].dts < pair[1].dts, "{who}: {pair:?}");
    }
}

#[tokio::test]
async fn ffmpeg_reads_all_of_a_stream_of_low_latency() {
    all_of_it(&["hls.mode=ll"], "/live/cam/index.m3u8", true).await;
}

#[tokio::test]
async fn ffmpeg_reads_all_of_a_stream_of_segments_in_fmp4() {
    all_of_it(&["hls.mode=fmp4"], "/live/cam/media.m3u8", true).await;
}

#[tokio::test]
async fn ffmpeg_reads_all_of_a_transport_stream() {
    all_of_it(&["hls.mode=ts"], "/live/cam/index.m3u8", false).await;
}

#[tokio::test]
async fn ffmpeg_follows_a_token_and_the_name_that_other_servers_use() {
    let open = r#"auth.static={"live/*" = { play = "s3cret" }}"#;
    all_of_it(&[open], "/live/cam.m3u8?token=s3cret", true).await;
}

#[tokio::test]
async fn ffprobe_tells_what_is_published() {
    for mode in ["ll", "fmp4", "ts"] {
        let mode = format!("hls.mode={mode}");
        let node = Node::start(&[&mode, "limits.headroom=1"]).await;
        let clip = Clip::of(RECIPE);
        let publishing = Ffmpeg::Installed.publish(&clip.file, 1.0, &node.url("live/cam"));
        let path = "/live/cam/index.m3u8";
        testkit::wait::until("a playlist", async || {
            (node.get(path).await.status == 200).then_some(())
        })
        .await;
        let url = format!("http://{}{path}", node.http);
        let told = ["-v", "error", "-show_streams", "-of", "json", &url];
        let told = Program::start("ffprobe", told).succeeded().await;
        let told: Value = serde_json::from_str(&told).expect("JSON");
        let streams = told["streams"].as_array().expect("a list");
        let of = |kind: &str| {
            let found = streams.iter().find(|it| it["codec_type"] == kind);
            found.unwrap_or_else(|| panic!("{kind} in {told}"))
        };
        let (video, audio) = (of("video"), of("audio"));
        assert_eq!(video["codec_name"], "h264", "{mode}");
        assert_eq!(
            (&video["width"], &video["height"]),
            (&320.into(), &180.into())
        );
        assert_eq!(video["avg_frame_rate"], "25/1", "{mode}");
        assert_eq!(audio["codec_name"], "aac", "{mode}");
        assert_eq!(audio["sample_rate"], "48000", "{mode}");
        drop(publishing);
        node.stopped().await;
    }
}

#[tokio::test]
async fn nobody_is_kept_waiting_for_a_stream_that_is_not_there() {
    let node = Node::start(&[]).await;
    for path in [
        "/live/cam/index.m3u8",
        "/live/cam/media.m3u8?_HLS_msn=7",
        "/live/cam/1.1-7.m4s",
    ] {
        let begun = std::time::Instant::now();
        let answer = node.get(path).await;
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (404, &"not_found".into())
        );
        assert!(begun.elapsed().as_secs() < 2, "{path}");
    }
    node.stopped().await;
}
