//! Messages: what chunks carry, and the control messages that are not commands.

use bytes::{BufMut, Bytes, BytesMut};

/// Chunk stream of protocol control messages and user control events (RTMP 5.4).
pub const CONTROL_CHUNK_STREAM: u32 = 2;
/// Chunk stream of commands and their results.
pub const COMMAND_CHUNK_STREAM: u32 = 3;
/// Chunk stream of a stream's status messages.
pub const STATUS_CHUNK_STREAM: u32 = 5;

/// What a message is about (RTMP 5.4, 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// 1: the sender's chunks have another size from now on.
    SetChunkSize,
    /// 2: forget a half-sent message.
    Abort,
    /// 3: so many bytes have arrived.
    Acknowledgement,
    /// 4: see [`UserControl`].
    UserControl,
    /// 5: how many bytes until an acknowledgement is wanted.
    WindowAckSize,
    /// 6: how many bytes the peer may have under way.
    SetPeerBandwidth,
    /// 8
    Audio,
    /// 9
    Video,
    /// 15: data in AMF3 clothes.
    DataAmf3,
    /// 17: a command in AMF3 clothes.
    CommandAmf3,
    /// 18: data, such as `onMetaData`.
    Data,
    /// 20
    Command,
    /// 22: several tags in one message.
    Aggregate,
    /// Shared objects and whatever else there may be; ignored.
    Other(u8),
}

impl From<u8> for Kind {
    fn from(id: u8) -> Self {
        match id {
            1 => Self::SetChunkSize,
            2 => Self::Abort,
            3 => Self::Acknowledgement,
            4 => Self::UserControl,
            5 => Self::WindowAckSize,
            6 => Self::SetPeerBandwidth,
            8 => Self::Audio,
            9 => Self::Video,
            15 => Self::DataAmf3,
            17 => Self::CommandAmf3,
            18 => Self::Data,
            20 => Self::Command,
            22 => Self::Aggregate,
            other => Self::Other(other),
        }
    }
}

impl From<Kind> for u8 {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::SetChunkSize => 1,
            Kind::Abort => 2,
            Kind::Acknowledgement => 3,
            Kind::UserControl => 4,
            Kind::WindowAckSize => 5,
            Kind::SetPeerBandwidth => 6,
            Kind::Audio => 8,
            Kind::Video => 9,
            Kind::DataAmf3 => 15,
            Kind::CommandAmf3 => 17,
            Kind::Data => 18,
            Kind::Command => 20,
            Kind::Aggregate => 22,
            Kind::Other(id) => id,
        }
    }
}

impl Kind {
    /// Whether the payload is a command, in either AMF.
    #[must_use]
    pub fn is_command(self) -> bool {
        matches!(self, Self::Command | Self::CommandAmf3)
    }

    /// Whether it is part of a stream, or something that nobody knows: neither a command nor
    /// about the connection itself.
    pub(crate) fn is_media(self) -> bool {
        matches!(
            self,
            Self::Audio
                | Self::Video
                | Self::Data
                | Self::DataAmf3
                | Self::Aggregate
                | Self::Other(_)
        )
    }
}

/// One whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The chunk stream it came on or is to go out on.
    pub chunk_stream: u32,
    /// Milliseconds, absolute, modulo 2^32.
    pub timestamp: u32,
    /// What it is about.
    pub kind: Kind,
    /// The message stream it belongs to; 0 is the connection itself.
    pub stream_id: u32,
    /// The body.
    pub payload: Bytes,
}

/// The limit type of Set Peer Bandwidth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum BandwidthLimit {
    /// Limit to this.
    Hard = 0,
    /// Limit to this or what is in effect, whichever is less.
    Soft = 1,
    /// Hard if the last one was hard, else ignore.
    Dynamic = 2,
}

impl Message {
    fn control(kind: Kind, payload: Bytes) -> Self {
        Self {
            chunk_stream: CONTROL_CHUNK_STREAM,
            timestamp: 0,
            kind,
            stream_id: 0,
            payload,
        }
    }

    fn control_u32(kind: Kind, value: u32) -> Self {
        Self::control(kind, Bytes::copy_from_slice(&value.to_be_bytes()))
    }

    /// Our chunks have this size from the next message on.
    #[must_use]
    pub fn set_chunk_size(size: u32) -> Self {
        Self::control_u32(Kind::SetChunkSize, size)
    }

    /// `received` bytes have arrived.
    #[must_use]
    pub fn acknowledgement(received: u32) -> Self {
        Self::control_u32(Kind::Acknowledgement, received)
    }

    /// Acknowledge every `size` bytes.
    #[must_use]
    pub fn window_ack_size(size: u32) -> Self {
        Self::control_u32(Kind::WindowAckSize, size)
    }

