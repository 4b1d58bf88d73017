//! One player of one stream.
//!
//! Started by its [`Stream`](crate::stream). Ends when the player leaves, when the stream ends, or
//! when the player is too slow. Served by a pump of its own while it joins or lags, and by a group
//! with others otherwise; which of the two it is, is decided here.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use media::{Ring, Start};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tracing::debug;

use crate::catch_up::{CatchUp, Joining, Outcome};
use crate::context::Context;
use crate::fanout::Fanout;
use crate::gate::{Gate, Wants};
use crate::metrics::Held;
use crate::peer::{Command, Peer, PlayEnd};
use crate::pump::Pump;
use crate::seat::{Seat, Served};

/// What a subscriber is started with.
pub(crate) struct Arguments {
    pub(crate) context: Arc<Context>,
    pub(crate) ring: Ring,
    pub(crate) fanout: Arc<Fanout>,
    pub(crate) peer: Arc<Peer>,
    pub(crate) message_stream: u32,
}

/// What a subscriber is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// The player has been told that it plays: media may follow.
    Start,
    /// A group let go of it.
    FellBehind,
    /// Its own pump of this number ended; `None` after a panic.
    PumpEnded(u32, Option<Outcome>),
    SocketFailed(io::Error),
    /// Holds or resumes; answered when no more, or again, media follows.
    Pause(bool, RpcReplyPort<()>),
    Want(Wants, RpcReplyPort<()>),
    /// The stream can't be had.
    End(PlayEnd),
    /// The player left.
    Leave,
    #[cfg(test)]
    Panic,
}

/// The actor.
pub(crate) struct Subscriber;

/// One player's state.
pub(crate) struct State {
    context: Arc<Context>,
    ring: Ring,
    fanout: Arc<Fanout>,
    seat: Arc<Seat>,
    message_stream: u32,
    wants: Wants,
    paused: bool,
    pump: Option<Pump>,
    pumps: u32,
    /// Its connection knows that the play is over.
    told: bool,
    _held: Held,
}

impl Actor for Subscriber {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        _myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let Arguments {
            context,
            ring,
            fanout,
            peer,
            message_stream,
        } = arguments;
        Ok(State {
            _held: context.metrics.subscriber(),
            context,
            ring,
            fanout,
            seat: Arc::new(Seat::new(peer, message_stream)),
            message_stream,
            wants: Wants {
                audio: true,
                video: true,
            },
            paused: false,
            pump: None,
            pumps: 0,
            told: false,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Start => {
                let start = if state.context.config.play.gop_cache {
                    Start::CaughtUp
                } else {
                    Start::Keyframe
                };
                state.join(&myself, start);
            }
            Message::FellBehind => {
                if !state.paused {
                    state.go_on_alone(&myself);
                }
            }
            // Of a pump that was replaced in the meantime.
            Message::PumpEnded(number, _) if number != state.pumps || state.pump.is_none() => {}
            Message::PumpEnded(_, None) => state.end(&myself, PlayEnd::Fault),
            Message::PumpEnded(_, Some(outcome)) => state.pump_ended(&myself, outcome),
            Message::SocketFailed(error) => {
                debug!(peer = %state.seat.peer.addr, %error, "player's socket failed");
                state.seat.peer.post(Command::Close);
                myself.stop(None);
            }
            Message::Pause(true, reply) => {
                state.paused = true;
                state.hold();
                drop(reply.send(()));
            }
            Message::Pause(false, reply) => {
                drop(reply.send(()));
                if std::mem::take(&mut state.paused) {
                    state.join(&myself, Start::Keyframe);
                }
            }
            Message::Want(wants, reply) => {
                if wants != std::mem::replace(&mut state.wants, wants) && !state.paused {
                    state.hold();
                    state.go_on_alone(&myself);
                }
                drop(reply.send(()));
            }
            Message::End(end) => state.end(&myself, end),
            Message::Leave => {
                state.told = true;
                myself.stop(None);
            }
            #[cfg(test)]
            Message::Panic => panic!("asked to"),
        }
        Ok(())
    }
}

impl State {
    /// Starts it as a joiner: with the configuration first.
    fn join(&mut self, myself: &ActorRef<Message>, start: Start) {
        let (cursor, join) = self.ring.cursor(start);
        let mut gate = self.gate();
        gate.hold = join.waits_for_keypoint;
        // A stream that has pictures begins with a whole one.
        gate.skip_video = join.configuration.main_video().is_some();
        gate.joined_at = self.ring.head();
        self.seat.restart();
        self.seat.hand_to(Served::Alone);
        let joining = Joining {
            join,
            asked: Instant::now(),
        };
        self.serve_alone(myself, cursor, Some(joining), gate);
    }

    /// Serves it alone from where it is.
    fn go_on_alone(&mut self, myself: &ActorRef<Message>) {
        let (_, next) = self.seat.hand_to(Served::Alone);
        let Some(next) = next else {
            return self.join(myself, Start::CaughtUp);
        };
        let (cursor, _) = self.ring.cursor(Start::At(next));
        let mut gate = self.gate();
        // Video that was off comes back with a keyframe, and one that was on is not cut by this.
        gate.skip_video = self.seat.lacks_video();
        self.serve_alone(myself, cursor, None, gate);
    }

    fn serve_alone(
        &mut self,
        myself: &ActorRef<Message>,
        cursor: media::Cursor,
        joining: Option<Joining>,
        gate: Gate,
    ) {
        let catch_up = CatchUp {
            context: Arc::clone(&self.context),
            seat: Arc::clone(&self.seat),
            cursor,
            joining,
            gate,
            message_stream: self.message_stream,
        };
        self.pumps = self.pumps.wrapping_add(1);
        let (myself, number) = (myself.clone(), self.pumps);
        self.pump = Some(Pump::reporting(catch_up.run(), move |outcome| {
            drop(myself.cast(Message::PumpEnded(number, outcome)));
        }));
    }

    fn gate(&self) -> Gate {
        Gate::new(self.wants, &self.context.config.egress)
    }

    fn pump_ended(&mut self, myself: &ActorRef<Message>, outcome: Outcome) {
        match outcome {
            Outcome::CaughtUp(next) => {
                self.pump = None;
                self.fanout.join(&self.seat, next, myself.clone());
            }
            Outcome::Ended(reason) => {
                debug!(peer = %self.seat.peer.addr, %reason, "play ended");
                self.end(myself, PlayEnd::StreamEnded);
            }
            Outcome::TooSlow => self.end(myself, PlayEnd::TooSlow),
            Outcome::Failed(error) => {
                debug!(peer = %self.seat.peer.addr, %error, "player's socket failed");
                self.seat.peer.post(Command::Close);
                myself.stop(None);
            }
        }
    }

    /// Nobody writes media to it any more when this returns.
    fn hold(&mut self) {
        self.pump = None;
        if let (Served::InGroup(_), _) = self.seat.hand_to(Served::No) {
            self.fanout.someone_left();
        }
    }

    fn end(&mut self, myself: &ActorRef<Message>, end: PlayEnd) {
        self.told = true;
        self.seat.peer.post(Command::EndPlay {
            stream_id: self.message_stream,
            end,
        });
        myself.stop(None);
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.hold();
        if !self.told {
            let end = PlayEnd::Fault;
            self.seat.peer.post(Command::EndPlay {
                stream_id: self.message_stream,
                end,
            });
        }
    }
}
