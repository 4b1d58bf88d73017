//! FLV files, and the bytes of a tag as files and HTTP-FLV have them.
//!
//! ```
//! # use weir_flv as flv;
//! use flv::file::{Header, Tags, Writer};
//! use flv::{Kind, Tag};
//!
//! let mut writer = Writer::new(Vec::new(), Header { audio: true, video: false })?;
//! let tag = Tag::new(Kind::Audio, 23, vec![0xaf, 0x01, 0x21].into());
//! writer.write(&tag)?;
//! let file = writer.into_inner();
//!
//! let tags = Tags::new(file.as_slice()).collect::<Result<Vec<_>, _>>()?;
//! assert_eq!(tags, [tag]);
//! # Ok::<_, flv::file::Error>(())
//! ```

mod reader;
mod writer;

use bytes::{BufMut, BytesMut};

pub use reader::{Error, Reader, Tags};
pub use writer::Writer;

use crate::tag::Tag;

/// Bytes in front of a payload.
pub const TAG_HEADER_LEN: usize = 11;

/// Bytes behind a payload: the size of header and payload.
pub const TRAILER_LEN: usize = 4;

/// The longest payload that a tag header can announce.
pub const MAX_PAYLOAD: usize = 0xff_ffff;

/// What the head of a file promises. Readers are known to wait for what is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether there is audio.
    pub audio: bool,
    /// Whether there is video.
    pub video: bool,
}

impl Header {
    /// The head of a file, with the size of the tag that is not before the first.
    pub fn to_bytes(self) -> [u8; 13] {
        let flags = u8::from(self.audio) << 2 | u8::from(self.video);
        [b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0]
    }
}

/// Appends `tag` as it stands in a file, at the time `dts`: header, payload, size.
///
/// Appends nothing if the payload is longer than [`MAX_PAYLOAD`], which no RTMP message is.
pub fn write_tag(tag: &Tag, dts: u32, out: &mut BytesMut) {
    if tag.payload.len() > MAX_PAYLOAD {
        return;
    }
    out.reserve(TAG_HEADER_LEN + tag.payload.len() + TRAILER_LEN);
    out.put_slice(&tag_header(tag, dts));
    out.put_slice(&tag.payload);
    out.put_slice(&tag_trailer(tag));
}

/// The bytes in front of the payload of `tag`, for writers that share the payload.
pub fn tag_header(tag: &Tag, dts: u32) -> [u8; TAG_HEADER_LEN] {
    let [_, l2, l1, l0] = low_32(tag.payload.len()).to_be_bytes();
    let [t3, t2, t1, t0] = dts.to_be_bytes();
    // Bits 24 to 31 of the time came later, and stand behind the others. The stream id is 0.
    [tag.kind.id(), l2, l1, l0, t2, t1, t0, t3, 0, 0, 0]
}

/// The bytes behind the payload of `tag`.
pub fn tag_trailer(tag: &Tag) -> [u8; TRAILER_LEN] {
    low_32(TAG_HEADER_LEN + tag.payload.len()).to_be_bytes()
}

fn low_32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// A tag header, read.
pub(crate) struct TagHeader {
    /// The tag type with the bits around it: a filtered (encrypted) tag is of no kind we know.
    pub(crate) id: u8,
    pub(crate) len: usize,
    pub(crate) timestamp: u32,
}

impl TagHeader {
    pub(crate) fn parse(bytes: &[u8; TAG_HEADER_LEN]) -> Self {
        let [id, l2, l1, l0, t2, t1, t0, t3, _, _, _] = *bytes;
        Self {
            id,
            len: usize::from(l2) << 16 | usize::from(l1) << 8 | usize::from(l0),
            timestamp: u32::from_be_bytes([t3, t2, t1, t0]),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::tag::Kind;

    #[test]
    fn writes_the_upper_bits_of_the_time_last() {
        let tag = Tag::new(Kind::Video, 0, Bytes::from_static(&[0x17, 2, 0, 0, 0]));
        let mut out = BytesMut::new();
        write_tag(&tag, 0x0123_4567, &mut out);
        let golden = [
            9, 0, 0, 5, 0x23, 0x45, 0x67, 0x01, 0, 0, 0, 0x17, 2, 0, 0, 0, 0, 0, 0, 16,
        ];
        assert_eq!(out, &golden[..]);
    }

    #[test]
    fn leaves_out_a_payload_that_no_header_can_announce() {
        let tag = Tag::new(Kind::Video, 0, Bytes::from(vec![0; MAX_PAYLOAD + 1]));
        let mut out = BytesMut::new();
        write_tag(&tag, 0, &mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn the_head_of_a_file_says_what_is_there() {
        let header = Header {
            audio: true,
            video: true,
        };
        assert_eq!(header.to_bytes(), *b"FLV\x01\x05\0\0\0\x09\0\0\0\0");
        assert_eq!(
            Header {
                audio: false,
                video: true
            }
            .to_bytes()[4],
            1
        );
        assert_eq!(
            Header {
                audio: true,
                video: false
            }
            .to_bytes()[4],
            4
        );
    }
}
