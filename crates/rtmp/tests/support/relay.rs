//! A handler that relays and writes down what it is called for.

#![allow(dead_code, missing_docs, unreachable_pub)]

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use flv::{Metadata, Tag};
use rtmp::handler::{
    AudioFrame, ConnectDecision, Delivery, Disconnect, Handler, PlayDecision, PublishDecision,
    Stats, VideoFrame,
};
use rtmp::net::{Peer, Player, Publication};
use rtmp::{Connect, FcPublish};
use tokio::sync::mpsc;
use weir_rtmp as rtmp;

/// What a handler was called for.
#[derive(Debug)]
pub struct Call {
    pub name: &'static str,
    pub details: String,
    pub end: Option<Disconnect>,
}

/// Relays tags from publishers to players, by path, and reports every call.
pub struct Relay {
    calls: mpsc::UnboundedSender<Call>,
    players: Mutex<HashMap<String, Vec<Player>>>,
    /// Tags with this time are dropped.
    pub drop_dts: Option<u32>,
    pub delivery: Delivery,
    pub connect: ConnectDecision,
    pub fc_publish: PublishDecision,
    pub publish: PublishDecision,
    pub play: PlayDecision,
    pub panic_at: Option<u32>,
}

/// The calls so far and to come.
pub struct Calls {
    coming: mpsc::UnboundedReceiver<Call>,
    pub seen: Vec<Call>,
}

impl Relay {
    pub fn new() -> (Self, Calls) {
        let (calls, coming) = mpsc::unbounded_channel();
        let relay = Self {
            calls,
            players: Mutex::default(),
            drop_dts: None,
            delivery: Delivery::Both,
            connect: ConnectDecision::Accept,
            fc_publish: PublishDecision::Accept,
            publish: PublishDecision::Accept,
            play: PlayDecision::Accept,
            panic_at: None,
        };
        (
            relay,
            Calls {
                coming,
                seen: Vec::new(),
            },
        )
    }

    fn call(&self, name: &'static str, details: impl ToString) {
        let _ = self.calls.send(Call {
            name,
            details: details.to_string(),
            end: None,
        });
    }
}

impl Calls {
    /// Waits for the next call of that name, also if it was made while others were waited for.
    pub async fn wait(&mut self, name: &str) -> &Call {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(20), self.coming.recv());
            let call = next
                .await
                .unwrap_or_else(|_| panic!("no {name}; {:?}", self.names()))
                .unwrap();
            let found = call.name == name;
            self.seen.push(call);
            if found {
                return self.seen.last().unwrap();
            }
        }
    }

    pub fn names(&self) -> Vec<&'static str> {
        self.seen.iter().map(|call| call.name).collect()
    }

    pub fn count(&self, name: &str) -> usize {
        self.seen.iter().filter(|call| call.name == name).count()
    }
}

impl Handler for Relay {
    fn delivery(&self) -> Delivery {
        self.delivery
    }

    async fn on_connection(&self, peer: &Peer) -> bool {
        self.call("connection", peer);
        true
    }

    fn on_handshake_complete(&self, peer: &Peer) {
        self.call("handshake", peer);
    }

    async fn on_connect(&self, _peer: &Peer, request: &Connect) -> ConnectDecision {
        self.call("connect", &request.app);
        self.connect.clone()
    }

    async fn on_fc_publish(&self, _peer: &Peer, request: &FcPublish) -> PublishDecision {
        self.call("fc_publish", &request.name);
        self.fc_publish.clone()
    }

    async fn on_publish(&self, publication: &Publication) -> PublishDecision {
        self.call("publish", publication.path());
        self.publish.clone()
    }

    fn on_unpublish(&self, publication: &Publication) {
        self.call("unpublish", publication.path());
        for player in self
            .players
            .lock()
            .unwrap()
            .remove(&publication.path())
            .unwrap_or_default()
        {
            player.end();
        }
    }

    async fn on_play(&self, player: &Player) -> PlayDecision {
        self.call("play", player.path());
        if self.play == PlayDecision::Accept {
            self.players
                .lock()
                .unwrap()
                .entry(player.path())
                .or_default()
                .push(player.clone());
        }
        self.play.clone()
    }

    fn on_play_stop(&self, player: &Player) {
        self.call("play_stop", player.path());
        if let Some(players) = self.players.lock().unwrap().get_mut(&player.path()) {
            players.retain(|other| !other.is(player));
        }
    }

    fn on_pause(&self, _player: &Player, at: Duration) {
        self.call("pause", at.as_millis());
    }

    fn on_unpause(&self, _player: &Player, at: Duration) {
        self.call("unpause", at.as_millis());
    }

    fn on_metadata(&self, _publication: &Publication, metadata: &Metadata) {
        self.call("metadata", metadata.width().unwrap_or_default());
    }

    fn on_media_tag(&self, publication: &Publication, tag: &Tag) -> bool {
        assert_ne!(self.panic_at, Some(tag.dts), "as the test wants it");
        self.call("media_tag", tag.dts);
        if self.drop_dts == Some(tag.dts) {
            return false;
        }
        for player in self
            .players
            .lock()
            .unwrap()
            .get(&publication.path())
            .into_iter()
            .flatten()
        {
            let _ = player.send(tag.clone());
        }
        true
    }

    fn on_video_frame(&self, _publication: &Publication, frame: &VideoFrame) {
        let codec = frame.codec.map_or("", |codec| codec.name());
        self.call(
            "video_frame",
            format!("{codec} {} nals", frame.nal_units().count()),
        );
    }

    fn on_audio_frame(&self, _publication: &Publication, frame: &AudioFrame) {
        self.call("audio_frame", frame.codec.map_or("", |codec| codec.name()));
    }

    fn on_keyframe(&self, _publication: &Publication, dts: u32) {
        self.call("keyframe", dts);
    }

    fn on_enhanced_video_frame(&self, _publication: &Publication, frame: &VideoFrame) {
        self.call(
            "enhanced_video_frame",
            frame.codec.map_or("", |codec| codec.name()),
        );
    }

    fn on_enhanced_audio_frame(&self, _publication: &Publication, frame: &AudioFrame) {
        self.call(
            "enhanced_audio_frame",
            frame.codec.map_or("", |codec| codec.name()),
        );
    }

    fn on_stats_update(&self, _peer: &Peer, stats: &Stats) {
        self.call("stats", stats.bytes_in);
    }

    fn on_disconnect(&self, _peer: &Peer, end: &Disconnect) {
        let _ = self.calls.send(Call {
            name: "disconnect",
            details: end.reason.to_string(),
            end: Some(end.clone()),
        });
    }
}
