//! Audio that waits in the kernel for the video behind it, where publishers are many.

use std::time::Duration;

use flv::{Kind, Tag};
use rtmp::Url;
use rtmp::client::Event;
use rtmp::net::{Client, ClientOptions, Publisher, Puller};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use testkit::{Clip, Heard, Peer, Recipe};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use weir_cluster::Node;

/// So many publishers on one processor are many.
const CROWD: usize = 32;
/// What audio may wait is 48 ms. Longer than any machine takes for the rest, and shorter than what
/// nothing but further tags would end.
const SOON: Duration = Duration::from_secs(1);
/// What comes later did wait in the kernel.
const WAITED: Duration = Duration::from_millis(25);

/// A node that has one processor, so that a crowd is not hundreds on a large machine.
async fn on_one_processor(settings: &[&str]) -> Node {
    let all = sched_getaffinity(None).expect("a thread has processors");
    let mut one = CpuSet::new();
    let first = (0..CpuSet::MAX_CPU).find(|&cpu| all.is_set(cpu));
    one.set(first.expect("one at least"));
    // What a thread starts has its processors.
    sched_setaffinity(None, &one).expect("a thread may do with less");
    let node = Node::start(settings).await;
    sched_setaffinity(None, &all).expect("a thread may have what it had");
    node
}

/// Publishers that only make the crowd.
async fn crowd(node: &Node) -> Vec<Peer> {
    let mut crowd = Vec::new();
    for number in 0..CROWD {
        crowd.push(Peer::publish(node.rtmp, "live", &format!("idle{number}")).await);
    }
    crowd
}

fn sound(dts: u32) -> Tag {
    let [.., high, low] = dts.to_be_bytes();
    let payload = [&[0xAF, 1, high, low][..], &[0x21; 300]].concat();
    Tag::new(Kind::Audio, dts, payload.into())
}

fn of_sound() -> Tag {
    Tag::new(Kind::Audio, 0, vec![0xAF, 0, 0x11, 0x90].into())
}

/// Tags of a stream with pictures of more than the kernel waits for.
struct Pictures {
    configuration: Tag,
    keyframe: Tag,
}

impl Pictures {
    fn new() -> Self {
        let tags = Clip::of(Recipe::H264_AAC).tags;
        let find = |what: fn(&&Tag) -> bool| tags.iter().find(what).expect("a clip has it").clone();
        let configuration = find(|tag| tag.is_video() && tag.is_configuration());
        let keyframe = find(|tag| tag.is_frame() && tag.is_keyframe());
        assert!(keyframe.payload.len() > 1500);
        Self {
            configuration,
            keyframe,
        }
    }

    fn at(&self, dts: u32) -> Tag {
        self.keyframe.clone().with_dts(dts)
    }
}

fn frames(heard: &[Heard]) -> Vec<&Tag> {
    let tags = heard.iter().filter_map(Heard::tag);
    tags.filter(|tag| tag.is_frame()).collect()
}

/// Sends a tag, and waits until the player has it. How long that took.
async fn through(publisher: &mut Peer, player: &Peer, tag: &Tag) -> Duration {
    let sent = Instant::now();
    publisher.send(tag).await;
    let it = |heard: &[Heard]| {
        let last = frames(heard).last().copied();
        last.is_some_and(|last| (last.kind, last.dts) == (tag.kind, tag.dts))
    };
    player.until("the tag", it).await;
    sent.elapsed()
}

/// Publishes in its own time, and ends. When it had sent each frame.
async fn publish(publisher: Publisher, tags: Vec<Tag>, start: Instant) -> Vec<Instant> {
    let mut times = Vec::new();
    for tag in tags {
        let frame = tag.is_frame();
        sleep_until(start + Duration::from_millis(tag.dts.into())).await;
        publisher.send(tag).await.expect("it goes on");
        if frame {
            times.push(Instant::now());
        }
    }
    publisher.finish().await.expect("it ends well");
    times
}

