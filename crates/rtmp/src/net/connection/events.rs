//! From a session's events to a handler's calls.

use std::time::Duration;

use flv::{Info, Metadata, Tag};

use super::{Connection, Published};
use crate::handler::{
    AudioFrame, ConnectDecision, Handler, NalLengths, PlayDecision, PublishDecision, Reason,
    VideoFrame,
};
use crate::net::peer::Publication;
use crate::net::player::Player;
use crate::session::{Event, FcPublish, Play, PlayRefusal, Publish};

impl<H: Handler, S> Connection<H, S> {
    pub(super) async fn handle_event(&mut self, event: Event) {
        match event {
            Event::HandshakeDone => self.handler.on_handshake_complete(&self.peer),
            Event::Connect(request) => {
                let request = self.peer.set_connect(*request);
                match self.handler.on_connect(&self.peer, request).await {
                    ConnectDecision::Accept => self.session.accept_connect(),
                    ConnectDecision::Reject(description) => {
                        self.session.reject_connect(&description);
                        self.reason = Some(Reason::Refused);
                    }
                    ConnectDecision::Redirect { url, description } => {
                        self.session.redirect_connect(&url, &description);
                        self.reason = Some(Reason::Refused);
                    }
                }
            }
            Event::FcPublish(request) => self.fc_publish(&request).await,
            Event::Publish(request) => self.publish(*request).await,
            Event::Play(request) => self.play(*request).await,
            Event::PublishEnded { stream_id } => self.unpublish(stream_id),
            Event::PlayEnded { stream_id } => self.stop_player(stream_id),
            Event::Pause {
                stream_id,
                paused,
                at_ms,
            } => {
                let at = Duration::from_millis(at_ms.into());
                if let Some(player) = self.player(stream_id) {
                    player.set_paused(paused);
                    if paused {
                        self.handler.on_pause(player, at);
                    } else {
                        self.handler.on_unpause(player, at);
                    }
                }
            }
            Event::ReceiveAudio { stream_id, on } => {
                if let Some(player) = self.player(stream_id) {
                    player.set_audio(on);
                }
            }
            Event::ReceiveVideo { stream_id, on } => {
                if let Some(player) = self.player(stream_id) {
                    player.set_video(on);
                }
            }
            Event::Tag { stream_id, tag } => self.deliver(stream_id, &tag),
            // After a play that is refused the connection goes on.
            Event::Refused { request, .. } if request != "play" => {
                self.reason = Some(Reason::Refused);
            }
            Event::TimedOut(timeout) => self.reason = Some(Reason::Timeout(timeout)),
            _ => {}
        }
    }

    async fn fc_publish(&mut self, request: &FcPublish) {
        let decision = self.handler.on_fc_publish(&self.peer, request).await;
        if let PublishDecision::Refuse(refusal, description) = decision {
            self.session.reject_fc_publish(refusal, &description);
            self.reason = Some(Reason::Refused);
        }
    }

    async fn publish(&mut self, request: Publish) {
        let publication = Publication::new(self.peer.clone(), request);
        let stream_id = publication.stream_id();
        match self.handler.on_publish(&publication).await {
            PublishDecision::Accept => {
                self.published.push(Published {
                    publication,
                    nal_lengths: NalLengths::default(),
                });
                self.session.accept_publish(stream_id);
            }
            PublishDecision::Refuse(refusal, description) => {
                self.session
                    .reject_publish(stream_id, refusal, &description);
                self.reason = Some(Reason::Refused);
            }
        }
    }

    async fn play(&mut self, request: Play) {
        let player = Player::new(
            self.peer.clone(),
            request,
            self.options.queue,
            self.options.overflow,
        );
        let stream_id = player.stream_id();
        match self.handler.on_play(&player).await {
            PlayDecision::Accept => {
                self.session.accept_play(stream_id);
                self.players.push(player);
            }
            PlayDecision::Refuse(refusal, description) => {
                player.end();
                let close = refusal != PlayRefusal::StreamNotFound;
                self.session
                    .reject_play(stream_id, refusal, &description, close);
                if close {
                    self.reason = Some(Reason::Refused);
                }
            }
        }
    }

    fn player(&self, stream_id: u32) -> Option<&Player> {
        self.players
            .iter()
            .find(|player| player.stream_id() == stream_id)
    }

    fn deliver(&mut self, stream_id: u32, tag: &Tag) {
        self.peer.counters().received(tag);
        let found = self
            .published
            .iter_mut()
            .find(|published| published.publication.stream_id() == stream_id);
        let Some(Published {
            publication,
            nal_lengths,
        }) = found
        else {
            return;
        };
        let handler = &self.handler;
        if self.delivery.is_raw() && !handler.on_media_tag(publication, tag) {
            return;
        }
        if let Some(metadata) = Metadata::from_tag(tag) {
            handler.on_metadata(publication, &metadata);
        }
        if !self.delivery.is_parsed() {
            return;
        }
        if tag.is_keyframe() {
            handler.on_keyframe(publication, tag.dts);
        }
        match tag.info() {
            Info::Video(info) => {
                for track in flv::tracks(tag) {
                    nal_lengths.learn(&track);
                    let frame = VideoFrame::new(tag, track, nal_lengths);
                    if info.enhanced {
                        handler.on_enhanced_video_frame(publication, &frame);
                    } else {
                        handler.on_video_frame(publication, &frame);
                    }
                }
            }
            Info::Audio(info) => {
                for track in flv::tracks(tag) {
                    let frame = AudioFrame::new(tag, track);
                    if info.enhanced {
                        handler.on_enhanced_audio_frame(publication, &frame);
                    } else {
                        handler.on_audio_frame(publication, &frame);
                    }
                }
            }
            Info::Data(_) => {}
        }
    }

    pub(super) fn unpublish(&mut self, stream_id: u32) {
        let found = self
            .published
            .iter()
            .position(|it| it.publication.stream_id() == stream_id);
        if let Some(index) = found {
            let published = self.published.swap_remove(index);
            self.handler.on_unpublish(&published.publication);
        }
    }

    pub(super) fn stop_player(&mut self, stream_id: u32) {
        if let Some(index) = self
            .players
            .iter()
            .position(|player| player.stream_id() == stream_id)
        {
            let player = self.players.swap_remove(index);
            player.end();
            self.handler.on_play_stop(&player);
        }
    }
}
