//! What a node counts. Handles are kept: a look-up by name costs ten times the count itself.

#[cfg(test)]
pub(crate) mod recorded;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use media::DropReason;
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

use crate::format::Format;
use crate::gate::Reason;
use crate::headroom::Resource;
use crate::hls;

/// The handles of one node.
pub(crate) struct Metrics {
    players: [Players; Format::ALL.len()],
    /// Of those who watch over HLS.
    hls: Players,
    /// What was sent, over all protocols, where it can be read.
    sent: Arc<AtomicU64>,
    skipped_video: Counter,
    not_wanted: Counter,
    overrun: Counter,
    ingress: Counter,
    tags: [Counter; 3],
}

/// The handles for players of one format.
struct Players {
    there: Gauge,
    egress: Counter,
    delivery: Histogram,
    join: Histogram,
}

/// Counts one up on a gauge, until dropped.
pub(crate) struct Held(Gauge);

impl Held {
    pub(crate) fn new(gauge: Gauge) -> Held {
        gauge.increment(1.0);
        Held(gauge)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        describe();
        // There from the start, so that their first increase shows.
        drop(Resource::ALL.map(viewers_refused));
        let dropped =
            |reason: &'static str| counter!("weir_tags_dropped_total", "reason" => reason);
        let tags = |kind: &'static str| counter!("weir_tags_total", "kind" => kind);
        Metrics {
            players: Format::ALL.map(|format| Players::of(format.protocol())),
            hls: Players::of(hls::PROTOCOL),
            sent: Arc::default(),
            skipped_video: dropped("slow_viewer"),
            not_wanted: dropped("not_wanted"),
            overrun: dropped("overrun"),
            ingress: counter!("weir_ingress_bytes_total", "protocol" => "rtmp"),
            tags: [tags("audio"), tags("video"), tags("data")],
        }
    }

