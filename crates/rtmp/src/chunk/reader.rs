use bytes::{Buf, Bytes, BytesMut};

use super::room::{Holdings, Room};
use super::{DEFAULT_CHUNK_SIZE, EXTENDED, Error, Limits, MAX_CHUNK_SIZE};
use crate::message::{Kind, Message};

/// The buffer of a long message begins with this much and doubles as bytes arrive, so that a
/// declared length costs nothing.
const FIRST_ALLOCATION: usize = 16 << 10;

/// After a full header a type 3 chunk repeats the *absolute* time by the letter of the
/// specification; a repeat that would jump further than this means "no difference".
const PLAUSIBLE_DELTA: u32 = 3_000;

/// Two readings of an extended field are the same moment when they are this close.
const SAME_MOMENT: u32 = 10_000;

/// Makes messages of chunks.
///
/// Obeys Set Chunk Size and Abort itself and does not return them. A payload is copied once,
/// into memory of its own: a slice of the input would keep the whole read buffer alive.
#[derive(Debug)]
pub struct ChunkReader {
    limits: Limits,
    chunk_size: u32,
    streams: Vec<ChunkStream>,
    /// The chunk whose header has been read but whose payload has not wholly.
    open: Option<Open>,
    /// Capacity of all `partial`s.
    held: Holdings,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    index: usize,
    left: usize,
}

/// What later chunks of the same id refer to.
#[derive(Debug)]
struct ChunkStream {
    id: u32,
    timestamp: u32,
    /// The timestamp field as last sent: a delta, or the time itself if `absolute`.
    field: u32,
    length: u32,
    stream_id: u32,
    kind: u8,
    absolute: bool,
    extended: bool,
    /// How much has come of the message under way.
    received: usize,
    partial: Vec<u8>,
    /// The message under way is not kept.
    let_go: bool,
}

/// A chunk's header, read but not yet applied.
struct Header {
    bytes: usize,
    format: u8,
    field: u32,
    extended: bool,
    length: u32,
    kind: u8,
    stream_id: u32,
}

