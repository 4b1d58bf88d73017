//! RTMP chunks, written plainly and read with suspicion; no code shared with the server.

use anyhow::{Result, bail, ensure};

/// Message types this tool knows.
pub(crate) mod kind {
    pub(crate) const SET_CHUNK_SIZE: u8 = 1;
    pub(crate) const ABORT: u8 = 2;
    pub(crate) const ACKNOWLEDGEMENT: u8 = 3;
    pub(crate) const USER_CONTROL: u8 = 4;
    pub(crate) const WINDOW_SIZE: u8 = 5;
    pub(crate) const AUDIO: u8 = 8;
    pub(crate) const VIDEO: u8 = 9;
    pub(crate) const DATA: u8 = 18;
    pub(crate) const COMMAND: u8 = 20;
}

/// The chunk size both ends begin with (RTMP 5.4.1).
pub(crate) const INITIAL_SIZE: usize = 128;
const EXTENDED: u32 = 0xFF_FFFF;
const MAX_MESSAGE: usize = 16 << 20;
const MAX_CHUNK_STREAMS: usize = 64;

/// What surrounds a message's payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: u8,
    pub(crate) timestamp: u32,
    pub(crate) stream: u32,
}

/// Appends one message: a full header, then the rest in chunks of `size`.
pub(crate) fn write(out: &mut Vec<u8>, channel: u8, header: Header, payload: &[u8], size: usize) {
    let field = header.timestamp.min(EXTENDED);
    out.push(channel & 0x3F);
    out.extend_from_slice(&field.to_be_bytes()[1..]);
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.push(header.kind);
    out.extend_from_slice(&header.stream.to_le_bytes());
    for (index, part) in payload.chunks(size.max(1)).enumerate() {
        if index > 0 {
            out.push(0xC0 | channel & 0x3F);
        }
        if field == EXTENDED {
            out.extend_from_slice(&header.timestamp.to_be_bytes());
        }
        out.extend_from_slice(part);
    }
}

/// One chunk stream's memory of its last header, and the message in the making.
#[derive(Default)]
struct Channel {
    id: u32,
    header: Header,
    length: usize,
    delta: u32,
    extended: bool,
    payload: Vec<u8>,
}

/// Cuts a byte stream into messages.
pub(crate) struct Parser {
    size: usize,
    channels: Vec<Channel>,
    /// Bytes of a header that came cut off.
    carry: Vec<u8>,
    /// The channel whose chunk is being read, and what it still lacks.
    current: Option<(usize, usize)>,
}

impl Parser {
    pub(crate) fn new(size: usize) -> Self {
        Self {
            size,
            channels: Vec::new(),
            carry: Vec::new(),
            current: None,
        }
    }

    /// Reads `bytes`, and calls `sink` for every message that became whole.
    pub(crate) fn push(
        &mut self,
        mut bytes: &[u8],
        sink: &mut dyn FnMut(Header, &[u8]) -> Result<()>,
    ) -> Result<()> {
        while !bytes.is_empty() {
            if let Some((index, missing)) = self.current {
                let taken = missing.min(bytes.len());
                let (part, rest) = bytes.split_at(taken);
                bytes = rest;
                self.current = (taken < missing).then_some((index, missing - taken));
                self.append(index, part, sink)?;
                continue;
            }
            // A header is at most 18 bytes; only one that is cut off is copied.
            if self.carry.is_empty() {
                match self.header(bytes)? {
                    Some((used, next)) => {
                        bytes = bytes.get(used..).unwrap_or_default();
                        self.begin(next, sink)?;
                    }
                    None => {
                        self.carry.extend_from_slice(bytes);
                        return Ok(());
                    }
                }
            } else {
                let Some((first, rest)) = bytes.split_first() else {
                    return Ok(());
                };
                self.carry.push(*first);
                bytes = rest;
                let carry = std::mem::take(&mut self.carry);
                match self.header(&carry)? {
                    Some((_, next)) => self.begin(next, sink)?,
                    None => self.carry = carry,
                }
            }
        }
        Ok(())
    }