/// All frames up to the end, and when they came.
async fn play(mut player: Puller) -> Vec<(Tag, Instant)> {
    let mut frames = Vec::new();
    loop {
        match player.next().await {
            Ok(Some(Event::Tag(tag))) if tag.is_frame() => frames.push((tag, Instant::now())),
            Ok(Some(Event::StreamEnded)) => return frames,
            Ok(Some(_)) => {}
            ended => panic!("{ended:?} behind {} frames", frames.len()),
        }
    }
}

#[tokio::test]
async fn of_a_crowd_all_tags_come_in_order_and_soon() {
    let node = on_one_processor(&["play.wait=20s", "publish.grace=0s"]).await;
    let clip = Clip::of(Recipe::H264_AAC);
    let client = Client::new(ClientOptions::default());
    let mut streams = Vec::new();
    for number in 0..CROWD + 8 {
        let url = Url::parse(&node.url(&format!("live/cam{number}"))).expect("a URL");
        let mut player = client.pull(&url).await.expect("accepted");
        while player.next().await.expect("it is held") != Some(Event::Playing) {}
        streams.push((client.publish(&url).await.expect("accepted"), player));
    }
    let start = Instant::now();
    let mut both = JoinSet::new();
    for (publisher, player) in streams {
        let tags = clip.tags.clone();
        both.spawn(async move { tokio::join!(publish(publisher, tags, start), play(player)) });
    }
    let all: Vec<&Tag> = clip.tags.iter().filter(|tag| tag.is_frame()).collect();
    let mut worst = Duration::ZERO;
    for (sent, came) in both.join_all().await {
        let what = |tag: &Tag| (tag.kind, tag.dts, tag.payload.clone());
        let frames = came.iter().map(|(tag, _)| what(tag));
        assert!(frames.eq(all.iter().map(|tag| what(tag))), "all in order");
        let waits = came.iter().zip(sent).map(|((_, came), sent)| *came - sent);
        worst = worst.max(waits.max().expect("frames"));
    }
    println!("the worst came after {worst:?}");
    assert!(worst < SOON, "{worst:?}");
    node.stopped().await;
}

#[tokio::test]
async fn audio_with_nothing_behind_it_comes_soon() {
    let node = on_one_processor(&["play.wait=20s"]).await;
    let crowd = crowd(&node).await;
    let player = Peer::play(node.rtmp, "live", "cam").await;
    let mut publisher = Peer::publish(node.rtmp, "live", "cam").await;
    let pictures = Pictures::new();
    publisher.send(&pictures.configuration).await;
    publisher.send(&of_sound()).await;
    for round in 0..10 {
        let dts = round * 40;
        through(&mut publisher, &player, &pictures.at(dts)).await;
        let took = through(&mut publisher, &player, &sound(dts + 10)).await;
        assert!(took < SOON, "the sound of round {round} took {took:?}");
    }
    drop(crowd);
    node.stopped().await;
}

#[tokio::test]
async fn the_rest_of_a_message_comes_soon() {
    let node = on_one_processor(&["play.wait=20s"]).await;
    let crowd = crowd(&node).await;
    let player = Peer::play(node.rtmp, "live", "cam").await;
    let mut publisher = Peer::publish(node.rtmp, "live", "cam").await;
    let pictures = Pictures::new();
    publisher.send(&pictures.configuration).await;
    publisher.send(&of_sound()).await;
    for round in 0..5 {
        let dts = round * 40;
        through(&mut publisher, &player, &pictures.at(dts)).await;
        let sound = sound(dts + 10);
        let (kind, length) = (8, sound.payload.len() as u32);
        let [_, a, b, c] = sound.dts.to_be_bytes();
        let [_, d, e, f] = length.to_be_bytes();
        let header = [4, a, b, c, d, e, f, kind, 1, 0, 0, 0];
        let (first, rest) = sound.payload.split_at(128);
        // An answer shows that the beginning was read.
        let begin = [&header[..], first].concat();
        publisher.socket.write_all(&begin).await.expect("sent");
        publisher.settled().await;
        let mut bytes = Vec::new();
        for chunk in rest.chunks(128) {
            bytes.push(0xC4);
            bytes.extend(chunk);
        }
        let sent = Instant::now();
        publisher.socket.write_all(&bytes).await.expect("sent");
        let whole = |heard: &[Heard]| frames(heard).last().is_some_and(|last| **last == sound);
        player.until("the sound", whole).await;
        let took = sent.elapsed();
        assert!(took < SOON, "the rest took {took:?}");
    }
    drop(crowd);
    node.stopped().await;
}

