//! What a server asks and tells the program it is part of.
//!
//! A [`Handler`] is one value for all connections. Questions are `async` and may take their time:
//! only the connection that asked waits. Notices are plain functions, called from the task of
//! their connection, so they must be quick: hand work to a task or thread of your own.

mod chain;
mod frame;
mod logging;

use std::future::{Future, ready};
use std::time::Duration;

use flv::{Metadata, Tag};

use crate::net::{Peer, Player, Publication};
use crate::session::{Connect, FcPublish, PlayRefusal, PublishRefusal, Timeout};

pub use chain::Chain;
pub(crate) use frame::NalLengths;
pub use frame::{AudioFrame, NalUnits, VideoFrame};
pub use logging::Logging;

/// Decides what peers may do, and sees what they do.
///
/// Every method has a default: accept everybody, and look away.
///
/// ```
/// # use weir_rtmp as rtmp;
/// use rtmp::handler::{Handler, PublishDecision};
/// use rtmp::net::Publication;
///
/// struct OneKey;
///
/// impl Handler for OneKey {
///     async fn on_publish(&self, publication: &Publication) -> PublishDecision {
///         match publication.params().get("token") {
///             Some("secret") => PublishDecision::Accept,
///             _ => PublishDecision::unauthorized("append ?token=... to the stream key"),
///         }
///     }
/// }
/// ```
pub trait Handler: Send + Sync + 'static {
    /// In which form media is delivered; asked once per connection.
    fn delivery(&self) -> Delivery {
        Delivery::Both
    }

    /// Somebody has connected. `false` closes without a word. Every accepted connection ends
    /// with [`on_disconnect`](Self::on_disconnect).
    fn on_connection(&self, peer: &Peer) -> impl Future<Output = bool> + Send {
        let _ = peer;
        ready(true)
    }

    /// The peer speaks RTMP.
    fn on_handshake_complete(&self, peer: &Peer) {
        let _ = peer;
    }

    /// The peer asks for an app.
    fn on_connect(
        &self,
        peer: &Peer,
        request: &Connect,
    ) -> impl Future<Output = ConnectDecision> + Send {
        let _ = (peer, request);
        ready(ConnectDecision::Accept)
    }

    /// An encoder says early what it will publish: a chance to refuse it before it starts.
    fn on_fc_publish(
        &self,
        peer: &Peer,
        request: &FcPublish,
    ) -> impl Future<Output = PublishDecision> + Send {
        let _ = (peer, request);
        ready(PublishDecision::Accept)
    }

    /// The peer wants to publish. One [`on_unpublish`](Self::on_unpublish) follows each accepted
    /// publish, however it ends.
    fn on_publish(
        &self,
        publication: &Publication,
    ) -> impl Future<Output = PublishDecision> + Send {
        let _ = publication;
        ready(PublishDecision::Accept)
    }

    /// A publish has ended.
    fn on_unpublish(&self, publication: &Publication) {
        let _ = publication;
    }

    /// The peer wants to play. Tags for it go to [`Player::send`]. One
    /// [`on_play_stop`](Self::on_play_stop) follows each accepted play, however it ends.
    fn on_play(&self, player: &Player) -> impl Future<Output = PlayDecision> + Send {
        let _ = player;
        ready(PlayDecision::Accept)
    }

    /// A play has ended.
    fn on_play_stop(&self, player: &Player) {
        let _ = player;
    }

    /// A player pauses. What is sent to it meanwhile is thrown away for you.
    fn on_pause(&self, player: &Player, at: Duration) {
        let _ = (player, at);
    }

    /// A player goes on. It gets the configuration again by itself, then media from the next
    /// keyframe.
    fn on_unpause(&self, player: &Player, at: Duration) {
        let _ = (player, at);
    }

    /// A publisher describes its stream; may come again.
    fn on_metadata(&self, publication: &Publication, metadata: &Metadata) {
        let _ = (publication, metadata);
    }

    /// Everything a publisher sends, as it came. `false` drops the tag: nothing below, and no
    /// later handler of a [`Chain`], sees it.
    fn on_media_tag(&self, publication: &Publication, tag: &Tag) -> bool {
        let _ = (publication, tag);
        true
    }

    /// Video in a legacy FLV packet: H.264, mostly.
    fn on_video_frame(&self, publication: &Publication, frame: &VideoFrame) {
        let _ = (publication, frame);
    }

    /// Audio in a legacy FLV packet: AAC, mostly.
    fn on_audio_frame(&self, publication: &Publication, frame: &AudioFrame) {
        let _ = (publication, frame);
    }

    /// A group of pictures begins, in either kind of packet.
    fn on_keyframe(&self, publication: &Publication, dts: u32) {
        let _ = (publication, dts);
    }

    /// Video in an Enhanced RTMP packet; once per track.
    fn on_enhanced_video_frame(&self, publication: &Publication, frame: &VideoFrame) {
        let _ = (publication, frame);
    }

    /// Audio in an Enhanced RTMP packet; once per track.
    fn on_enhanced_audio_frame(&self, publication: &Publication, frame: &AudioFrame) {
        let _ = (publication, frame);
    }

    /// What the connection has moved so far; comes every few seconds.
    fn on_stats_update(&self, peer: &Peer, stats: &Stats) {
        let _ = (peer, stats);
    }

    /// The connection is gone; the last call about it.
    fn on_disconnect(&self, peer: &Peer, end: &Disconnect) {
        let _ = (peer, end);
    }
}

