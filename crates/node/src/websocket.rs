//! Messages of a WebSocket (RFC 6455), as the server's end has them.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// A whole message of bytes, and whole messages of control.
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;

/// RFC 6455 5.5: so much fits into a message of control.
const MAX_CONTROL: usize = 125;
/// A player has nothing to say, so what it says anyway is passed over, up to this length.
const MAX_MESSAGE: u64 = 64 << 10;

/// What stands in front of a message of so many bytes; nothing in front of none.
pub(crate) fn binary(len: usize) -> Option<Bytes> {
    if len == 0 {
        return None;
    }
    let wide = (len as u64).to_be_bytes();
    let [.., high, low] = wide;
    let head: &[u8] = match len {
        ..=125 => &[BINARY, low],
        126..=0xFFFF => &[BINARY, 126, high, low],
        _ => &[&[BINARY, 127][..], &wide].concat(),
    };
    Some(Bytes::copy_from_slice(head))
}

/// The last message, with a number and a sentence that say why it is.
pub(crate) fn close(code: u16, why: &str) -> Bytes {
    let mut cut = why.len().min(MAX_CONTROL - 2);
    while !why.is_char_boundary(cut) {
        cut -= 1;
    }
    let why = why.get(..cut).unwrap_or_default();
    control(CLOSE, &[&code.to_be_bytes(), why.as_bytes()].concat())
}

/// Asks whether anybody is there.
pub(crate) fn ping() -> Bytes {
    control(PING, &[])
}

/// The answer to a ping.
pub(crate) fn pong(asked: &[u8]) -> Bytes {
    control(PONG, asked)
}

fn control(kind: u8, payload: &[u8]) -> Bytes {
    let payload = payload.get(..MAX_CONTROL).unwrap_or(payload);
    let mut message = BytesMut::with_capacity(2 + payload.len());
    message.put_u8(kind);
    message.put_u8(u8::try_from(payload.len()).unwrap_or_default());
    message.put_slice(payload);
    message.freeze()
}

/// Reads what a player says.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// So much of a message is still to be passed over.
    skip: usize,
}

/// What a player says that matters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Ping(Vec<u8>),
    /// It leaves.
    Close,
}

/// It does not speak as a client has to.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub(crate) struct Broken(&'static str);

impl Reader {
    /// Takes the next thing it says off the front of `input`; `None` asks for more bytes. What is left begins
    /// a message, and is shorter than one of control.
    pub(crate) fn read(&mut self, input: &mut BytesMut) -> Result<Option<Said>, Broken> {
        loop {
            let passed = self.skip.min(input.len());
            input.advance(passed);
            self.skip -= passed;
            if self.skip > 0 {
                return Ok(None);
            }
            let Some(&[first, second]) = input.first_chunk() else {
                return Ok(None);
            };
            let (len, head) = match (second & 0x7F, input.get(2..)) {
                (126, Some(&[high, low, ..])) => (u64::from(u16::from_be_bytes([high, low])), 4),
                (127, Some(rest)) => match rest.first_chunk() {
                    Some(wide) => (u64::from_be_bytes(*wide), 10),
                    None => return Ok(None),
                },
                (126, _) => return Ok(None),
                (len, _) => (u64::from(len), 2),
            };
            let is_control = first & 0x08 != 0;
            check(first, second, len, is_control)?;
            let Some(mask) = input.get(head..).and_then(|rest| rest.first_chunk::<4>()) else {
                return Ok(None);
            };
            let (mask, head) = (*mask, head + 4);
            let len = usize::try_from(len).map_err(|_| Broken("a message is too long"))?;
            if !is_control {
                input.advance(head);
                self.skip = len;
                continue;
            }
            let Some(payload) = input.get(head..head + len) else {
                return Ok(None);
            };
            let bytes = payload.iter().zip(mask.iter().cycle());
            let payload = bytes.map(|(byte, mask)| byte ^ mask).collect();
            input.advance(head + len);
            match first {
                CLOSE => return Ok(Some(Said::Close)),
                PING => return Ok(Some(Said::Ping(payload))),
                _ => {}
            }
        }
    }
}

