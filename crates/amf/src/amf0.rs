//! Decoding of AMF0.

use crate::reader::{Place, Reader};
use crate::{Error, Limits, Object, Value, amf3};

pub(crate) const NUMBER: u8 = 0x00;
pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const STRING: u8 = 0x02;
pub(crate) const OBJECT: u8 = 0x03;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const UNDEFINED: u8 = 0x06;
pub(crate) const REFERENCE: u8 = 0x07;
pub(crate) const ECMA_ARRAY: u8 = 0x08;
pub(crate) const OBJECT_END: u8 = 0x09;
pub(crate) const STRICT_ARRAY: u8 = 0x0a;
pub(crate) const DATE: u8 = 0x0b;
pub(crate) const LONG_STRING: u8 = 0x0c;
pub(crate) const UNSUPPORTED: u8 = 0x0d;
pub(crate) const XML: u8 = 0x0f;
pub(crate) const TYPED_OBJECT: u8 = 0x10;
pub(crate) const AMF3: u8 = 0x11;

/// Takes one value off the front of `buf`, which stays as it is after an error.
pub fn decode(buf: &mut &[u8]) -> Result<Value, Error> {
    decode_with(buf, Limits::default())
}

/// [`decode`] with other limits.
pub fn decode_with(buf: &mut &[u8], limits: Limits) -> Result<Value, Error> {
    let mut decoder = Decoder::new(buf, limits, false);
    let value = decoder.value()?;
    *buf = decoder.reader.rest();
    Ok(value)
}

/// Decodes a whole message as far as it makes sense.
///
/// An object without its end marker and an array with too few members hold what is there; the
/// first thing that cannot be read ends the message. A value beyond the limits is left out
/// whole, and so is what follows it.
pub fn decode_all(buf: &[u8]) -> Vec<Value> {
    decode_all_with(buf, Limits::default())
}

/// [`decode_all`] with other limits, which hold for all values together.
pub fn decode_all_with(buf: &[u8], limits: Limits) -> Vec<Value> {
    let mut decoder = Decoder::new(buf, limits, true);
    let mut values = Vec::new();
    while let Some(&marker) = decoder.reader.rest().first() {
        if marker == OBJECT_END && decoder.reader.u8().is_ok() {
            continue; // One end marker too many.
        }
        match decoder.value() {
            Ok(value) => values.push(value),
            Err(_) => break,
        }
        if decoder.stopped {
            break;
        }
    }
    values
}

/// Decodes a whole message in which everything makes sense.
pub(crate) fn decode_strictly(buf: &[u8]) -> Result<Vec<Value>, Error> {
    let mut decoder = Decoder::new(buf, Limits::default(), false);
    let mut values = Vec::new();
    while !decoder.reader.rest().is_empty() {
        values.push(decoder.value()?);
    }
    Ok(values)
}

struct Decoder<'a> {
    reader: Reader<'a>,
    /// Where each object and array began, in order: what references count.
    places: Vec<Place>,
    /// Whether a reference is being followed; what is read again is not counted again.
    replaying: bool,
    /// Whether an unreadable member ends its object instead of failing it.
    lenient: bool,
    /// Set once that happened: nothing behind it can be trusted.
    stopped: bool,
}

impl<'a> Decoder<'a> {
    fn new(input: &'a [u8], limits: Limits, lenient: bool) -> Self {
        let reader = Reader::new(input, limits);
        Self {
            reader,
            places: Vec::new(),
            replaying: false,
            lenient,
            stopped: false,
        }
    }

    fn value(&mut self) -> Result<Value, Error> {
        let start = self.reader.position();
        let marker = self.reader.u8()?;
        self.reader.charge(size_of::<Value>())?;
        Ok(match marker {
            NUMBER => Value::Number(self.reader.f64()?),
            BOOLEAN => Value::Boolean(self.reader.u8()? != 0),
            STRING => Value::String(self.short_string()?),
            LONG_STRING => Value::String(self.long_string()?),
            XML => Value::Xml(self.long_string()?),
            NULL => Value::Null,
            UNDEFINED => Value::Undefined,
            UNSUPPORTED => Value::Unsupported,
            DATE => Value::Date {
                millis: self.reader.f64()?,
                zone: self.reader.u16()?.cast_signed(),
            },
            OBJECT | ECMA_ARRAY | STRICT_ARRAY | TYPED_OBJECT => self.container(marker, start)?,
            REFERENCE => self.reference()?,
            AMF3 => amf3::value(&mut self.reader)?,
            // Movie clip and record set are reserved and were never defined.
            _ => return Err(Error::UnknownMarker(marker)),
        })
    }

    fn container(&mut self, marker: u8, start: usize) -> Result<Value, Error> {
        self.reader.enter()?;
        let index = self.places.len();
        if !self.replaying {
            self.places.push(Place {
                start,
                complete: false,
            });
        }
        let value = match marker {
            OBJECT => Value::Object(self.members()?),
            ECMA_ARRAY => {
                // The count is a hint, and often 0: the end marker ends the array.
                self.reader.u32()?;
                Value::EcmaArray(self.members()?)
            }
            STRICT_ARRAY => Value::StrictArray(self.array()?),
            _ => Value::TypedObject {
                class: self.short_string()?,
                object: self.members()?,
            },
        };
        if !self.replaying
            && let Some(place) = self.places.get_mut(index)
        {
            place.complete = true;
        }
        self.reader.leave();
        Ok(value)
    }

