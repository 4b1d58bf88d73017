//! What can be set about a node, parsed into types that cannot be wrong.
//!
//! Every section is a [`Section`]: the struct, its defaults and the reference of its keys come from
//! one place. A section deserialises from any format; forms are lenient about how a value is written
//! (`2s`, `"2s"`, `2`) and strict about what it means.

mod auth;
pub(crate) mod certificate;
pub mod forms;
mod listen;
mod section;
mod validate;
mod written;

use std::path::PathBuf;
use std::time::Duration;

use forms::{
    address, choice, coalesce, count, duration, file, flag, folder, names, size, text, tokens,
};
use section::section;
use serde::{Deserialize, Serialize};

pub use auth::{AuthConfig, Secret, StaticToken, StaticTokens};
pub use forms::Choice;
pub use listen::Listen;
pub use section::{Key, Section};
pub use validate::Problem;
pub(crate) use validate::RESERVED_APPS;
pub use written::{parse_duration, parse_size, write_duration, write_size};

/// Everything that can be set about a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The node itself.
    pub node: NodeConfig,
    /// RTMP.
    pub rtmp: RtmpConfig,
    /// RTMP over TLS.
    pub rtmps: RtmpsConfig,
    /// The certificate.
    pub tls: TlsConfig,
    /// Publishers.
    pub publish: PublishConfig,
    /// Players.
    pub play: PlayConfig,
    /// What a stream keeps in memory.
    pub ring: RingConfig,
    /// How players are written to.
    pub egress: EgressConfig,
    /// Who may publish and play.
    pub auth: AuthConfig,
    /// Limits on what peers can take up.
    pub limits: LimitsConfig,
}

section! {
    /// The node itself.
    NodeConfig: "node" {
        /// Name of this node in its cluster. Without one it is generated and kept in
        /// `<data_dir>/node-id`.
        id: Option<String> = None, "text";
        /// What this node does: `all` or `origin`. (`edge` pulls from origins of a cluster, which
        /// is not built yet.)
        role: Role = Role::All, "choice";
        /// Where the node is, for humans and for choosing near origins.
        zone: Option<String> = None, "text";
        /// Folder for what a node keeps.
        data_dir: PathBuf = PathBuf::from("./data"), "folder";
        /// A stopping node has ended all connections after this.
        drain_timeout: Duration = Duration::from_secs(30), "duration";
        /// A stopping node first waits this long, so that balancers look away. A node alone skips
        /// it.
        drain_delay: Duration = Duration::from_secs(5), "duration";
    }
}

section! {
    /// RTMP.
    RtmpConfig: "rtmp" {
        /// Where RTMP is served.
        listen: Option<Listen> = Some(Listen::any(1935)), "address";
        /// Size of outbound chunks, the same for all players; 128 bytes to 16777215.
        chunk_size: u32 = 65_536, "size";
        /// Bytes a peer may send before it must acknowledge, as announced to it.
        window_ack_size: u32 = 2_500_000, "size";
        /// Applications that exist. Empty: any. A connect to another is rejected.
        apps: Vec<String> = Vec::new(), "names";
        /// Enhanced RTMP: `auto` answers those who announce it, `legacy` never does, `only`
        /// rejects those who don't: OBS too, which announces nothing even when it sends AV1.
        enhanced: rtmp::Enhanced = rtmp::Enhanced::Auto, "choice";
    }
}

section! {
    /// RTMP over TLS.
    RtmpsConfig: "rtmps" {
        /// Where RTMPS is served; needs `tls.cert` and `tls.key`.
        listen: Option<Listen> = None, "address";
    }
}

section! {
    /// The certificate. Its files are watched: a renewed pair is used without a restart.
    TlsConfig: "tls" {
        /// PEM file with the certificate and those that lead to its root.
        cert: Option<PathBuf> = None, "file";
        /// PEM file with the private key.
        key: Option<PathBuf> = None, "file";
    }
}

section! {
    /// Publishers.
    PublishConfig: "publish" {
        /// A stream whose publisher left waits this long for it, and its players with it.
        grace: Duration = Duration::from_secs(10), "duration";
        /// A publisher silent for this long can be replaced.
        silence: Duration = Duration::from_secs(3), "duration";
        /// Who may replace a publisher: `same_identity_or_stale` whoever has the same token at once
        /// (see `auth.static`), others once it is silent; `reject` nobody; `always` anybody.
        on_conflict: OnConflict = OnConflict::SameIdentityOrStale, "choice";
    }
}

section! {
    /// Players.
    PlayConfig: "play" {
        /// A play of a stream that is not there waits this long for it.
        wait: Duration = Duration::ZERO, "duration";
        /// Players start with the current GOP. Without: at the next keyframe.
        gop_cache: bool = true, "flag";
        /// What players get of a stream with several audio or video tracks if they do not ask with
        /// `?tracks=`: `all`, or `main`, the first of each kind. Players that know one track alone
        /// (ffmpeg up to 7, VLC 3) take up to 40 s to start with `all`.
        tracks: Tracks = Tracks::All, "choice";
    }
}

