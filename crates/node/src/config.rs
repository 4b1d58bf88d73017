//! What can be set about a node, parsed into types that cannot be wrong.
//!
//! Every section is a [`Section`]: the struct, its defaults and the reference of its keys come from
//! one place. A section deserialises from any format; forms are lenient about how a value is written
//! (`2s`, `"2s"`, `2`) and strict about what it means.

mod advertise;
mod auth;
pub(crate) mod certificate;
mod choices;
mod cluster;
mod farewell;
pub mod forms;
mod listen;
mod section;
mod segments;
mod validate;
mod written;

use std::path::PathBuf;
use std::time::Duration;

use forms::{
    address, choice, coalesce, count, duration, file, flag, folder, names, secret, share, size,
    text, tokens,
};
use section::section;
use serde::{Deserialize, Serialize};

pub use advertise::{advertised, public_url};
pub use auth::{AuthConfig, Secret, StaticToken, StaticTokens};
pub use choices::{AtEdge, Coalesce, OnConflict, Role, Tracks};
pub use farewell::Farewell;
pub use forms::Choice;
pub use listen::Listen;
pub use section::{Key, Section};
pub use segments::HlsConfig;
pub use validate::{Problem, RESERVED_APPS};
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
    /// How streams are cut for HLS.
    pub hls: HlsConfig,
    /// Streams of other nodes.
    pub pull: PullConfig,
    /// What the nodes of a cluster share.
    pub directory: directory::Config,
    /// How nodes reach each other.
    pub relay: relay::Config,
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
        /// What this node does: `origin` takes publishers, `edge` takes players and pulls what they
        /// ask for from the origins of its cluster, `all` does both.
        role: Role = Role::All, "choice";
        /// Where the node is, for people who read lists of nodes.
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
        /// What others are told to reach RTMP of this node by, such as `rtmp://host:1935`. Derived
        /// from `rtmp.listen` unless set.
        public_url: Option<String> = None, "text";
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
        /// (see `auth.static`), others once it is silent; `reject` nobody; `always` anybody, so two
        /// encoders with one key fight over it for ever; `backup` keeps a second one ready, which
        /// takes over when the first is gone.
        on_conflict: OnConflict = OnConflict::SameIdentityOrStale, "choice";
        /// What an edge does with a publisher: `refuse` names the origins that it could publish to;
        /// `redirect` sends it there, where it can follow (Enhanced RTMP), and refuses it otherwise.
        redirect: AtEdge = AtEdge::Refuse, "choice";
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
    /// Streams that are pulled from other nodes.
    PullConfig: "pull" {
        /// A stream whose last player has left is pulled on for this long.
        linger: Duration = Duration::from_secs(10), "duration";
        /// A look-up that found no stream is believed for this long, so that players who ask over
        /// and over do not ask the whole cluster.
        negative_ttl: Duration = Duration::from_secs(1), "duration";
        /// So many such look-ups are remembered; 0 is none.
        negative_keys: usize = 10_000, "count";
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
        /// Bytes a second that this node may send in all, to players and other nodes: near it, new
        /// players are refused. 0 is no limit.
        egress: u64 = 0, "size";
        /// Memory that this node may use: near it, new players are refused. 0 is what its cgroup
        /// allows, or what the machine has.
        memory: u64 = 0, "size";
        /// Beyond this share of whatever is fullest (processors, egress, memory, descriptors) a node
        /// refuses new players; those there are stay. 1 refuses nobody for busy processors.
        headroom: f64 = 0.95, "share";
    }
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
            HlsConfig::keys(),
            PullConfig::keys(),
            cluster::directory_keys(),
            cluster::relay_keys(),
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
