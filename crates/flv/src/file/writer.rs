//! From tags to a file.

use std::io::{self, IoSlice, Seek, SeekFrom, Write};

use super::{Header, MAX_PAYLOAD, TAG_HEADER_LEN, TRAILER_LEN, tag_header, tag_trailer};
use crate::metadata::{DURATION_AT, FILE_SIZE_AT, Metadata};
use crate::tag::{Kind, Tag};

/// Writes a file tag by tag.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    written: u64,
    /// Where the payload of our own metadata begins, if we wrote one.
    metadata: Option<u64>,
    span: Span,
}

impl<W: Write> Writer<W> {
    /// Begins a file with nothing but its header: the tags bring their own metadata, or none.
    pub fn new(mut out: W, header: Header) -> io::Result<Self> {
        let bytes = header.to_bytes();
        out.write_all(&bytes)?;
        Ok(Self {
            out,
            written: bytes.len() as u64,
            metadata: None,
            span: Span::default(),
        })
    }

    /// Begins a file with `metadata`, and with room in it for the duration and the size that
    /// [`finish`](Self::finish) will know. Leave out the metadata that comes with the tags.
    pub fn with_metadata(out: W, header: Header, metadata: &Metadata) -> io::Result<Self> {
        let mut writer = Self::new(out, header)?;
        writer.metadata = Some(writer.written + TAG_HEADER_LEN as u64);
        writer.write(&metadata.to_recording_tag())?;
        Ok(writer)
    }

    /// Appends `tag` at its own time.
    pub fn write(&mut self, tag: &Tag) -> io::Result<()> {
        if tag.payload.len() > MAX_PAYLOAD {
            let error = "payload longer than a tag header can announce";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        let header = tag_header(tag, tag.dts);
        let trailer = tag_trailer(tag);
        let mut slices = [
            IoSlice::new(&header),
            IoSlice::new(&tag.payload),
            IoSlice::new(&trailer),
        ];
        write_all_vectored(&mut self.out, &mut slices)?;
        self.written += (TAG_HEADER_LEN + tag.payload.len() + TRAILER_LEN) as u64;
        self.span.add(tag);
        Ok(())
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The target, without a look back: for pipes, and for files that need no duration.
    pub fn into_inner(self) -> W {
        self.out
    }
}

impl<W: Write + Seek> Writer<W> {
    /// Puts the duration and the size of the file into the metadata, if it was begun
    /// [with one](Self::with_metadata). The target stands at the end of the file afterwards.
    pub fn finish(mut self) -> io::Result<W> {
        if let Some(metadata) = self.metadata {
            let end = self.out.stream_position()?;
            // The file may be a part of the target.
            let start = end.saturating_sub(self.written) + metadata;
            let numbers = [
                (DURATION_AT, f64::from(self.span.millis()) / 1000.0),
                (FILE_SIZE_AT, self.written as f64),
            ];
            for (at, number) in numbers {
                self.out.seek(SeekFrom::Start(start + at as u64))?;
                self.out.write_all(&number.to_be_bytes())?;
            }
            self.out.seek(SeekFrom::Start(end))?;
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

/// `Write::write_all_vectored` is not stable yet.
fn write_all_vectored(out: &mut impl Write, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match out.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => IoSlice::advance_slices(&mut slices, len),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// From the first frame to the end of the last one shown.
#[derive(Debug, Default)]
struct Span {
    first: Option<u32>,
    end: u32,
    /// The time of the last audio and video frame: the last one lasts as long as the one before.
    last: [Option<u32>; 2],
}

impl Span {
    fn add(&mut self, tag: &Tag) {
        if !tag.is_frame() {
            return;
        }
        let Some(last) = self.last.get_mut(usize::from(tag.kind == Kind::Video)) else {
            return;
        };
        let lasts = last.map_or(0, |last| tag.dts.saturating_sub(last));
        *last = Some(tag.dts);
        self.first = Some(self.first.map_or(tag.dts, |first| first.min(tag.dts)));
        let shown = tag.dts.saturating_add_signed(tag.composition());
        self.end = self.end.max(shown.saturating_add(lasts));
    }

    fn millis(&self) -> u32 {
        self.first.map_or(0, |first| self.end.saturating_sub(first))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use bytes::Bytes;

    use super::*;
    use crate::file::Tags;

    fn frame(dts: u32) -> Tag {
        Tag::new(Kind::Audio, dts, Bytes::from_static(&[0xaf, 0x01, 0x21]))
    }

    #[test]
    fn finish_fills_in_duration_and_size() {
        let mut metadata = Metadata::default();
        metadata.set("width", 320.0);
        metadata.set("duration", 99.0);
        // The file is not the first thing in its target.
        let mut target = Cursor::new(b"before".to_vec());
        target.set_position(6);
        let header = Header {
            audio: true,
            video: false,
        };
        let mut writer = Writer::with_metadata(target, header, &metadata).unwrap();
        for dts in [5000, 5020, 5040] {
            writer.write(&frame(dts)).unwrap();
        }
        let written = writer.written();
        let target = writer.finish().unwrap();
        assert_eq!(target.position(), written + 6);

        let file = target.into_inner();
        let mut tags = Tags::new(&file[6..]).map(Result::unwrap);
        let metadata = Metadata::from_tag(&tags.next().unwrap()).unwrap();
        assert_eq!(metadata.duration(), Some(0.06));
        assert_eq!(metadata.file_size(), Some(written as f64));
        assert_eq!(metadata.width(), Some(320.0));
        assert_eq!(tags.count(), 3);
    }

    #[test]
    fn finish_without_metadata_changes_nothing() {
        let header = Header {
            audio: true,
            video: false,
        };
        let mut writer = Writer::new(Cursor::new(Vec::new()), header).unwrap();
        writer.write(&frame(0)).unwrap();
        let file = writer.finish().unwrap().into_inner();
        assert_eq!(file.len(), 13 + 18);
        assert!(file.ends_with(&[0xaf, 0x01, 0x21, 0, 0, 0, 14]));
    }

    #[test]
    fn writes_on_after_a_short_write() {
        struct Slow(Vec<u8>);
        impl Write for Slow {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.extend(bytes.first());
                Ok(bytes.len().min(1))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let header = Header {
            audio: true,
            video: false,
        };
        let mut slow = Writer::new(Slow(Vec::new()), header).unwrap();
        let mut fast = Writer::new(Vec::new(), header).unwrap();
        slow.write(&frame(7)).unwrap();
        fast.write(&frame(7)).unwrap();
        assert_eq!(slow.into_inner().0, fast.into_inner());
    }
}
