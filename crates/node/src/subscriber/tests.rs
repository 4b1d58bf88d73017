//! One player, told things in an order that is forced: its pump and its group run when a test says so.

use bytes::Bytes;
use flv::{Kind, Tag};
use media::{Epoch, Limits, Publisher};
use ractor::concurrency::oneshot;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::*;
use crate::config::Config;
use crate::format::SHARED_MESSAGE_STREAM;
use crate::peer::{Peer, Served};
use crate::tests::pair::{all, burst, connected, sound};

/// Hears what pumps and groups tell the player's actor, which does nothing by itself.
struct Nobody;

impl Actor for Nobody {
    type Msg = Message;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Message>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

struct Player {
    context: Arc<Context>,
    publisher: Publisher,
    peer: Arc<Peer>,
    far: TcpStream,
    myself: ActorRef<Message>,
    state: State,
}

impl Player {
    async fn new() -> Player {
        let context = Arc::new(Context::alone(Config::default()));
        let ring = Ring::new(Limits::default());
        let publisher = ring.begin(Epoch::new(1, 1), context.clock.now());
        let (peer, far) = connected().await;
        let (myself, _) = Actor::spawn(None, Nobody, ()).await.expect("an actor");
        let arguments = Arguments {
            context: Arc::clone(&context),
            fanout: Arc::new(Fanout::new(ring.clone(), Arc::clone(&context))),
            ring,
            seat: Seat::rtmp(Arc::clone(&peer), SHARED_MESSAGE_STREAM),
            wants: Wants::both(Tracks::All),
        };
        let state = Subscriber.pre_start(myself.clone(), arguments).await;
        Player {
            context,
            publisher,
            peer,
            far,
            myself,
            state: state.expect("a player"),
        }
    }

    /// Handles a message without letting anything else run.
    async fn told(&mut self, message: Message) {
        let myself = self.myself.clone();
        let handled = Subscriber.handle(myself, message, &mut self.state).await;
        handled.expect("no failure");
    }

    /// Pauses, or goes on, and has the answer when this returns.
    async fn pause(&mut self, paused: bool) {
        let (reply, answer) = oneshot();
        self.told(Message::Pause(paused, reply.into())).await;
        answer.await.expect("an answer");
    }

