//! AMF3, as far as it reaches a media server: in messages of types 15 and 17, and behind the
//! marker that switches AMF0 over.

use std::rc::Rc;

use crate::reader::{Place, Reader};
use crate::{Error, Limits, Object, Value};

const UNDEFINED: u8 = 0x00;
const NULL: u8 = 0x01;
const FALSE: u8 = 0x02;
const TRUE: u8 = 0x03;
const INTEGER: u8 = 0x04;
const DOUBLE: u8 = 0x05;
const STRING: u8 = 0x06;
const XML_DOCUMENT: u8 = 0x07;
const DATE: u8 = 0x08;
const ARRAY: u8 = 0x09;
const OBJECT: u8 = 0x0a;
const XML: u8 = 0x0b;
const BYTE_ARRAY: u8 = 0x0c;
const VECTOR_INT: u8 = 0x0d;
const VECTOR_UINT: u8 = 0x0e;
const VECTOR_DOUBLE: u8 = 0x0f;
const VECTOR_OBJECT: u8 = 0x10;
const DICTIONARY: u8 = 0x11;

/// Takes one value off the front of `buf`, which stays as it is after an error.
///
/// References start anew with each call, as they do behind each switch in an AMF0 message.
pub fn decode(buf: &mut &[u8]) -> Result<Value, Error> {
    decode_with(buf, Limits::default())
}

/// [`decode`] with other limits.
pub fn decode_with(buf: &mut &[u8], limits: Limits) -> Result<Value, Error> {
    let mut reader = Reader::new(buf, limits);
    let value = value(&mut reader)?;
    *buf = reader.rest();
    Ok(value)
}

pub(crate) fn value(reader: &mut Reader<'_>) -> Result<Value, Error> {
    let (strings, traits, places) = Default::default();
    Decoder {
        reader,
        strings,
        traits,
        places,
        replaying: false,
    }
    .value()
}

struct Decoder<'r, 'a> {
    reader: &'r mut Reader<'a>,
    strings: Vec<&'a [u8]>,
    traits: Vec<Rc<Traits<'a>>>,
    /// Where each value that can be referred to began.
    places: Vec<Place>,
    /// Whether a reference is being followed: the tables already hold what is read again.
    replaying: bool,
}

/// The class of an object, and the members that all its objects have.
struct Traits<'a> {
    class: &'a [u8],
    members: Vec<&'a [u8]>,
    dynamic: bool,
    /// Whether the class has a format of its own.
    external: bool,
}

/// The number in front of a value: an index into a table, or a length with flags.
enum Header {
    Reference(usize),
    Inline(usize),
}

