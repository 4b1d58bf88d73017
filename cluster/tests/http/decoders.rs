//! HLS in programs that decode it, in each mode.

use testkit::players::vlc;
use testkit::{Clip, Ffmpeg, Program, Recipe};
use weir_cluster::Node;

#[tokio::test]
async fn vlc_and_gstreamer_decode_hls_without_a_complaint() {
    for mode in ["ll", "fmp4", "ts"] {
        let mode = format!("hls.mode={mode}");
        let node = Node::start(&[&mode, "hls.segment=1s", "publish.grace=0s"]).await;
        let clip = Clip::of(Recipe {
            name: "h264-baseline-aac-12s",
            seconds: 12,
            ..Recipe::BASELINE
        });
        let publishing = Ffmpeg::Installed.publish(&clip.file, 1.0, &node.url("live/cam"));
        node.log.wait("published", 1).await;
        // Who comes to a stream that is under way goes by its target duration, which is to be no
        // longer than segments are: VLC runs dry else, at each reload.
        testkit::wait::until("four segments", async || {
            let listed = node.get("/live/cam/media.m3u8").await.body;
            (listed.matches("#EXTINF").count() >= 4).then_some(())
        })
        .await;
        let url = format!("http://{}/live/cam/index.m3u8", node.http);
        let play = format!("uri={url}");
        let quiet = ["-q", "playbin", &play];
        let nowhere = ["video-sink=fakesink", "audio-sink=fakesink"];
        let gstreamer = Program::start("gst-launch-1.0", [&quiet[..], &nowhere].concat());
        let loud = ["-vv", "--vout", "dummy", "--aout", "dummy", &url];
        let vlc = vlc(&loud, node.folder());
        publishing.succeeded().await;
        gstreamer.succeeded().await;
        let output = vlc.ended().await;
        let log = output.stdout + &output.stderr;
        for complaint in [
            "decoder error",
            "avcodec decoder warning",
            "demux error",
            "called too late",
        ] {
            let complaints: Vec<_> = log.lines().filter(|it| it.contains(complaint)).collect();
            assert_eq!(complaints, [""; 0], "{mode}");
        }
        assert!(log.contains("Received first picture"), "{mode}: {log}");
        node.stopped().await;
    }
}
