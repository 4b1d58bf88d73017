//! From the bytes of a file to tags.

use std::io::{self, Read};

use bytes::{Buf, BytesMut};

use super::{Header, MAX_PAYLOAD, TAG_HEADER_LEN, TRAILER_LEN, TagHeader};
use crate::tag::{Kind, Tag};

/// Signature, version, flags and the offset of what follows.
const FILE_HEADER_LEN: usize = 9;

/// Why a file could not be read on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It does not begin as an FLV file does.
    #[error("not an FLV file")]
    NotFlv,
    /// A tag is longer than the reader was told to accept.
    #[error("tag of {length} bytes, over the limit of {limit}")]
    TooLong {
        /// As its header says.
        length: usize,
        /// As the reader was told.
        limit: usize,
    },
    /// The source failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Takes the bytes of a file as they come and gives its tags.
///
/// A file need not be well made: the sizes between tags are not looked at, tags of unknown kind
/// are passed over, and a cut-off last tag just never comes.
#[derive(Debug)]
pub struct Reader {
    state: State,
    buffer: BytesMut,
    limit: usize,
    header: Option<Header>,
    skipped: u64,
}

#[derive(Debug)]
enum State {
    FileHeader,
    /// So many bytes mean nothing to us; a tag follows.
    Skip(usize),
    Tag,
}

impl Default for Reader {
    /// A reader that accepts any length a tag can have.
    fn default() -> Self {
        Self::new(MAX_PAYLOAD)
    }
}

impl Reader {
    /// A reader that refuses payloads longer than `limit`.
    pub fn new(limit: usize) -> Self {
        Self {
            state: State::FileHeader,
            buffer: BytesMut::new(),
            limit,
            header: None,
            skipped: 0,
        }
    }

    /// Takes the next bytes of the file. Call [`pull`](Self::pull) until it gives `None` before
    /// the next, so that no more gathers than one tag.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next tag; `None` asks for more bytes.
    pub fn pull(&mut self) -> Result<Option<Tag>, Error> {
        loop {
            match self.state {
                State::FileHeader => {
                    let Some(bytes) = self.buffer.first_chunk::<FILE_HEADER_LEN>() else {
                        return Ok(None);
                    };
                    let [b'F', b'L', b'V', _, flags, offset @ ..] = *bytes else {
                        return Err(Error::NotFlv);
                    };
                    // A header may grow in a later version; it cannot be shorter.
                    let offset = u32::from_be_bytes(offset) as usize;
                    if offset < FILE_HEADER_LEN {
                        return Err(Error::NotFlv);
                    }
                    self.header = Some(Header {
                        audio: flags & 4 != 0,
                        video: flags & 1 != 0,
                    });
                    self.state = State::Skip(offset.saturating_add(TRAILER_LEN));
                }
                State::Skip(left) => {
                    let here = left.min(self.buffer.len());
                    self.buffer.advance(here);
                    if here < left {
                        self.state = State::Skip(left - here);
                        return Ok(None);
                    }
                    self.state = State::Tag;
                }
                State::Tag => {
                    let Some(bytes) = self.buffer.first_chunk::<TAG_HEADER_LEN>() else {
                        return Ok(None);
                    };
                    let header = TagHeader::parse(bytes);
                    let Some(kind) = Kind::from_id(header.id) else {
                        self.skipped += 1;
                        self.state = State::Skip(TAG_HEADER_LEN + header.len + TRAILER_LEN);
                        continue;
                    };
                    if header.len > self.limit {
                        return Err(Error::TooLong {
                            length: header.len,
                            limit: self.limit,
                        });
                    }
                    if self.buffer.len() < TAG_HEADER_LEN + header.len {
                        return Ok(None);
                    }
                    self.buffer.advance(TAG_HEADER_LEN);
                    let payload = self.buffer.split_to(header.len).freeze();
                    self.state = State::Skip(TRAILER_LEN);
                    return Ok(Some(Tag::new(kind, header.timestamp, payload)));
                }
            }
        }
    }

    /// What the head of the file promises, once it has been read.
    pub fn header(&self) -> Option<Header> {
        self.header
    }

    /// How many tags of unknown kind were passed over.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }
}

/// The tags of a file, from anything that can be read. A cut-off file ends without an error.
#[derive(Debug)]
pub struct Tags<R> {
    source: R,
    reader: Reader,
    chunk: Box<[u8]>,
    ended: bool,
}

