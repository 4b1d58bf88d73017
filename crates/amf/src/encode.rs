//! Encoding, as AMF0.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{Object, Value, amf0};

/// Appends one value.
///
/// A name of more than 65,535 bytes, which AMF0 cannot hold, is cut off there.
pub fn encode(value: &Value, out: &mut BytesMut) {
    match value {
        Value::Number(number) => {
            out.put_u8(amf0::NUMBER);
            out.put_f64(*number);
        }
        Value::Boolean(boolean) => {
            out.put_u8(amf0::BOOLEAN);
            out.put_u8(u8::from(*boolean));
        }
        Value::String(string) if string.len() <= usize::from(u16::MAX) => {
            out.put_u8(amf0::STRING);
            short_string(string, out);
        }
        Value::String(string) => {
            out.put_u8(amf0::LONG_STRING);
            long_string(string, out);
        }
        Value::Object(object) => {
            out.put_u8(amf0::OBJECT);
            members(object, out);
        }
        Value::Null => out.put_u8(amf0::NULL),
        Value::Undefined => out.put_u8(amf0::UNDEFINED),
        Value::EcmaArray(object) => {
            out.put_u8(amf0::ECMA_ARRAY);
            out.put_u32(length(object.len()));
            members(object, out);
        }
        Value::StrictArray(values) => {
            out.put_u8(amf0::STRICT_ARRAY);
            out.put_u32(length(values.len()));
            for value in values {
                encode(value, out);
            }
        }
        Value::Date { millis, zone } => {
            out.put_u8(amf0::DATE);
            out.put_f64(*millis);
            out.put_i16(*zone);
        }
        Value::Xml(document) => {
            out.put_u8(amf0::XML);
            long_string(document, out);
        }
        Value::TypedObject { class, object } => {
            out.put_u8(amf0::TYPED_OBJECT);
            short_string(class, out);
            members(object, out);
        }
        Value::Unsupported => out.put_u8(amf0::UNSUPPORTED),
    }
}

/// The values of a whole message, one after the other.
pub fn encode_all<'a>(values: impl IntoIterator<Item = &'a Value>) -> Bytes {
    let mut out = BytesMut::new();
    for value in values {
        encode(value, &mut out);
    }
    out.freeze()
}

fn members(object: &Object, out: &mut BytesMut) {
    for (name, value) in object.iter() {
        short_string(name, out);
        encode(value, out);
    }
    out.put_slice(&[0, 0, amf0::OBJECT_END]);
}

fn short_string(string: &str, out: &mut BytesMut) {
    let mut end = string.len().min(usize::from(u16::MAX));
    while !string.is_char_boundary(end) {
        end -= 1;
    }
    out.put_u16(u16::try_from(end).unwrap_or(u16::MAX));
    out.put_slice(&string.as_bytes()[..end]);
}

/// Nothing of 4 GiB is ever sent: a message is far smaller.
fn long_string(string: &str, out: &mut BytesMut) {
    out.put_u32(length(string.len()));
    out.put_slice(string.as_bytes());
}

fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{decode, decode_all};

    #[test]
    fn encodes_each_type_to_golden_bytes() {
        let object: Object = [("a", true)].into_iter().collect();
        let cases: [(Value, &[u8]); 12] = [
            (Value::Number(1.0), b"\0\x3f\xf0\0\0\0\0\0\0"),
            (Value::Boolean(true), b"\x01\x01"),
            ("live".into(), b"\x02\0\x04live"),
            (
                Value::Object(object.clone()),
                b"\x03\0\x01a\x01\x01\0\0\x09",
            ),
            (Value::Null, b"\x05"),
            (Value::Undefined, b"\x06"),
            (
                Value::EcmaArray(object.clone()),
                b"\x08\0\0\0\x01\0\x01a\x01\x01\0\0\x09",
            ),
            (Value::StrictArray(vec![Value::Null]), b"\x0a\0\0\0\x01\x05"),
            (
                Value::Date {
                    millis: 1_000_000_000_000.0,
                    zone: -60,
                },
                b"\x0b\x42\x6d\x1a\x94\xa2\0\0\0\xff\xc4",
            ),
            (Value::Unsupported, b"\x0d"),
            (Value::Xml("<a/>".into()), b"\x0f\0\0\0\x04<a/>"),
            (
                Value::TypedObject {
                    class: "C".into(),
                    object,
                },
                b"\x10\0\x01C\0\x01a\x01\x01\0\0\x09",
            ),
        ];
        for (value, bytes) in cases {
            assert_eq!(encode_all([&value]), bytes);
        }
    }

    #[test]
    fn a_string_is_long_only_when_it_must_be() {
        let short = Value::from("a".repeat(65_535));
        let long = Value::from("a".repeat(65_536));
        assert!(encode_all([&short]).starts_with(b"\x02\xff\xff"));
        assert!(encode_all([&long]).starts_with(b"\x0c\0\x01\0\0"));
        assert_eq!(decode_all(&encode_all([&short, &long])), [short, long]);
    }

    #[test]
    fn cuts_a_name_that_is_too_long_between_characters() {
        let value = Value::Object([("ä".repeat(40_000), true)].into_iter().collect());
        let decoded = decode(&mut &encode_all([&value])[..]).unwrap();
        let (name, _) = decoded.as_object().unwrap().iter().next().unwrap();
        assert_eq!(name, "ä".repeat(32_767));
    }
}
