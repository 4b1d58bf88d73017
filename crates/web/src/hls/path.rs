//! What a path asks for.

use ::hls::{INDEX, MEDIA, Name};
use node::config::RESERVED_APPS;

use super::counts::Kind;
use crate::percent;

/// What ends the name of a playlist.
const PLAYLIST: &str = ".m3u8";

/// A path that a player of HLS asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The path of the stream: `live/cam`.
    pub(super) stream: String,
    pub(super) what: What,
}

/// What of a stream is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum What {
    Multivariant,
    Media,
    Name(Name),
    /// `/live/cam.m3u8`: the playlist as other servers name it. Ours is there, seen from this path.
    Elsewhere(String),
}

impl Asked {
    /// What the path of a URL asks for, if that is HLS at all.
    pub(crate) fn of(path: &str) -> Option<Self> {
        // What the last segment is called says in which way the path is written: slashes that are encoded in it would
        // make what its playlists point to another path.
        let (before, last) = path.rsplit_once('/')?;
        let file = percent::decoded(last)?;
        let before = percent::decoded(before)?;
        let before = before.trim_start_matches('/');
        let (stream, what) = match &*file {
            INDEX => (before.to_owned(), What::Multivariant),
            MEDIA => (before.to_owned(), What::Media),
            file => match file.strip_suffix(PLAYLIST) {
                Some(name) => (format!("{before}/{name}"), elsewhere(last, name)?),
                None => (before.to_owned(), What::Name(Name::parse(file)?)),
            },
        };
        let app = stream.trim_start_matches('/').split('/').next();
        let is_ours = app.is_none_or(|app| !RESERVED_APPS.contains(&app));
        is_ours.then_some(Self { stream, what })
    }
}

/// Where the playlist of the stream is whose name ends with `name`, which is written as `last` with an ending.
fn elsewhere(last: &str, name: &str) -> Option<What> {
    // As in keys of streams: so nothing in it can lead to another host.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    let is_dots = name.bytes().all(|byte| byte == b'.');
    let name = last
        .strip_suffix(PLAYLIST)
        .filter(|_| !is_dots && name.bytes().all(is_plain))?;
    Some(What::Elsewhere(format!("{name}/{INDEX}")))
}

impl What {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Multivariant | Self::Elsewhere(_) => Kind::Multivariant,
            Self::Media => Kind::Media,
            Self::Name(Name::Init { .. }) => Kind::Init,
            Self::Name(Name::Segment { .. }) => Kind::Segment,
            Self::Name(Name::Part { .. }) => Kind::Part,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked(path: &str) -> Option<(String, What)> {
        Asked::of(path).map(|it| (it.stream, it.what))
    }

    #[test]
    fn the_last_segment_says_what_of_a_stream_is_meant() {
        let part = Name::parse("17.2a-7.0.m4s").expect("a name");
        for (path, stream, what) in [
            ("/live/cam/index.m3u8", "live/cam", What::Multivariant),
            ("/live/cam/media.m3u8", "live/cam", What::Media),
            ("/live/cam/17.2a-7.0.m4s", "live/cam", What::Name(part)),
            ("/live/a/b/index.m3u8", "live/a/b", What::Multivariant),
            ("/cam/default/index.m3u8", "cam/default", What::Multivariant),
            ("/cam/index.m3u8", "cam", What::Multivariant),
            ("//live/cam/index.m3u8", "live/cam", What::Multivariant),
            ("/live%2Fcam/index.m3u8", "live/cam", What::Multivariant),
            ("/live/a%7Eb/%69ndex.m3u8", "live/a~b", What::Multivariant),
            ("/index.m3u8", "", What::Multivariant),
        ] {
            assert_eq!(asked(path), Some((stream.to_owned(), what)), "{path}");
        }
    }

    #[test]
    fn a_playlist_named_as_elsewhere_is_found_from_there() {
        for (path, stream, place) in [
            ("/live/cam.m3u8", "live/cam", "cam/index.m3u8"),
            ("/live/a/b.m3u8", "live/a/b", "b/index.m3u8"),
            ("/cam.m3u8", "/cam", "cam/index.m3u8"),
            ("/live/a%7Eb.m3u8", "live/a~b", "a%7Eb/index.m3u8"),
        ] {
            let what = What::Elsewhere(place.to_owned());
            assert_eq!(asked(path), Some((stream.to_owned(), what)), "{path}");
        }
    }

    #[test]
    fn other_paths_are_no_hls() {
        for path in [
            "",
            "index.m3u8",
            "/live/cam",
            "/live/cam/",
            "/live/cam.flv",
            "/live/cam/segment.m4s",
            "/live/cam/index.m3u8/",
            "/live/%/index.m3u8",
            "/live/cam/%zz.m3u8",
            "/live/.m3u8",
            "/live/...m3u8",
            "/live/a:b.m3u8",
            "/live/a%2Fb.m3u8",
            "/live/cam%2Findex.m3u8",
            "/api/v1/streams/index.m3u8",
            "/health.m3u8",
            "/hls/cam/index.m3u8",
            "/%68ls/cam/index.m3u8",
        ] {
            assert_eq!(asked(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_is_too_strange(path in "(/|%2[ef]|%|[a-c.:@~-]|\\PC){0,12}(/|/index|\\.m3u8|/1\\.1-1\\.m4s){0,2}") {
            if let Some(Asked { what: What::Elsewhere(place), .. }) = Asked::of(&path) {
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-%".contains(&byte);
                let name = place.strip_suffix("/index.m3u8").expect("a playlist");
                prop_assert!(!name.is_empty() && name.bytes().all(is_plain), "{}", place);
            }
        }
    }
}
