//! A client without a socket, and what it said.

#![allow(dead_code, missing_docs, unreachable_pub)]

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use flv::Tag;
use rtmp::client::{Config, Error, Event, Intent, Session};
use rtmp::message::Message;
use rtmp::{Url, chunk};
use weir_rtmp as rtmp;

pub struct Client {
    pub session: Session,
    pub input: BytesMut,
    pub output: BytesMut,
    pub events: Vec<Event>,
    pub now: Instant,
}

impl Client {
    pub fn new(intent: Intent) -> Self {
        Self::with(Config::default(), intent)
    }

    pub fn with(config: Config, intent: Intent) -> Self {
        let (url, now) = (
            Url::parse("rtmp://localhost/live/cam?token=x").unwrap(),
            Instant::now(),
        );
        let session = Session::new(Arc::new(config), &url, intent, now);
        Self {
            session,
            input: BytesMut::new(),
            output: BytesMut::new(),
            events: Vec::new(),
            now,
        }
    }

    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.input.extend_from_slice(bytes);
        self.session.handle_input(self.now, &mut self.input)?;
        self.drain();
        Ok(())
    }

    pub fn drain(&mut self) {
        while let Some(output) = self.session.poll_output() {
            self.output.extend_from_slice(&output);
        }
        self.events
            .extend(std::iter::from_fn(|| self.session.poll_event()));
    }

    pub fn tags(&self) -> Vec<&Tag> {
        let tags = self.events.iter().filter_map(|event| match event {
            Event::Tag(tag) => Some(tag),
            _ => None,
        });
        tags.collect()
    }

    pub fn has(&self, event: &Event) -> bool {
        self.events.contains(event)
    }
}

/// The messages behind the handshake of a direction.
pub fn messages(bytes: &[u8]) -> Vec<Message> {
    let mut input = BytesMut::from(&bytes[3073..]);
    let mut reader = chunk::ChunkReader::new(chunk::Limits::default());
    std::iter::from_fn(|| reader.read(&mut input).unwrap()).collect()
}