    /// Joins and is served by a group; the number of that service.
    async fn grouped(&mut self) -> Service {
        self.told(Message::Start).await;
        let caught_up = Outcome::CaughtUp(0);
        self.told(Message::PumpEnded(self.state.service, Some(caught_up)))
            .await;
        assert!(self.state.group.is_some());
        self.state.service
    }
}

#[tokio::test]
async fn a_groups_write_is_not_written_after_the_pause_is_answered() {
    let mut player = Player::new().await;
    let service = player.grouped().await;
    let ready = burst(0, b"too late");
    player.pause(true).await;
    assert!(matches!(player.peer.serve(service, &ready), Served::Left));
    player.pause(false).await;
    assert!(matches!(player.peer.serve(service, &ready), Served::Left));
    assert!(player.state.pump.is_some() && player.state.service != service);
    drop(player.state);
    assert_eq!(all(player.peer, player.far).await, b"");
}

#[tokio::test]
async fn a_pumps_write_is_not_written_after_the_pause_is_answered() {
    let mut player = Player::new().await;
    player.told(Message::Start).await;
    let service = player.state.service;
    let ready = burst(0, b"too late");
    player.pause(true).await;
    let written =
        player
            .peer
            .serve_alone(SHARED_MESSAGE_STREAM, service, &ready, |_| unreachable!());
    assert_eq!(written.expect("a socket"), None);
    drop(player.state);
    assert_eq!(all(player.peer, player.far).await, b"");
}

#[tokio::test]
async fn news_of_a_service_that_was_replaced_changes_nothing() {
    let mut player = Player::new().await;
    let old = player.grouped().await;
    player.pause(true).await;
    player.told(Message::FellBehind(old)).await;
    assert!(player.state.pump.is_none(), "nobody writes in a pause");
    player.pause(false).await;
    let new = player.state.service;
    for stale in [
        Message::FellBehind(old),
        Message::PumpEnded(old, None),
        Message::PumpEnded(old, Some(Outcome::TooSlow)),
        Message::PumpEnded(old, Some(Outcome::CaughtUp(0))),
    ] {
        player.told(stale).await;
        assert_eq!(player.state.service, new);
        assert!(player.state.pump.is_some() && player.state.group.is_none());
    }
    assert!(player.peer.take_posted().is_empty(), "the play goes on");
}

#[tokio::test]
async fn a_play_that_ends_late_does_not_end_the_next_one_on_its_stream() {
    let mut first = Player::new().await;
    let old = first.grouped().await;
    // The next play on the same message stream of the same connection.
    let next = Seat::rtmp(Arc::clone(&first.peer), SHARED_MESSAGE_STREAM);
    let service = next.begin();
    next.peer.lock().place(SHARED_MESSAGE_STREAM).standing.next = Some(0);

    first.told(Message::FellBehind(old)).await;
    first.pause(true).await;
    drop(first.state);
    assert!(matches!(
        first.peer.serve(service, &burst(0, b"next")),
        Served::UpToDate(4)
    ));
    drop(next);
    assert_eq!(all(first.peer, first.far).await, b"next");
}

/// A frame of Sorenson H.263, which needs no configuration.
fn picture(dts: u32, key: bool) -> Tag {
    let payload: &[u8] = if key {
        &[0x12, 0, 0, 0x84]
    } else {
        &[0x22, 0, 0, 0x84]
    };
    Tag::new(Kind::Video, dts, Bytes::copy_from_slice(payload))
}

#[tokio::test]
async fn a_joiner_that_wants_something_else_halfway_gets_the_rest_of_the_pictures() {
    let mut player = Player::new().await;
    let long_ago = player.context.clock.now() - 10_000_000_000;
    for number in 0..4 {
        let tag = picture(number * 40, number == 0);
        player
            .publisher
            .push(tag, long_ago)
            .expect("no other publisher");
    }
    player.told(Message::Start).await;
    // Its pump has come so far when it asks.
    player
        .peer
        .lock()
        .place(SHARED_MESSAGE_STREAM)
        .standing
        .next = Some(2);
    let (reply, _answer) = oneshot();
    let wants = Wants {
        audio: false,
        ..Wants::both(Tracks::All)
    };
    player.told(Message::Want(wants, reply.into())).await;
    player
        .publisher
        .push(sound(160), player.context.clock.now())
        .expect("no other publisher");
    let wire = rtmp::wire::wire(&picture(120, false), 120, 65_536, SHARED_MESSAGE_STREAM);
    let last = wire.concat();
    let mut written = Vec::new();
    let read = async {
        while !written.ends_with(&last) {
            player.far.read_buf(&mut written).await.expect("a socket");
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), read)
        .await
        .expect("the pictures it had not got");
}

#[tokio::test]
async fn nothing_is_served_before_the_play_has_started() {
    let mut player = Player::new().await;
    let wants = Wants {
        audio: false,
        ..Wants::both(Tracks::All)
    };
    let (reply, answer) = oneshot();
    player.told(Message::Want(wants, reply.into())).await;
    answer.await.expect("an answer");
    assert!(
        player.state.pump.is_none(),
        "its client knows of no play yet"
    );
    player.told(Message::Start).await;
    assert!(player.state.pump.is_some());
    assert_eq!(player.state.wants, wants);
}

#[tokio::test]
async fn a_pause_after_the_end_ends_the_play() {
    let mut player = Player::new().await;
    player.grouped().await;
    // Its group would have said so, and is not heard any more.
    player.state.ring.end(media::EndReason::Ended);
    player.pause(true).await;
    let posted = player.peer.take_posted();
    assert!(
        matches!(
            posted[..],
            [Command::EndPlay {
                end: PlayEnd::StreamEnded,
                ..
            }]
        ),
        "{posted:?}"
    );
}

#[tokio::test]
async fn who_is_to_leave_gets_all_up_to_the_next_keyframe_and_is_told_then() {
    let mut player = Player::new().await;
    let send = |player: &mut Player, dts, key| {
        let now = player.context.clock.now();
        let sent = player.publisher.push(picture(dts, key), now);
        sent.expect("no other publisher");
    };
    let next = |player: &Player| {
        let mut out = player.peer.lock();
        out.place(SHARED_MESSAGE_STREAM).standing.next
    };
    send(&mut player, 0, true);
    send(&mut player, 40, false);
    player.told(Message::Start).await;
    while next(&player) != Some(2) {
        tokio::task::yield_now().await;
    }
    player.told(Message::LeaveAtKeyframe).await;
    for (dts, key) in [(80, false), (120, true), (160, false)] {
        send(&mut player, dts, key);
    }
    let has_left = async {
        while !player.state.pump.as_ref().is_some_and(Pump::is_finished) {
            tokio::task::yield_now().await;
        }
    };
    let patience = std::time::Duration::from_secs(10);
    let left = tokio::time::timeout(patience, has_left).await;
    left.expect("it has come to the keyframe");
    let left = Message::PumpEnded(player.state.service, Some(Outcome::Left));
    player.told(left).await;
    let posted = player.peer.take_posted();
    let is_told = |command: &Command| {
        let end = PlayEnd::NodeLeaves;
        matches!(command, Command::EndPlay { end: told, .. } if *told == end)
    };
    assert!(posted.len() == 1 && is_told(&posted[0]), "{posted:?}");
    drop(player.state);
    let written = all(player.peer, player.far).await;
    let last = rtmp::wire::wire(&picture(80, false), 80, 65_536, SHARED_MESSAGE_STREAM);
    assert!(written.ends_with(&last.concat()), "{written:?}");
}

#[tokio::test]
async fn who_is_to_leave_in_a_pause_is_told_at_once() {
    let mut player = Player::new().await;
    player.grouped().await;
    player.pause(true).await;
    player.told(Message::LeaveAtKeyframe).await;
    assert_eq!(player.peer.take_posted().len(), 1);
}
