//! Recorded sessions of real encoders.

use std::fs;

use flv::{Kind, Tag};

use crate::folders::captures;

/// A recorded publishing session.
#[derive(Debug, Clone)]
pub struct Capture {
    /// What it is called.
    pub name: String,
    /// The app that was asked for, query included.
    pub app: String,
    /// The name that was asked for, query included.
    pub stream: String,
    /// What another program read in it: kind, size and CRC-32 of each tag, in order.
    pub tags: Vec<(Kind, String)>,
}

impl Capture {
    /// All recorded sessions that publish something.
    ///
    /// # Panics
    /// When they are not there.
    pub fn publishers() -> Vec<Self> {
        let list = fs::read_to_string(captures().join("sessions.txt")).expect("a list of captures");
        list.lines().filter_map(Self::of_line).collect()
    }

    fn of_line(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let &[name, app, "publish", stream, _] = &words[..] else {
            return None;
        };
        let tags = fs::read_to_string(captures().join(format!("{name}.c2s.tags"))).ok()?;
        let tag = |line: &str| {
            let (id, rest) = line.split_once(' ').expect("a kind");
            let kind = Kind::from_id(id.parse().expect("a number")).expect("a known kind");
            let (_time, size_and_sum) = rest.split_once(' ').expect("a time");
            (kind, size_and_sum.to_owned())
        };
        Some(Self {
            name: name.to_owned(),
            app: app.to_owned(),
            stream: stream.to_owned(),
            tags: tags.lines().map(tag).collect(),
        })
    }

    /// The bytes that the encoder sent, handshake included.
    ///
    /// # Panics
    /// When they are not there.
    pub fn bytes(&self) -> Vec<u8> {
        fs::read(captures().join(format!("{}.c2s.bin", self.name))).expect("the bytes of a capture")
    }

    /// The app and the name of the stream without their queries.
    pub fn key(&self) -> (&str, &str) {
        let bare = |text| str::split(text, '?').next().unwrap_or_default();
        (bare(&self.app), bare(&self.stream))
    }

    /// A tag in the words of `tags`.
    pub fn line(tag: &Tag) -> (Kind, String) {
        (
            tag.kind,
            format!("{} {:08x}", tag.payload.len(), crc32(&tag.payload)),
        )
    }
}

/// CRC-32 as in zlib.
fn crc32(bytes: &[u8]) -> u32 {
    let bit = |crc: u32| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1));
    let step = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| bit(crc));
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_zlib() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn there_are_captures_of_publishers() {
        let captures = Capture::publishers();
        assert!(captures.len() > 40);
        assert!(captures.iter().all(|capture| capture.bytes().len() > 3073));
    }
}