impl<R: Read> Tags<R> {
    /// Bytes asked from the source at once.
    const CHUNK: usize = 64 * 1024;

    /// The tags of `source`, of any length.
    pub fn new(source: R) -> Self {
        Self::with_reader(source, Reader::default())
    }

    /// The tags of `source`, read by `reader`.
    pub fn with_reader(source: R, reader: Reader) -> Self {
        Self {
            source,
            reader,
            chunk: vec![0; Self::CHUNK].into(),
            ended: false,
        }
    }

    /// The reader within, for what it knows beside the tags.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    fn advance(&mut self) -> Result<Option<Tag>, Error> {
        loop {
            if let Some(tag) = self.reader.pull()? {
                return Ok(Some(tag));
            }
            match self.source.read(&mut self.chunk) {
                Ok(0) => return Ok(None),
                Ok(len) => self.reader.push(self.chunk.get(..len).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl<R: Read> Iterator for Tags<R> {
    type Item = Result<Tag, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.advance().transpose();
        // An error stays where it is: asking again would give it for ever.
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::file::write_tag;

    fn file(tags: &[Tag]) -> BytesMut {
        let mut out = BytesMut::from(
            &Header {
                audio: true,
                video: true,
            }
            .to_bytes()[..],
        );
        for tag in tags {
            write_tag(tag, tag.dts, &mut out);
        }
        out
    }

    fn sample() -> [Tag; 2] {
        [
            Tag::new(
                Kind::Audio,
                0xff00_0000,
                Bytes::from_static(&[0xaf, 0x01, 0x21]),
            ),
            Tag::new(
                Kind::Video,
                7,
                Bytes::from_static(&[0x17, 0x01, 0, 0, 0, 0x65]),
            ),
        ]
    }

    #[test]
    fn gives_a_tag_as_soon_as_its_payload_is_whole() {
        let bytes = file(&sample());
        let mut reader = Reader::default();
        let mut tags = Vec::new();
        for (at, byte) in bytes.iter().enumerate() {
            reader.push(&[*byte]);
            while let Some(tag) = reader.pull().unwrap() {
                tags.push((at, tag));
            }
        }
        let [first, second] = sample();
        assert_eq!(
            tags,
            [(13 + 11 + 3 - 1, first), (13 + 18 + 11 + 6 - 1, second)]
        );
        assert_eq!(
            reader.header(),
            Some(Header {
                audio: true,
                video: true
            })
        );
    }

    #[test]
    fn sizes_between_tags_do_not_matter() {
        let mut bytes = file(&sample());
        bytes[13 + 11 + 3..][..4].copy_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
        let tags: Vec<_> = Tags::new(&bytes[..]).map(Result::unwrap).collect();
        assert_eq!(tags, sample());
    }

    #[test]
    fn a_cut_off_file_ends_without_an_error() {
        let bytes = file(&sample());
        for end in 0..bytes.len() {
            let count = Tags::new(&bytes[..end]).map(Result::unwrap).count();
            let expected = usize::from(end >= 13 + 14) + usize::from(end >= 13 + 18 + 17);
            assert_eq!(count, expected, "cut at {end}");
        }
    }

    #[test]
    fn passes_over_tags_of_unknown_kind_and_a_longer_header() {
        let mut bytes = BytesMut::from(&b"FLV\x01\x05\0\0\0\x0bxx\0\0\0\0"[..]);
        bytes.extend_from_slice(&[15, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 13]);
        bytes.extend_from_slice(&file(&sample())[13..]);
        let mut tags = Tags::new(&bytes[..]);
        assert_eq!(
            tags.by_ref().map(Result::unwrap).collect::<Vec<_>>(),
            sample()
        );
        assert_eq!(tags.reader().skipped(), 1);
    }

    #[test]
    fn refuses_what_is_no_flv_and_tags_over_the_limit() {
        let error = Tags::new(&b"RIFF----WAVEfmt "[..])
            .next()
            .unwrap()
            .unwrap_err();
        assert!(matches!(error, Error::NotFlv));

        let bytes = file(&sample());
        let mut tags = Tags::with_reader(&bytes[..], Reader::new(5));
        assert!(tags.next().unwrap().is_ok());
        let error = tags.next().unwrap().unwrap_err();
        assert!(matches!(
            error,
            Error::TooLong {
                length: 6,
                limit: 5
            }
        ));
        assert!(tags.next().is_none());
    }
}
