//! What is said to who cannot publish or play.

use media::StreamKey;

/// Why a publish or a play can't be, in a sentence for the person who asked.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{0} is being published by someone else; stop that encoder, or use another stream key")]
    Occupied(StreamKey),
    #[error(
        "this encoder was just replaced by another one with the same credentials; stop one of the two, or wait a minute"
    )]
    JustReplaced,
    #[error("{0}")]
    Elsewhere(String),
    #[error(
        "{key} was published on the node {node}, which does not answer; try again when its lease has run out, or publish with a token, which takes the stream over at once"
    )]
    Unreachable { key: StreamKey, node: String },
    #[error("this node is an edge, for players; publish to {0}")]
    Edge(String),
    #[error(
        "{0} is not there over HLS, which is off where it is published (hls.mode); play it over RTMP or HTTP-FLV"
    )]
    NotOverHls(StreamKey),
    #[error("too many wait for {0} to come (hls.asking); try again")]
    TooManyAsk(StreamKey),
    #[error("nobody publishes {0}")]
    NotFound(StreamKey),
    #[error("{key} has its limit of {limit} viewers (limits.viewers_per_stream); try again later")]
    Full { key: StreamKey, limit: usize },
    #[error("this node has its limit of {limit} streams (limits.streams); try another node")]
    TooManyStreams { limit: usize },
    #[error("this node is shutting down; connect again")]
    Draining,
    #[error("the server failed at this; try again")]
    Fault,
}
