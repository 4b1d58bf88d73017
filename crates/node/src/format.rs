//! How a player is sent tags: the bytes of each, and what goes before the first.
//!
//! Decided once per group, or per player that is served alone. The bytes of a tag are the same for
//! all players of a format, made on first need and kept with the tag.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flv::file::{Header, MAX_PAYLOAD, TAG_HEADER_LEN, TRAILER_LEN, tag_header, tag_trailer};
use flv::{Metadata, Tag};
use media::{Configuration, MarkedTag, Wire};

use crate::burst::Burst;
use crate::context::Context;
use crate::websocket;

/// The message stream that groups write to, which nearly every RTMP player has made first. Players of
/// other formats have no others.
pub(crate) const SHARED_MESSAGE_STREAM: u32 = 1;

/// Payloads up to this are copied between their header and trailer: two slices less for every
/// player's write cost less than a copy once.
const INLINE: usize = 512;

/// What ends a line of HTTP, and stands behind a chunk.
const CRLF: &[u8] = b"\r\n";
/// What stands behind all chunks.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What the values of metadata may take in memory while they are looked at.
const METADATA: usize = 64 << 10;

/// What a player is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// RTMP messages.
    Rtmp,
    /// An FLV file that goes on for as long as the stream does.
    Flv,
    /// The same in chunks of HTTP/1.1, by which a player knows the end of the stream from that of a
    /// connection: one for the head of the file, and one for each tag.
    ChunkedFlv,
    /// The same in messages of a WebSocket.
    WebSocketFlv,
}

impl Format {
    /// All there are.
    pub(crate) const ALL: [Format; 4] = [
        Format::Rtmp,
        Format::Flv,
        Format::ChunkedFlv,
        Format::WebSocketFlv,
    ];

    /// Its name in metrics and answers.
    pub(crate) fn protocol(self) -> &'static str {
        match self {
            Format::Rtmp => "rtmp",
            Format::Flv | Format::ChunkedFlv => "flv",
            Format::WebSocketFlv => "ws-flv",
        }
    }

    /// Adds a tag to a burst as all players of this format get it, behind what one of them needs first.
    pub(crate) fn push(
        self,
        burst: &mut Burst,
        opening: &[Bytes],
        tag: &MarkedTag,
        context: &Context,
    ) {
        match self {
            Format::Rtmp => {
                let wire = rtmp_wire(tag, context.rtmp.outbound_chunk_size());
                burst.push(opening.iter().chain(wire));
            }
            Format::ChunkedFlv => burst.push(opening.iter().chain(&flv_wire(tag).slices)),
            Format::Flv => burst.push(opening.iter().chain(&bare(tag))),
            Format::WebSocketFlv => {
                burst.push(opening.iter().chain(&in_message(bare(tag))));
            }
        }
    }

    /// The bytes of a tag that only this player gets, or gets so.
    pub(crate) fn own(
        self,
        tag: &Tag,
        time: u32,
        message_stream: u32,
        context: &Context,
    ) -> Vec<Bytes> {
        match self {
            Format::Rtmp => {
                let chunk_size = context.rtmp.outbound_chunk_size();
                rtmp::wire::wire(tag, time, chunk_size, message_stream)
            }
            Format::Flv => flv_slices(tag, time, false),
            Format::ChunkedFlv => flv_slices(tag, time, true),
            Format::WebSocketFlv => in_message(flv_slices(tag, time, false)),
        }
    }

    /// What a player gets once, before everything else: the head of a file.
    pub(crate) fn head(self, promised: impl FnOnce() -> Header) -> Vec<Bytes> {
        let head = || Bytes::copy_from_slice(&promised().to_bytes());
        match self {
            Format::Rtmp => Vec::new(),
            Format::Flv => vec![head()],
            Format::ChunkedFlv => {
                let head = head();
                let size = Bytes::from(chunk_size_line(head.len()));
                vec![size, head, Bytes::from_static(CRLF)]
            }
            Format::WebSocketFlv => in_message(vec![head()]),
        }
    }
}

