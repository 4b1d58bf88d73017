use bytes::BytesMut;
use rtmp::chunk::{ChunkReader, ChunkWriter, Error, Limits};
use rtmp::message::{Kind, Message};

use crate::pieces::{choices, pieces};

/// Room for the first bytes of a message that comes in parts, per chunk stream.
const FIRST_ALLOCATION: usize = 16 << 10;

/// A chunk stream behind the handshake: a byte for the pieces it comes in, one for the size of
/// the chunks it is written with again, two for the limits, then its bytes.
pub fn chunk_stream(data: &[u8]) {
    let Some(([seed, size, message, partial], stream)) = choices::<4>(data) else {
        return;
    };
    let mut limits = Limits::default();
    if message > 0 {
        limits.max_message = u32::from(message) * 64;
        limits.max_command = limits.max_message / 2;
    }
    if partial > 0 {
        limits.max_partial = usize::from(partial) * 512;
        limits.max_chunk_streams = usize::from(partial % 8) + 1;
    }
    let whole = read(limits, [stream]);
    assert_eq!(read(limits, pieces(stream, seed)), whole, "in pieces");
    assert_eq!(read(limits, stream.chunks(1)), whole, "byte by byte");
    let (messages, _) = whole;
    let taken: usize = messages.iter().map(|message| message.payload.len()).sum();
    assert!(taken <= stream.len(), "messages hold more than the stream");
    survive(&messages, size);
}

/// Written with chunks of another size, they are read as they are.
fn survive(messages: &[Message], size: u8) {
    let mut writer = ChunkWriter::new();
    let mut out = BytesMut::new();
    if size > 0 {
        let size = u32::from(size).pow(2);
        writer.write(&Message::set_chunk_size(size), &mut out);
        assert_eq!(writer.chunk_size(), size);
    }
    for message in messages {
        writer.write(message, &mut out);
    }
    let limits = Limits {
        max_chunk_streams: 65_600,
        max_command: Limits::default().max_message,
        ..Limits::default()
    };
    let (again, error) = read(limits, [&out[..]]);
    assert_eq!(error, None);
    assert_eq!(again, messages, "written and read again");
}

fn read<'a>(
    limits: Limits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Message>, Option<Error>) {
    let mut reader = ChunkReader::new(limits);
    let mut input = BytesMut::new();
    let mut messages = Vec::new();
    let mut fed = 0;
    for piece in pieces {
        fed += piece.len();
        input.extend_from_slice(piece);
        let end = loop {
            match reader.read(&mut input) {
                Ok(Some(message)) => {
                    assert!(!matches!(message.kind, Kind::SetChunkSize | Kind::Abort));
                    assert!(message.payload.len() <= limits.max_message as usize);
                    messages.push(message);
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        assert!(reader.held() <= limits.max_partial);
        assert!(
            reader.held() <= 2 * fed + limits.max_chunk_streams * FIRST_ALLOCATION,
            "{fed} bytes made it hold {}",
            reader.held()
        );
        if end.is_some() {
            return (messages, end);
        }
        assert!(input.len() < 18, "only part of a header waits");
    }
    (messages, None)
}