/// In which form a handler wants media.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Delivery {
    /// [`on_media_tag`](Handler::on_media_tag) alone.
    Raw,
    /// The frame callbacks alone.
    Parsed,
    /// First raw, then parsed.
    #[default]
    Both,
}

impl Delivery {
    pub(crate) fn is_raw(self) -> bool {
        self != Self::Parsed
    }

    pub(crate) fn is_parsed(self) -> bool {
        self != Self::Raw
    }
}

/// The answer to `connect`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectDecision {
    /// Come in.
    Accept,
    /// Go away, and why.
    Reject(String),
    /// Go elsewhere.
    Redirect {
        /// Where to.
        url: String,
        /// Why.
        description: String,
    },
}

/// The answer to `publish`. Every refusal closes the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishDecision {
    /// Go on.
    Accept,
    /// No, and what to do about it, in a sentence.
    Refuse(PublishRefusal, String),
}

impl PublishDecision {
    /// The credentials are missing or wrong.
    pub fn unauthorized(description: impl Into<String>) -> Self {
        Self::Refuse(PublishRefusal::Unauthorized, description.into())
    }

    /// The name is taken, invalid, or over a limit.
    pub fn bad_name(description: impl Into<String>) -> Self {
        Self::Refuse(PublishRefusal::BadName, description.into())
    }
}

/// The answer to `play`. A stream that is not found leaves the connection open for another try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlayDecision {
    /// Go on.
    Accept,
    /// No, and what to do about it, in a sentence.
    Refuse(PlayRefusal, String),
}

impl PlayDecision {
    /// The credentials are missing or wrong.
    pub fn unauthorized(description: impl Into<String>) -> Self {
        Self::Refuse(PlayRefusal::Unauthorized, description.into())
    }

    /// There is no such stream.
    pub fn not_found(description: impl Into<String>) -> Self {
        Self::Refuse(PlayRefusal::StreamNotFound, description.into())
    }
}

/// What a connection has moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How long it has lasted.
    pub duration: Duration,
    /// Bytes received, TLS not counted.
    pub bytes_in: u64,
    /// Bytes sent, TLS not counted.
    pub bytes_out: u64,
    /// Video tags received.
    pub video_tags: u64,
    /// Keyframes among them.
    pub keyframes: u64,
    /// Audio tags received.
    pub audio_tags: u64,
    /// Tags sent.
    pub tags_sent: u64,
    /// Tags not sent because the peer was too slow.
    pub tags_dropped: u64,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disconnect {
    /// Why.
    pub reason: Reason,
    /// What it moved, and how long it lasted.
    pub stats: Stats,
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The peer closed it.
    #[error("the peer closed the connection")]
    Peer,
    /// The peer was silent for too long.
    #[error(transparent)]
    Timeout(#[from] Timeout),
    /// The peer took nothing for too long.
    #[error("the peer does not take what is sent")]
    Stalled,
    /// The peer broke the protocol, or a limit.
    #[error("protocol: {0}")]
    Protocol(String),
    /// The socket failed.
    #[error("socket: {0}")]
    Socket(String),
    /// A request was refused.
    #[error("refused")]
    Refused,
    /// This side asked for it.
    #[error("ended by this side")]
    Requested,
    /// The server stops.
    #[error("the server stops")]
    Shutdown,
    /// The task of the connection was aborted, or a callback panicked.
    #[error("aborted")]
    Aborted,
}
