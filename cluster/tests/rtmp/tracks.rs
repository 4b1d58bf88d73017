//! Streams with several tracks of a kind, for players that know one.

use flv::{Info, Tag};
use testkit::{Clip, Ffmpeg, Heard, Peer, Program, Recipe};
use weir_cluster::Node;

/// Two audio and two video tracks, for half a minute.
fn publishes(node: &Node) -> Program {
    let clip = Clip::of(Recipe::LONG);
    let again = ["-map", "0"];
    Ffmpeg::Nine.publish_with(&clip.file, 1.0, &again, &node.url("live/cam"))
}

fn is_multitrack(tag: &Tag) -> bool {
    match tag.info() {
        Info::Audio(audio) => audio.multitrack.is_some(),
        Info::Video(video) => video.multitrack.is_some(),
        Info::Data(_) => false,
    }
}

/// Waits for so many pictures of the main track. All that came until then.
async fn pictures(player: &Peer, count: usize) -> Vec<Tag> {
    let main = |heard: &&Heard| {
        let tag = heard.tag();
        tag.is_some_and(|tag| tag.is_video() && tag.is_frame() && !is_multitrack(tag))
    };
    let enough = |heard: &[Heard]| heard.iter().filter(main).count() >= count;
    player.until("pictures", enough).await;
    player.tags()
}

#[tokio::test]
async fn a_player_gets_the_tracks_it_asks_for() {
    let node = Node::start(&["play.wait=20s"]).await;
    // There from the beginning, served with the other as long as there is one track of a kind.
    let early = Peer::play(node.rtmp, "live", "cam?tracks=main").await;
    let all = Peer::play(node.rtmp, "live", "cam").await;
    let publishing = publishes(&node);
    let before = pictures(&early, 30).await;
    let late = Peer::play(node.rtmp, "live", "cam?tracks=main").await;
    let after = pictures(&late, 30).await;
    let of_all = pictures(&all, 30).await;
    drop(publishing);

    assert!(of_all.iter().any(is_multitrack), "there are more tracks");
    for (tags, who) in [(&before, "early"), (&after, "late")] {
        assert!(!tags.iter().any(is_multitrack), "{who}: the main ones");
        for video in [true, false] {
            let records = |tag: &&Tag| tag.is_configuration() && tag.is_video() == video;
            assert_eq!(tags.iter().filter(records).count(), 1, "{who}: {video}");
        }
        let first = tags.iter().find(|tag| tag.is_video() && tag.is_frame());
        assert!(
            first.is_some_and(Tag::is_keyframe),
            "{who}: a whole picture"
        );
    }
    let ordinary = |tags: &[Tag], most: usize| -> Vec<(u32, usize)> {
        let wanted = tags
            .iter()
            .filter(|tag| tag.is_frame() && !is_multitrack(tag));
        let seen = wanted.map(|tag| (tag.dts, tag.payload.len()));
        seen.take(most).collect()
    };
    assert_eq!(ordinary(&before, 40), ordinary(&of_all, 40), "all of them");
    node.stopped().await;
}

#[tokio::test]
async fn what_players_get_that_do_not_ask_can_be_set() {
    let node = Node::start(&["play.tracks=main", "play.wait=20s"]).await;
    let main = Peer::play(node.rtmp, "live", "cam").await;
    let all = Peer::play(node.rtmp, "live", "cam?tracks=all").await;
    let publishing = publishes(&node);
    let main = pictures(&main, 30).await;
    let all = pictures(&all, 30).await;
    assert!(!main.iter().any(is_multitrack));
    assert!(all.iter().any(is_multitrack));
    drop(publishing);
    node.stopped().await;
}

#[tokio::test]
async fn an_unknown_choice_of_tracks_is_refused_with_a_sentence() {
    let node = Node::start(&["play.wait=20s"]).await;
    let mut peer = Peer::connect(node.rtmp, "live").await;
    let stream = peer.create_stream().await;
    let name = "cam?tracks=second";
    peer.command("play", stream, &[name.into()]).await;
    let refusal = peer.status("NetStream.Play.Failed").await;
    assert!(
        refusal.description.contains("main") && refusal.description.contains("all"),
        "{refusal:?}"
    );
    peer.closed().await;
    let line = node.log.wait("play refused", 1).await;
    assert_eq!(line["key"], "live/cam");
    node.stopped().await;
}

/// What a program of ffmpeg's read, which it says at its end.
fn bytes_read(complaints: &str) -> Option<u64> {
    let (_, said) = complaints.rsplit_once("Statistics: ")?;
    said.split_once(" bytes read")?.0.parse().ok()
}

/// From 5.1 to 7 it looks for pictures in what it takes a further track for, in 5 MB of the stream. A later one
/// knows better, and does with as little.
#[tokio::test]
async fn an_ffmpeg_of_any_age_starts_at_once_with_the_main_tracks() {
    let node = Node::start(&[]).await;
    let publishing = publishes(&node);
    let all = "weir_tags_total{kind=\"video\"}";
    let some = |tags: f64| (tags > 60.0).then_some(());
    testkit::wait::until("a second of it", async || some(node.metric(all).await)).await;
    let show = ["-v", "verbose", "-show_entries", "stream=codec_name"];
    let url = node.url("live/cam?tracks=main");
    let probe = Program::start("ffprobe", [&show[..], &["-of", "csv=p=0", &url]].concat());
    let output = probe.ended().await;
    let mut codecs: Vec<_> = output.stdout.lines().collect();
    codecs.sort_unstable();
    assert_eq!(codecs, ["aac", "h264"], "{}", output.stderr);
    let read = bytes_read(&output.stderr).expect("it says what it read");
    assert!(read < 1 << 20, "it wanted {read} bytes");
    drop(publishing);
    node.stopped().await;
}
