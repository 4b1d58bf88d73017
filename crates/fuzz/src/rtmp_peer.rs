//! What the harnesses of both ends of a connection share.

use bytes::BytesMut;
use rtmp::chunk::{ChunkReader, Limits};
use rtmp::handshake::PACKET_LEN;
use rtmp::message::{Kind, Message};

/// What a peer sends after a handshake as simple as can be, unless the bytes bring their own.
pub(crate) fn behind_handshake(bytes: &[u8], wanted: bool) -> Vec<u8> {
    let mut input = Vec::new();
    if wanted {
        input.push(3);
        input.resize(1 + 2 * PACKET_LEN, 0);
    }
    input.extend_from_slice(bytes);
    input
}

/// Reads what a session sends, as its peer would: it must always be readable.
pub(crate) struct Listener {
    handshake: usize,
    input: BytesMut,
    reader: ChunkReader,
    /// Everything but acknowledgements: those depend on how the input is cut, and may.
    pub(crate) messages: Vec<Message>,
}

impl Listener {
    pub(crate) fn new() -> Self {
        let limits = Limits {
            max_command: Limits::default().max_message,
            ..Limits::default()
        };
        Self {
            handshake: 1 + 2 * PACKET_LEN,
            input: BytesMut::new(),
            reader: ChunkReader::new(limits),
            messages: Vec::new(),
        }
    }

    /// Hears an output that ends with a message.
    pub(crate) fn hear(&mut self, output: &[u8]) {
        self.hear_part(output);
        self.check_whole();
    }

    pub(crate) fn check_whole(&self) {
        assert!(self.input.is_empty(), "an output is whole messages");
    }

    /// Hears a slice of an output.
    pub(crate) fn hear_part(&mut self, output: &[u8]) {
        // The random bytes of a handshake tell nothing.
        let skipped = self.handshake.min(output.len());
        self.handshake -= skipped;
        self.input.extend_from_slice(&output[skipped..]);
        while let Some(message) = self.reader.read(&mut self.input).expect("we send chunks") {
            if message.kind != Kind::Acknowledgement {
                self.messages.push(message);
            }
        }
    }
}