section! {
    /// What a stream keeps in memory.
    RingConfig: "ring" {
        /// Bytes of a stream that are kept.
        max_bytes: usize = 64 << 20, "size";
        /// Time of a stream that is kept.
        max_duration: Duration = Duration::from_secs(30), "duration";
        /// The current GOP is kept whole beyond the other two bounds up to this size.
        max_gop_bytes: usize = 64 << 20, "size";
    }
}

section! {
    /// How players are written to.
    EgressConfig: "egress" {
        /// How long tags gather before a write: `adaptive` by load, up to 200ms, or a fixed
        /// duration; 0 writes each tag.
        coalesce: Coalesce = Coalesce::Adaptive, "coalesce";
        /// A player that lags more loses video up to the next keyframe.
        max_lag: Duration = Duration::from_secs(2), "duration";
        /// A player that lags more is disconnected.
        drop_after: Duration = Duration::from_secs(30), "duration";
        /// Unsent bytes that the kernel may hold for one player (TCP_NOTSENT_LOWAT).
        kernel_buffer: usize = 256 << 10, "size";
    }
}

section! {
    /// Limits on what peers can take up. A count of 0 is no limit.
    LimitsConfig: "limits" {
        /// Connections in all.
        connections: usize = 10_000, "count";
        /// Connections from one address. Balancers that hide addresses make all peers look like
        /// one, so there is no limit unless set.
        connections_per_address: usize = 0, "count";
        /// Streams at a time.
        streams: usize = 1000, "count";
        /// Players of one stream.
        viewers_per_stream: usize = 0, "count";
        /// The RTMP (and TLS) handshake must end within this.
        handshake_timeout: Duration = Duration::from_secs(10), "duration";
        /// `connect` must come within this after the handshake.
        connect_timeout: Duration = Duration::from_secs(60), "duration";
        /// A connection on which nothing has moved for this long is closed.
        idle_timeout: Duration = Duration::from_secs(60), "duration";
        /// Pause between two pings to a peer.
        ping_interval: Duration = Duration::from_secs(20), "duration";
        /// A peer that neither answers a ping nor moves any bytes for this long is gone.
        ping_timeout: Duration = Duration::from_secs(60), "duration";
        /// Longest RTMP message.
        message_size: u32 = 16 << 20, "size";
    }
}

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes publishers and players.
    All,
    /// Takes publishers.
    Origin,
    /// Takes players.
    Edge,
}

impl Role {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        forms::name_of(&self)
    }
}

impl Choice for Role {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("all", Self::All),
        ("origin", Self::Origin),
        ("edge", Self::Edge),
    ];
}

/// Which tracks a player gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracks {
    /// All there are.
    All,
    /// The first of each kind, in ordinary tags.
    Main,
}

impl Choice for Tracks {
    const CHOICES: &'static [(&'static str, Self)] = &[("all", Self::All), ("main", Self::Main)];
}

/// Who may replace a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// The same identity at once, anybody once the publisher is silent.
    SameIdentityOrStale,
    /// Nobody.
    Reject,
    /// Anybody.
    Always,
}

impl Choice for OnConflict {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("same_identity_or_stale", Self::SameIdentityOrStale),
        ("reject", Self::Reject),
        ("always", Self::Always),
    ];

    fn refusal(name: &str) -> Option<&'static str> {
        (name == "backup").then_some(
            "`backup` is reserved for clusters and not built yet; use same_identity_or_stale",
        )
    }
}

impl Choice for rtmp::Enhanced {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("legacy", Self::Legacy),
        ("only", Self::Only),
    ];
}

/// How long tags gather before a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coalesce {
    /// By load.
    Adaptive,
    /// Always this long.
    Fixed(Duration),
}

impl Config {
    /// The reference of all keys, in the order of the sections.
    #[must_use]
    pub fn keys() -> Vec<Key> {
        [
            NodeConfig::keys(),
            RtmpConfig::keys(),
            RtmpsConfig::keys(),
            TlsConfig::keys(),
            PublishConfig::keys(),
            PlayConfig::keys(),
            RingConfig::keys(),
            EgressConfig::keys(),
            AuthConfig::keys(),
            LimitsConfig::keys(),
        ]
        .concat()
    }

    /// The settings of an RTMP session.
    #[must_use]
    pub fn session(&self) -> rtmp::Config {
        let (rtmp, limits) = (&self.rtmp, &self.limits);
        rtmp::Config {
            chunk_size: rtmp.chunk_size,
            window_ack: rtmp.window_ack_size,
            peer_bandwidth: rtmp.window_ack_size,
            max_message: limits.message_size,
            handshake_timeout: limits.handshake_timeout,
            connect_timeout: limits.connect_timeout,
            idle_timeout: limits.idle_timeout,
            ping_interval: limits.ping_interval,
            ping_timeout: limits.ping_timeout,
            enhanced: rtmp.enhanced,
            ..rtmp::Config::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_player_hears_a_ping_well_before_it_gives_a_silent_server_up() {
        let (session, player) = (Config::default().session(), rtmp::client::Config::default());
        assert!(session.ping_interval + Duration::from_secs(5) < player.read_timeout);
    }
}
