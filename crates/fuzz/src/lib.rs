//! What every parser must keep, whatever bytes it reads.
//!
//! A harness takes any bytes and panics where a promise is broken: that what was decoded
//! survives the round trip, that memory stays in proportion to the input, that bytes mean the
//! same in one piece and in many. [`TARGETS`] lists them all. `cargo test` replays `corpus/` and
//! `regressions/` through them; the fuzzer (see README.md) looks for new inputs.

mod aggregate;
mod amf0;
mod amf3;
mod chunk_stream;
mod client_session;
mod codec;
mod flv_file;
mod flv_tag;
mod hls;
mod memory;
mod pieces;
mod rtmp_peer;
mod server_session;
mod to_amf0;
mod url;
mod weight;

pub use self::aggregate::aggregate;
pub use self::amf0::amf0;
pub use self::amf3::amf3;
pub use self::chunk_stream::chunk_stream;
pub use self::client_session::client_session;
pub use self::codec::{codec_audio, codec_video};
pub use self::flv_file::flv_file;
pub use self::flv_tag::flv_tag;
pub use self::hls::{hls_name, hls_query};
pub use self::server_session::server_session;
pub use self::to_amf0::to_amf0;
pub use self::url::url;

/// A harness: it returns if all is well with the parser.
pub type Harness = fn(&[u8]);

/// Every harness by the name of its target, which is also that of its folders.
pub const TARGETS: &[(&str, Harness)] = &[
    ("aggregate", aggregate),
    ("amf0", amf0),
    ("amf3", amf3),
    ("chunk_stream", chunk_stream),
    ("client_session", client_session),
    ("codec_audio", codec_audio),
    ("codec_video", codec_video),
    ("flv_file", flv_file),
    ("flv_tag", flv_tag),
    ("hls_name", hls_name),
    ("hls_query", hls_query),
    ("server_session", server_session),
    ("to_amf0", to_amf0),
    ("url", url),
];
