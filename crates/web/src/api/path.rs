//! `/api/v1/streams/{key}`, and what may stand behind the key.
//!
//! A key may hold slashes, so it ends where the path does, or before a known word at the end. A key
//! that ends with such a word itself is written with `%2F`: `live%2Fwhy`.

use media::StreamKey;

use super::key;
use crate::error::Refusal;
use crate::percent;

const PREFIX: &str = "/api/v1/streams/";

/// A stream, and what of it is meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StreamPath {
    pub(super) key: StreamKey,
    pub(super) subject: Subject,
}

/// What of a stream is meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Itself,
    Why,
    Subscribers,
    Stop,
    /// The viewer of this name is to be disconnected.
    Disconnect(String),
}

/// Reads the path of a request, which is still encoded.
pub(super) fn read(path: &str) -> Result<StreamPath, Refusal> {
    let rest = path.strip_prefix(PREFIX).unwrap_or_default();
    let segments: Vec<&str> = rest.split('/').collect();
    let (segments, subject) = match segments.as_slice() {
        [before @ .., "subscribers", viewer, "disconnect"] if !before.is_empty() => {
            (before, Subject::Disconnect(decode(viewer)?))
        }
        [before @ .., "subscribers"] if !before.is_empty() => (before, Subject::Subscribers),
        [before @ .., "why"] if !before.is_empty() => (before, Subject::Why),
        [before @ .., "stop"] if !before.is_empty() => (before, Subject::Stop),
        all => (all, Subject::Itself),
    };
    let key = key(&decode(&segments.join("/"))?)?;
    Ok(StreamPath { key, subject })
}

fn decode(text: &str) -> Result<String, Refusal> {
    let wrong = || Refusal::invalid("the path is not encoded as paths of URLs are");
    percent::decoded(text).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(path: &str) -> Option<(String, Subject)> {
        let read = read(&format!("{PREFIX}{path}")).ok()?;
        Some((read.key.as_str().to_owned(), read.subject))
    }

    #[test]
    fn a_key_is_written_in_three_ways() {
        for path in [
            "live/cam",
            "live%2Fcam",
            "live%2fcam",
            "cam",
            "live/cam/",
            "%6cive/cam",
        ] {
            let wanted = ("live/cam".to_owned(), Subject::Itself);
            assert_eq!(meant(path), Some(wanted), "{path}");
        }
        let deep = ("a/b/c".to_owned(), Subject::Itself);
        assert_eq!(meant("a/b%2Fc"), Some(deep));
    }

    #[test]
    fn words_at_the_end_are_no_part_of_the_key() {
        for (path, key, subject) in [
            ("live/cam/why", "live/cam", Subject::Why),
            ("live/room/cam/stop", "live/room/cam", Subject::Stop),
            ("cam/subscribers", "live/cam", Subject::Subscribers),
            (
                "live%2Fcam/subscribers/node.1.7/disconnect",
                "live/cam",
                Subject::Disconnect("node.1.7".to_owned()),
            ),
            ("live/why/why", "live/why", Subject::Why),
        ] {
            assert_eq!(meant(path), Some((key.to_owned(), subject)), "{path}");
        }
    }

    #[test]
    fn a_key_may_be_such_a_word_where_nothing_else_can_be_meant() {
        for (path, key) in [
            ("why", "live/why"),
            ("live%2Fstop", "live/stop"),
            ("live/stop/cam", "live/stop/cam"),
        ] {
            assert_eq!(
                meant(path),
                Some((key.to_owned(), Subject::Itself)),
                "{path}"
            );
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for path in [
            "",
            "/",
            "live//cam",
            "../cam",
            "live/%2e%2e/cam",
            "live/c%20m",
            "live/cam%",
            "live/cam%2",
            "live/cam%zz",
            "live/%ff",
            "live/%+1",
            &"n".repeat(300),
        ] {
            assert_eq!(meant(path), None, "{path}");
        }
    }
}
