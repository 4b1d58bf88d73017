//! What a player is told at its end.

use bytes::Bytes;

use crate::format::{Format, LAST_CHUNK};
use crate::peer::PlayEnd;
use crate::status::RefusalKind;
use crate::websocket;

/// RFC 6455 7.4.1: all is said.
pub(super) const GOODBYE: u16 = 1000;
/// It does not speak the protocol.
pub(super) const BROKEN: u16 = 1002;

/// Behind what it has been sent, if there is anything to say.
pub(super) fn goodbye(format: Format, end: PlayEnd) -> Option<Bytes> {
    let is_whole = matches!(end, PlayEnd::StreamEnded | PlayEnd::NodeLeaves);
    match format {
        Format::WebSocketFlv => Some(websocket::close(code(end), end.why())),
        // Without it a player knows that it has not got all.
        Format::ChunkedFlv if is_whole => Some(Bytes::from_static(LAST_CHUNK)),
        Format::ChunkedFlv | Format::Flv | Format::Rtmp => None,
    }
}

fn code(end: PlayEnd) -> u16 {
    match end {
        PlayEnd::StreamEnded | PlayEnd::NeverCame => GOODBYE,
        // We go away; for a reason of its own; for a fault of ours.
        PlayEnd::NodeLeaves => 1001,
        PlayEnd::TooSlow | PlayEnd::Removed => 1008,
        PlayEnd::Fault => 1011,
    }
}

/// Where it has been sent nothing.
pub(super) fn kind(end: PlayEnd) -> RefusalKind {
    match end {
        PlayEnd::StreamEnded | PlayEnd::NeverCame => RefusalKind::NotFound,
        PlayEnd::Removed => RefusalKind::Forbidden,
        PlayEnd::TooSlow | PlayEnd::NodeLeaves | PlayEnd::Fault => RefusalKind::Unavailable,
    }
}
