//! Playlists: the one to begin with, and the one to follow.

use std::sync::Arc;
use std::time::Duration;

use ::hls::{Answer, Body, Directives, Playlist, Version};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use node::hls::View;

use super::Inquiry;
use super::cache::Keeps;
use super::files::Answered;
use super::packed;
use super::wait::{Failed, beginning};
use crate::error::Refusal;

/// RFC 8216bis 6.2.5.2: who waits for a version is told after three target durations that it does not come.
const PATIENCE: u32 = 3;
/// RFC 8216bis B.1: versions are kept for six target durations.
const KEPT: u32 = 6;

const NOTHING_YET: Refusal = Refusal::fixed(
    StatusCode::NOT_FOUND,
    "not_found",
    "there is no whole segment of this stream yet; try again",
)
.retry_after(2);
const NOTHING_NEW: Refusal = Refusal::fixed(
    StatusCode::SERVICE_UNAVAILABLE,
    "unavailable",
    "nothing came of this stream for three target durations; try again",
)
.retry_after(1);
const TOO_FAR: Refusal = Refusal::fixed(
    StatusCode::BAD_REQUEST,
    "invalid",
    "_HLS_msn and _HLS_part are too far ahead of the stream: load the playlist without them first",
);

/// What the query asks of a media playlist.
pub(super) fn directives(query: &str) -> Result<Directives, Refusal> {
    Directives::parse(query).map_err(|error| Refusal::invalid(error.to_string()))
}

/// A playlist, and what holds of it.
struct Told {
    playlist: Arc<Playlist>,
    /// What its text is known by, if the same text is told everywhere.
    tag: Option<String>,
    keeps: Keeps,
}

impl Inquiry<'_> {
    pub(super) async fn multivariant(&self) -> Result<Response, Failed> {
        let look = |view: &View| {
            // What is said of the tracks is not complete before.
            let playlist = newest(view).and_then(|_| view.multivariant());
            let told = playlist.map(|playlist| {
                Ok(Told {
                    playlist,
                    tag: None,
                    keeps: Keeps::NotAtAll,
                })
            });
            told.or_else(|| in_vain(view))
        };
        let told = self.until(beginning, NOTHING_YET, look).await?;
        Ok(self.tell(told))
    }

    pub(super) async fn media(&self, directives: Directives) -> Result<Response, Failed> {
        let look = |view: &View| {
            let choice = match wanted(view, directives)? {
                Ok(choice) => choice,
                Err(refusal) => return Some(Err(refusal)),
            };
            Some(Ok(Told {
                playlist: view.media(choice.version, directives.skip)?,
                tag: tag(view, choice.version, directives.skip),
                keeps: keeps(view, &choice),
            }))
        };
        let told = match directives.msn {
            Some(_) => self.until(reload, NOTHING_NEW, look).await?,
            None => self.until(beginning, NOTHING_YET, look).await?,
        };
        Ok(self.tell(told))
    }

    fn tell(&self, told: Told) -> Response {
        let Told {
            playlist,
            mut tag,
            keeps,
        } = told;
        let is_packed = self.given.carried.is_none() && packed::is_taken(&self.parts.headers);
        let text = match &self.given.carried {
            Some(query) => Bytes::from(playlist.with(query)),
            None if is_packed => playlist.packed(packed::gzip),
            None => Bytes::from_owner(Text(playlist)),
        };
        if is_packed {
            // Other bytes have another tag (RFC 9110, 8.8.3).
            tag = tag.map(|tag| tag.trim_end_matches('"').to_owned() + "-gzip\"");
        }
        let mut response = self.respond(Answered {
            media_type: Playlist::MEDIA_TYPE,
            body: Body::new([text]),
            tag,
            keeps,
            has_ranges: false,
        });
        let headers = response.headers_mut();
        if self.given.carried.is_none() {
            let encoding = HeaderValue::from_static("Accept-Encoding");
            headers.append(header::VARY, encoding);
        }
        if is_packed && response.status() == StatusCode::OK {
            let gzip = HeaderValue::from_static("gzip");
            response
                .headers_mut()
                .insert(header::CONTENT_ENCODING, gzip);
        }
        response
    }
}

/// A text that stays where it is.
struct Text(Arc<Playlist>);

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.0.text().as_bytes()
    }
}

/// How long a version that was asked for is waited for.
fn reload(view: &View) -> Duration {
    match view.window().has_ended() {
        // It would be of the next publish, of which somebody else knew already: soon this node does, too, or it was made up.
        true => view.target(),
        false => view.target() * PATIENCE,
    }
}

/// The version to answer with.
struct Choice {
    version: Version,
    /// Whether it is the one that was asked for.
    is_asked: bool,
}

/// `None` while it is to be waited for.
fn wanted(view: &View, directives: Directives) -> Option<Result<Choice, Refusal>> {
    let choice = |is_asked| move |version| Ok(Choice { version, is_asked });
    let begin = || newest(view).map(choice(false)).or_else(|| in_vain(view));
    let Some(msn) = directives.msn else {
        return begin();
    };
    match view.window().version(msn, directives.part) {
        Answer::There(version) => Some(choice(true)(version)),
        Answer::Wait => None,
        // Another node was there already, and here it comes.
        Answer::TooFar if !view.is_caught_up() => None,
        Answer::TooFar => Some(Err(TOO_FAR)),
        Answer::Gone => begin(),
    }
}

/// The newest version, once players can begin with it.
fn newest(view: &View) -> Option<Version> {
    let window = view.window();
    let is_fit = view.is_caught_up() && window.is_playable();
    window.newest().filter(|_| is_fit)
}

/// What is said where there never will be anything to begin with.
fn in_vain<T>(view: &View) -> Option<Result<T, Refusal>> {
    let is_in_vain = view.window().has_ended() && newest(view).is_none();
    is_in_vain.then_some(Err(NOTHING_YET))
}

/// What the version is known by, where it is told as on every node.
fn tag(view: &View, version: Version, skip: bool) -> Option<String> {
    let window = view.window();
    if !window.is_exact(version) {
        return None;
    }
    let mut segments = window.segments().rev();
    let epoch = segments.find(|it| it.msn() == version.msn)?.epoch();
    let part = version.part.map(|part| format!(".{part}"));
    let part = part.unwrap_or_default();
    let skip = if skip { "-skip" } else { "" };
    let end = if window.has_ended() { "-end" } else { "" };
    Some(format!("\"{epoch}-{}{part}{skip}{end}\"", version.msn))
}

fn keeps(view: &View, choice: &Choice) -> Keeps {
    // The last version answers for all that come should the stream go on.
    match choice.is_asked && !view.window().has_ended() {
        true => Keeps::For(view.target() * KEPT),
        false => Keeps::NotAtAll,
    }
}
