//! Heads of HTTP/2 (RFC 7541), as far as one question and the status of its answer need it: nothing is remembered
//! from one head to the next, which both sides agree on by a table of size 0.

/// The fields of the static table that are needed (RFC 7541, appendix A).
mod field {
    pub(super) const AUTHORITY: u8 = 1;
    pub(super) const METHOD_GET: u8 = 2;
    pub(super) const PATH: u8 = 4;
    pub(super) const SCHEME_HTTP: u8 = 6;
    pub(super) const STATUS: u8 = 8;
    pub(super) const USER_AGENT: u8 = 58;
}

/// The statuses of the static table, from its field 8 on.
const STATUSES: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
const INDEXED: u8 = 0x80;

/// The head of a request for `path`.
pub(crate) fn request(authority: &str, path: &str) -> Vec<u8> {
    let mut out = vec![INDEXED | field::METHOD_GET, INDEXED | field::SCHEME_HTTP];
    for (name, value) in [
        (field::PATH, path),
        (field::AUTHORITY, authority),
        (field::USER_AGENT, "weir-loadtest"),
    ] {
        // RFC 7541 6.2.2: not to be remembered, its name by number; the value as it is.
        number(&mut out, 4, usize::from(name));
        number(&mut out, 7, value.len());
        out.extend_from_slice(value.as_bytes());
    }
    out
}

/// RFC 7541 5.1: a number that begins with so many bits of a byte, whose others are 0.
fn number(out: &mut Vec<u8>, bits: u32, value: usize) {
    let most = (1 << bits) - 1;
    if value < most {
        return out.push(value as u8);
    }
    out.push(most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        out.push((rest % 128) as u8 | 0x80);
        rest /= 128;
    }
    out.push(rest as u8);
}

/// The status of an answer, which its head begins with (RFC 9113 8.3); 0 if that is nothing we know.
pub(crate) fn status(mut block: &[u8]) -> u16 {
    // The size of the table may be told first; none that we allow takes a second byte.
    while let [0x20..=0x3e, rest @ ..] = block {
        block = rest;
    }
    match block {
        [first, ..] if first & INDEXED != 0 => {
            let index = first & !INDEXED;
            let place = index.checked_sub(field::STATUS);
            let status = place.and_then(|place| STATUSES.get(usize::from(place)));
            status.copied().unwrap_or(0)
        }
        // The name by number, in any of the three ways; any status of the table has the same name.
        [name, length, value @ ..] => {
            let bits = if name & 0x40 == 0 { 0x0f } else { 0x3f };
            let index = name & bits;
            let is_status = (field::STATUS..field::STATUS + 7).contains(&index);
            let value = value.get(..usize::from(length & 0x7f)).unwrap_or_default();
            let digits = match length & 0x80 {
                0 => value.to_vec(),
                _ => packed_digits(value),
            };
            let digits = std::str::from_utf8(&digits).unwrap_or_default();
            digits.parse().ok().filter(|_| is_status).unwrap_or(0)
        }
        _ => 0,
    }
}

/// RFC 7541, appendix B: `0` to `2` are five bits, `3` to `9` six; the rest of a byte is ones.
fn packed_digits(bytes: &[u8]) -> Vec<u8> {
    let bit = |at: usize| bytes.get(at / 8).map_or(1, |byte| byte >> (7 - at % 8) & 1);
    let take = |at: usize, bits: usize| (at..at + bits).fold(0, |sum, at| sum << 1 | bit(at));
    let (mut digits, mut at) = (Vec::new(), 0);
    while at + 5 <= bytes.len() * 8 {
        let (five, six) = (take(at, 5), take(at, 6));
        let (digit, bits) = match (five, six) {
            (0..=2, _) => (five, 5),
            (_, 25..=31) => (six - 22, 6),
            _ => break,
        };
        digits.push(b'0' + digit);
        at += bits;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_the_specification_writes_it() {
        // RFC 7541, C.2.2, with its path, and an authority of 130 bytes.
        let head = request(&"a".repeat(130), "/sample/path");
        assert!(head.starts_with(b"\x82\x86\x04\x0c/sample/path\x01\x7f\x03aaa"));
        assert!(head.ends_with(b"aaa\x0f\x2b\x0dweir-loadtest"));
    }

    #[test]
    fn a_status_is_read_however_it_is_written() {
        assert_eq!(status(&[0x88]), 200);
        assert_eq!(status(&[0x20, 0x8d, 0x40]), 404);
        assert_eq!(status(b"\x08\x03503..."), 503);
        // RFC 7541, C.6.1 and C.6.2: 302 and 307.
        assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), 302);
        assert_eq!(status(&[0x48, 0x83, 0x64, 0x0e, 0xff]), 307);
        for strange in [&[][..], &[0x82], &[0xbe], b"\x04\x03200", b"\x08\x7f"] {
            assert_eq!(status(strange), 0, "{strange:?}");
        }
    }
}