/// Sends sounds one by one until they no longer wait. How long each took.
async fn until_prompt(publisher: &mut Peer, player: &Peer) -> Vec<Duration> {
    let end = Instant::now() + testkit::wait::LIMIT;
    let mut waits = Vec::new();
    let prompt = |waits: &[Duration]| {
        let last = waits.last_chunk::<4>();
        last.is_some_and(|last| last.iter().all(|&wait| wait < WAITED))
    };
    while !prompt(&waits) {
        assert!(Instant::now() < end, "it waits on: {waits:?}");
        let sound = sound(waits.len() as u32 * 20);
        let took = through(publisher, player, &sound).await;
        assert!(took < SOON, "{waits:?}, then {took:?}");
        waits.push(took);
    }
    waits
}

/// That it does wait at first shows that the crowd is one.
#[tokio::test]
async fn audio_alone_waits_some_times_and_then_no_more() {
    let node = on_one_processor(&["play.wait=20s", "publish.grace=0s"]).await;
    let crowd = crowd(&node).await;
    let mut tries = Vec::new();
    loop {
        let player = Peer::play(node.rtmp, "live", "cam").await;
        let mut publisher = Peer::publish(node.rtmp, "live", "cam").await;
        publisher.send(&of_sound()).await;
        let waits = until_prompt(&mut publisher, &player).await;
        let first = waits.iter().take(3);
        if first.filter(|&&wait| wait > WAITED).count() > 1 {
            break;
        }
        // Whoever is held up between two sounds sends the next when the wait is over.
        tries.push(waits);
        assert!(tries.len() < 5, "nothing waits: {tries:?}");
        drop(publisher);
        player.status("NetStream.Play.Stop").await;
    }
    drop(crowd);
    node.stopped().await;
}

#[tokio::test]
async fn what_waits_when_an_encoder_ends_is_not_lost() {
    let node = on_one_processor(&["play.wait=20s", "publish.grace=0s"]).await;
    let crowd = crowd(&node).await;
    let pictures = Pictures::new();
    for end in ["unpublishes", "ends its half", "hangs up", "drops in a tag"] {
        let player = Peer::play(node.rtmp, "live", "cam").await;
        let mut publisher = Peer::publish(node.rtmp, "live", "cam").await;
        publisher.send(&pictures.configuration).await;
        publisher.send(&of_sound()).await;
        through(&mut publisher, &player, &pictures.at(0)).await;
        // Too little to wake anybody.
        publisher.send(&sound(10)).await;
        publisher.send(&sound(30)).await;
        let mut left = None;
        match end {
            "unpublishes" => {
                publisher.command("FCUnpublish", 0, &["cam".into()]).await;
                left = Some(publisher);
            }
            "ends its half" => {
                publisher.socket.shutdown().await.expect("its own socket");
                left = Some(publisher);
            }
            "hangs up" => drop(publisher),
            _ => {
                publisher.socket.write_all(&[4, 0, 0]).await.expect("sent");
                drop(publisher);
            }
        }
        let sent = Instant::now();
        player.status("NetStream.Play.Stop").await;
        let took = sent.elapsed();
        let heard = player.heard();
        let times: Vec<_> = frames(&heard).iter().map(|tag| tag.dts).collect();
        assert_eq!(times, [0, 10, 30], "one that {end}");
        assert!(took < SOON, "one that {end} takes {took:?}");
        drop(left);
    }
    drop(crowd);
    node.stopped().await;
}
