//! What a message may hold.
//!
//! A message of a few megabytes can say that it holds millions of empty things, each of which takes a hundred times
//! the memory once it is read. So what can be many is counted before anything is read.

use crate::MAX_TAGS;
use crate::relay::v1 as wire;

/// A message of a peer.
pub trait Bounded {
    /// Whether it may be read.
    fn is_bounded(bytes: &[u8]) -> bool {
        let _ = bytes;
        true
    }
}

impl Bounded for wire::Down {
    fn is_bounded(bytes: &[u8]) -> bool {
        count(bytes, Level::Down).is_some_and(|fields| fields <= MAX_FIELDS)
    }
}

/// All those that can be no longer than some ten kilobytes, or are one text.
macro_rules! small {
    ($($message:ident),+ $(,)?) => {
        $(impl Bounded for wire::$message {})+
    };
}

small! {
    Up, ReleaseRequest, ReleaseResponse, LocateRequest, LocateResponse, StatusRequest, StatusResponse, ActRequest,
    ActResponse, PingRequest, PingResponse,
}

/// Tags, and what little there is beside them.
const MAX_FIELDS: usize = MAX_TAGS + 4096;

/// Where something can be many.
#[derive(Clone, Copy)]
enum Level {
    Down,
    Described,
    Configuration,
    Stream,
    Tags,
}

impl Level {
    /// What the field with this number is, where something in it can be many.
    fn inner(self, field: u64) -> Option<Self> {
        match (self, field) {
            (Self::Down, 1) => Some(Self::Described),
            (Self::Down, 2) => Some(Self::Tags),
            (Self::Described, 5) => Some(Self::Configuration),
            (Self::Described, 6) => Some(Self::Stream),
            _ => None,
        }
    }
}

/// How many fields there are; `None` if the bytes are no message.
fn count(mut bytes: &[u8], level: Level) -> Option<usize> {
    let mut fields = 0;
    while !bytes.is_empty() {
        fields += 1;
        let key = varint(&mut bytes)?;
        match key & 7 {
            0 => drop(varint(&mut bytes)?),
            1 => drop(take(&mut bytes, 8)?),
            2 => {
                let len = usize::try_from(varint(&mut bytes)?).ok()?;
                let inside = take(&mut bytes, len)?;
                if let Some(inner) = level.inner(key >> 3) {
                    fields += count(inside, inner)?;
                }
            }
            5 => drop(take(&mut bytes, 4)?),
            // Groups: nobody has used them for long.
            _ => return None,
        }
    }
    Some(fields)
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for at in 0..10 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    fn tags(many: usize) -> wire::Tags {
        wire::Tags {
            number: u64::MAX,
            time: i64::MIN,
            tags: vec![wire::Tag::default(); many],
            ..Default::default()
        }
    }

    fn down(kind: wire::down::Kind) -> Vec<u8> {
        wire::Down { kind: Some(kind) }.encode_to_vec()
    }

    #[test]
    fn as_many_tags_as_are_allowed_may_be_read_and_no_more() {
        let many = |many| down(wire::down::Kind::Tags(tags(many)));
        assert!(wire::Down::is_bounded(&many(MAX_TAGS)));
        assert!(!wire::Down::is_bounded(&many(MAX_FIELDS)));
        // Nor in pieces, which make one message.
        let pieces = many(MAX_FIELDS / 2).repeat(3);
        assert!(!wire::Down::is_bounded(&pieces));
    }

    #[test]
    fn nor_may_a_description_hold_more_than_that() {
        let described = |described| down(wire::down::Kind::Described(described));
        let configuration = |configuration| wire::Described {
            configuration: Some(configuration),
            ..Default::default()
        };
        let path = wire::Stream {
            path: vec![String::new(); MAX_FIELDS],
            ..Default::default()
        };
        for too_much in [
            configuration(wire::Configuration {
                tags: tags(MAX_FIELDS).tags,
                ..Default::default()
            }),
            configuration(wire::Configuration {
                video: vec![wire::VideoTrack::default(); MAX_FIELDS],
                ..Default::default()
            }),
            configuration(wire::Configuration {
                audio: vec![wire::AudioTrack::default(); MAX_FIELDS],
                ..Default::default()
            }),
            wire::Described {
                stream: Some(path),
                ..Default::default()
            },
        ] {
            assert!(!wire::Down::is_bounded(&described(too_much)));
        }
        let fine = configuration(wire::Configuration {
            tags: tags(100).tags,
            ..Default::default()
        });
        assert!(wire::Down::is_bounded(&described(fine)));
    }

    #[test]
    fn a_payload_is_not_looked_into() {
        let mut large = tags(1);
        large.tags[0].payload = vec![0; 1 << 20].into();
        assert!(wire::Down::is_bounded(&down(wire::down::Kind::Tags(large))));
    }

    #[test]
    fn what_is_no_message_is_not_read() {
        // A field that is cut off, a length beyond the end, a number without an end, a group.
        for bytes in [
            &b"\x10"[..],
            b"\x12\x05ab",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x13\x14",
        ] {
            assert!(!wire::Down::is_bounded(bytes), "{bytes:?}");
        }
        assert!(wire::Down::is_bounded(b""));
    }
}