impl ChunkReader {
    /// A reader at the beginning of a chunk stream.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            chunk_size: DEFAULT_CHUNK_SIZE,
            streams: Vec::new(),
            open: None,
            held: Holdings::new(limits.max_partial),
        }
    }

    /// Whether part of a message has come and the rest has not.
    #[must_use]
    pub fn is_mid_message(&self) -> bool {
        // A header alone has brought nothing yet.
        self.open.is_some() || self.streams.iter().any(ChunkStream::is_mid_message)
    }

    /// Takes the next message off the front of `input`; `None` asks for more bytes. Chunks that
    /// have arrived in part are taken as well, so `input` never needs to hold a whole one.
    pub fn read(&mut self, input: &mut BytesMut) -> Result<Option<Message>, Error> {
        loop {
            let open = match self.open {
                Some(open) => open,
                None => match self.header(input)? {
                    Some(open) => open,
                    None => return Ok(None),
                },
            };
            let message = self.payload(open, input)?;
            match message {
                Some(message) if message.kind == Kind::SetChunkSize => {
                    self.set_chunk_size(&message)?
                }
                Some(message) if message.kind == Kind::Abort => self.abort(&message),
                Some(message) => return Ok(Some(message)),
                None if self.open.is_some() => return Ok(None),
                None => {}
            }
        }
    }

    /// Memory that half-received messages hold.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.total()
    }

    /// Sets how much a peer may have under way from here on. Media that is above that already is
    /// let go.
    pub(crate) fn set_room(&mut self, room: Room) {
        self.held.room = room;
        if self.held.media <= room.media {
            return;
        }
        for stream in &mut self.streams {
            if stream.is_media() && stream.is_mid_message() {
                stream.let_go(&mut self.held);
            }
        }
    }

    /// Forgets spare memory; worth calling when a peer goes quiet for long.
    pub fn shrink(&mut self) {
        self.streams.shrink_to_fit();
    }

    fn set_chunk_size(&mut self, message: &Message) -> Result<(), Error> {
        // The top bit shall be zero (RTMP 5.4.1); whoever sets it means the rest.
        match message.value().map(|size| size & 0x7FFF_FFFF) {
            Some(0) => Err(Error::ZeroChunkSize),
            Some(size) => {
                self.chunk_size = size.min(MAX_CHUNK_SIZE);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn abort(&mut self, message: &Message) {
        let id = message.value();
        if let Some(stream) = self.streams.iter_mut().find(|stream| Some(stream.id) == id) {
            stream.forget(&mut self.held);
        }
    }

    /// Reads a chunk header and applies it to its chunk stream.
    fn header(&mut self, input: &mut BytesMut) -> Result<Option<Open>, Error> {
        let Some((format, id, basic)) = basic_header(input) else {
            return Ok(None);
        };
        let index = self.streams.iter().position(|stream| stream.id == id);
        let Some(header) = self.message_header(format, id, basic, index, input)? else {
            return Ok(None);
        };
        let index = match index {
            Some(index) => index,
            None => {
                if self.streams.len() >= self.limits.max_chunk_streams {
                    return Err(Error::TooManyChunkStreams(self.limits.max_chunk_streams));
                }
                self.streams.push(ChunkStream::new(id));
                self.streams.len() - 1
            }
        };
        input.advance(header.bytes);
        let chunk_size = self.chunk_size as usize;
        let Some(stream) = self.streams.get_mut(index) else {
            return Ok(None);
        };
        if format < 3 {
            // In the middle of a message: the sender gave the old one up.
            stream.forget(&mut self.held);
        }
        stream.apply(&header);
        let left = (stream.length as usize - stream.received).min(chunk_size);
        Ok(Some(Open { index, left }))
    }

    /// The header behind the basic one: complete, or `None` if bytes are missing. Limits are
    /// checked here, before anything is believed.
    fn message_header(
        &self,
        format: u8,
        id: u32,
        basic: usize,
        index: Option<usize>,
        input: &[u8],
    ) -> Result<Option<Header>, Error> {
        let previous = index.and_then(|index| self.streams.get(index));
        // Type 1 as the first of its chunk stream happens (librtmp); with types 2 and 3 there
        // would be no length.
        if previous.is_none() && format >= 2 {
            return Err(Error::NoHeader(id));
        }
        let length = match format {
            0 => 11,
            1 => 7,
            2 => 3,
            _ => 0,
        };
        let Some(fixed) = input.get(basic..basic + length) else {
            return Ok(None);
        };
        let bytes = basic + length;
        let mut header = match previous {
            Some(stream) => Header {
                bytes,
                format,
                ..stream.header()
            },
            None => Header {
                bytes,
                format,
                field: 0,
                extended: false,
                length: 0,
                kind: 0,
                stream_id: 0,
            },
        };
        if let Some(field) = fixed.first_chunk::<3>() {
            header.field = be24(field);
            header.extended = header.field == EXTENDED;
        }
        if let Some(&[a, b, c, kind]) = fixed.get(3..).and_then(<[u8]>::first_chunk) {
            header.length = be24(&[a, b, c]);
            header.kind = kind;
            let kind = Kind::from(kind);
            let limit = self.limits.max_message;
            let limit = if kind.is_media() {
                limit
            } else {
                limit.min(self.limits.max_command)
            };
            if header.length > limit {
                return Err(Error::TooLong {
                    kind,
                    length: header.length,
                    limit,
                });
            }
        }
        // RTMP 5.3.1.2.1: the one little-endian number.
        if let Some(stream_id) = fixed.get(7..).and_then(<[u8]>::first_chunk) {
            header.stream_id = u32::from_le_bytes(*stream_id);
        }
        if !header.extended {
            return Ok(Some(header));
        }
        let rest = &input[bytes..];
        match previous.filter(|_| format == 3) {
            None => {
                let Some(field) = rest.first_chunk() else {
                    return Ok(None);
                };
                header.field = u32::from_be_bytes(*field);
                header.bytes += 4;
            }
            Some(stream) => match stream.repeated_field(rest) {
                Repeated::Unclear => return Ok(None),
                Repeated::LeftOut => {}
                Repeated::Here(field) => {
                    header.field = field;
                    header.bytes += 4;
                }
            },
        }
        Ok(Some(header))
    }

    /// Takes what has arrived of a chunk's payload; the message, if that completes it.
    fn payload(&mut self, open: Open, input: &mut BytesMut) -> Result<Option<Message>, Error> {
        let Open { index, left } = open;
        self.open = Some(open);
        let Some(stream) = self.streams.get_mut(index) else {
            return Ok(None);
        };
        let length = stream.length as usize;
        let taken = left.min(input.len());
        if taken == 0 && length > 0 {
            return Ok(None);
        }
        let needed = stream.received + taken;
        let at_once = taken == length;
        if !stream.let_go {
            let before = stream.partial.capacity();
            let capacity = if at_once {
                // As if it had come in parts: what arrives together must not decide.
                length
            } else if needed > before {
                needed.next_power_of_two().max(FIRST_ALLOCATION).min(length)
            } else {
                before
            };
            let is_media = stream.is_media();
            if !self.held.have_room(is_media, capacity - before)? {
                stream.let_go(&mut self.held);
            } else if at_once {
                let payload = Bytes::copy_from_slice(&input[..taken]);
                input.advance(taken);
                self.open = None;
                return Ok(Some(stream.message(payload)));
            } else if capacity > before {
                stream
                    .partial
                    .reserve_exact(capacity - stream.partial.len());
                self.held.add(is_media, stream.partial.capacity() - before);
            }
        }
        if !stream.let_go {
            stream.partial.extend_from_slice(&input[..taken]);
        }
        stream.received = needed;
        input.advance(taken);
        self.open = (taken < left).then_some(Open {
            index,
            left: left - taken,
        });
        if needed < length {
            return Ok(None);
        }
        let is_kept = !stream.let_go;
        let payload = stream.forget(&mut self.held);
        Ok(is_kept.then(|| stream.message(payload.into())))
    }
}

/// What a type 3 chunk has where the extended field would be.
enum Repeated {
    Here(u32),
    LeftOut,
    Unclear,
}

impl ChunkStream {
    fn new(id: u32) -> Self {
        Self {
            id,
            timestamp: 0,
            field: 0,
            length: 0,
            stream_id: 0,
            kind: 0,
            absolute: false,
            extended: false,
            received: 0,
            partial: Vec::new(),
            let_go: false,
        }
    }

    fn is_media(&self) -> bool {
        Kind::from(self.kind).is_media()
    }

    fn is_mid_message(&self) -> bool {
        self.received > 0
    }

    /// Ends the message under way, if there is one: what was kept of it.
    fn forget(&mut self, held: &mut Holdings) -> Vec<u8> {
        self.received = 0;
        self.let_go = false;
        let payload = std::mem::take(&mut self.partial);
        held.remove(self.is_media(), payload.capacity());
        payload
    }

    /// Keeps nothing more of the message under way.
    fn let_go(&mut self, held: &mut Holdings) {
        self.let_go = true;
        held.remove(
            self.is_media(),
            std::mem::take(&mut self.partial).capacity(),
        );
    }

    fn header(&self) -> Header {
        Header {
            bytes: 0,
            format: 3,
            field: self.field,
            extended: self.extended,
            length: self.length,
            kind: self.kind,
            stream_id: self.stream_id,
        }
    }

    /// The specification repeats the extended field on type 3 chunks, some encoders leave it
    /// out: what is there decides. As long as the bytes agree with the field, more are needed.
    /// What decides must not depend on how much has arrived.
    fn repeated_field(&self, rest: &[u8]) -> Repeated {
        let begins = |value: u32| value.to_be_bytes().starts_with(&rest[..rest.len().min(4)]);
        let same = begins(self.field) || begins(self.timestamp);
        match rest.first_chunk() {
            None if same => Repeated::Unclear,
            // A new time can be told from a payload only when all of it is here.
            None if !self.is_mid_message() => Repeated::Unclear,
            Some(_) if same => Repeated::Here(self.field),
            // The first chunk of a message may bring the new absolute time instead.
            Some(field) if !self.is_mid_message() => {
                let time = u32::from_be_bytes(*field);
                let is_time = time >= EXTENDED && time.wrapping_sub(self.timestamp) < SAME_MOMENT;
                if is_time {
                    Repeated::Here(time.wrapping_sub(self.timestamp))
                } else {
                    Repeated::LeftOut
                }
            }
            _ => Repeated::LeftOut,
        }
    }

    fn apply(&mut self, header: &Header) {
        let continues = header.format == 3 && self.is_mid_message();
        if continues {
            return;
        }
        self.timestamp = match header.format {
            0 => header.field,
            // Deltas may be negative: 0xFFFFFFDD is 35 ms back (librtmp).
            1 | 2 => self.timestamp.wrapping_add(header.field),
            _ if self.absolute && header.field == self.field && self.field > PLAUSIBLE_DELTA => {
                self.timestamp
            }
            _ => self.timestamp.wrapping_add(header.field),
        };
        if header.format < 3 {
            self.absolute = header.format == 0;
            self.field = header.field;
            self.extended = header.extended;
        }
        self.length = header.length;
        self.kind = header.kind;
        self.stream_id = header.stream_id;
    }

    fn message(&self, payload: Bytes) -> Message {
        Message {
            chunk_stream: self.id,
            timestamp: self.timestamp,
            kind: self.kind.into(),
            stream_id: self.stream_id,
            payload,
        }
    }
}

fn be24(bytes: &[u8; 3]) -> u32 {
    u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]])
}

/// Format, chunk stream id and length of the basic header (RTMP 5.3.1.1).
fn basic_header(input: &[u8]) -> Option<(u8, u32, usize)> {
    let (first, rest) = input.split_first()?;
    let format = first >> 6;
    Some(match first & 0x3F {
        0 => (format, 64 + u32::from(*rest.first()?), 2),
        1 => {
            let [low, high] = rest.first_chunk::<2>()?;
            (format, 64 + u32::from(*low) + u32::from(*high) * 256, 3)
        }
        id => (format, u32::from(id), 1),
    })
}