    fn members(&mut self) -> Result<Object, Error> {
        let mut object = Object::new();
        while !self.stopped {
            match self.member() {
                Ok(Some((name, value))) => object.push(name, value),
                Ok(None) => break,
                Err(error) => self.forgive(error)?,
            }
        }
        Ok(object)
    }

    fn member(&mut self) -> Result<Option<(String, Value)>, Error> {
        let name = self.short_string()?;
        // An empty name may also be a name: only both together end the object.
        if name.is_empty() && self.reader.rest().first() == Some(&OBJECT_END) {
            self.reader.u8()?;
            return Ok(None);
        }
        self.reader.charge(size_of::<String>())?;
        Ok(Some((name, self.value()?)))
    }

    fn array(&mut self) -> Result<Vec<Value>, Error> {
        let count = self.reader.u32()?;
        let mut values = Vec::new();
        for _ in 0..count {
            match self.value() {
                Ok(value) => values.push(value),
                Err(error) => self.forgive(error)?,
            }
            if self.stopped {
                break;
            }
        }
        Ok(values)
    }

    /// Reads again what a reference leads to. Each time is charged, so references cannot
    /// multiply a message, and each goes deeper, so they cannot chain without end.
    fn reference(&mut self) -> Result<Value, Error> {
        let index = usize::from(self.reader.u16()?);
        let place = self.places.get(index).filter(|place| place.complete);
        let start = place.ok_or(Error::BadReference)?.start;
        let back = self.reader.jump(start);
        let outer = std::mem::replace(&mut self.replaying, true);
        let value = self.value();
        self.replaying = outer;
        self.reader.jump(back);
        value
    }

    /// Takes an error as the end of the message, if that is wanted and the error allows it.
    fn forgive(&mut self, error: Error) -> Result<(), Error> {
        if !self.lenient || matches!(error, Error::TooDeep | Error::TooLarge) {
            return Err(error);
        }
        self.stopped = true;
        Ok(())
    }

    fn short_string(&mut self) -> Result<String, Error> {
        let length = self.reader.u16()?;
        self.reader.string(usize::from(length))
    }

