//! What is fanned out: the tags of a real encoder, over and over.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use flv::{Kind, Tag};
use rtmp::chunk::{ChunkReader, Limits};
use rtmp::message;

/// OBS 29, H.264 and AAC: 420 tags in seven seconds, a keyframe every two.
const CAPTURE: &str = "../rtmp/tests/captures/pub-obs29-nginx.c2s.bin";

/// C0, C1 and C2.
const HANDSHAKE: usize = 1 + 1536 + 1536;

/// A recorded session that never ends: frames come again at later times, headers do not.
#[derive(Clone)]
pub(crate) struct Source {
    tags: Vec<Tag>,
    /// Where the frames begin.
    frames: usize,
    next: usize,
    /// Time that one round takes, in milliseconds.
    length: u32,
    /// What this round's times are behind.
    offset: u32,
}

impl Source {
    /// Reads the session.
    pub(crate) fn captured() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(CAPTURE);
        let mut bytes = BytesMut::from(&fs::read(path).expect("a capture")[..]);
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
        tags.retain(|tag| !tag.is_end());
        let (headers, frames): (Vec<_>, Vec<_>) = tags.into_iter().partition(|tag| !tag.is_frame());
        let length = frames.iter().map(|tag| tag.dts).max().expect("frames") + 40;
        Self {
            frames: headers.len(),
            tags: [headers, frames].concat(),
            next: 0,
            length,
            offset: 0,
        }
    }

    /// How long so many tags play.
    pub(crate) fn duration(&self, tags: usize) -> Duration {
        let round = self.tags.len() - self.frames;
        Duration::from_millis(u64::from(self.length) * tags as u64 / round as u64)
    }

    /// The next tag.
    pub(crate) fn tag(&mut self) -> Tag {
        if self.next == self.tags.len() {
            self.next = self.frames;
            self.offset = self.offset.wrapping_add(self.length);
        }
        let tag = self.tags[self.next].clone();
        self.next += 1;
        let dts = tag.dts.wrapping_add(self.offset);
        tag.with_dts(dts)
    }
}
