//! Aggregate messages (RTMP 7.1.6, message type 22): several tags in one.

use bytes::Bytes;

use crate::file::{TAG_HEADER_LEN, TRAILER_LEN, TagHeader};
use crate::tag::{Kind, Tag};

/// The tags of an aggregate message, in order.
///
/// Their times are moved so that the first has the time of the message. What is neither audio,
/// video nor data is left out; a cut-off tail ends the iteration. Each payload is a copy, so that
/// a small tag that is kept does not keep the whole message.
pub fn split(message_timestamp: u32, body: Bytes) -> impl Iterator<Item = Tag> {
    let mut rest = body;
    let mut first = None;
    std::iter::from_fn(move || {
        loop {
            let header = TagHeader::parse(rest.first_chunk::<TAG_HEADER_LEN>()?);
            let end = TAG_HEADER_LEN + header.len;
            if rest.len() < end {
                return None;
            }
            let whole = rest.clone();
            // The size behind the last tag is missing from some encoders' messages.
            rest = rest.slice((end + TRAILER_LEN).min(rest.len())..);

            let first = *first.get_or_insert(header.timestamp);
            if let Some(kind) = Kind::from_id(header.id) {
                let dts = message_timestamp.wrapping_add(header.timestamp.wrapping_sub(first));
                let payload = whole.get(TAG_HEADER_LEN..end)?;
                return Some(Tag::new(kind, dts, Bytes::copy_from_slice(payload)));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::file::write_tag;

    fn body(tags: &[Tag]) -> BytesMut {
        let mut out = BytesMut::new();
        for tag in tags {
            write_tag(tag, tag.dts, &mut out);
        }
        out
    }

    fn two_tags() -> [Tag; 2] {
        [
            Tag::new(Kind::Audio, 500, Bytes::from_static(&[0xaf, 0x01, 0x21])),
            Tag::new(
                Kind::Video,
                533,
                Bytes::from_static(&[0x27, 0x01, 0, 0, 0, 0x41]),
            ),
        ]
    }

    #[test]
    fn moves_times_to_that_of_the_message() {
        let [audio, video] = two_tags();
        let tags: Vec<_> = split(10_000, body(&two_tags()).freeze()).collect();
        assert_eq!(tags, [audio.with_dts(10_000), video.with_dts(10_033)]);
    }

    #[test]
    fn times_before_the_first_and_beyond_32_bits_wrap() {
        let [audio, video] = two_tags();
        let late = [video.with_dts(20), audio.with_dts(10)];
        let times: Vec<_> = split(5, body(&late).freeze()).map(|tag| tag.dts).collect();
        assert_eq!(times, [5, u32::MAX - 4]);
    }

    #[test]
    fn leaves_out_what_is_no_media_and_ends_at_a_cut() {
        let mut bytes = body(&two_tags());
        bytes[0] = 20; // the first becomes a command
        let whole = bytes.freeze();
        let times: Vec<_> = split(0, whole.clone()).map(|tag| tag.dts).collect();
        assert_eq!(times, [33]);

        let without_last_size = whole.slice(..whole.len() - TRAILER_LEN);
        assert_eq!(split(0, without_last_size.clone()).count(), 1);
        let cut = without_last_size.slice(..without_last_size.len() - 1);
        assert_eq!(split(0, cut).count(), 0);
        assert_eq!(split(0, Bytes::new()).count(), 0);
    }
    #[test]
    fn a_small_tag_does_not_pin_the_whole_message() {
        let [audio, _] = two_tags();
        let ballast = Tag::new(Kind::Video, 0, Bytes::from(vec![0x27; 1 << 20]));
        let whole = body(&[audio, ballast]).freeze();
        let inside = whole.as_ptr_range();
        let kept = split(0, whole.clone()).next().unwrap();
        assert!(!inside.contains(&kept.payload.as_ptr()));
        assert!(whole.is_unique());
    }
}