/// What the head of a file says is in it, for who begins with this configuration and then this tag.
/// Readers wait for what is promised, and may pass over what is not: so where nothing is known, both are.
pub(crate) fn promised(configuration: &Configuration, first: &Tag) -> Header {
    let metadata = Metadata::from_tag_within(first, METADATA);
    let metadata = metadata.or_else(|| configuration.metadata());
    let tells = |key| {
        let values = metadata.as_ref().map(|metadata| &metadata.values);
        values.is_some_and(|values| values.get_ignore_case(key).is_some())
    };
    let audio = !configuration.audio.is_empty() || tells("audiocodecid");
    let video = !configuration.video.is_empty() || tells("videocodecid");
    match audio || video {
        true => Header { audio, video },
        false => Header {
            audio: true,
            video: true,
        },
    }
}

/// The timestamp a player gets for a tag. ffmpeg takes metadata at any time but 0 for a subtitle.
pub(crate) fn time_of(tag: &MarkedTag) -> u32 {
    if tag.tag.is_metadata() {
        0
    } else {
        tag.play_ms()
    }
}

fn rtmp_wire(tag: &MarkedTag, chunk_size: u32) -> &[Bytes] {
    let [slot, _] = &tag.wire;
    let make = || rtmp::wire::wire(&tag.tag, time_of(tag), chunk_size, SHARED_MESSAGE_STREAM);
    &slot.get_or_make(|| Wire::new(make())).slices
}

/// As a chunk, which is what nearly all players of FLV want.
fn flv_wire(tag: &MarkedTag) -> &Wire {
    let [_, slot] = &tag.wire;
    slot.get_or_make(|| Wire::new(flv_slices(&tag.tag, time_of(tag), true)))
}

/// The same without what makes a chunk of it, for the others.
fn bare(tag: &MarkedTag) -> Vec<Bytes> {
    let mut slices = flv_wire(tag).slices.to_vec();
    if let Some(first) = slices.first_mut() {
        let line = chunk_size_line(TAG_HEADER_LEN + tag.tag.payload.len() + TRAILER_LEN);
        first.advance(line.len());
    }
    if let Some(last) = slices.last_mut() {
        last.truncate(last.len() - CRLF.len());
    }
    slices
}

/// A tag as it stands in a file, perhaps as a chunk; nothing if no header can announce its payload.
fn flv_slices(tag: &Tag, time: u32, chunked: bool) -> Vec<Bytes> {
    let payload = &tag.payload;
    if payload.len() > MAX_PAYLOAD {
        return Vec::new();
    }
    let whole = TAG_HEADER_LEN + payload.len() + TRAILER_LEN;
    let (before, behind) = match chunked {
        true => (chunk_size_line(whole), CRLF),
        false => (String::new(), &b""[..]),
    };
    let inline = payload.len() <= INLINE;
    let around = before.len() + TAG_HEADER_LEN + TRAILER_LEN + behind.len();
    let copied = if inline { payload.len() } else { 0 };
    let mut bytes = BytesMut::with_capacity(around + copied);
    bytes.put_slice(before.as_bytes());
    bytes.put_slice(&tag_header(tag, time));
    let header = bytes.len();
    if inline {
        bytes.put_slice(payload);
    }
    bytes.put_slice(&tag_trailer(tag));
    bytes.put_slice(behind);
    let mut bytes = bytes.freeze();
    if inline {
        return vec![bytes];
    }
    let trailer = bytes.split_off(header);
    vec![bytes, payload.clone(), trailer]
}

/// What stands in front of a chunk of so many bytes.
fn chunk_size_line(len: usize) -> String {
    format!("{len:x}\r\n")
}

/// Slices as one message.
fn in_message(slices: Vec<Bytes>) -> Vec<Bytes> {
    let len = slices.iter().map(Bytes::len).sum();
    websocket::binary(len).into_iter().chain(slices).collect()
}

#[cfg(test)]
mod tests {
    use flv::Kind;
    use media::{Epoch, Limits, Ring, Start};

    use super::*;
    use crate::config::Config;

    /// A frame of Sorenson H.263, which needs no configuration.
    fn picture(len: usize) -> Tag {
        let mut payload = vec![7; len];
        payload[..4].copy_from_slice(&[0x12, 0, 0, 0x84]);
        Tag::new(Kind::Video, 0x0102_0304, payload.into())
    }

