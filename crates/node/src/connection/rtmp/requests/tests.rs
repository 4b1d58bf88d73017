//! A conversation with a node and players that a test plays, in an order that is forced.

use std::sync::Arc;
use std::time::Instant;

use amf::Value;
use bytes::BytesMut;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use rtmp::chunk::ChunkWriter;
use rtmp::command::Command as Asked;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tracing::Span;

use super::*;
use crate::config::Config;
use crate::context::Context;
use crate::peer::{Command, PlayEnd};
use crate::tests::pair::connected;

/// Stands in for a player's actor, and says what it was told.
struct Player;

impl Actor for Player {
    type Msg = subscriber::Message;
    type State = mpsc::UnboundedSender<&'static str>;
    type Arguments = Self::State;

    async fn pre_start(
        &self,
        _: ActorRef<subscriber::Message>,
        told: Self::State,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(told)
    }

    async fn handle(
        &self,
        _: ActorRef<subscriber::Message>,
        message: subscriber::Message,
        told: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let what = match message {
            subscriber::Message::Start => "start",
            subscriber::Message::Pause(paused, reply) => {
                drop(reply.send(()));
                if paused { "pause" } else { "go on" }
            }
            subscriber::Message::Leave => "leave",
            _ => "something else",
        };
        told.send(what)?;
        Ok(())
    }
}

/// Stands in for the node: every stream is there.
struct Streams;

impl Actor for Streams {
    type Msg = node::Message;
    type State = mpsc::UnboundedSender<&'static str>;
    type Arguments = Self::State;

    async fn pre_start(
        &self,
        _: ActorRef<node::Message>,
        told: Self::State,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(told)
    }

    async fn handle(
        &self,
        _: ActorRef<node::Message>,
        message: node::Message,
        told: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if let node::Message::Subscribe(_, _, reply) = message {
            told.send("play")?;
            let (player, _) = Actor::spawn(None, Player, told.clone()).await?;
            drop(reply.send(Ok(player)));
        }
        Ok(())
    }
}

struct Scene {
    conversation: Conversation,
    writer: ChunkWriter,
    told: mpsc::UnboundedReceiver<&'static str>,
    _far: TcpStream,
}

impl Scene {
    /// After `connect`.
    async fn new() -> Scene {
        let (tell, told) = mpsc::unbounded_channel();
        let context = Arc::new(Context::alone(Config::default()));
        let (node, _) = Actor::spawn(None, Streams, tell).await.expect("an actor");
        let (peer, far) = connected().await;
        let conversation = Conversation::new(context, node, peer, None, Span::none());
        let mut scene = Scene {
            conversation,
            writer: ChunkWriter::new(),
            told,
            _far: far,
        };
        let hello = [&[3][..], &[0; 3072]].concat();
        scene.hears(BytesMut::from(&hello[..])).await;
        let app = [("app", Value::from("live"))].into_iter().collect();
        let connect = Asked {
            object: Value::Object(app),
            ..Asked::new("connect", 1.0, Vec::new())
        };
        scene.asks(&[(connect, 0)]).await;
        scene
    }

    async fn hears(&mut self, mut input: BytesMut) {
        let session = &mut self.conversation.session;
        let taken = session.handle_input(Instant::now(), &mut input);
        taken.expect("RTMP");
        self.conversation.act().await.expect("a socket");
    }

    /// Takes commands that came in one piece, each with its message stream.
    async fn asks(&mut self, commands: &[(Asked, u32)]) {
        let mut input = BytesMut::new();
        for (command, stream_id) in commands {
            let message = command.to_message(3, *stream_id);
            self.writer.write(&message, &mut input);
        }
        self.hears(input).await;
    }

    async fn told(&mut self, expected: &[&str]) {
        for expected in expected {
            assert_eq!(self.told.recv().await, Some(*expected));
        }
    }

    fn ends(&self, player: &ActorRef<subscriber::Message>) {
        self.conversation.peer.post(Command::EndPlay {
            subscriber: player.get_id(),
            end: PlayEnd::StreamEnded,
        });
    }
}

fn play(name: &str) -> (Asked, u32) {
    (Asked::new("play", 0.0, vec![name.into()]), 1)
}

fn pause(paused: bool) -> (Asked, u32) {
    (Asked::new("pause", 0.0, vec![paused.into()]), 1)
}

#[tokio::test]
async fn a_player_that_pauses_before_its_start_is_sent_nothing_until_it_goes_on() {
    let mut scene = Scene::new().await;
    scene.asks(&[play("cam"), pause(true)]).await;
    scene.asks(&[pause(false)]).await;
    scene.told(&["play", "pause", "go on"]).await;
}

#[tokio::test]
async fn of_two_plays_sent_at_once_the_first_is_over_when_the_second_starts() {
    let mut scene = Scene::new().await;
    scene.asks(&[play("first"), play("second")]).await;
    scene
        .told(&["play", "start", "pause", "leave", "play", "start"])
        .await;
    assert_eq!(scene.conversation.plays.len(), 1);
}

#[tokio::test]
async fn the_end_of_a_play_that_comes_late_does_not_end_the_next_on_its_stream() {
    let mut scene = Scene::new().await;
    scene.asks(&[play("first")]).await;
    let first = scene.conversation.plays[0].subscriber.clone();
    scene.asks(&[play("second")]).await;
    let second = scene.conversation.plays[0].subscriber.clone();
    while scene.conversation.session.poll_output().is_some() {}

    scene.ends(&first);
    assert!(!scene.conversation.obey());
    assert_eq!(scene.conversation.plays.len(), 1);
    assert!(scene.conversation.session.poll_output().is_none());

    scene.ends(&second);
    assert!(!scene.conversation.obey());
    assert!(scene.conversation.plays.is_empty());
    assert!(scene.conversation.session.poll_output().is_some());
}