    fn long_string(&mut self) -> Result<String, Error> {
        let length = self.reader.u32()?;
        self.reader
            .string(usize::try_from(length).map_err(|_| Error::Truncated)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict(bytes: &[u8]) -> Result<Value, Error> {
        let mut buf = bytes;
        let value = decode(&mut buf)?;
        assert!(buf.is_empty(), "{} bytes left over", buf.len());
        Ok(value)
    }

    fn nested(levels: usize) -> Vec<u8> {
        let mut bytes = b"\x03\0\x01a".repeat(levels);
        bytes.push(NULL);
        bytes.extend(b"\0\0\x09".repeat(levels));
        bytes
    }

    #[test]
    fn decodes_each_type_from_golden_bytes() {
        let number = b"\0\x40\x09\x21\xfb\x54\x44\x2d\x18";
        assert_eq!(strict(number), Ok(Value::Number(std::f64::consts::PI)));
        assert_eq!(strict(b"\x01\x01"), Ok(Value::Boolean(true)));
        assert_eq!(strict(b"\x01\0"), Ok(Value::Boolean(false)));
        assert_eq!(strict(b"\x02\0\x04live"), Ok("live".into()));
        assert_eq!(strict(b"\x05"), Ok(Value::Null));
        assert_eq!(strict(b"\x06"), Ok(Value::Undefined));
        assert_eq!(strict(b"\x0c\0\0\0\x02hi"), Ok("hi".into()));
        assert_eq!(strict(b"\x0d"), Ok(Value::Unsupported));
        assert_eq!(strict(b"\x0f\0\0\0\x04<a/>"), Ok(Value::Xml("<a/>".into())));
        let object: Object = [("a", true), ("b", false)].into_iter().collect();
        assert_eq!(
            strict(b"\x03\0\x01a\x01\x01\0\x01b\x01\0\0\0\x09"),
            Ok(Value::Object(object.clone()))
        );
        assert_eq!(
            strict(b"\x08\0\0\0\0\0\x01a\x01\x01\0\x01b\x01\0\0\0\x09"),
            Ok(Value::EcmaArray(object.clone()))
        );
        assert_eq!(
            strict(b"\x10\0\x01C\0\x01a\x01\x01\0\x01b\x01\0\0\0\x09"),
            Ok(Value::TypedObject {
                class: "C".into(),
                object
            })
        );
        assert_eq!(
            strict(b"\x0a\0\0\0\x02\x05\x06"),
            Ok(Value::StrictArray(vec![Value::Null, Value::Undefined]))
        );
        assert_eq!(
            strict(b"\x0b\x42\x6d\x1a\x94\xa2\0\0\0\xff\xc4"),
            Ok(Value::Date {
                millis: 1_000_000_000_000.0,
                zone: -60
            })
        );
        assert_eq!(strict(b"\x11\x04\x81\x00"), Ok(Value::Number(128.0)));
    }

    #[test]
    fn a_member_without_a_name_is_a_member() {
        let value = strict(b"\x03\0\0\x05\0\0\x09").unwrap();
        assert_eq!(value.as_object().unwrap().get(""), Some(&Value::Null));
    }

    #[test]
    fn replaces_bytes_that_are_no_utf8() {
        assert_eq!(strict(b"\x02\0\x03a\xffb"), Ok("a\u{fffd}b".into()));
    }

    #[test]
    fn follows_references_to_what_came_before() {
        let bytes = b"\x0a\0\0\0\x02\x03\0\x01a\x01\x01\0\0\x09\x07\0\x01";
        let object = Value::Object([("a", true)].into_iter().collect());
        assert_eq!(
            strict(bytes),
            Ok(Value::StrictArray(vec![object.clone(), object]))
        );
    }

    #[test]
    fn refuses_references_to_themselves_or_to_nothing() {
        assert_eq!(strict(b"\x0a\0\0\0\x01\x07\0\0"), Err(Error::BadReference));
        assert_eq!(strict(b"\x07\0\0"), Err(Error::BadReference));
    }

    #[test]
    fn references_cannot_multiply_a_message() {
        // Each array holds the one before twice: 2^200 nulls.
        let mut bytes = b"\x0a\0\0\x01\0\x0a\0\0\0\x01\x05".to_vec();
        for index in 1..200u16 {
            bytes.extend(b"\x0a\0\0\0\x02");
            bytes.extend([REFERENCE, 0, index as u8, REFERENCE, 0, index as u8]);
        }
        assert_eq!(strict(&bytes), Err(Error::TooLarge));
        assert!(decode_all(&bytes).is_empty());
    }

    #[test]
    fn refuses_what_nests_deeper_than_64() {
        assert!(strict(&nested(64)).is_ok());
        assert_eq!(strict(&nested(65)), Err(Error::TooDeep));
        assert_eq!(strict(&nested(100_000)), Err(Error::TooDeep));
        assert!(decode_all(&nested(100_000)).is_empty());
        assert_eq!(
            strict(&b"\x0a\0\0\0\x01".repeat(100_000)),
            Err(Error::TooDeep)
        );
        // Both versions count together.
        let mut mixed = b"\x03\0\x01a".repeat(40);
        mixed.push(AMF3);
        mixed.extend(b"\x09\x03\x01".repeat(40));
        assert_eq!(strict(&mixed), Err(Error::TooDeep));
    }

    #[test]
    fn refuses_what_would_take_more_memory_than_allowed() {
        let mut bytes = b"\x0a\0\x10\0\0".to_vec();
        bytes.resize(5 + (1 << 20), NULL);
        assert_eq!(strict(&bytes), Err(Error::TooLarge));
        assert!(
            decode_with(
                &mut &bytes[..],
                Limits {
                    size: 1 << 30,
                    ..Limits::default()
                }
            )
            .is_ok()
        );
        // A count alone takes nothing.
        assert_eq!(strict(b"\x0a\xff\xff\xff\xff"), Err(Error::Truncated));
        assert_eq!(strict(b"\x0c\xff\xff\xff\xffab"), Err(Error::Truncated));
    }

    #[test]
    fn a_failed_decode_leaves_the_buffer_alone() {
        let mut buf: &[u8] = b"\x02\0\x04li";
        assert_eq!(decode(&mut buf), Err(Error::Truncated));
        assert_eq!(buf, b"\x02\0\x04li");
    }

    #[test]
    fn takes_what_is_there_of_a_message_cut_off_or_broken() {
        let a: Object = [("a", true)].into_iter().collect();
        let expected = vec![Value::Number(0.0), Value::Object(a)];
        let head = b"\0\0\0\0\0\0\0\0\0\x03\0\x01a\x01\x01";
        let no_end: &[u8] = b"";
        let cut_in_a_name = b"\0\x04ab";
        let cut_in_a_value = b"\0\x01b\0\x40";
        let unknown_marker = b"\0\x01b\xee\x05\x05";
        for tail in [no_end, cut_in_a_name, cut_in_a_value, unknown_marker] {
            assert_eq!(decode_all(&[head, tail].concat()), expected);
        }
        assert_eq!(
            decode_all(b"\x0a\0\0\0\x09\x05\x05"),
            [Value::StrictArray(vec![Value::Null, Value::Null])]
        );
        // Objects in objects, none of them ended.
        let inner = decode_all(b"\x03\0\x01a\x03\0\x01b\x05");
        let inner = inner[0].as_object().unwrap().get("a").unwrap();
        assert_eq!(inner.as_object().unwrap().get("b"), Some(&Value::Null));
        assert_eq!(
            decode_all(b"\x05\x09\x06\xee\x05"),
            [Value::Null, Value::Undefined]
        );
    }
}
