use std::io::Cursor;

use flv::file::{Error, Header, Reader, Tags, Writer};
use flv::{Metadata, Tag};

use crate::flv_tag::check;
use crate::pieces::{choices, pieces};

/// A file: a byte for the pieces it comes in, three for the longest tag accepted (0 for any),
/// then its bytes.
pub fn flv_file(data: &[u8]) {
    let Some(([seed, limit @ ..], file)) = choices::<4>(data) else {
        return;
    };
    let reader = || match limit {
        [0, 0, 0] => Reader::default(),
        [a, b, c] => Reader::new(u32::from_be_bytes([0, a, b, c]) as usize),
    };
    let whole = read(reader(), [file]);
    assert_eq!(read(reader(), pieces(file, seed)), whole, "in pieces");
    let (tags, error) = whole;
    let taken: usize = tags.iter().map(|tag| tag.payload.len()).sum();
    assert!(taken <= file.len(), "tags hold more than the file");
    tags.iter().for_each(check);

    let mut source = Tags::with_reader(file, reader());
    let pulled: Vec<_> = source.by_ref().map_while(Result::ok).collect();
    assert_eq!(pulled, tags, "from a source");
    assert_eq!(source.count(), 0, "the end is the end");

    let Some(header) = error.is_none().then(|| header(file)).flatten() else {
        return;
    };
    let mut writer = Writer::new(Vec::new(), header).expect("memory takes all");
    let metadata = tags.iter().find_map(Metadata::from_tag).unwrap_or_default();
    let target = Cursor::new(Vec::new());
    let mut recording = Writer::with_metadata(target, header, &metadata).expect("likewise");
    for tag in &tags {
        writer.write(tag).expect("what was read can be written");
        recording.write(tag).expect("what was read can be written");
    }
    let length = writer.written();
    let written = writer.into_inner();
    assert_eq!(written.len() as u64, length);
    assert_eq!(
        read(Reader::default(), [&written[..]]),
        (tags.clone(), None)
    );

    let recorded = recording.finish().expect("memory can seek").into_inner();
    let (recorded_tags, error) = read(Reader::default(), [&recorded[..]]);
    assert_eq!(error, None);
    let (first, others) = recorded_tags.split_first().expect("metadata at least");
    let metadata = Metadata::from_tag(first).expect("metadata comes first");
    assert_eq!(metadata.file_size(), Some(recorded.len() as f64));
    assert!(metadata.duration().is_some_and(|seconds| seconds >= 0.0));
    assert_eq!(others, tags);
}

fn read<'a>(
    mut reader: Reader,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Tag>, Option<String>) {
    let mut tags = Vec::new();
    for piece in pieces {
        reader.push(piece);
        loop {
            match reader.pull() {
                Ok(Some(tag)) => tags.push(tag),
                Ok(None) => break,
                Err(error) => return (tags, Some(said(&error))),
            }
        }
    }
    (tags, None)
}

fn said(error: &Error) -> String {
    assert!(!matches!(error, Error::Io(_)), "memory does not fail");
    error.to_string()
}

fn header(file: &[u8]) -> Option<Header> {
    let mut reader = Reader::default();
    reader.push(file.get(..9)?);
    reader.pull().ok()?;
    reader.header()
}
