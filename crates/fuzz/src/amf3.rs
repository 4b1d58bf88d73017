use amf::{amf3, decode, encode_all};

use crate::memory::bounded;
use crate::weight::{self, GRACE, PER_BYTE, SPARE};

/// AMF3, which is read and never written: what it yields goes on as AMF0.
pub fn amf3(data: &[u8]) {
    let mut rest = data;
    let decoded = bounded(data.len(), SPARE * PER_BYTE, SPARE * GRACE, || {
        amf3::decode(&mut rest)
    });
    let Ok(value) = decoded else {
        assert_eq!(rest.len(), data.len(), "an error took bytes");
        return;
    };
    let taken = data.len() - rest.len();
    weight::check([&value], taken);
    assert!(
        amf3::decode(&mut &data[..taken - 1]).is_err(),
        "a value was whole one byte too early"
    );
    let written = encode_all([&value]);
    let mut rest = &written[..];
    let again = decode(&mut rest).expect("what we write is well made");
    assert!(rest.is_empty());
    // Compared as bytes: NaN is no equal of itself.
    assert_eq!(encode_all([&again]), written, "read and written again");
    // Behind the switch in AMF0 it is the same.
    let mut switched = vec![0x11];
    switched.extend_from_slice(&data[..taken]);
    let mut rest = &switched[..];
    if let Ok(value) = decode(&mut rest) {
        assert!(rest.is_empty());
        assert_eq!(encode_all([&value]), written, "switched over from AMF0");
    }
}
