//! Playlists: their texts.

mod date;
mod media;
mod multivariant;

use std::fmt;
use std::fmt::Write;
use std::sync::OnceLock;

use bytes::Bytes;

pub use multivariant::Variant;

/// RFC 8216bis 8: initialisations, and target durations that are rounded.
const VERSION: u32 = 6;
/// What delta updates take.
const SKIP_VERSION: u32 = 9;

/// A playlist: one text for all, into whose URIs a query can be put.
///
/// ```
/// # use weir_hls as hls;
/// use hls::{Playlist, Query, Variant};
///
/// let playlist = Playlist::multivariant(&Variant::default());
/// assert!(playlist.text().ends_with("\nmedia.m3u8\n"));
/// let query = Query::new("token=secret").unwrap();
/// assert!(playlist.with(&query).ends_with("\nmedia.m3u8?token=secret\n"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Playlist {
    text: String,
    /// Where URIs end in it.
    uris: Vec<usize>,
    packed: Packed,
}

/// What somebody has made of the text. Whether it is there yet tells no playlists apart.
#[derive(Clone, Debug, Default)]
struct Packed(OnceLock<Bytes>);

impl PartialEq for Packed {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Packed {}

/// What is carried into the URIs of a playlist: the query that it was asked for with, as far as
/// what it points to needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query(String);

/// Queries are repeated in each line, so they have a bound.
const LONGEST_QUERY: usize = 1024;

impl Query {
    /// The query `text`, as it is written in a URI, without its question mark. `None` if it is
    /// empty, very long, or has characters that no query has.
    pub fn new(text: &str) -> Option<Self> {
        // RFC 3986 3.4, but for the quote, which none of our players needs.
        let is_fine =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&()*+,;=:@/?%".contains(&byte);
        let fits = (1..=LONGEST_QUERY).contains(&text.len());
        (fits && text.bytes().all(is_fine)).then(|| Self(text.to_owned()))
    }

    /// As it is written in a URI.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Playlist {
    /// The media type of playlists (RFC 8216bis, 10).
    pub const MEDIA_TYPE: &'static str = "application/vnd.apple.mpegurl";

    /// The playlist as it is.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What `pack` makes of the text, for all who want it so: made once.
    pub fn packed(&self, pack: impl FnOnce(&str) -> Bytes) -> Bytes {
        let packed = self.packed.0.get_or_init(|| pack(&self.text));
        packed.clone()
    }

    /// The playlist with `query` in all its URIs.
    pub fn with(&self, query: &Query) -> String {
        let added = self.uris.len() * (query.0.len() + 1);
        let mut text = String::with_capacity(self.text.len() + added);
        let mut done = 0;
        for &end in &self.uris {
            text.push_str(self.text.get(done..end).unwrap_or_default());
            text.push('?');
            text.push_str(&query.0);
            done = end;
        }
        text.push_str(self.text.get(done..).unwrap_or_default());
        text
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        self.put(line);
        self.text.push('\n');
    }

    /// A line with a URI in it: what stands before, the URI, what stands behind.
    fn uri(&mut self, before: fmt::Arguments<'_>, uri: impl fmt::Display, behind: &str) {
        self.put(before);
        self.put(format_args!("{uri}"));
        self.uris.push(self.text.len());
        self.text.push_str(behind);
        self.text.push('\n');
    }

    fn put(&mut self, text: fmt::Arguments<'_>) {
        // A string takes whatever is written to it.
        let _ = self.text.write_fmt(text);
    }
}

/// A time in nanoseconds as seconds, to the microsecond.
struct Seconds(i64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.max(0).saturating_add(500) / 1000;
        write!(f, "{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_goes_where_uris_end() {
        let mut playlist = Playlist::default();
        playlist.line(format_args!("#EXTM3U"));
        playlist.uri(format_args!("#EXT-X-MAP:URI=\""), "a.mp4", "\"");
        playlist.uri(format_args!(""), "b.m4s", "");
        playlist.line(format_args!("#EXT-X-ENDLIST"));
        assert_eq!(
            playlist.text(),
            "#EXTM3U\n#EXT-X-MAP:URI=\"a.mp4\"\nb.m4s\n#EXT-X-ENDLIST\n"
        );
        let query = Query::new("t=1&u=%20").unwrap();
        assert_eq!(
            playlist.with(&query),
            "#EXTM3U\n#EXT-X-MAP:URI=\"a.mp4?t=1&u=%20\"\nb.m4s?t=1&u=%20\n#EXT-X-ENDLIST\n"
        );
    }

    #[test]
    fn what_is_made_of_it_is_made_once_and_changes_nothing() {
        let playlist = Playlist::multivariant(&Variant::default());
        let same = playlist.clone();
        let first = playlist.packed(|text| Bytes::copy_from_slice(&text.as_bytes()[..7]));
        assert_eq!(first, "#EXTM3U");
        assert_eq!(playlist.packed(|_| unreachable!("it is there")), first);
        assert_eq!(playlist, same);
    }

    #[test]
    fn a_query_cannot_leave_its_uri() {
        for text in ["", "a\"b", "a b", "a\nb", "a#b", "a\rb", "ä", "a'b", "<"] {
            assert_eq!(Query::new(text), None, "{text:?}");
        }
        assert_eq!(Query::new(&"a".repeat(1025)), None);
        assert!(Query::new(&"a".repeat(1024)).is_some());
    }

    #[test]
    fn seconds_are_rounded_to_microseconds() {
        let written = |nanoseconds| Seconds(nanoseconds).to_string();
        assert_eq!(written(2_000_000_000), "2.000000");
        assert_eq!(written(33_333_333), "0.033333");
        assert_eq!(written(1_999_999_500), "2.000000");
        assert_eq!(written(-1), "0.000000");
    }
}
