//! What decoded values weigh.

use amf::{Object, Value};

/// What values may weigh per byte of input, and beyond that: the promise of `amf::Limits`.
pub(crate) const PER_BYTE: usize = 128;
pub(crate) const GRACE: usize = 4096;
/// A vector that grows holds thrice what is in it: the old one, and the new one with room.
pub(crate) const SPARE: usize = 4;

/// Panics where `values`, decoded from `length` bytes, hold more memory than promised.
pub(crate) fn check<'a>(values: impl IntoIterator<Item = &'a Value>, length: usize) {
    let weight: usize = values.into_iter().map(value).sum();
    let limit = (length * PER_BYTE + GRACE).min(amf::Limits::default().size);
    assert!(
        weight <= limit,
        "{length} bytes became values of {weight} bytes"
    );
}

fn value(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::String(text) | Value::Xml(text) => text.len(),
            Value::Object(members) | Value::EcmaArray(members) => object(members),
            Value::TypedObject {
                class,
                object: members,
            } => class.len() + object(members),
            Value::StrictArray(values) => values.iter().map(self::value).sum(),
            _ => 0,
        }
}

fn object(object: &Object) -> usize {
    let members = object.iter();
    members
        .map(|(name, member)| size_of::<String>() + name.len() + value(member))
        .sum()
}
