//! Messages in AMF3 clothes.

use bytes::Bytes;

use crate::reader::Reader;
use crate::{Error, Limits, Value, amf0, amf3, encode_all};

/// The body of a message of type 15 or 17 as plain AMF0, which every peer reads.
///
/// Such a body is AMF0 behind a format byte of 0, which some senders leave out, and each of its
/// values may switch over to AMF3. Some senders switch once, at the front, for all that follows.
/// A body without a switch is shared as it is; of another, what cannot be read is left out.
pub fn to_amf0(body: &Bytes) -> Bytes {
    // No message begins with a number, which has the same marker.
    let format = usize::from(body.first() == Some(&0));
    let plain = body.slice(format..);
    if !plain.contains(&amf0::AMF3) {
        return plain;
    }
    let values = amf0::decode_strictly(&plain)
        .or_else(|_| switched_once(&plain))
        .unwrap_or_else(|_| amf0::decode_all(&plain));
    encode_all(&values)
}

fn switched_once(body: &[u8]) -> Result<Vec<Value>, Error> {
    let mut reader = Reader::new(body, Limits::default());
    if reader.u8()? != amf0::AMF3 {
        return Err(Error::UnknownFormat);
    }
    let mut values = Vec::new();
    while !reader.rest().is_empty() {
        values.push(amf3::value(&mut reader)?);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `width` 640 and `live` true, as an AMF3 object with dynamic members.
    const OBJECT: &[u8] = b"\x0a\x0b\x01\x0bwidth\x04\x85\x00\x09live\x03\x01";

    fn in_amf0() -> Vec<u8> {
        let object: crate::Object = [("width", Value::from(640.0)), ("live", true.into())]
            .into_iter()
            .collect();
        encode_all(&["@setDataFrame".into(), "onMetaData".into(), object.into()]).to_vec()
    }

    fn converted(parts: &[&[u8]]) -> Vec<u8> {
        to_amf0(&Bytes::from(parts.concat())).to_vec()
    }

    #[test]
    fn every_way_to_switch_comes_to_the_same() {
        let names = b"\x02\0\x0d@setDataFrame\x02\0\x0aonMetaData";
        let set = b"\x06\x1b@setDataFrame";
        let on = b"\x06\x15onMetaData";
        let switch = b"\x11";
        for parts in [
            &[&b"\0"[..], names, switch, OBJECT][..],
            &[names, switch, OBJECT],
            &[b"\0", switch, set, switch, on, switch, OBJECT],
            &[switch, set, switch, on, switch, OBJECT],
            &[b"\0", switch, set, on, OBJECT],
            &[switch, set, on, OBJECT],
        ] {
            assert_eq!(converted(parts), in_amf0(), "{parts:?}");
        }
    }

    #[test]
    fn without_a_switch_the_bytes_are_shared() {
        let body = Bytes::from([b"\0", &in_amf0()[..]].concat());
        let plain = to_amf0(&body);
        assert_eq!(plain, in_amf0());
        assert_eq!(plain.as_ptr(), body[1..].as_ptr());
        assert_eq!(to_amf0(&plain).as_ptr(), plain.as_ptr());
        assert!(to_amf0(&Bytes::new()).is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        let names = b"\x02\0\x0aonMetaData";
        let expected = encode_all(&["onMetaData".into()]);
        // A class with a format of its own, and a value that is cut off.
        for value in [&b"\x11\x0a\x07\x03C\x01"[..], b"\x11", b"\x11\x05\0"] {
            assert_eq!(converted(&[b"\0", names, value]), expected);
        }
    }

    #[test]
    fn a_body_cannot_grow_beyond_the_limits() {
        // A string of 64 KiB, and a message full of references to it.
        let mut body = b"\x11\x09\x87\xff\x7f\x01\x06\x88\x80\x01".to_vec();
        body.resize(body.len() + (1 << 16), b'a');
        body.extend(b"\x06\x00".repeat(0xffff));
        assert!(converted(&[&body]).is_empty());
    }
}
