//! Messages that wait for a decision.

use std::collections::VecDeque;

use tracing::debug;

use super::{Error, Phase, Session};
use crate::chunk::Room;
use crate::config::Config;
use crate::message::Message;

/// What a message waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// The answer to `connect`.
    Connected,
    /// The answer to the request on that message stream.
    Decided(u32),
}

/// Messages that wait, in a queue for each thing waited for: a decision then touches no message
/// but those it sets free.
#[derive(Default)]
pub(super) struct Held {
    queues: Vec<(Until, VecDeque<Message>)>,
    bytes: usize,
    command_bytes: usize,
    commands: usize,
    media: usize,
}

impl Held {
    /// Over a bound media is lost, as it is where nobody publishes; commands cannot be.
    fn push(&mut self, until: Until, message: Message, config: &Config) -> Result<(), Error> {
        let is_command = message.kind.is_command();
        if is_command && self.commands >= config.max_held_commands {
            return Err(Error::TooManyHeld(config.max_held_commands));
        }
        let cost = cost(&message);
        let has_room = self.bytes + cost <= config.max_held;
        if is_command && !has_room {
            return Err(Error::TooMuchHeld(config.max_held));
        }
        if !is_command {
            // An empty one says nothing, and costs its sender one byte.
            if !has_room || self.media >= config.max_held_media || message.payload.is_empty() {
                return Ok(());
            }
            self.media += 1;
        } else {
            self.commands += 1;
            self.command_bytes += cost;
        }
        self.bytes += cost;
        match self.queues.iter_mut().find(|(of, _)| *of == until) {
            Some((_, queue)) => queue.push_back(message),
            None => self.queues.push((until, VecDeque::from([message]))),
        }
        Ok(())
    }

    fn pop(&mut self, until: Until) -> Option<Message> {
        let index = self.queues.iter().position(|(of, _)| *of == until)?;
        let (_, queue) = self.queues.get_mut(index)?;
        let message = queue.pop_front();
        if queue.is_empty() {
            self.queues.swap_remove(index);
        }
        let message = message?;
        let cost = cost(&message);
        self.bytes -= cost;
        if message.kind.is_command() {
            self.commands -= 1;
            self.command_bytes -= cost;
        } else {
            self.media -= 1;
        }
        Some(message)
    }
}

fn cost(message: &Message) -> usize {
    message.payload.len() + size_of::<Message>()
}

impl Session {
    /// Keeps a message until a decision.
    pub(super) fn hold(&mut self, until: Until, message: Message) -> Result<(), Error> {
        let held = self.held.get_or_insert_default();
        held.push(until, message, &self.config)
    }

    /// How much the peer may have under way by now.
    pub(super) fn room(&self) -> Room {
        if self.streams.is_publishing() {
            return Room::ALL;
        }
        let held = self.held.as_deref();
        let (all, commands) = held.map_or((0, 0), |held| (held.bytes, held.command_bytes));
        let media_may_wait = match self.phase {
            Phase::Handshake(_) | Phase::Fresh => false,
            Phase::Deciding { .. } => true,
            Phase::Open => self.streams.is_any_undecided(),
        };
        Room {
            // Those that wait fill it up, so it bounds them as well.
            commands: self.config.max_unaccepted.saturating_sub(commands),
            // Where nobody has asked to publish, it would be ignored once it is whole.
            media: match media_may_wait {
                true => self.config.max_held.saturating_sub(all),
                false => 0,
            },
        }
    }

    /// What waited for this decision takes its way, up to the next request that must be decided:
    /// the rest stays where it is.
    pub(super) fn release_held(&mut self, until: Until) {
        let now = self.clock.last_input();
        while !self.closing && !self.is_awaited(until) {
            let Some(message) = self.held.as_mut().and_then(|held| held.pop(until)) else {
                break;
            };
            if let Err(error) = self.message(now, message, Some(until)) {
                debug!(%error, "closing");
                self.close();
                self.failed = Some(Box::new(error));
            }
        }
        if self
            .held
            .as_ref()
            .is_some_and(|held| held.queues.is_empty())
        {
            self.held = None;
        }
    }

    fn is_awaited(&self, until: Until) -> bool {
        match until {
            Until::Connected => false,
            Until::Decided(stream_id) => {
                let index = self.streams.index_of(stream_id);
                index.is_some_and(|index| self.streams.is_undecided(index))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use bytes::BytesMut;

    use super::super::PlayRefusal;
    use super::*;
    use crate::chunk::ChunkWriter;
    use crate::command::Command;
    use crate::session::Event;

    const PLAYS: usize = 255;
    const PAYLOADS: usize = 20_000;
    const EMPTY: usize = 16_000;

    /// Many requests, each behind the one before, and behind all of them as many messages as
    /// fit: a header of 12 bytes, then a byte each, and one more for those with a payload.
    fn flood() -> BytesMut {
        let mut input = BytesMut::new();
        let mut writer = ChunkWriter::new();
        for _ in 0..=PLAYS {
            let play = Command::new("play", 0.0, vec!["absent".into()]);
            writer.write(&play.to_message(3, 1), &mut input);
        }
        input.extend_from_slice(&[4, 0, 0, 0, 0, 0, 0, 8, 1, 0, 0, 0]);
        input.extend_from_slice(&[0xC4; EMPTY]);
        input.extend_from_slice(&[4, 0, 0, 0, 0, 0, 1, 8, 1, 0, 0, 0, 0xAF]);
        input.extend_from_slice(&[0xC4, 0xAF].repeat(PAYLOADS));
        input
    }

    #[test]
    fn a_decision_costs_no_more_than_what_it_sets_free() {
        for connected_before in [true, false] {
            let config = Arc::new(Config::default());
            let most_media = config.max_held_media;
            let now = Instant::now();
            let mut session = Session::new(config, now);
            session.phase = match connected_before {
                true => Phase::Open,
                false => Phase::Deciding { transaction: 1.0 },
            };
            session.handle_input(now, &mut flood()).unwrap();
            session.accept_connect();
            let mut plays = 0;
            while let Some(event) = session.poll_event() {
                if let Event::Play(_) = event {
                    plays += 1;
                    session.reject_play(1, PlayRefusal::StreamNotFound, "no", false);
                }
            }
            assert_eq!(plays, PLAYS + 1);
            assert!(session.held.is_none() && !session.closing);
            let arrived = PLAYS + 1 + EMPTY + 1 + PAYLOADS + 1;
            // Each once as it arrives, and once more for each decision it waited for itself.
            let most = arrived + 2 * (PLAYS + 1 + most_media);
            assert!(session.dispatched <= most, "{}", session.dispatched);
        }
    }
}
