//! Parts of what is asked for (RFC 9110, section 14).

use std::ops::Range;

use axum::http::{HeaderMap, header};

/// What of so many bytes is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Whole,
    Part(Range<usize>),
    /// There is nothing there.
    Beyond,
}

/// What a request wants of `length` bytes that are known by `tag`. Several ranges at once, and what is no range, are
/// answered with everything, as they may be.
pub(super) fn wanted(headers: &HeaderMap, length: usize, tag: &str) -> Wanted {
    // RFC 9110 13.1.5: who has a part of something else wants all of this.
    let is_other = |known: &axum::http::HeaderValue| known.as_bytes() != tag.as_bytes();
    if headers.get(header::IF_RANGE).is_some_and(is_other) {
        return Wanted::Whole;
    }
    let mut ranges = headers.get_all(header::RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else {
        return Wanted::Whole;
    };
    let range = range.to_str().ok().and_then(|range| read(range, length));
    range.unwrap_or(Wanted::Whole)
}

/// `None` if it is not one range of bytes.
fn read(text: &str, length: usize) -> Option<Wanted> {
    let (unit, range) = text.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let range = match (first, last) {
        ("", last) => length.saturating_sub(number(last)?)..length,
        (first, "") => number(first)?..length,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..length.min(last.saturating_add(1))
        }
    };
    Some(match range.is_empty() {
        true => Wanted::Beyond,
        false => Wanted::Part(range),
    })
}

/// One that is too large to be counted is behind every end.
fn number(text: &str) -> Option<usize> {
    let is_plain = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    is_plain.then(|| text.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const TAG: &str = "\"it\"";

    fn asked(range: &str) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::RANGE,
            HeaderValue::from_str(range).expect("a value"),
        );
        wanted(&headers, 10, TAG)
    }

    #[test]
    fn one_range_is_cut_to_what_there_is() {
        for (range, part) in [
            ("bytes=0-3", 0..4),
            ("bytes=3-3", 3..4),
            ("bytes=3-", 3..10),
            ("bytes=3-99", 3..10),
            ("bytes=3-99999999999999999999", 3..10),
            ("bytes=-3", 7..10),
            ("bytes=-99", 0..10),
            ("Bytes= 0-0", 0..1),
        ] {
            assert_eq!(asked(range), Wanted::Part(part), "{range}");
        }
    }

    #[test]
    fn what_is_not_there_is_beyond() {
        for range in [
            "bytes=10-",
            "bytes=10-12",
            "bytes=99999999999999999999-",
            "bytes=-0",
        ] {
            assert_eq!(asked(range), Wanted::Beyond, "{range}");
        }
    }

    #[test]
    fn what_is_not_one_range_is_answered_whole() {
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=3-2",
            "bytes=a-b",
            "bytes=0-1,3-4",
            "bytes=+1-2",
            "lines=0-1",
            "bytes=1-2-3",
            "0-3",
        ] {
            assert_eq!(asked(range), Wanted::Whole, "{range}");
        }
    }

    #[test]
    fn who_has_something_else_gets_all_of_this() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-0"));
        headers.insert(header::IF_RANGE, HeaderValue::from_static(TAG));
        assert_eq!(wanted(&headers, 10, TAG), Wanted::Part(0..1));
        for other in ["\"other\"", "W/\"it\"", "Sun, 06 Nov 1994 08:49:37 GMT"] {
            headers.insert(header::IF_RANGE, HeaderValue::from_static(other));
            assert_eq!(wanted(&headers, 10, TAG), Wanted::Whole, "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_range_is_too_strange(text in "(bytes=)?[0-9, -]{0,24}|\\PC*", length in 0..100_usize) {
            if let Some(Wanted::Part(range)) = read(&text, length) {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }
    }
}