/// What RFC 6455 5.2 asks of each part of a message.
fn check(first: u8, second: u8, len: u64, is_control: bool) -> Result<(), Broken> {
    if second & 0x80 == 0 {
        return Err(Broken("a client has to mask what it sends"));
    }
    if first & 0x70 != 0 {
        return Err(Broken("it uses an extension that was not agreed"));
    }
    match first & 0x0F {
        0..=2 | 8..=10 => {}
        _ => return Err(Broken("a message is of an unknown kind")),
    }
    if is_control && (first & 0x80 == 0 || len > MAX_CONTROL as u64) {
        return Err(Broken("a message of control is too long or comes in parts"));
    }
    match len > MAX_MESSAGE {
        true => Err(Broken("a message is too long")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

    /// A message as a client sends it.
    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut message = binary(payload.len()).unwrap_or_else(|| Bytes::from_static(&[0, 0]));
        let mut message = message.split_off(0).to_vec();
        message[0] = first;
        message[1] |= 0x80;
        message.extend(MASK);
        let bytes = payload.iter().zip(MASK.iter().cycle());
        message.extend(bytes.map(|(byte, mask)| byte ^ mask));
        message
    }

    /// All that is said in these bytes, which come in pieces of that length.
    fn said(bytes: &[u8], piece: usize) -> Result<Vec<Said>, Broken> {
        let (mut reader, mut input) = (Reader::default(), BytesMut::new());
        let mut all = Vec::new();
        for piece in bytes.chunks(piece) {
            input.extend_from_slice(piece);
            while let Some(one) = reader.read(&mut input)? {
                all.push(one);
            }
            assert!(input.len() < 14 + MAX_CONTROL, "{} bytes wait", input.len());
        }
        Ok(all)
    }

    #[test]
    fn a_message_says_how_long_it_is() {
        for (len, head) in [
            (0, &[][..]),
            (1, &[0x82, 1]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (65_535, &[0x82, 126, 0xFF, 0xFF]),
            (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            assert_eq!(binary(len).unwrap_or_default(), head, "{len}");
        }
    }

    #[test]
    fn a_goodbye_has_a_reason_that_fits() {
        assert_eq!(close(1000, "over"), &b"\x88\x06\x03\xe8over"[..]);
        let long = close(1001, &"ü".repeat(100));
        assert_eq!((long.len(), long[1]), (126, 124));
        assert!(std::str::from_utf8(&long[4..]).is_ok());
    }

    #[test]
    fn pings_and_goodbyes_are_heard_between_all_else() {
        let talk = [
            masked(0x81, b"hello"),
            masked(PING, b"there?"),
            masked(0x02, &[7; 300]),
            masked(PING, b""),
            masked(0x80, &[7; 60_000]),
            masked(PONG, b"x"),
            masked(CLOSE, &[3, 0xE8]),
        ];
        let heard = [
            Said::Ping(b"there?".to_vec()),
            Said::Ping(Vec::new()),
            Said::Close,
        ];
        for piece in [1, 2, 7, 4096, 100_000] {
            assert_eq!(said(&talk.concat(), piece).as_deref(), Ok(&heard[..]));
        }
        assert_eq!(pong(b"there?"), &b"\x8a\x06there?"[..]);
        assert_eq!(ping(), &[0x89, 0][..]);
    }

    #[test]
    fn who_does_not_speak_as_a_client_is_not_listened_to() {
        let too_long = [&[0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 1][..], &MASK].concat();
        for wrong in [
            vec![0x82, 1, 7],
            masked(0xC2, b"x"),
            masked(0x83, b"x"),
            masked(0x8B, b"x"),
            masked(0x09, b"x"),
            masked(PING, &[7; 126]),
            too_long,
        ] {
            assert!(said(&wrong, 1).is_err(), "{wrong:x?}");
        }
    }

    #[test]
    fn no_bytes_whatever_upset_it() {
        // Every pair of first bytes, with any length behind it.
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let bytes = [&[first, second][..], &[0xFF; 20]].concat();
                drop(said(&bytes, 3));
                let bytes = [&[first, second][..], &[0; 200]].concat();
                drop(said(&bytes, 11));
            }
        }
    }
}
