//! What real encoders sent.

use std::fs;
use std::path::Path;

use bytes::{Buf, BytesMut};
use flv::{Kind, Tag};
use rtmp::chunk::{ChunkReader, Limits};
use rtmp::message;

/// C0, C1 and C2.
const HANDSHAKE: usize = 1 + 1536 + 1536;

/// The tags of all recorded publishing sessions, by name.
pub(crate) fn captures() -> Vec<(String, Vec<Tag>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rtmp/tests/captures");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("captures") {
        let path = entry.expect("a file").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(name) = name.strip_suffix(".c2s.bin")
            && name.starts_with("pub-")
        {
            found.push((name.to_owned(), tags(&fs::read(&path).expect("a capture"))));
        }
    }
    found.retain(|(_, tags)| tags.iter().any(Tag::is_frame));
    assert!(found.len() > 25, "{}", found.len());
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn tags(session: &[u8]) -> Vec<Tag> {
    let mut bytes = BytesMut::from(session);
    bytes.advance(HANDSHAKE);
    let mut reader = ChunkReader::new(Limits::default());
    let mut tags = Vec::new();
    while let Some(message) = reader.read(&mut bytes).expect("chunks") {
        let kind = match message.kind {
            message::Kind::Audio => Kind::Audio,
            message::Kind::Video => Kind::Video,
            message::Kind::Data => Kind::Data,
            _ => continue,
        };
        tags.push(Tag::new(kind, message.timestamp, message.payload));
    }
    tags
}
