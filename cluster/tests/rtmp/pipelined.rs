//! Players that do not wait for one answer before they ask for more.

use amf::Value;
use flv::Tag;
use rtmp::command::Command;
use rtmp::message::Message;
use testkit::{Clip, Heard, Peer, Publisher, Recipe, sent};
use weir_cluster::Node;

const RESET: &str = "NetStream.Play.Reset";
const START: &str = "NetStream.Play.Start";
const PAUSED: &str = "NetStream.Pause.Notify";

async fn live(node: &Node, name: &str, recipe: Recipe) -> (Publisher, Clip) {
    let clip = Clip::of(recipe);
    let tags = sent(&clip.tags, 10);
    let publisher = Publisher::start(&node.url(name), tags, 1.0).await;
    (publisher.expect("accepted"), clip)
}

fn ask(name: &str, argument: Value) -> Message {
    Command::new(name, 0.0, vec![argument]).to_message(3, 1)
}

fn codes(heard: &[Heard]) -> Vec<&str> {
    let code = |heard: &'_ Heard| match heard {
        Heard::Status(status) => Some(status.code.clone()),
        _ => None,
    };
    let known = [RESET, START, PAUSED, "NetStream.Play.StreamNotFound"];
    let codes = heard.iter().filter_map(code);
    codes
        .map(|code| *known.iter().find(|known| **known == code).unwrap_or(&"?"))
        .collect()
}

fn frames(heard: &[Heard]) -> Vec<&Tag> {
    let tags = heard.iter().filter_map(Heard::tag);
    tags.filter(|tag| tag.is_frame()).collect()
}

/// What came behind the last start.
fn since_start(heard: &[Heard]) -> &[Heard] {
    let start = heard.iter().rposition(|heard| heard.is_status(START));
    start.map_or(&[], |start| &heard[start..])
}

#[tokio::test]
async fn of_two_plays_at_once_the_later_is_in_force() {
    let node = Node::start(&[]).await;
    let (first, _) = live(&node, "live/cam", Recipe::H264_AAC).await;
    let (second, clip) = live(&node, "live/other", Recipe::LARGER).await;
    let mut player = Peer::connect(node.rtmp, "live").await;
    player.create_stream().await;
    let plays = ["cam", "other"].map(|name| ask("play", name.into()));
    player.say_at_once(&plays).await;
    player
        .until("media of the second", |heard| {
            codes(heard).len() == 4 && frames(since_start(heard)).len() > 50
        })
        .await;
    let heard = player.heard();
    assert_eq!(codes(&heard), [RESET, START, RESET, START]);
    let of_second = |tag: &&Tag| clip.tags.iter().any(|sent| sent.payload == tag.payload);
    assert!(
        frames(since_start(&heard)).iter().all(of_second),
        "nothing of the first comes behind the second's start"
    );
    node.metric_becomes("weir_subscribers{protocol=\"rtmp\"}", 1.0)
        .await;
    drop((first, second));
    node.stopped().await;
}

#[tokio::test]
async fn a_play_behind_one_of_an_absent_stream_is_answered() {
    let node = Node::start(&[]).await;
    let (publisher, _) = live(&node, "live/cam", Recipe::H264_AAC).await;
    let mut player = Peer::connect(node.rtmp, "live").await;
    player.create_stream().await;
    let plays = ["absent", "cam"].map(|name| ask("play", name.into()));
    player.say_at_once(&plays).await;
    player
        .until("media", |heard| !frames(since_start(heard)).is_empty())
        .await;
    assert_eq!(
        codes(&player.heard()),
        ["NetStream.Play.StreamNotFound", RESET, START]
    );
    drop(publisher);
    node.stopped().await;
}

#[tokio::test]
async fn a_pause_that_comes_with_the_play_holds_everything() {
    let node = Node::start(&[]).await;
    let (publisher, _) = live(&node, "live/cam", Recipe::H264_AAC).await;
    let mut player = Peer::connect(node.rtmp, "live").await;
    player.create_stream().await;
    let both = [ask("play", "cam".into()), ask("pause", true.into())];
    player.say_at_once(&both).await;
    player.status(PAUSED).await;
    // Long enough for a joiner to get everything there is, and more.
    let other = Peer::play(node.rtmp, "live", "cam").await;
    other.until("media", |heard| frames(heard).len() > 50).await;
    player.settled().await;
    let heard = player.forget();
    assert_eq!(codes(&heard), [RESET, START, PAUSED]);
    assert_eq!(frames(&heard), Vec::<&Tag>::new());

    player.command("pause", 1, &[false.into()]).await;
    player
        .until("media", |heard| frames(heard).len() > 10)
        .await;
    let heard = player.heard();
    let tags: Vec<_> = heard.iter().filter_map(Heard::tag).collect();
    let first = tags.iter().position(|tag| tag.is_frame());
    let first = first.expect("frames came");
    assert!(tags[first].is_keyframe(), "{tags:?}");
    assert!(tags[..first].iter().any(|tag| tag.is_configuration()));
    drop(publisher);
    node.stopped().await;
}
