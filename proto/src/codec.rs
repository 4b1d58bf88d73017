//! How messages are laid into buffers.

use std::marker::PhantomData;

use bytes::Buf;
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::Bounded;

/// Protobuf, where each message is given a buffer of its size before it is written.
///
/// The usual codec lets the buffer grow under way, and what lies in it is copied each time.
#[derive(Debug)]
pub struct Codec<Out, In>(PhantomData<(Out, In)>);

impl<Out, In> Default for Codec<Out, In> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Out, In> tonic::codec::Codec for Codec<Out, In>
where
    Out: Message + 'static,
    In: Message + Bounded + Default + 'static,
{
    type Encode = Out;
    type Decode = In;
    type Encoder = Writer<Out>;
    type Decoder = Reader<In>;

    fn encoder(&mut self) -> Writer<Out> {
        Writer(PhantomData)
    }

    fn decoder(&mut self) -> Reader<In> {
        Reader(PhantomData)
    }
}

/// Writes messages.
#[derive(Debug)]
pub struct Writer<Out>(PhantomData<Out>);

impl<Out: Message> Encoder for Writer<Out> {
    type Item = Out;
    type Error = Status;

    fn encode(&mut self, message: Out, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.reserve(message.encoded_len());
        message.encode_raw(into);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

/// Reads messages; their bytes are slices of what was received.
#[derive(Debug)]
pub struct Reader<In>(PhantomData<In>);

impl<In: Message + Bounded + Default> Decoder for Reader<In> {
    type Item = In;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<In>, Status> {
        // In one piece already: it is shared, not copied.
        let bytes = from.copy_to_bytes(from.remaining());
        if !In::is_bounded(&bytes) {
            return Err(Status::internal("a message of more than it may hold"));
        }
        let message = In::decode(bytes).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Some(message))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}
