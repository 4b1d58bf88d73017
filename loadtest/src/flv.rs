//! HTTP-FLV as a player reads it: the head of an answer, chunks perhaps, and tags; no code shared with the server.

use anyhow::{Context, Result, bail, ensure};

use crate::chunk::{Header, kind};

const MAX_HEAD: usize = 16 << 10;
/// An FLV file begins with so many bytes before its first tag.
const FILE_HEAD: usize = 13;
const TAG_HEAD: usize = 11;
const TAG_END: usize = 4;

/// What is sent to ask for a stream.
pub(crate) fn request(authority: &str, app: &str, name: &str) -> Vec<u8> {
    let (name, query) = match name.split_once('?') {
        Some((name, query)) => (name, format!("?{query}")),
        None => (name, String::new()),
    };
    format!("GET /{app}/{name}.flv{query} HTTP/1.1\r\nHost: {authority}\r\n\r\n").into_bytes()
}

/// Cuts the answer into tags.
#[derive(Default)]
pub(crate) struct Parser {
    /// What is not read yet: of the head and the lines around chunks, and of the file in them.
    raw: Vec<u8>,
    file: Vec<u8>,
    part: Part,
    chunked: bool,
    /// Bytes before the next tag that mean nothing here.
    skip: usize,
}

/// Where in the answer it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Head,
    /// Before a chunk, or behind the end of one.
    Size,
    /// In a chunk, or in a body without; so many bytes are left.
    Body(usize),
}

impl Parser {
    /// Whether it has been told that there is something.
    pub(crate) fn plays(&self) -> bool {
        self.part != Part::Head
    }

    /// Reads `bytes`, and calls `sink` for every tag of sound or pictures that became whole.
    pub(crate) fn push(
        &mut self,
        mut bytes: &[u8],
        sink: &mut dyn FnMut(Header, &[u8]) -> Result<()>,
    ) -> Result<()> {
        while let Some(&next) = bytes.first() {
            match self.part {
                Part::Body(left) => {
                    let (body, rest) = bytes.split_at(left.min(bytes.len()));
                    self.file.extend_from_slice(body);
                    bytes = rest;
                    self.part = match left - body.len() {
                        0 => Part::Size,
                        left if self.chunked => Part::Body(left),
                        _ => Part::Body(usize::MAX),
                    };
                }
                // Lines are short and few, so they are read byte by byte.
                Part::Head | Part::Size => {
                    self.raw.push(next);
                    bytes = bytes.get(1..).unwrap_or_default();
                    self.line()?;
                }
            }
        }
        self.tags(sink)
    }

    fn line(&mut self) -> Result<()> {
        if self.part == Part::Head {
            ensure!(self.raw.len() <= MAX_HEAD, "an answer without an end");
            if !self.raw.ends_with(b"\r\n\r\n") {
                return Ok(());
            }
            let head = String::from_utf8_lossy(&self.raw).to_lowercase();
            let line = head.lines().next().unwrap_or_default();
            if line.split(' ').nth(1) != Some("200") {
                bail!("refused: {line}");
            }
            self.chunked = head.contains("transfer-encoding: chunked");
            self.part = match self.chunked {
                true => Part::Size,
                false => Part::Body(usize::MAX),
            };
            self.skip = FILE_HEAD;
            self.raw.clear();
            return Ok(());
        }
        if !self.raw.ends_with(b"\r\n") {
            return Ok(());
        }
        let line = std::mem::take(&mut self.raw);
        let line = String::from_utf8_lossy(&line);
        // Behind a chunk there is an empty one.
        if !line.trim().is_empty() {
            let size = usize::from_str_radix(line.trim(), 16).context("no chunk")?;
            ensure!(size > 0, "the stream ended");
            self.part = Part::Body(size);
        }
        Ok(())
    }

    fn tags(&mut self, sink: &mut dyn FnMut(Header, &[u8]) -> Result<()>) -> Result<()> {
        let mut at = 0;
        loop {
            let passed = self.skip.min(self.file.len() - at);
            (at, self.skip) = (at + passed, self.skip - passed);
            let rest = self.file.get(at..).unwrap_or_default();
            let Some(&[id, l2, l1, l0, t2, t1, t0, t3, ..]) = rest.first_chunk::<TAG_HEAD>() else {
                break;
            };
            let length = u32::from_be_bytes([0, l2, l1, l0]) as usize;
            let Some(payload) = rest.get(TAG_HEAD..TAG_HEAD + length) else {
                break;
            };
            if matches!(id, kind::AUDIO | kind::VIDEO) {
                let header = Header {
                    kind: id,
                    timestamp: u32::from_be_bytes([t3, t2, t1, t0]),
                    stream: 0,
                };
                sink(header, payload)?;
            }
            at += TAG_HEAD + length;
            self.skip = TAG_END;
        }
        self.file.drain(..at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &[u8] = b"FLV\x01\x05\0\0\0\x09\0\0\0\0\
        \x12\0\0\x02\0\0\0\0\0\0\0ab\0\0\0\x0d\
        \x08\0\0\x03\0\0\x07\x01\0\0\0abc\0\0\0\x0e\
        \x09\0\0\x01\0\0\x08\0\0\0\0x\0\0\0\x0c";

    /// The tags in an answer that comes in two parts.
    fn read(answer: &[u8], cut: usize) -> Result<Vec<(u8, u32, Vec<u8>)>> {
        let mut parser = Parser::default();
        let mut tags = Vec::new();
        let mut sink = |header: Header, payload: &[u8]| {
            tags.push((header.kind, header.timestamp, payload.to_vec()));
            Ok(())
        };
        parser.push(&answer[..cut], &mut sink)?;
        parser.push(&answer[cut..], &mut sink)?;
        assert!(parser.plays());
        Ok(tags)
    }

    #[test]
    fn tags_are_found_with_chunks_and_without_wherever_it_is_cut() {
        let plain = [b"HTTP/1.1 200 OK\r\n\r\n", FILE].concat();
        let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for chunk in FILE.chunks(9) {
            chunked.extend(format!("{:x}\r\n", chunk.len()).bytes());
            chunked.extend([chunk, b"\r\n"].concat());
        }
        let tags = [
            (kind::AUDIO, 0x0100_0007, b"abc".to_vec()),
            (kind::VIDEO, 8, b"x".to_vec()),
        ];
        for answer in [plain, chunked] {
            for cut in 0..answer.len() {
                assert_eq!(read(&answer, cut).unwrap(), tags, "{cut}");
            }
        }
    }

    #[test]
    fn a_refusal_and_an_end_are_errors() {
        assert!(read(b"HTTP/1.1 404 Not Found\r\n\r\n", 3).is_err());
        let over = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
        assert!(read(over, 3).is_err());
    }

    #[test]
    fn a_stream_is_asked_for_by_its_name() {
        let asked = request("h:1", "live", "bench_7?token=x");
        assert!(asked.starts_with(b"GET /live/bench_7.flv?token=x HTTP/1.1\r\n"));
    }
}
