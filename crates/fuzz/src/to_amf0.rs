use amf::{decode, decode_all, encode_all, to_amf0 as convert};
use bytes::Bytes;

use crate::memory::bounded;
use crate::weight::{GRACE, PER_BYTE, SPARE};

/// The marker in AMF0 of a value that is in AMF3.
const SWITCH: u8 = 0x11;

/// A message of type 15 or 17, which goes on as AMF0.
pub fn to_amf0(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    // Values and what they are written to, which doubles as it grows.
    let plain = bounded(data.len(), 2 * SPARE * PER_BYTE, 2 * SPARE * GRACE, || {
        convert(&body)
    });
    assert!(plain.len() <= data.len() * PER_BYTE + GRACE);
    if !data.contains(&SWITCH) {
        let format = usize::from(data.first() == Some(&0));
        assert_eq!(plain, body.slice(format..), "nothing to convert");
        return;
    }
    // What was converted is AMF0 that everybody reads, and says so itself.
    let mut rest = &plain[..];
    let mut count = 0;
    while !rest.is_empty() {
        decode(&mut rest).expect("what we write is well made");
        count += 1;
    }
    let values = decode_all(&plain);
    assert_eq!(values.len(), count, "lenient reads what strict reads");
    assert_eq!(
        encode_all(&values),
        plain,
        "written, read and written again"
    );
    let again = Bytes::from([&[0], &plain[..]].concat());
    assert_eq!(convert(&again), plain, "converted again");
}
