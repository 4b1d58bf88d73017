//! Action Message Format: the values of RTMP commands and FLV metadata.
//!
//! | what | specification |
//! |---|---|
//! | [`decode`], [`decode_all`], [`encode`] | AMF0, `amf0-file-format-specification` |
//! | [`amf3::decode`] | AMF3, `amf-file-format-spec` |
//! | [`to_amf0`] | messages of RTMP types 15 and 17 |
//!
//! Both versions decode to the same [`Value`]; written is AMF0 only, which every peer reads.
//!
//! Bytes of a peer cannot exhaust us: [`Limits`] bound the nesting and the memory of what is
//! decoded, and references, which could otherwise multiply a message, count each time they are
//! followed.
//!
//! ```
//! # use weir_amf as amf;
//! use amf::{Object, Value};
//!
//! let mut command = Object::new();
//! command.insert("app", "live");
//! command.insert("tcUrl", "rtmp://localhost/live");
//! let bytes = amf::encode_all(&["connect".into(), 1.0.into(), command.into()]);
//!
//! let values = amf::decode_all(&bytes);
//! assert_eq!(values[0].as_str(), Some("connect"));
//! assert_eq!(values[1], Value::Number(1.0));
//! let app = values[2].as_object().and_then(|command| command.get("app"));
//! assert_eq!(app.and_then(Value::as_str), Some("live"));
//! ```

mod amf0;
pub mod amf3;
mod encode;
mod message;
mod reader;
mod value;

pub use amf0::{decode, decode_all, decode_all_with, decode_with};
pub use encode::{encode, encode_all};
pub use message::to_amf0;
pub use reader::Limits;
pub use value::{Object, Value};

/// Why bytes are no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes end inside a value.
    #[error("value is cut off")]
    Truncated,
    /// A value starts with a byte that no type has.
    #[error("unknown type marker {0:#04x}")]
    UnknownMarker(u8),
    /// A reference to something that was not sent, or that contains the reference.
    #[error("reference to an object, string or class that is not there")]
    BadReference,
    /// An AMF3 class writes itself in a way only its owner knows.
    #[error("class has its own format")]
    UnknownFormat,
    /// Deeper than [`Limits::depth`].
    #[error("values nest too deep")]
    TooDeep,
    /// Larger than [`Limits::size`] once decoded.
    #[error("value is too large")]
    TooLarge,
}
