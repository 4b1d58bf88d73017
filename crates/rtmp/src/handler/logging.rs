use std::time::Duration;

use flv::Metadata;
use tracing::{debug, info};

use super::{ConnectDecision, Delivery, Disconnect, Handler, PlayDecision, PublishDecision, Stats};
use crate::net::{Peer, Player, Publication};
use crate::session::{Connect, FcPublish};

/// Accepts everything and logs what happens, media excepted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Logging;

impl Handler for Logging {
    fn delivery(&self) -> Delivery {
        Delivery::Raw
    }

    async fn on_connection(&self, peer: &Peer) -> bool {
        debug!(%peer, "connection");
        true
    }

    fn on_handshake_complete(&self, peer: &Peer) {
        debug!(%peer, "handshake complete");
    }

    async fn on_connect(&self, peer: &Peer, request: &Connect) -> ConnectDecision {
        debug!(%peer, app = request.app, flash_ver = request.flash_ver, "connect");
        ConnectDecision::Accept
    }

    async fn on_fc_publish(&self, peer: &Peer, request: &FcPublish) -> PublishDecision {
        debug!(%peer, ?request, "fc publish");
        PublishDecision::Accept
    }

    async fn on_publish(&self, publication: &Publication) -> PublishDecision {
        info!(peer = %publication.peer(), stream = %publication, "publish");
        PublishDecision::Accept
    }

    fn on_unpublish(&self, publication: &Publication) {
        info!(peer = %publication.peer(), stream = %publication, "unpublish");
    }

    async fn on_play(&self, player: &Player) -> PlayDecision {
        info!(peer = %player.peer(), stream = %player, "play");
        PlayDecision::Accept
    }

    fn on_play_stop(&self, player: &Player) {
        info!(peer = %player.peer(), stream = %player, "play stop");
    }

    fn on_pause(&self, player: &Player, at: Duration) {
        debug!(peer = %player.peer(), stream = %player, ?at, "pause");
    }

    fn on_unpause(&self, player: &Player, at: Duration) {
        debug!(peer = %player.peer(), stream = %player, ?at, "unpause");
    }

    fn on_metadata(&self, publication: &Publication, metadata: &Metadata) {
        let (width, height) = (metadata.width(), metadata.height());
        debug!(peer = %publication.peer(), stream = %publication, ?width, ?height, "metadata");
    }

    fn on_stats_update(&self, peer: &Peer, stats: &Stats) {
        debug!(%peer, ?stats, "stats");
    }

    fn on_disconnect(&self, peer: &Peer, end: &Disconnect) {
        let Stats {
            duration,
            bytes_in,
            bytes_out,
            ..
        } = end.stats;
        info!(%peer, reason = %end.reason, ?duration, bytes_in, bytes_out, "disconnect");
    }
}
