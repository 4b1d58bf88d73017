//! What a player may ask for.

use std::time::Duration;

use flv::Tag;
use rtmp::message::UserControl;
use testkit::{Clip, Heard, Peer, Publisher, Recipe, sent};
use weir_cluster::Node;

async fn live(node: &Node) -> Publisher {
    let clip = Clip::of(Recipe::H264_AAC);
    Publisher::start(&node.url("live/cam"), sent(&clip.tags, 10), 1.0)
        .await
        .expect("accepted")
}

fn frames(heard: &[Heard]) -> Vec<&Tag> {
    heard
        .iter()
        .filter_map(Heard::tag)
        .filter(|tag| tag.is_frame())
        .collect()
}

async fn pictures(player: &Peer, count: usize) {
    let enough =
        |heard: &[Heard]| frames(heard).iter().filter(|tag| tag.is_video()).count() >= count;
    player.until("pictures", enough).await;
}

#[tokio::test]
async fn a_pause_holds_everything_and_ends_on_a_keyframe() {
    let node = Node::start(&[]).await;
    let publisher = live(&node).await;
    let mut player = Peer::play(node.rtmp, "live", "cam").await;
    pictures(&player, 5).await;
    player
        .command("pause", 1, &[true.into(), 200.0.into()])
        .await;
    player.status("NetStream.Pause.Notify").await;
    let heard = player.forget();
    assert!(
        heard.contains(&Heard::Control(UserControl::StreamDry(1))),
        "the stream is dry"
    );
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(
        frames(&player.heard()),
        Vec::<&Tag>::new(),
        "nothing comes in a pause"
    );

    player
        .command("pause", 1, &[false.into(), 200.0.into()])
        .await;
    player.status("NetStream.Unpause.Notify").await;
    pictures(&player, 5).await;
    let heard = player.heard();
    let notice = heard
        .iter()
        .position(|heard| heard.is_status("NetStream.Unpause.Notify"));
    let media = heard.iter().position(|heard| heard.tag().is_some());
    assert!(notice < media, "the notice comes first: {heard:?}");
    assert!(
        heard.contains(&Heard::Control(UserControl::StreamBegin(1))),
        "the stream begins"
    );
    let tags: Vec<_> = heard.iter().filter_map(Heard::tag).collect();
    let first = tags
        .iter()
        .position(|tag| tag.is_frame())
        .expect("frames came");
    assert!(
        tags[first].is_keyframe(),
        "no sound before the keyframe: {tags:?}"
    );
    for video in [true, false] {
        let headers = |tag: &&&Tag| tag.is_configuration() && tag.is_video() == video;
        assert_eq!(
            tags[..first].iter().filter(headers).count(),
            1,
            "the header comes again, once"
        );
    }
    drop(publisher);
    node.stopped().await;
}

#[tokio::test]
async fn video_and_audio_can_be_turned_off_and_on() {
    let node = Node::start(&[]).await;
    let publisher = live(&node).await;
    let mut player = Peer::play(node.rtmp, "live", "cam").await;
    pictures(&player, 5).await;

    player.command("receiveVideo", 1, &[false.into()]).await;
    player.settled().await;
    player.forget();
    let sounds = |heard: &[Heard]| frames(heard).iter().filter(|tag| tag.is_audio()).count() >= 70;
    player.until("sound without pictures", sounds).await;
    let heard = player.forget();
    let times: Vec<_> = frames(&heard).iter().map(|tag| tag.dts).collect();
    assert!(
        frames(&heard).iter().all(|tag| tag.is_audio()),
        "no pictures"
    );
    assert!(
        times.windows(2).all(|pair| pair[1] - pair[0] <= 25),
        "sound without a hole: {times:?}"
    );

    player.command("receiveVideo", 1, &[true.into()]).await;
    pictures(&player, 5).await;
    let heard = player.forget();
    let video: Vec<_> = frames(&heard)
        .into_iter()
        .filter(|tag| tag.is_video())
        .collect();
    assert!(video[0].is_keyframe(), "pictures come back with a keyframe");
    let times: Vec<_> = frames(&heard)
        .iter()
        .filter(|tag| tag.is_audio())
        .map(|tag| tag.dts)
        .collect();
    assert!(
        times.windows(2).all(|pair| pair[1] - pair[0] <= 25),
        "sound without a hole: {times:?}"
    );

    player.command("receiveAudio", 1, &[false.into()]).await;
    player.settled().await;
    player.forget();
    pictures(&player, 30).await;
    assert!(
        frames(&player.heard()).iter().all(|tag| tag.is_video()),
        "no sound"
    );
    drop(publisher);
    node.stopped().await;
}

