//! HTTP/2 as far as requests that wait need it (RFC 9113): many at a time on one connection, without TLS, with
//! prior knowledge; no code shared with the server.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};

use super::hpack;
use super::wire::{Protocol, Said};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD: usize = 9;
/// RFC 9113 6.9.1: no window is larger, and a connection begins with so much of it.
const LARGEST_WINDOW: u32 = (1 << 31) - 1;
const FIRST_WINDOW: u32 = 65_535;
/// Any playlist fits in.
const STREAM_WINDOW: u32 = 1 << 20;
/// RFC 9113 4.2: nobody sends longer ones unasked.
const LONGEST_FRAME: usize = 16_384;

mod kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const PING: u8 = 6;
    pub(super) const GOAWAY: u8 = 7;
    pub(super) const WINDOW_UPDATE: u8 = 8;
}

mod flag {
    pub(super) const ACK: u8 = 1;
    pub(super) const END_STREAM: u8 = 1;
    pub(super) const END_HEADERS: u8 = 4;
    pub(super) const PADDED: u8 = 8;
    pub(super) const PRIORITY: u8 = 0x20;
}

mod setting {
    pub(super) const HEADER_TABLE_SIZE: u16 = 1;
    pub(super) const ENABLE_PUSH: u16 = 2;
    pub(super) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(super) const INITIAL_WINDOW_SIZE: u16 = 4;
}

/// A client's side of a connection, with so many requests at a time.
pub(crate) struct Http2 {
    at_a_time: usize,
    has_begun: bool,
    is_ready: bool,
    /// Of the next request.
    stream: u32,
    /// What is not a whole frame yet.
    begun: Vec<u8>,
    /// Answers that have begun: their status, and what there is of the body.
    open: HashMap<u32, (u16, Vec<u8>)>,
    /// Bytes received since the connection's window was last made larger.
    received: u32,
}

struct Frame<'a> {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &'a [u8],
}

impl Http2 {
    pub(crate) fn new(at_a_time: usize) -> Self {
        Self {
            at_a_time,
            has_begun: false,
            is_ready: false,
            stream: 1,
            begun: Vec::new(),
            open: HashMap::new(),
            received: 0,
        }
    }

