use std::time::Duration;

use flv::{Metadata, Tag};

use super::{
    AudioFrame, ConnectDecision, Delivery, Disconnect, Handler, PlayDecision, PublishDecision,
    Reason, Stats, VideoFrame,
};
use crate::net::{Peer, Player, Publication};
use crate::session::{Connect, FcPublish};

/// Two handlers, one after the other; chains of chains make more.
///
/// The first refusal counts and the second handler is then not asked. Where the second refuses
/// what the first had accepted, the first hears the end of it at once. Each gets media in the
/// form it wants; a tag that the first drops never reaches the second.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chain<A, B>(
    /// Asked and told first.
    pub A,
    /// Asked and told second.
    pub B,
);

impl<A: Handler, B: Handler> Handler for Chain<A, B> {
    fn delivery(&self) -> Delivery {
        match (self.0.delivery(), self.1.delivery()) {
            (a, b) if a == b => a,
            _ => Delivery::Both,
        }
    }

    async fn on_connection(&self, peer: &Peer) -> bool {
        if !self.0.on_connection(peer).await {
            return false;
        }
        let accepted = self.1.on_connection(peer).await;
        if !accepted {
            let end = Disconnect {
                reason: Reason::Refused,
                stats: peer.stats(),
            };
            self.0.on_disconnect(peer, &end);
        }
        accepted
    }

    fn on_handshake_complete(&self, peer: &Peer) {
        self.0.on_handshake_complete(peer);
        self.1.on_handshake_complete(peer);
    }

    async fn on_connect(&self, peer: &Peer, request: &Connect) -> ConnectDecision {
        match self.0.on_connect(peer, request).await {
            ConnectDecision::Accept => self.1.on_connect(peer, request).await,
            refusal => refusal,
        }
    }

    async fn on_fc_publish(&self, peer: &Peer, request: &FcPublish) -> PublishDecision {
        match self.0.on_fc_publish(peer, request).await {
            PublishDecision::Accept => self.1.on_fc_publish(peer, request).await,
            refusal => refusal,
        }
    }

    async fn on_publish(&self, publication: &Publication) -> PublishDecision {
        match self.0.on_publish(publication).await {
            PublishDecision::Accept => {}
            refusal => return refusal,
        }
        let decision = self.1.on_publish(publication).await;
        if decision != PublishDecision::Accept {
            self.0.on_unpublish(publication);
        }
        decision
    }

    fn on_unpublish(&self, publication: &Publication) {
        self.0.on_unpublish(publication);
        self.1.on_unpublish(publication);
    }

    async fn on_play(&self, player: &Player) -> PlayDecision {
        match self.0.on_play(player).await {
            PlayDecision::Accept => {}
            refusal => return refusal,
        }
        let decision = self.1.on_play(player).await;
        if decision != PlayDecision::Accept {
            self.0.on_play_stop(player);
        }
        decision
    }

    fn on_play_stop(&self, player: &Player) {
        self.0.on_play_stop(player);
        self.1.on_play_stop(player);
    }

    fn on_pause(&self, player: &Player, at: Duration) {
        self.0.on_pause(player, at);
        self.1.on_pause(player, at);
    }

    fn on_unpause(&self, player: &Player, at: Duration) {
        self.0.on_unpause(player, at);
        self.1.on_unpause(player, at);
    }

    fn on_metadata(&self, publication: &Publication, metadata: &Metadata) {
        self.0.on_metadata(publication, metadata);
        self.1.on_metadata(publication, metadata);
    }

    fn on_media_tag(&self, publication: &Publication, tag: &Tag) -> bool {
        let first = !self.0.delivery().is_raw() || self.0.on_media_tag(publication, tag);
        first && (!self.1.delivery().is_raw() || self.1.on_media_tag(publication, tag))
    }

    fn on_video_frame(&self, publication: &Publication, frame: &VideoFrame) {
        if self.0.delivery().is_parsed() {
            self.0.on_video_frame(publication, frame);
        }
        if self.1.delivery().is_parsed() {
            self.1.on_video_frame(publication, frame);
        }
    }

    fn on_audio_frame(&self, publication: &Publication, frame: &AudioFrame) {
        if self.0.delivery().is_parsed() {
            self.0.on_audio_frame(publication, frame);
        }
        if self.1.delivery().is_parsed() {
            self.1.on_audio_frame(publication, frame);
        }
    }

    fn on_keyframe(&self, publication: &Publication, dts: u32) {
        if self.0.delivery().is_parsed() {
            self.0.on_keyframe(publication, dts);
        }
        if self.1.delivery().is_parsed() {
            self.1.on_keyframe(publication, dts);
        }
    }

    fn on_enhanced_video_frame(&self, publication: &Publication, frame: &VideoFrame) {
        if self.0.delivery().is_parsed() {
            self.0.on_enhanced_video_frame(publication, frame);
        }
        if self.1.delivery().is_parsed() {
            self.1.on_enhanced_video_frame(publication, frame);
        }
    }

    fn on_enhanced_audio_frame(&self, publication: &Publication, frame: &AudioFrame) {
        if self.0.delivery().is_parsed() {
            self.0.on_enhanced_audio_frame(publication, frame);
        }
        if self.1.delivery().is_parsed() {
            self.1.on_enhanced_audio_frame(publication, frame);
        }
    }

    fn on_stats_update(&self, peer: &Peer, stats: &Stats) {
        self.0.on_stats_update(peer, stats);
        self.1.on_stats_update(peer, stats);
    }

    fn on_disconnect(&self, peer: &Peer, end: &Disconnect) {
        self.0.on_disconnect(peer, end);
        self.1.on_disconnect(peer, end);
    }
}