    /// What a burst of these tags holds, and what it is for a player alone.
    fn written(format: Format, tags: &[Tag]) -> (Vec<u8>, Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.expect("a runtime");
        let _entered = runtime.enter();
        let context = Context::alone(Config::default());
        let ring = Ring::new(Limits::default());
        let mut publisher = ring.begin(Epoch::new(1, 1), 0);
        let mut burst = Burst::default();
        let mut own = Vec::new();
        for tag in tags {
            publisher.push(tag.clone(), 0).expect("the only publisher");
        }
        let (mut cursor, _) = ring.cursor(Start::Oldest);
        for tag in cursor.read().expect("tags").iter() {
            format.push(&mut burst, &[], tag, &context);
            let alone = format.own(&tag.tag, time_of(tag), SHARED_MESSAGE_STREAM, &context);
            own.extend(alone.concat());
        }
        burst.flatten();
        (burst.flat(0).expect("joined").to_vec(), own)
    }

    #[test]
    fn a_tag_is_the_same_for_a_group_and_for_a_player_alone() {
        let tags = [
            picture(4),
            picture(INLINE),
            picture(INLINE + 1),
            picture(70_000),
        ];
        for format in Format::ALL {
            let (group, alone) = written(format, &tags);
            assert!(group == alone && group.len() > 71_000, "{format:?}");
        }
    }

    #[test]
    fn flv_is_a_file_without_its_head() {
        for len in [4, INLINE, INLINE + 1] {
            let tag = picture(len);
            let mut file = BytesMut::new();
            flv::write_tag(&tag, tag.dts, &mut file);
            assert_eq!(written(Format::Flv, &[tag]).0, file, "{len}");
        }
    }

    #[test]
    fn in_a_websocket_each_tag_is_a_message() {
        let tags = [picture(100), picture(70_000)];
        let file = |tag: &Tag| flv_slices(tag, tag.dts, false).concat();
        let files: Vec<_> = tags.iter().map(file).collect();
        let heads = [&[0x82, 115][..], &[0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x7F]];
        let expected = [heads[0], &files[0], heads[1], &files[1]].concat();
        assert!(written(Format::WebSocketFlv, &tags).0 == expected);
        let head = Format::WebSocketFlv.head(|| Header {
            audio: true,
            video: false,
        });
        assert_eq!(head.concat(), b"\x82\x0dFLV\x01\x04\0\0\0\x09\0\0\0\0");
    }

    #[test]
    fn in_chunks_each_tag_is_one() {
        let tags = [picture(100), picture(70_000)];
        let file = |tag: &Tag| flv_slices(tag, tag.dts, false).concat();
        let [one, two] = tags.each_ref().map(file);
        let expected = [&b"73\r\n"[..], &one, b"\r\n1117f\r\n", &two, b"\r\n"].concat();
        assert!(written(Format::ChunkedFlv, &tags).0 == expected);
        let head = Format::ChunkedFlv.head(|| Header {
            audio: true,
            video: false,
        });
        assert_eq!(head.concat(), b"d\r\nFLV\x01\x04\0\0\0\x09\0\0\0\0\r\n");
    }

    /// What is promised to who begins with this tag, where nothing else is known.
    fn flags(first: &Tag) -> u8 {
        let [_, _, _, _, flags, ..] = promised(&Configuration::default(), first).to_bytes();
        flags
    }

    #[test]
    fn the_head_of_a_file_promises_what_metadata_does() {
        let mut metadata = Metadata::default();
        assert_eq!(flags(&metadata.to_tag(0)), 5, "it tells of neither");
        metadata.set("audiocodecid", 10.0);
        assert_eq!(flags(&metadata.to_tag(0)), 4);
        metadata.set("videocodecid", "avc1");
        assert_eq!(flags(&metadata.to_tag(0)), 5);
        assert_eq!(flags(&picture(4)), 5, "sound may come yet");
    }

    #[test]
    fn the_head_of_a_file_promises_the_tracks_there_are() {
        let ring = Ring::new(Limits::default());
        let mut publisher = ring.begin(Epoch::new(1, 1), 0);
        publisher.push(picture(4), 0).expect("the only publisher");
        let header = promised(&ring.configuration(), &picture(4));
        assert!(header.video && !header.audio);
    }
}