    fn begin(
        &mut self,
        (index, missing): (usize, usize),
        sink: &mut dyn FnMut(Header, &[u8]) -> Result<()>,
    ) -> Result<()> {
        if missing == 0 {
            return self.append(index, &[], sink);
        }
        self.current = Some((index, missing));
        Ok(())
    }

    fn append(
        &mut self,
        index: usize,
        part: &[u8],
        sink: &mut dyn FnMut(Header, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let Some(channel) = self.channels.get_mut(index) else {
            return Ok(());
        };
        channel.payload.extend_from_slice(part);
        if channel.payload.len() < channel.length {
            return Ok(());
        }
        let header = channel.header;
        let payload = std::mem::take(&mut channel.payload);
        match (header.kind, payload.first_chunk::<4>()) {
            (kind::SET_CHUNK_SIZE, Some(size)) => {
                let size = u32::from_be_bytes(*size) as usize;
                ensure!((1..=MAX_MESSAGE).contains(&size), "chunk size {size}");
                self.size = size;
            }
            (kind::ABORT, Some(id)) => {
                let id = u32::from_be_bytes(*id);
                for channel in self.channels.iter_mut().filter(|channel| channel.id == id) {
                    channel.payload.clear();
                }
            }
            _ => sink(header, &payload)?,
        }
        if let Some(channel) = self.channels.get_mut(index) {
            channel.payload = payload;
            channel.payload.clear();
        }
        Ok(())
    }

    /// Reads a chunk header: its length, the channel, and the bytes that follow it.
    fn header(&mut self, bytes: &[u8]) -> Result<Option<(usize, (usize, usize))>> {
        let mut rest = bytes;
        let Some([first]) = take::<1>(&mut rest) else {
            return Ok(None);
        };
        let id = match first & 0x3F {
            0 => match take::<1>(&mut rest) {
                Some([low]) => u32::from(low) + 64,
                None => return Ok(None),
            },
            1 => match take::<2>(&mut rest) {
                Some([low, high]) => u32::from(high) * 256 + u32::from(low) + 64,
                None => return Ok(None),
            },
            id => u32::from(id),
        };
        let known = self.channels.iter().position(|channel| channel.id == id);
        let old = known.and_then(|index| self.channels.get(index));
        let fresh = old.is_none_or(|channel| channel.payload.is_empty());
        let format = first >> 6;
        ensure!(
            format == 0 || old.is_some(),
            "channel {id} begins with a header of type {format}"
        );

        let mut header = old.map(|channel| channel.header).unwrap_or_default();
        let mut length = old.map_or(0, |channel| channel.length);
        let mut delta = old.map_or(0, |channel| channel.delta);
        let mut extended = old.is_some_and(|channel| channel.extended);
        if format < 3 {
            let Some([a, b, c]) = take::<3>(&mut rest) else {
                return Ok(None);
            };
            delta = u32::from_be_bytes([0, a, b, c]);
            extended = delta == EXTENDED;
        }
        if format < 2 {
            let Some([a, b, c, kind]) = take::<4>(&mut rest) else {
                return Ok(None);
            };
            length = u32::from_be_bytes([0, a, b, c]) as usize;
            header.kind = kind;
        }
        if format == 0 {
            let Some(stream) = take::<4>(&mut rest) else {
                return Ok(None);
            };
            header.stream = u32::from_le_bytes(stream);
        }
        if extended {
            let Some(value) = take::<4>(&mut rest) else {
                return Ok(None);
            };
            if format < 3 {
                delta = u32::from_be_bytes(value);
            }
        }
        ensure!(length <= MAX_MESSAGE, "message of {length} bytes");
        ensure!(
            fresh || format == 3,
            "message of channel {id} cut off by another"
        );

        let index = match known {
            Some(index) => index,
            None if self.channels.len() >= MAX_CHUNK_STREAMS => bail!("too many chunk streams"),
            None => {
                self.channels.push(Channel {
                    id,
                    ..Channel::default()
                });
                self.channels.len() - 1
            }
        };
        let Some(channel) = self.channels.get_mut(index) else {
            return Ok(None);
        };
        if fresh {
            header.timestamp = match format {
                0 => delta,
                _ => header.timestamp.wrapping_add(delta),
            };
        }
        // RTMP 5.3.1.2.4: a type 3 behind a type 0 takes its timestamp as the delta.
        channel.header = header;
        channel.length = length;
        channel.delta = delta;
        channel.extended = extended;
        let missing = (length - channel.payload.len().min(length)).min(self.size);
        Ok(Some((bytes.len() - rest.len(), (index, missing))))
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (front, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*front)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(parser: &mut Parser, bytes: &[u8]) -> Result<Vec<(Header, Vec<u8>)>> {
        let mut messages = Vec::new();
        parser.push(bytes, &mut |header, payload| {
            messages.push((header, payload.to_vec()));
            Ok(())
        })?;
        Ok(messages)
    }

    fn video(timestamp: u32) -> Header {
        Header {
            kind: kind::VIDEO,
            timestamp,
            stream: 1,
        }
    }

    #[test]
    fn what_is_written_is_read_wherever_it_is_cut() {
        let payload: Vec<u8> = (0..1000_u32).map(|index| index as u8).collect();
        let mut bytes = Vec::new();
        for timestamp in [5, 0xFF_FFFF, 0x0123_4567] {
            write(&mut bytes, 6, video(timestamp), &payload, INITIAL_SIZE);
        }
        for cut in 0..bytes.len() {
            let mut parser = Parser::new(INITIAL_SIZE);
            let mut messages = collect(&mut parser, &bytes[..cut]).unwrap();
            messages.extend(collect(&mut parser, &bytes[cut..]).unwrap());
            let times: Vec<u32> = messages
                .iter()
                .map(|(header, _)| header.timestamp)
                .collect();
            assert_eq!(times, [5, 0xFF_FFFF, 0x0123_4567], "cut at {cut}");
            assert!(messages.iter().all(|(_, read)| *read == payload));
        }
    }

    #[test]
    fn interleaved_channels_and_short_headers_are_read() {
        let mut bytes = Vec::new();
        write(
            &mut bytes,
            4,
            Header {
                kind: kind::AUDIO,
                timestamp: 100,
                stream: 1,
            },
            b"ab",
            128,
        );
        bytes.extend([0x84, 0, 0, 21, b'c', b'd']); // type 2: the delta alone
        bytes.extend([0xC4, b'e', b'f']); // type 3: the same again
        bytes.extend([0x44, 0, 0, 1, 0, 0, 1, kind::AUDIO, b'g']); // type 1: and a length
        let mut parser = Parser::new(INITIAL_SIZE);
        let messages = collect(&mut parser, &bytes).unwrap();
        let times: Vec<u32> = messages
            .iter()
            .map(|(header, _)| header.timestamp)
            .collect();
        assert_eq!(times, [100, 121, 142, 143]);
        assert_eq!(messages.last().unwrap().1, b"g");
    }

    #[test]
    fn obeys_a_new_chunk_size_and_reads_empty_messages() {
        let mut bytes = Vec::new();
        let size = Header {
            kind: kind::SET_CHUNK_SIZE,
            ..Header::default()
        };
        write(&mut bytes, 2, size, &4096_u32.to_be_bytes(), INITIAL_SIZE);
        write(&mut bytes, 6, video(1), &[7; 4000], 4096);
        write(&mut bytes, 6, video(2), &[], 4096);
        let mut parser = Parser::new(INITIAL_SIZE);
        let messages = collect(&mut parser, &bytes).unwrap();
        assert_eq!(messages.len(), 2);
        assert_eq!(messages[0].1.len(), 4000);
    }

    #[test]
    fn refuses_what_no_server_may_send() {
        assert!(
            collect(&mut Parser::new(128), &[0xC4, 1, 2]).is_err(),
            "no header to repeat"
        );
        let mut long = Vec::new();
        write(&mut long, 6, video(1), &[0; 200], 128);
        let mut broken = long[..12 + 128].to_vec();
        broken.extend_from_slice(&long[..20]);
        assert!(
            collect(&mut Parser::new(128), &broken).is_err(),
            "a message inside another"
        );
    }
}