    /// All bytes that were sent so far, to players and to other nodes.
    pub(crate) fn sent(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.sent)
    }

    fn players(&self, format: Format) -> &Players {
        let [rtmp, flv, chunked, websocket] = &self.players;
        match format {
            Format::Rtmp => rtmp,
            Format::Flv => flv,
            Format::ChunkedFlv => chunked,
            Format::WebSocketFlv => websocket,
        }
    }

    fn count_sent(&self, format: Format, bytes: usize) {
        self.players(format).egress.increment(bytes as u64);
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A burst of tags, the oldest of that age, reached so many players.
    pub(crate) fn delivered(&self, format: Format, bytes: usize, players: usize, age: Duration) {
        self.count_sent(format, bytes);
        if players > 0 {
            let delivery = &self.players(format).delivery;
            delivery.record_many(age.as_secs_f64(), players);
        }
    }

    /// Bytes written to one player alone; of what is delivered live in them, the oldest has that age.
    pub(crate) fn delivered_alone(&self, format: Format, bytes: usize, age: Option<Duration>) {
        self.count_sent(format, bytes);
        if let Some(age) = age {
            self.players(format).delivery.record(age.as_secs_f64());
        }
    }

    pub(crate) fn joined(&self, format: Format, after: Duration) {
        self.players(format).join.record(after.as_secs_f64());
    }

    /// Of the viewers over HLS that there are.
    pub(crate) fn hls_viewers(&self) -> Gauge {
        self.hls.there.clone()
    }

    /// So many bytes were sent to viewers over HLS.
    pub(crate) fn hls_sent(&self, bytes: usize) {
        self.hls.egress.increment(bytes as u64);
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Somebody who asked over HLS so long ago may play.
    pub(crate) fn hls_joined(&self, after: Duration) {
        self.hls.join.record(after.as_secs_f64());
    }

    /// A segment was not made.
    pub(crate) fn hls_torn(&self, reason: &'static str) {
        counter!("weir_hls_torn_total", "reason" => reason).increment(1);
    }

    /// Somebody watches of whom no note can be taken.
    pub(crate) fn hls_uncounted(&self) {
        counter!("weir_hls_uncounted_total").increment(1);
    }

    /// A tag was left out for a player.
    pub(crate) fn left_out(&self, reason: Reason) {
        match reason {
            Reason::Lags => self.skipped_video.increment(1),
            Reason::NotWanted => self.not_wanted.increment(1),
            // It has missed nothing.
            Reason::NotYet => {}
        }
    }

    /// A player was overtaken by the ring.
    pub(crate) fn overrun(&self) {
        self.overrun.increment(1);
    }

    pub(crate) fn ingress(&self, bytes: usize) {
        self.ingress.increment(bytes as u64);
    }

    pub(crate) fn tag(&self, kind: flv::Kind) {
        let [audio, video, data] = &self.tags;
        match kind {
            flv::Kind::Audio => audio,
            flv::Kind::Video => video,
            flv::Kind::Data => data,
        }
        .increment(1);
    }

    /// A publisher's tag could not be kept.
    pub(crate) fn not_stored(&self, reason: DropReason) {
        counter!("weir_tags_dropped_total", "reason" => reason.name()).increment(1);
    }

    pub(crate) fn subscriber(&self, format: Format) -> Held {
        Held::new(self.players(format).there.clone())
    }

    pub(crate) fn publisher(&self) -> Held {
        Held::new(gauge!("weir_publishers", "protocol" => "rtmp"))
    }

    pub(crate) fn standby(&self) -> Held {
        Held::new(gauge!("weir_standbys"))
    }

    pub(crate) fn stream(&self, state: &'static str) -> Held {
        Held::new(gauge!("weir_streams", "state" => state))
    }

    pub(crate) fn connection(&self, protocol: &'static str) -> Held {
        counter!("weir_connections_total", "protocol" => protocol).increment(1);
        Held::new(gauge!("weir_connections", "protocol" => protocol))
    }

    pub(crate) fn disconnected(&self, protocol: &'static str, reason: &'static str) {
        counter!("weir_disconnects_total", "protocol" => protocol, "reason" => reason).increment(1);
    }

    pub(crate) fn auth(&self, action: &'static str, result: &'static str) {
        counter!("weir_auth_total", "action" => action, "result" => result).increment(1);
    }

    /// A pull of a stream that was there before began again.
    pub(crate) fn switched(&self, reason: &'static str) {
        counter!("weir_relay_switches_total", "reason" => reason).increment(1);
    }

    /// The clocks of so many nodes differ from ours.
    pub(crate) fn clocks(&self, differ: usize) {
        gauge!("weir_clock_differences").set(differ as f64);
    }

    /// So many nodes do not believe this one, or are not believed.
    pub(crate) fn distrust(&self, nodes: usize) {
        gauge!("weir_relay_distrust").set(nodes as f64);
    }

    /// A play of a stream was refused since it was looked for in vain a moment ago.
    pub(crate) fn known_absent(&self) {
        counter!("weir_lookups_spared_total").increment(1);
    }

    pub(crate) fn draining(&self, draining: bool) {
        gauge!("weir_draining").set(if draining { 1.0 } else { 0.0 });
    }

    /// A viewer was turned away, for want of that.
    pub(crate) fn viewer_refused(&self, resource: Resource) {
        viewers_refused(resource).increment(1);
    }

    /// A viewer was turned away, since too many wait for the same stream.
    pub(crate) fn too_many_ask(&self) {
        counter!("weir_viewers_refused_total", "resource" => "waiting").increment(1);
    }

    /// The free share of what is used most.
    pub(crate) fn headroom(&self, free: f64) {
        gauge!("weir_headroom_ratio").set(free);
    }
}

impl Players {
    fn of(protocol: &'static str) -> Players {
        Players {
            there: gauge!("weir_subscribers", "protocol" => protocol),
            egress: counter!("weir_egress_bytes_total", "protocol" => protocol),
            delivery: histogram!("weir_delivery_seconds", "protocol" => protocol),
            join: histogram!("weir_join_seconds", "protocol" => protocol),
        }
    }
}

fn viewers_refused(resource: Resource) -> Counter {
    counter!("weir_viewers_refused_total", "resource" => resource.name())
}

fn describe() {
    describe_gauge!("weir_connections", "Connections there are");
    describe_counter!("weir_connections_total", "Connections accepted");
    describe_counter!("weir_disconnects_total", "Connections ended, by reason");
    describe_gauge!("weir_streams", "Streams by state");
    describe_gauge!("weir_publishers", "Publishers there are");
    describe_gauge!(
        "weir_standbys",
        "Encoders that are ready to go on for another"
    );
    describe_gauge!("weir_subscribers", "Players there are");
    describe_counter!("weir_ingress_bytes_total", "Media bytes from publishers");
    describe_counter!("weir_egress_bytes_total", "Media bytes to players");
    describe_counter!("weir_tags_total", "Tags from publishers, by kind");
    describe_counter!(
        "weir_tags_dropped_total",
        "Tags that were left out, by reason"
    );
    describe_histogram!(
        "weir_join_seconds",
        "From a play request to its first media"
    );
    describe_histogram!(
        "weir_delivery_seconds",
        "From a tag's ingest to the players' sockets"
    );
    describe_counter!(
        "weir_auth_total",
        "Decisions on publish and play, by result"
    );
    describe_counter!(
        "weir_relay_switches_total",
        "Pulls that began again: with a new epoch, resumed, or too late for that"
    );
    describe_gauge!(
        "weir_clock_differences",
        "Nodes whose clocks differ from this one's by more than a second"
    );
    describe_gauge!(
        "weir_relay_distrust",
        "Nodes that do not believe this one, or are not believed by it"
    );
    describe_counter!(
        "weir_lookups_spared_total",
        "Plays of streams that were looked for in vain a moment ago"
    );
    describe_counter!(
        "weir_hls_torn_total",
        "Segments that were not made: too large, or their packager too slow"
    );
    describe_counter!(
        "weir_hls_uncounted_total",
        "Requests of viewers over HLS beyond those of a stream that are told apart"
    );
    describe_gauge!("weir_draining", "1 while the node drains");
    describe_gauge!(
        "weir_headroom_ratio",
        "Free share of what is used most: processors, egress, descriptors or memory"
    );
    describe_counter!(
        "weir_viewers_refused_total",
        "Viewers turned away from a full node, by what it was short of"
    );
}
