//! The simple handshake (RTMP 5.2), lenient: versions 3 to 31, and nothing the peer echoes is
//! verified. Both roles; no state beyond a few bytes, as the packets wait in the caller's buffer.

use std::hash::{BuildHasher, Hasher};

use bytes::{Buf, BufMut, BytesMut};

/// Length of C1, S1, C2 and S2.
pub const PACKET_LEN: usize = 1536;

const VERSION: u8 = 3;
/// From 32 on, the first byte could be text of another protocol (RTMP 5.2.2).
const FIRST_INVALID_VERSION: u8 = 32;
/// How a TLS handshake begins: a record of that type, in a version 3.x. It would pass for a
/// version of RTMP and the begin of a time, and both sides would wait for the other.
const TLS_HANDSHAKE: [u8; 2] = [0x16, 3];

/// Why a handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first byte is no version of RTMP.
    #[error("version {0} is not RTMP")]
    Version(u8),
    /// The peer begins with TLS.
    #[error("a TLS handshake is not RTMP")]
    Tls,
}

impl Error {
    /// What the peer seems to speak instead, for the person who reads the log.
    #[must_use]
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Tls => Some("this looks like TLS; rtmps has a port of its own"),
            // `GET`, `POST` and the like.
            Self::Version(b'A'..=b'Z') => Some("this looks like HTTP, which has a port of its own"),
            Self::Version(_) => None,
        }
    }
}

/// One side of a handshake in progress.
#[derive(Debug)]
pub struct Handshake(State);

#[derive(Debug)]
enum State {
    /// A server waits for C0 and C1.
    Hello,
    /// A client waits for S0 and S1.
    Answer,
    /// The peer's last packet: read past, never looked at.
    Tail(usize),
}

impl Handshake {
    /// The side that answers.
    #[must_use]
    pub fn server() -> Self {
        Self(State::Hello)
    }

    /// The side that begins: C0 and C1 are appended to `output`.
    #[must_use]
    pub fn client(output: &mut BytesMut) -> Self {
        output.reserve(1 + PACKET_LEN);
        output.put_u8(VERSION);
        put_hello(output);
        Self(State::Answer)
    }

    /// Takes from `input` what belongs to the handshake and appends the answer to `output`;
    /// `true` when it is complete. What stays in `input` is the chunk stream.
    pub fn read(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Result<bool, Error> {
        if let State::Hello | State::Answer = self.0 {
            let Some(&version) = input.first() else {
                return Ok(false);
            };
            if !(VERSION..FIRST_INVALID_VERSION).contains(&version) {
                return Err(Error::Version(version));
            }
            if input.starts_with(&TLS_HANDSHAKE) {
                return Err(Error::Tls);
            }
            let Some((_, packet)) = input.split_at_checked(1) else {
                return Ok(false);
            };
            let Some(theirs) = packet.first_chunk::<PACKET_LEN>() else {
                return Ok(false);
            };
            if let State::Hello = self.0 {
                output.reserve(1 + 2 * PACKET_LEN);
                output.put_u8(VERSION);
                put_hello(output);
            }
            // C2 and S2: their time, the time we read it (same clock as our hello: zero), and
            // their random part.
            let (head, random) = theirs.split_at(8);
            output.put_slice(&head[..4]);
            output.put_u32(0);
            output.put_slice(random);
            input.advance(1 + PACKET_LEN);
            self.0 = State::Tail(PACKET_LEN);
        }
        let State::Tail(left) = &mut self.0 else {
            return Ok(false);
        };
        let taken = input.len().min(*left);
        input.advance(taken);
        *left -= taken;
        Ok(*left == 0)
    }
}

/// C1 and S1: time zero, four zero bytes (they say "no digest"), 1528 arbitrary bytes.
fn put_hello(output: &mut BytesMut) {
    output.put_u64(0);
    // The bytes only need to differ from peer to peer; the standard library's hash keys do.
    let mut state = std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
        | 1;
    for _ in 0..(PACKET_LEN - 8) / 8 {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        output.put_u64(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(version: u8) -> BytesMut {
        let mut bytes = BytesMut::new();
        bytes.put_u8(version);
        bytes.put_u32(0x0102_0304);
        bytes.put_slice(&[9, 0, 124, 2]);
        bytes.extend((0..1528).map(|i| (i % 251) as u8));
        bytes
    }

    #[test]
    fn a_server_answers_3073_bytes_and_echoes_the_random_part_of_c1() {
        let (mut input, mut output) = (hello(3), BytesMut::new());
        let c1 = input.clone().split_off(1);
        let mut handshake = Handshake::server();
        assert_eq!(handshake.read(&mut input, &mut output), Ok(false));
        assert_eq!(output.len(), 3073);
        assert_eq!(output[0], 3);
        assert_eq!(output[5..9], [0; 4]);
        let s2 = &output[1 + PACKET_LEN..];
        assert_eq!(s2[..4], c1[..4]);
        assert_eq!(s2[8..], c1[8..]);
    }

    #[test]
    fn versions_3_to_31_are_welcome_with_a_garbage_c2_in_pieces() {
        for version in 3..32 {
            let (mut input, mut output) = (hello(version), BytesMut::new());
            let mut handshake = Handshake::server();
            assert_eq!(handshake.read(&mut input, &mut output), Ok(false));
            let mut garbage = BytesMut::from(&[0x55; 1000][..]);
            assert_eq!(handshake.read(&mut garbage, &mut output), Ok(false));
            let mut rest = BytesMut::from(&[0x77; 540][..]);
            assert_eq!(handshake.read(&mut rest, &mut output), Ok(true));
            assert_eq!(rest.len(), 4, "the chunk stream is left alone");
        }
    }

    #[test]
    fn other_versions_are_refused_at_the_first_byte() {
        for version in [0, 1, 2, 32, b'G'] {
            let mut input = BytesMut::from(&[version][..]);
            let refused = Handshake::server().read(&mut input, &mut BytesMut::new());
            assert_eq!(refused, Err(Error::Version(version)));
        }
    }

    #[test]
    fn tls_is_refused_at_the_second_byte_and_other_protocols_are_named() {
        let mut input = BytesMut::from(&[0x16][..]);
        let mut handshake = Handshake::server();
        assert_eq!(handshake.read(&mut input, &mut BytesMut::new()), Ok(false));
        input.put_u8(3);
        let refused = handshake.read(&mut input, &mut BytesMut::new());
        assert_eq!(refused, Err(Error::Tls));
        for (error, word) in [
            (Error::Tls, "TLS"),
            (Error::Version(b'G'), "HTTP"),
            (Error::Version(b'P'), "HTTP"),
        ] {
            assert!(error.hint().is_some_and(|hint| hint.contains(word)));
        }
        assert_eq!(Error::Version(0).hint(), None);
    }

    #[test]
    fn both_roles_complete_each_other_byte_by_byte() {
        let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
        let mut client = Handshake::client(&mut to_server);
        let mut server = Handshake::server();
        let (mut at_server, mut at_client) = (BytesMut::new(), BytesMut::new());
        let (mut done_server, mut done_client) = (false, false);
        while !(done_server && done_client) {
            if !to_server.is_empty() {
                at_server.extend_from_slice(&to_server.split_to(1));
                done_server = server.read(&mut at_server, &mut to_client).unwrap();
            } else {
                at_client.extend_from_slice(&to_client.split_to(1));
                done_client = client.read(&mut at_client, &mut to_server).unwrap();
            }
        }
        assert!(at_server.is_empty() && at_client.is_empty());
    }
}