    fn frame(
        &mut self,
        frame: &Frame<'_>,
        out: &mut Vec<u8>,
        sink: &mut dyn FnMut(Said<'_>),
    ) -> Result<()> {
        let has = |flag| frame.flags & flag != 0;
        match frame.kind {
            kind::SETTINGS if !has(flag::ACK) => {
                self.settings(frame.payload)?;
                put(out, kind::SETTINGS, flag::ACK, 0, &[]);
            }
            kind::PING if !has(flag::ACK) => put(out, kind::PING, flag::ACK, 0, frame.payload),
            kind::GOAWAY => bail!("the server ends the connection"),
            kind::RST_STREAM => {
                self.open.remove(&frame.stream);
                sink(NOTHING);
            }
            kind::HEADERS => {
                ensure!(has(flag::END_HEADERS), "a head in several frames");
                let block = frame.content()?;
                let block = match has(flag::PRIORITY) {
                    true => block.get(5..).context("a short head")?,
                    false => block,
                };
                if has(flag::END_STREAM) {
                    // Behind a body it is a trailer.
                    let (status, body) = match self.open.remove(&frame.stream) {
                        Some(begun) => begun,
                        None => (hpack::status(block), Vec::new()),
                    };
                    sink(said(status, &body));
                } else {
                    let begun = (hpack::status(block), Vec::new());
                    self.open.insert(frame.stream, begun);
                }
            }
            kind::DATA => {
                self.count(frame.payload.len(), out);
                let piece = frame.content()?;
                let Some(begun) = self.open.get_mut(&frame.stream) else {
                    bail!("a body without a head");
                };
                if !has(flag::END_STREAM) {
                    begun.1.extend_from_slice(piece);
                } else if let Some((status, mut body)) = self.open.remove(&frame.stream) {
                    // Mostly a body comes in one piece, and need not be copied.
                    if body.is_empty() {
                        sink(said(status, piece));
                    } else {
                        body.extend_from_slice(piece);
                        sink(said(status, &body));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn settings(&mut self, payload: &[u8]) -> Result<()> {
        let (settings, _) = payload.as_chunks::<6>();
        for [a, b, value @ ..] in settings {
            let most = u32::from_be_bytes(*value) as usize;
            if u16::from_be_bytes([*a, *b]) == setting::MAX_CONCURRENT_STREAMS {
                ensure!(
                    most >= self.at_a_time,
                    "the server takes {most} requests at a time, not {}: more --connections",
                    self.at_a_time
                );
            }
        }
        self.is_ready = true;
        Ok(())
    }

    /// Gives back what was taken of the connection's window, long before it is used up.
    fn count(&mut self, bytes: usize, out: &mut Vec<u8>) {
        self.received += bytes as u32;
        if self.received > LARGEST_WINDOW / 2 {
            put(out, kind::WINDOW_UPDATE, 0, 0, &self.received.to_be_bytes());
            self.received = 0;
        }
    }
}

const NOTHING: Said<'_> = said(0, &[]);

const fn said(status: u16, body: &[u8]) -> Said<'_> {
    Said {
        status,
        body,
        whole: &[],
    }
}

impl Protocol for Http2 {
    fn is_ready(&self) -> bool {
        self.is_ready
    }

    fn ask(&mut self, authority: &str, path: &str, out: &mut Vec<u8>) {
        let block = hpack::request(authority, path);
        for _ in 0..self.at_a_time {
            let flags = flag::END_STREAM | flag::END_HEADERS;
            put(out, kind::HEADERS, flags, self.stream, &block);
            self.stream += 2;
        }
    }

    fn input(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        sink: &mut dyn FnMut(Said<'_>),
    ) -> Result<()> {
        if !std::mem::replace(&mut self.has_begun, true) {
            out.extend_from_slice(PREFACE);
            let settings = [
                (setting::HEADER_TABLE_SIZE, 0),
                (setting::ENABLE_PUSH, 0),
                (setting::INITIAL_WINDOW_SIZE, STREAM_WINDOW),
            ];
            let settings = settings.map(|(name, value)| {
                let ([a, b], [c, d, e, f]) = (name.to_be_bytes(), value.to_be_bytes());
                [a, b, c, d, e, f]
            });
            put(out, kind::SETTINGS, 0, 0, settings.as_flattened());
            let more = LARGEST_WINDOW - FIRST_WINDOW;
            put(out, kind::WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
        }
        let mut begun = std::mem::take(&mut self.begun);
        begun.extend_from_slice(bytes);
        let mut rest = &begun[..];
        while let Some((frame, behind)) = Frame::parse(rest)? {
            self.frame(&frame, out, sink)?;
            rest = behind;
        }
        let taken = begun.len() - rest.len();
        begun.drain(..taken);
        self.begun = begun;
        Ok(())
    }
}

impl<'a> Frame<'a> {
    /// The frame at the front of `bytes`, and what is behind it; `None` while it is not whole.
    fn parse(bytes: &'a [u8]) -> Result<Option<(Self, &'a [u8])>> {
        let Some(([l2, l1, l0, kind, flags, stream @ ..], rest)) =
            bytes.split_first_chunk::<HEAD>()
        else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([0, *l2, *l1, *l0]) as usize;
        ensure!(length <= LONGEST_FRAME, "a frame of {length} bytes");
        let Some((payload, rest)) = rest.split_at_checked(length) else {
            return Ok(None);
        };
        let frame = Self {
            kind: *kind,
            flags: *flags,
            stream: u32::from_be_bytes(*stream) & LARGEST_WINDOW,
            payload,
        };
        Ok(Some((frame, rest)))
    }

    /// Without padding.
    fn content(&self) -> Result<&'a [u8]> {
        if self.flags & flag::PADDED == 0 {
            return Ok(self.payload);
        }
        let (padding, rest) = self.payload.split_first().context("no padding")?;
        let end = rest.len().checked_sub(usize::from(*padding));
        end.and_then(|end| rest.get(..end))
            .context("too much padding")
    }
}

fn put(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(mut bytes: &[u8]) -> Vec<(u8, u8, u32, Vec<u8>)> {
        let mut frames = Vec::new();
        while let Some((frame, rest)) = Frame::parse(bytes).unwrap() {
            let Frame {
                kind,
                flags,
                stream,
                payload,
            } = frame;
            frames.push((kind, flags, stream, payload.to_vec()));
            bytes = rest;
        }
        assert!(bytes.is_empty());
        frames
    }

    fn ready(at_a_time: usize) -> Http2 {
        let mut http2 = Http2::new(at_a_time);
        let mut out = Vec::new();
        http2.input(&[], &mut out, &mut |_| {}).unwrap();
        let first = frames(out.strip_prefix(PREFACE).unwrap());
        let kinds: Vec<u8> = first.iter().map(|frame| frame.0).collect();
        assert_eq!(kinds, [kind::SETTINGS, kind::WINDOW_UPDATE]);
        assert!(!http2.is_ready());
        let mut settings = Vec::new();
        put(&mut settings, kind::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 2]);
        out.clear();
        http2.input(&settings, &mut out, &mut |_| {}).unwrap();
        assert_eq!(frames(&out), [(kind::SETTINGS, flag::ACK, 0, Vec::new())]);
        assert!(http2.is_ready());
        http2
    }

    #[test]
    fn requests_have_streams_of_their_own() {
        let mut http2 = ready(2);
        let mut out = Vec::new();
        http2.ask("h:1", "/p", &mut out);
        http2.ask("h:1", "/p", &mut out);
        let streams: Vec<u32> = frames(&out).iter().map(|frame| frame.2).collect();
        assert_eq!(streams, [1, 3, 5, 7]);
        let block = &frames(&out)[0].3;
        assert_eq!(block, &hpack::request("h:1", "/p"));
    }

    #[test]
    fn answers_are_found_wherever_they_are_cut() {
        let mut bytes = Vec::new();
        put(&mut bytes, kind::HEADERS, flag::END_HEADERS, 1, &[0x88]);
        put(&mut bytes, kind::HEADERS, flag::END_HEADERS, 3, &[0x88]);
        put(&mut bytes, kind::DATA, 0, 3, b"ab");
        put(
            &mut bytes,
            kind::DATA,
            flag::END_STREAM | flag::PADDED,
            1,
            b"\x02xyz--",
        );
        put(&mut bytes, kind::PING, 0, 0, b"12345678");
        put(&mut bytes, kind::DATA, flag::END_STREAM, 3, b"c");
        let both = flag::END_HEADERS | flag::END_STREAM;
        put(&mut bytes, kind::HEADERS, both, 5, &[0x8d]);
        put(&mut bytes, kind::RST_STREAM, 0, 7, &[0, 0, 0, 7]);
        for cut in 0..=bytes.len() {
            let (mut http2, mut out, mut told) = (ready(2), Vec::new(), Vec::new());
            for piece in [&bytes[..cut], &bytes[cut..]] {
                let mut sink = |it: Said<'_>| told.push((it.status, it.body.to_vec()));
                http2.input(piece, &mut out, &mut sink).unwrap();
            }
            let expected = [(200, "xyz"), (200, "abc"), (404, ""), (0, "")];
            let expected = expected.map(|(status, body)| (status, body.as_bytes().to_vec()));
            assert_eq!(told, expected, "{cut}");
            let pong = (kind::PING, flag::ACK, 0, b"12345678".to_vec());
            assert_eq!(frames(&out), [pong]);
        }
    }

    #[test]
    fn a_server_that_ends_or_takes_too_few_requests_is_an_error() {
        let mut settings = Vec::new();
        put(&mut settings, kind::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 2]);
        let read = |bytes: &[u8], at_a_time| {
            Http2::new(at_a_time).input(bytes, &mut Vec::new(), &mut |_| {})
        };
        assert!(read(&settings, 2).is_ok());
        assert!(read(&settings, 3).is_err());
        let mut goodbye = Vec::new();
        put(&mut goodbye, kind::GOAWAY, 0, 0, &[0; 8]);
        assert!(read(&goodbye, 1).is_err());
        assert!(read(&[0xff; 9], 1).is_err());
    }
}
