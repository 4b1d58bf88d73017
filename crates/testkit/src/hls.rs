//! What is wrong with HLS playlists: what RFC 8216bis and Apple's authoring rules ask for, as far
//! as a playlist's text, or one and the next, can tell.
//!
//! | what is looked at | with |
//! |---|---|
//! | one media playlist | [`lint`] |
//! | one and a later one of the same stream | [`lint_later`] |
//! | a delta update and the playlist that it is short for | [`lint_delta`] |
//! | a multivariant playlist | [`lint_multivariant`] |
//!
//! Each returns its findings as sentences; none is good.

mod alone;
mod attributes;
mod date;
mod delta;
mod later;
mod multivariant;
mod parse;

pub use alone::lint;
pub use delta::lint_delta;
pub use later::lint_later;
pub use multivariant::lint_multivariant;
pub use parse::{MediaPlaylist, PlaylistPart, PlaylistSegment};

/// Nanoseconds in a second.
const SECOND: i64 = 1_000_000_000;

/// A sum of lengths may be off by so much, in nanoseconds: each was rounded.
const ROUNDED: i64 = 1_000_000;

/// Nanoseconds as seconds, for people.
fn seconds(nanoseconds: i64) -> f64 {
    nanoseconds as f64 / SECOND as f64
}

#[cfg(test)]
mod tests;
