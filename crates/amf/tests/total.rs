//! What is encoded comes back, and no bytes panic.

use bytes::Bytes;
use proptest::prelude::*;
use weir_amf::{Object, Value, amf3, decode, decode_all, encode_all, to_amf0};

fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Object> {
    let members = prop::collection::vec((".{0,8}", value), 0..6);
    members.prop_map(|members| members.into_iter().collect())
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<f64>().prop_map(Value::Number),
        any::<bool>().prop_map(Value::Boolean),
        ".{0,40}".prop_map(Value::String),
        Just(Value::Null),
        Just(Value::Undefined),
        Just(Value::Unsupported),
        ".{0,40}".prop_map(Value::Xml),
        (any::<f64>(), any::<i16>()).prop_map(|(millis, zone)| Value::Date { millis, zone }),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            object(inner.clone()).prop_map(Value::Object),
            object(inner.clone()).prop_map(Value::EcmaArray),
            (".{0,8}", object(inner.clone()))
                .prop_map(|(class, object)| Value::TypedObject { class, object }),
            prop::collection::vec(inner, 0..8).prop_map(Value::StrictArray),
        ]
    })
}

/// What a message in AMF3 clothes becomes can be read without AMF3: where a switch was in it, it
/// is written anew, and what we write has none.
fn no_switch_is_left(bytes: Vec<u8>) {
    let body = Bytes::from(bytes);
    let plain = to_amf0(&body);
    if body.contains(&0x11) {
        let mut rest = &plain[..];
        while !rest.is_empty() {
            assert!(decode(&mut rest).is_ok());
        }
        assert_eq!(encode_all(&decode_all(&plain)), plain);
    }
}

proptest! {
    #[test]
    fn values_survive_the_round_trip(values in prop::collection::vec(value(), 0..4)) {
        let bytes = encode_all(&values);
        prop_assert_eq!(decode_all(&bytes), values.clone());
        let mut rest = &bytes[..];
        for value in &values {
            prop_assert_eq!(&decode(&mut rest).unwrap(), value);
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn a_message_cut_off_anywhere_yields_no_more_than_the_whole(value in value()) {
        let bytes = encode_all([&value]);
        for end in 0..bytes.len() {
            prop_assert!(decode(&mut &bytes[..end]).is_err());
            prop_assert!(decode_all(&bytes[..end]).len() <= 1);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&mut &bytes[..]);
        let _ = amf3::decode(&mut &bytes[..]);
        // What was read leniently can be written, and is then read strictly.
        let written = encode_all(&decode_all(&bytes));
        let mut rest = &written[..];
        while !rest.is_empty() {
            prop_assert!(decode(&mut rest).is_ok());
        }
    }

    #[test]
    fn no_markers_panic(bytes in prop::collection::vec(0u8..0x12, 0..300)) {
        let _ = decode(&mut &bytes[..]);
        let _ = amf3::decode(&mut &bytes[..]);
        let _ = decode_all(&bytes);
        no_switch_is_left(bytes);
    }

    #[test]
    fn no_switch_is_left_in_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        no_switch_is_left(bytes);
    }
}
