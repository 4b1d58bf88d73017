//! HLS: where segments and parts begin, what they are made of, and the playlists that list them.
//!
//! The origin of a stream decides once where something begins, and [marks](media::Cut) the tags:
//! the [`Cutter`], from what went before and the tag at hand. The marks travel with the tags. On
//! every node that is asked for the stream a [`Packager`] makes segments of them, and a [`Window`]
//! answers for what there is. Nothing here knows a clock, chance, or what was before the segment
//! at hand: so any node answers any request with the same bytes, wherever it began to read.
//!
//! | what | from where |
//! |---|---|
//! | `EXT-X-TARGETDURATION`, `EXT-X-PART-INF`, lengths of segments and parts | RFC 8216bis 4.4.3, 4.4.4.9, 6.2.2 |
//! | how many segments and parts are listed, and for how long they stay | RFC 8216bis 6.2.2 |
//! | `EXT-X-DISCONTINUITY` and the sequence numbers | RFC 8216bis 4.4.4.3, 6.2.1, 6.2.2 |
//! | `_HLS_msn`, `_HLS_part`, `_HLS_skip`: [`Directives`], [`Window::version`], [`Playlist::media`] | RFC 8216bis 6.2.5 |
//! | hints | RFC 8216bis 4.4.5.3, 6.2.6, B.1 |
//! | names of files: [`Name`] | ours |
//!
//! # From tags to answers
//!
//! A [`Feed`] gives a packager the tags of a ring, and tells when there is something new. What
//! there is then is the packager's [`Window`]: cloned it shares all bytes, so that one clone for
//! each part, behind a lock-free pointer, serves any number of requests. There
//!
//! - [`Window::version`] says which version of the playlist is asked for, and [`Playlist::media`]
//!   makes its text. For each version there is one text, of which a server keeps the newest; only
//!   [queries](Query) are put in for each client.
//! - [`Window::find`] finds segments, parts and initialisations. Their bytes are the payloads of
//!   the tags, shared and never copied, with a head in front (in transport streams, copied once).
//! - Both [answer](Answer) whether to wait for what is not there yet.
//!
//! What is torn is left out: a segment of which this node has missed something is never served,
//! nor listed, and the playlist begins with the next one. It then lists less than on other nodes,
//! so its versions are not [exact](Window::is_exact): players may have the newest, and caches must
//! not keep it.
//!
//! ```
//! # use weir_hls as hls;
//! use bytes::Bytes;
//! use flv::{Kind, Tag};
//! use hls::{Answer, Config, Cutter, Feed, Found, Name, Numbering, Packager, Playlist};
//! use media::{Epoch, Limits, Ring};
//!
//! let now = 1_750_000_000_000_000_000; // nanoseconds of unix time
//! let config = Config::default();
//! let ring = Ring::new(Limits::default());
//! let cutter = Cutter::new(&config, &Numbering::after_crash(None, now));
//! let mut publisher = ring.begin_marked(Epoch::new(1, 1), now, Box::new(cutter));
//! // Sound alone: the record of AAC at 48 kHz, and frames of 1024 samples.
//! let record = Tag::new(Kind::Audio, 0, Bytes::from_static(&[0xaf, 0, 0x11, 0x90]));
//! publisher.push(record, now).unwrap();
//! for n in 0..200 {
//!     let frame = Bytes::from_static(&[0xaf, 1, 0x21, 0x10, 0x04]);
//!     publisher.push(Tag::new(Kind::Audio, n * 64 / 3, frame), now).unwrap();
//! }
//!
//! let mut feed = Feed::new(&ring);
//! let mut packager = Packager::new(config.mode);
//! while feed.read(&mut packager, usize::MAX).unwrap().0 > 0 {}
//! let window = packager.window().clone();
//! let newest = window.newest().expect("a part is complete");
//! let playlist = Playlist::media(&window, newest, false).expect("it is there");
//! assert!(playlist.text().contains("\n#EXT-X-PART:DURATION=0.192000,URI="));
//!
//! // What it lists is there, and what it hints at is waited for.
//! let segment = window.segments().next().unwrap();
//! assert!(matches!(window.find(&segment.name()), Answer::There(Found::Media(_))));
//! let hint = playlist.text().rsplit('"').nth(1).and_then(Name::parse).unwrap();
//! assert_eq!(window.find(&hint), Answer::Wait);
//! ```

mod audience;
mod bandwidth;
mod config;
mod cutter;
mod directives;
mod feed;
mod mux;
mod names;
mod numbering;
mod packager;
mod playlist;
mod segment;
mod timing;
mod tracks;
mod window;

pub use audience::{Audience, Sketch, SketchError};
pub use bandwidth::{Bandwidth, Meter};
pub use config::{Config, ConfigError, Mode};
pub use cutter::Cutter;
pub use directives::{DirectiveError, Directives};
pub use feed::Feed;
pub use names::{Container, INDEX, MEDIA, Name};
pub use numbering::{Carried, LastKnown, Numbering};
pub use packager::{Bounds, Packager};
pub use playlist::{Playlist, Query, Variant};
pub use segment::{Body, Init, Part, Segment};
pub use window::{ADVANCE, Answer, Found, Version, Window};