#[tokio::test]
async fn a_stream_that_was_absent_can_be_played_later_on_the_same_connection() {
    let node = Node::start(&[]).await;
    let mut player = Peer::connect(node.rtmp, "live").await;
    let stream = player.create_stream().await;
    player.command("play", stream, &["cam".into()]).await;
    let status = player.status("NetStream.Play.StreamNotFound").await;
    assert_eq!(status.level, "error");
    assert!(
        status.description.contains("nobody publishes"),
        "{}",
        status.description
    );

    let publisher = live(&node).await;
    player.forget();
    player.command("play", stream, &["cam".into()]).await;
    player.status("NetStream.Play.Start").await;
    pictures(&player, 5).await;
    drop(publisher);
    node.stopped().await;
}

#[tokio::test]
async fn a_connection_can_play_one_stream_after_another() {
    let node = Node::start(&[]).await;
    let first = live(&node).await;
    let clip = Clip::of(Recipe::LARGER);
    let second = Publisher::start(&node.url("live/other"), sent(&clip.tags, 10), 1.0)
        .await
        .expect("accepted");
    let mut player = Peer::play(node.rtmp, "live", "cam").await;
    pictures(&player, 5).await;
    player.command("deleteStream", 0, &[1.0.into()]).await;
    let stream = player.create_stream().await;
    player.forget();
    player.command("play", stream, &["other".into()]).await;
    pictures(&player, 5).await;
    let sent_by_second = |tag: &&Tag| clip.tags.iter().any(|sent| sent.payload == tag.payload);
    let heard = player.heard();
    assert!(
        frames(&heard).iter().all(sent_by_second),
        "nothing of the first stream comes any more"
    );
    node.metric_becomes("weir_subscribers{protocol=\"rtmp\"}", 1.0)
        .await;
    drop((first, second));
    node.stopped().await;
}

#[tokio::test]
async fn two_streams_can_be_played_on_one_connection() {
    let node = Node::start(&[]).await;
    let first = live(&node).await;
    let clip = Clip::of(Recipe::LARGER);
    let second = Publisher::start(&node.url("live/other"), sent(&clip.tags, 10), 1.0)
        .await
        .expect("accepted");
    let mut player = Peer::play(node.rtmp, "live", "cam").await;
    let stream = player.create_stream().await;
    assert_eq!(stream, 2);
    player.command("play", stream, &["other".into()]).await;
    let of = |heard: &[Heard], wanted: u32| -> Vec<Tag> {
        let tag = |heard: &Heard| match heard {
            Heard::Tag(stream, tag) if *stream == wanted && tag.is_frame() => Some(tag.clone()),
            _ => None,
        };
        heard.iter().filter_map(tag).collect()
    };
    player
        .until("both", |heard| {
            of(heard, 1).len() > 100 && of(heard, 2).len() > 100
        })
        .await;
    let heard = player.heard();
    let of_clip = |tag: &Tag| clip.tags.iter().any(|sent| sent.payload == tag.payload);
    assert!(
        of(&heard, 2)
            .iter()
            .filter(|tag| tag.is_video())
            .all(of_clip)
    );
    assert!(
        !of(&heard, 1)
            .iter()
            .filter(|tag| tag.is_video())
            .any(of_clip)
    );
    drop((first, second));
    node.stopped().await;
}
