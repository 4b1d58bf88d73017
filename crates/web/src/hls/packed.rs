//! Playlists in a tenth of their bytes. Players of low latency load several each second.

use std::io::Write;

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Whether who asks takes gzip (RFC 9110, 12.5.3).
pub(super) fn is_taken(headers: &HeaderMap) -> bool {
    let named = headers.get_all(header::ACCEPT_ENCODING).iter();
    let named = named.filter_map(|it| it.to_str().ok());
    let mut named = named.flat_map(|it| it.split(','));
    named.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").unwrap_or("1");
        let is_refused = weight.parse().is_ok_and(|weight: f32| weight <= 0.0);
        name.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}

/// The text in gzip. It is made for each part of a stream, so quickly rather than well.
pub(super) fn gzip(text: &str) -> Bytes {
    let mut packed = GzEncoder::new(Vec::with_capacity(text.len() / 4), Compression::fast());
    // Memory takes whatever is written to it.
    let _ = packed.write_all(text.as_bytes());
    packed.finish().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use axum::http::HeaderValue;
    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn gzip_is_for_who_names_it() {
        let taken = |value| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            is_taken(&headers)
        };
        for value in ["gzip", "br, GZIP", "deflate;q=1, gzip; q=0.5", "gzip;q=x"] {
            assert!(taken(value), "{value}");
        }
        for value in [
            "",
            "br",
            "gzip;q=0",
            "gzip; q=0.0",
            "identity, *;q=0",
            "gzipped",
        ] {
            assert!(!taken(value), "{value}");
        }
        assert!(!is_taken(&HeaderMap::new()));
    }

    #[test]
    fn the_text_comes_out_as_it_went_in() {
        let text = "#EXT-X-PART:DURATION=0.192000,URI=\"1750000000000.2a-7.0.m4s\"\n".repeat(60);
        let packed = gzip(&text);
        assert!(packed.len() * 8 < text.len(), "{}", packed.len());
        let mut again = String::new();
        GzDecoder::new(&packed[..])
            .read_to_string(&mut again)
            .expect("gzip");
        assert_eq!(again, text);
    }
}