impl<'a> Decoder<'_, 'a> {
    fn value(&mut self) -> Result<Value, Error> {
        let start = self.reader.position();
        let marker = self.reader.u8()?;
        self.reader.charge(size_of::<Value>())?;
        Ok(match marker {
            UNDEFINED => Value::Undefined,
            NULL => Value::Null,
            FALSE => Value::Boolean(false),
            TRUE => Value::Boolean(true),
            INTEGER => {
                // 29 bits with a sign.
                let bits = self.u29()? << 3;
                Value::Number(f64::from(bits.cast_signed() >> 3))
            }
            DOUBLE => Value::Number(self.reader.f64()?),
            STRING => Value::String(self.string()?),
            XML_DOCUMENT | DATE | ARRAY | OBJECT | XML | BYTE_ARRAY | VECTOR_INT | VECTOR_UINT
            | VECTOR_DOUBLE | VECTOR_OBJECT | DICTIONARY => match self.header()? {
                Header::Reference(index) => self.reference(index)?,
                Header::Inline(header) => self.inline(marker, start, header)?,
            },
            _ => return Err(Error::UnknownMarker(marker)),
        })
    }

    /// A value of one of the types that can be referred to.
    fn inline(&mut self, marker: u8, start: usize, header: usize) -> Result<Value, Error> {
        self.reader.enter()?;
        let index = self.places.len();
        if !self.replaying {
            self.places.push(Place {
                start,
                complete: false,
            });
        }
        let value = match marker {
            XML_DOCUMENT | XML => Value::Xml(self.reader.string(header)?),
            DATE => Value::Date {
                millis: self.reader.f64()?,
                zone: 0,
            },
            ARRAY => self.array(header)?,
            OBJECT => self.object(header)?,
            BYTE_ARRAY => {
                self.reader.take(header)?;
                Value::Unsupported
            }
            DICTIONARY => self.dictionary(header)?,
            _ => self.vector(marker, header)?,
        };
        if !self.replaying
            && let Some(place) = self.places.get_mut(index)
        {
            place.complete = true;
        }
        self.reader.leave();
        Ok(value)
    }

    fn array(&mut self, count: usize) -> Result<Value, Error> {
        let mut named = self.dynamic_members(Object::new())?;
        if named.is_empty() {
            return Ok(Value::StrictArray(self.values(count)?));
        }
        for index in 0..count {
            let value = self.value()?;
            self.push(&mut named, index.to_string(), value)?;
        }
        Ok(Value::EcmaArray(named))
    }

    fn object(&mut self, header: usize) -> Result<Value, Error> {
        let traits = self.traits(header)?;
        let class = String::from_utf8_lossy(traits.class);
        if traits.external {
            return match &*class {
                // They wrap one value, which is all that matters of them.
                "flex.messaging.io.ArrayCollection"
                | "flex.messaging.io.ArrayList"
                | "flex.messaging.io.ObjectProxy" => self.value(),
                _ => Err(Error::UnknownFormat),
            };
        }
        let mut object = Object::new();
        for name in &traits.members {
            let name = String::from_utf8_lossy(name).into_owned();
            let value = self.value()?;
            self.push(&mut object, name, value)?;
        }
        if traits.dynamic {
            object = self.dynamic_members(object)?;
        }
        if class.is_empty() {
            return Ok(Value::Object(object));
        }
        self.reader.charge(class.len())?;
        Ok(Value::TypedObject {
            class: class.into_owned(),
            object,
        })
    }

    fn traits(&mut self, header: usize) -> Result<Rc<Traits<'a>>, Error> {
        if header & 1 == 0 {
            return self
                .traits
                .get(header >> 1)
                .cloned()
                .ok_or(Error::BadReference);
        }
        let (external, dynamic, count) = (header & 2 != 0, header & 4 != 0, header >> 3);
        let class = self.text()?;
        let mut members = Vec::new();
        for _ in 0..count {
            self.reader.charge(size_of::<&[u8]>())?;
            members.push(self.text()?);
        }
        let traits = Rc::new(Traits {
            class,
            members,
            dynamic,
            external,
        });
        if !self.replaying {
            self.reader.charge(size_of::<Traits<'_>>())?;
            self.traits.push(traits.clone());
        }
        Ok(traits)
    }

    /// Members up to one without a name.
    fn dynamic_members(&mut self, mut object: Object) -> Result<Object, Error> {
        loop {
            let name = self.string()?;
            if name.is_empty() {
                return Ok(object);
            }
            let value = self.value()?;
            self.push(&mut object, name, value)?;
        }
    }

    fn dictionary(&mut self, count: usize) -> Result<Value, Error> {
        self.reader.u8()?; // Whether its keys are weak.
        let mut object = Object::new();
        for _ in 0..count {
            let key = self.value()?;
            let value = self.value()?;
            match key {
                Value::String(name) => self.push(&mut object, name, value)?,
                Value::Number(name) => self.push(&mut object, name.to_string(), value)?,
                _ => {} // Objects as keys have no name to be found by.
            }
        }
        Ok(Value::Object(object))
    }

    fn vector(&mut self, marker: u8, count: usize) -> Result<Value, Error> {
        self.reader.u8()?; // Whether its length is fixed.
        if marker == VECTOR_OBJECT {
            self.text()?; // The class of its members, which name it again.
            return Ok(Value::StrictArray(self.values(count)?));
        }
        let mut values = Vec::new();
        for _ in 0..count {
            let number = match marker {
                VECTOR_INT => f64::from(self.reader.u32()?.cast_signed()),
                VECTOR_UINT => f64::from(self.reader.u32()?),
                _ => self.reader.f64()?,
            };
            self.reader.charge(size_of::<Value>())?;
            values.push(Value::Number(number));
        }
        Ok(Value::StrictArray(values))
    }

    fn values(&mut self, count: usize) -> Result<Vec<Value>, Error> {
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(self.value()?);
        }
        Ok(values)
    }

    /// Adds a member. Its name costs each time: a table gives it to many objects.
    fn push(&mut self, object: &mut Object, name: String, value: Value) -> Result<(), Error> {
        self.reader.charge(size_of::<String>() + name.len())?;
        object.push(name, value);
        Ok(())
    }

    /// Reads again what a reference leads to; see `reference` of AMF0.
    fn reference(&mut self, index: usize) -> Result<Value, Error> {
        let place = self.places.get(index).filter(|place| place.complete);
        let start = place.ok_or(Error::BadReference)?.start;
        let back = self.reader.jump(start);
        let outer = std::mem::replace(&mut self.replaying, true);
        let value = self.value();
        self.replaying = outer;
        self.reader.jump(back);
        value
    }

    fn string(&mut self) -> Result<String, Error> {
        let text = String::from_utf8_lossy(self.text()?);
        self.reader.charge(text.len())?;
        Ok(text.into_owned())
    }

    /// The bytes of a string, spelled out or from the table.
    fn text(&mut self) -> Result<&'a [u8], Error> {
        match self.header()? {
            Header::Reference(index) => self.strings.get(index).copied().ok_or(Error::BadReference),
            Header::Inline(length) => {
                let text = self.reader.take(length)?;
                // The empty string is never in the table.
                if !text.is_empty() && !self.replaying {
                    self.reader.charge(size_of::<&[u8]>())?;
                    self.strings.push(text);
                }
                Ok(text)
            }
        }
    }

    fn header(&mut self) -> Result<Header, Error> {
        let header = self.u29()? as usize;
        let rest = header >> 1;
        Ok(if header & 1 == 0 {
            Header::Reference(rest)
        } else {
            Header::Inline(rest)
        })
    }

    /// AMF3 1.3.1: 7 bits in each of up to three bytes, and 8 in a fourth.
    fn u29(&mut self) -> Result<u32, Error> {
        let mut number = 0;
        for _ in 0..3 {
            let byte = self.reader.u8()?;
            number = number << 7 | u32::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Ok(number << 8 | u32::from(self.reader.u8()?))
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

    fn object<V: Into<Value>>(members: impl IntoIterator<Item = (&'static str, V)>) -> Object {
        members.into_iter().collect()
    }

    #[test]
    fn decodes_each_simple_type_from_golden_bytes() {
        assert_eq!(strict(b"\x00"), Ok(Value::Undefined));
        assert_eq!(strict(b"\x01"), Ok(Value::Null));
        assert_eq!(strict(b"\x02"), Ok(Value::Boolean(false)));
        assert_eq!(strict(b"\x03"), Ok(Value::Boolean(true)));
        assert_eq!(strict(b"\x04\x7f"), Ok(Value::Number(127.0)));
        assert_eq!(strict(b"\x04\x81\x00"), Ok(Value::Number(128.0)));
        assert_eq!(strict(b"\x04\xff\xff\xff\xff"), Ok(Value::Number(-1.0)));
        assert_eq!(
            strict(b"\x04\xbf\xff\xff\xff"),
            Ok(Value::Number(268_435_455.0))
        );
        assert_eq!(
            strict(b"\x04\xc0\x80\x80\x00"),
            Ok(Value::Number(-268_435_456.0))
        );
        assert_eq!(strict(b"\x05\x3f\xf0\0\0\0\0\0\0"), Ok(Value::Number(1.0)));
        assert_eq!(strict(b"\x06\x09live"), Ok("live".into()));
        assert_eq!(strict(b"\x06\x01"), Ok("".into()));
        assert_eq!(strict(b"\x07\x09<a/>"), Ok(Value::Xml("<a/>".into())));
        assert_eq!(strict(b"\x0b\x09<a/>"), Ok(Value::Xml("<a/>".into())));
        assert_eq!(
            strict(b"\x08\x01\x42\x6d\x1a\x94\xa2\0\0\0"),
            Ok(Value::Date {
                millis: 1_000_000_000_000.0,
                zone: 0
            })
        );
        assert_eq!(strict(b"\x0c\x05ab"), Ok(Value::Unsupported));
    }

    #[test]
    fn decodes_arrays_dense_and_associative() {
        assert_eq!(
            strict(b"\x09\x05\x01\x04\x01\x06\x03a"),
            Ok(Value::StrictArray(vec![1.0.into(), "a".into()]))
        );
        assert_eq!(
            strict(b"\x09\x03\x03k\x03\x01\x02"),
            Ok(Value::EcmaArray(object([("k", true), ("0", false)])))
        );
        let numbers = Value::StrictArray(vec![Value::Number(-1.0), Value::Number(2.0)]);
        assert_eq!(strict(b"\x0d\x05\0\xff\xff\xff\xff\0\0\0\x02"), Ok(numbers));
        let numbers = Value::StrictArray(vec![Value::Number(4_294_967_295.0)]);
        assert_eq!(strict(b"\x0e\x03\0\xff\xff\xff\xff"), Ok(numbers));
        assert_eq!(
            strict(b"\x10\x03\0\x01\x01"),
            Ok(Value::StrictArray(vec![Value::Null]))
        );
        let dictionary = Value::Object(object([("k", true), ("7", false)]));
        assert_eq!(
            strict(b"\x11\x05\0\x06\x03k\x03\x04\x07\x02"),
            Ok(dictionary)
        );
    }

    #[test]
    fn decodes_objects_through_all_three_tables() {
        // A class C with the member a and dynamic members; then one of the same traits whose
        // dynamic member's name is the string of table index 1; then the first one again.
        let bytes = b"\x09\x07\x01\
            \x0a\x1b\x03C\x03a\x04\x01\x03b\x03\x01\
            \x0a\x01\x04\x02\x02\x06\x04\x01\
            \x0a\x02";
        let first = object([("a", Value::Number(1.0)), ("b", Value::Boolean(true))]);
        let second = object([("a", Value::Number(2.0)), ("a", "b".into())]);
        let typed = |object| Value::TypedObject {
            class: "C".into(),
            object,
        };
        assert_eq!(
            strict(bytes),
            Ok(Value::StrictArray(vec![
                typed(first.clone()),
                typed(second),
                typed(first)
            ]))
        );
    }

    #[test]
    fn unwraps_collections_and_refuses_other_classes_with_a_format_of_their_own() {
        let mut bytes = b"\x0a\x07\x43flex.messaging.io.ArrayCollection".to_vec();
        bytes.extend(b"\x09\x03\x01\x01");
        assert_eq!(strict(&bytes), Ok(Value::StrictArray(vec![Value::Null])));
        assert_eq!(strict(b"\x0a\x07\x03C\x01"), Err(Error::UnknownFormat));
    }

    #[test]
    fn refuses_references_to_nothing_and_to_themselves() {
        assert_eq!(strict(b"\x06\x00"), Err(Error::BadReference));
        assert_eq!(strict(b"\x0a\x00"), Err(Error::BadReference));
        assert_eq!(strict(b"\x0a\x05"), Err(Error::BadReference));
        assert_eq!(strict(b"\x09\x03\x01\x09\x00"), Err(Error::BadReference));
    }

    #[test]
    fn refuses_what_nests_too_deep() {
        assert_eq!(
            strict(&b"\x09\x03\x01".repeat(100_000)),
            Err(Error::TooDeep)
        );
        assert_eq!(
            strict(&b"\x0a\x0b\x01\x03a".repeat(100_000)),
            Err(Error::TooDeep)
        );
    }

    #[test]
    fn tables_cannot_multiply_a_message() {
        // A string of 64 KiB, then references to it in two bytes each.
        let mut strings = b"\x09\x87\xff\x7f\x01\x06\x88\x80\x01".to_vec();
        strings.resize(strings.len() + (1 << 16), b'a');
        strings.extend(b"\x06\x00".repeat(0xffff));
        assert_eq!(strict(&strings), Err(Error::TooLarge));
        // Arrays of which each holds the one before twice.
        let mut arrays = b"\x09\x81\x49\x01\x09\x03\x01\x01".to_vec();
        for index in 1..100u8 {
            arrays.extend(b"\x09\x05\x01");
            for _ in 0..2 {
                let [high, low] = [0x80 | index >> 6, index << 1 & 0x7f];
                arrays.extend([ARRAY, high, low]);
            }
        }
        assert_eq!(strict(&arrays), Err(Error::TooLarge));
        // A class with many members, and no object of it.
        assert_eq!(strict(b"\x0a\xff\xff\xff\xfb\x01"), Err(Error::Truncated));
    }
}
