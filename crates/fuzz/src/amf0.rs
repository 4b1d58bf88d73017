use amf::{decode, decode_all, encode_all};

use crate::memory::bounded;
use crate::weight::{self, GRACE, PER_BYTE, SPARE};

/// AMF0, strict and lenient.
pub fn amf0(data: &[u8]) {
    let mut rest = data;
    if let Ok(value) = bounded(data.len(), SPARE * PER_BYTE, SPARE * GRACE, || {
        decode(&mut rest)
    }) {
        let taken = data.len() - rest.len();
        let exact = &data[..taken];
        weight::check([&value], taken);
        let written = encode_all([&value]);
        // Compared as bytes: NaN is no equal of itself.
        assert_eq!(
            encode_all(&decode_all(exact)),
            written,
            "lenient reads what strict reads"
        );
        assert!(
            decode(&mut &data[..taken - 1]).is_err(),
            "a value was whole one byte too early"
        );
    } else {
        assert_eq!(rest.len(), data.len(), "an error took bytes");
    }

    let values = bounded(data.len(), SPARE * PER_BYTE, SPARE * GRACE, || {
        decode_all(data)
    });
    weight::check(&values, data.len());
    let written = encode_all(&values);
    assert_eq!(
        encode_all(&decode_all(&written)),
        written,
        "written, read and written again"
    );
    // What is written by us is read by the strict as well, value by value.
    let mut rest = &written[..];
    let mut count = 0;
    while !rest.is_empty() {
        decode(&mut rest).expect("what we write is well made");
        count += 1;
    }
    assert_eq!(count, values.len());
}