    /// Have no more than `size` bytes under way.
    #[must_use]
    pub fn set_peer_bandwidth(size: u32, limit: BandwidthLimit) -> Self {
        let mut payload = BytesMut::with_capacity(5);
        payload.put_u32(size);
        payload.put_u8(limit as u8);
        Self::control(Kind::SetPeerBandwidth, payload.freeze())
    }

    /// A user control event.
    #[must_use]
    pub fn user_control(event: UserControl) -> Self {
        Self::control(Kind::UserControl, event.encode())
    }

    /// The first four bytes of the payload as a number: what most control messages are.
    #[must_use]
    pub fn value(&self) -> Option<u32> {
        self.payload.first_chunk().copied().map(u32::from_be_bytes)
    }
}

/// A user control event (RTMP 7.1.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserControl {
    /// 0: the stream can be used from now on.
    StreamBegin(u32),
    /// 1: what was asked for has been sent.
    StreamEof(u32),
    /// 2: no data for the moment.
    StreamDry(u32),
    /// 3: how much a player buffers.
    SetBufferLength {
        /// Of which message stream.
        stream_id: u32,
        /// How much.
        millis: u32,
    },
    /// 4
    StreamIsRecorded(u32),
    /// 6: answer with these four bytes.
    PingRequest(u32),
    /// 7
    PingResponse(u32),
    /// Anything else; ignored.
    Other(u16),
}

impl UserControl {
    /// Reads an event; `None` if it is cut short.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let (kind, rest) = payload.split_first_chunk::<2>()?;
        let first = rest.first_chunk::<4>().copied().map(u32::from_be_bytes);
        Some(match u16::from_be_bytes(*kind) {
            0 => Self::StreamBegin(first?),
            1 => Self::StreamEof(first?),
            2 => Self::StreamDry(first?),
            3 => Self::SetBufferLength {
                stream_id: first?,
                millis: rest
                    .get(4..)?
                    .first_chunk()
                    .copied()
                    .map(u32::from_be_bytes)?,
            },
            4 => Self::StreamIsRecorded(first?),
            6 => Self::PingRequest(first?),
            7 => Self::PingResponse(first?),
            other => Self::Other(other),
        })
    }

    /// The bytes of the event.
    #[must_use]
    pub fn encode(self) -> Bytes {
        let mut payload = BytesMut::with_capacity(10);
        let (kind, value) = match self {
            Self::StreamBegin(id) => (0, Some(id)),
            Self::StreamEof(id) => (1, Some(id)),
            Self::StreamDry(id) => (2, Some(id)),
            Self::SetBufferLength { stream_id, .. } => (3, Some(stream_id)),
            Self::StreamIsRecorded(id) => (4, Some(id)),
            Self::PingRequest(time) => (6, Some(time)),
            Self::PingResponse(time) => (7, Some(time)),
            Self::Other(kind) => (kind, None),
        };
        payload.put_u16(kind);
        if let Some(value) = value {
            payload.put_u32(value);
        }
        if let Self::SetBufferLength { millis, .. } = self {
            payload.put_u32(millis);
        }
        payload.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_survive_the_round_trip() {
        for id in 0..=u8::MAX {
            assert_eq!(u8::from(Kind::from(id)), id);
        }
    }

    #[test]
    fn user_control_events_have_the_bytes_of_the_specification() {
        let golden: [(UserControl, &[u8]); 7] = [
            (UserControl::StreamBegin(1), &[0, 0, 0, 0, 0, 1]),
            (UserControl::StreamEof(1), &[0, 1, 0, 0, 0, 1]),
            (UserControl::StreamDry(2), &[0, 2, 0, 0, 0, 2]),
            (
                UserControl::SetBufferLength {
                    stream_id: 1,
                    millis: 3000,
                },
                &[0, 3, 0, 0, 0, 1, 0, 0, 0x0b, 0xb8],
            ),
            (UserControl::StreamIsRecorded(1), &[0, 4, 0, 0, 0, 1]),
            (UserControl::PingRequest(0x0102_0304), &[0, 6, 1, 2, 3, 4]),
            (UserControl::PingResponse(0x0102_0304), &[0, 7, 1, 2, 3, 4]),
        ];
        for (event, bytes) in golden {
            assert_eq!(&event.encode()[..], bytes);
            assert_eq!(UserControl::decode(bytes), Some(event));
        }
    }

    #[test]
    fn unknown_and_cut_off_user_control_events_are_no_error() {
        assert_eq!(
            UserControl::decode(&[0, 31, 1]),
            Some(UserControl::Other(31))
        );
        assert_eq!(UserControl::decode(&[0, 3, 0, 0, 0, 1, 0]), None);
        assert_eq!(UserControl::decode(&[0]), None);
    }
}
