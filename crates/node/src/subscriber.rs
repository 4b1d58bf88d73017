//! One player of one stream.
//!
//! Started by its [`Stream`](crate::stream). Ends when the player leaves, when the stream ends, or
//! when the player is too slow. Served by a pump of its own while it joins or lags, and by a group
//! with others otherwise; which of the two it is, is decided here.

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use media::{Ring, Start};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort};
use tracing::debug;

use crate::catch_up::{CatchUp, Joining, MainTracks, Outcome};
use crate::config::Tracks;
use crate::context::Context;
use crate::fanout::{Fanout, GroupDoor, Member};
use crate::gate::{Gate, Wants};
use crate::metrics::Held;
use crate::peer::{Command, PlayEnd};
use crate::pump::Pump;
use crate::seat::{Seat, Service, Waits};

/// A player that the ring has overtaken so often reads too slowly.
const MAX_OVERRUNS: u32 = 3;

/// What a subscriber is started with.
pub(crate) struct Arguments {
    pub(crate) context: Arc<Context>,
    pub(crate) ring: Ring,
    pub(crate) fanout: Arc<Fanout>,
    pub(crate) seat: Seat,
    pub(crate) wants: Wants,
}

/// What a subscriber is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// The player has been told that it plays: media may follow.
    Start,
    /// The group that served it let go of it.
    FellBehind(Service),
    /// Its own pump ended; `None` after a panic.
    PumpEnded(Service, Option<Outcome>),
    /// The pull of the stream has caught up.
    MayJoin(Service),
    SocketFailed(io::Error),
    /// Holds or resumes; answered when no more, or again, media follows.
    Pause(bool, RpcReplyPort<()>),
    Want(Wants, RpcReplyPort<()>),
    /// The stream can't be had.
    End(PlayEnd),
    /// The node goes away: it has seen all of it up to the next keyframe, and is told the end then.
    LeaveAtKeyframe,
    /// The stream is over. Those who are being served find out by themselves, after the last tag.
    StreamOver,
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
    id: ActorId,
    seat: Arc<Seat>,
    wants: Wants,
    /// Where it joins, if it has not been sent anything.
    start: Start,
    /// Tags before this one were there when it joined.
    joined_at: u64,
    /// When it asked to play.
    asked: Instant,
    paused: bool,
    /// Who writes its media at the moment, or did last.
    service: Service,
    group: Option<GroupDoor>,
    pump: Option<Pump>,
    /// How often it was overtaken by the ring.
    overruns: u32,
    /// It leaves at the next keyframe.
    leaves: bool,
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
        myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let Arguments {
            context,
            ring,
            fanout,
            seat,
            wants,
        } = arguments;
        Ok(State {
            _held: context.metrics.subscriber(seat.format),
            start: if context.config.play.gop_cache {
                Start::CaughtUp
            } else {
                Start::Keyframe
            },
            context,
            ring,
            fanout,
            id: myself.get_id(),
            seat: Arc::new(seat),
            wants,
            joined_at: 0,
            asked: Instant::now(),
            paused: false,
            service: 0,
            group: None,
            pump: None,
            overruns: 0,
            leaves: false,
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
                state.asked = Instant::now();
                state.join(&myself);
            }
            // Of a service that was replaced in the meantime.
            Message::FellBehind(service)
            | Message::PumpEnded(service, _)
            | Message::MayJoin(service)
                if service != state.service || state.paused => {}
            Message::MayJoin(_) => {
                state.pump = None;
                if state.ring.ended().is_some() {
                    state.end(&myself, PlayEnd::StreamEnded);
                } else {
                    state.join(&myself);
                }
            }
            Message::FellBehind(_) => state.go_on_alone(&myself),
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
                // Whoever served it may have been about to say so.
                if state.ring.ended().is_some() {
                    state.end(&myself, PlayEnd::StreamEnded);
                }
            }
            Message::Pause(false, reply) => {
                drop(reply.send(()));
                if std::mem::take(&mut state.paused) {
                    (state.start, state.asked) = (Start::Keyframe, Instant::now());
                    state.join(&myself);
                }
            }
            Message::Want(wants, reply) => {
                let served = !state.paused && state.service != 0;
                if wants != std::mem::replace(&mut state.wants, wants) && served {
                    state.go_on_alone(&myself);
                }
                drop(reply.send(()));
            }
            Message::End(end) => state.end(&myself, end),
            Message::LeaveAtKeyframe => {
                state.leaves = true;
                if state.paused || state.service == 0 || state.ring.is_backfilling() {
                    state.end(&myself, PlayEnd::NodeLeaves);
                } else {
                    state.go_on_alone(&myself);
                }
            }
            Message::StreamOver => {
                if state.paused {
                    state.end(&myself, PlayEnd::StreamEnded);
                }
            }
            Message::Leave => {
                state.hold();
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
    /// Serves it as a joiner: with the configuration first.
    fn join(&mut self, myself: &ActorRef<Message>) {
        let service = self.seat.begin();
        if self.ring.is_backfilling() {
            return self.join_later(myself, service);
        }
        let (cursor, join) = self.ring.cursor(self.start);
        let waits = Waits {
            hold: join.waits_for_keypoint,
            // A stream that has pictures begins with a whole one.
            skip_video: join.configuration.main_video().is_some(),
        };
        let mut gate = Gate::new(self.wants, waits, &self.context.config.egress);
        self.joined_at = self.ring.head();
        (gate.joined_at, gate.leaves) = (self.joined_at, self.leaves);
        let joining = Joining {
            join,
            ring: self.ring.clone(),
            asked: Some(self.asked),
        };
        self.serve_alone(myself, service, cursor, Some(joining), gate);
    }

    /// What comes in now is old: it joins when that is over.
    fn join_later(&mut self, myself: &ActorRef<Message>, service: Service) {
        self.leave_group();
        self.service = service;
        let (ring, myself) = (self.ring.clone(), myself.clone());
        let wait = async move { ring.caught_up().await };
        self.pump = Some(Pump::reporting(wait, move |_| {
            drop(myself.cast(Message::MayJoin(service)));
        }));
    }

    /// Serves it alone from where it is.
    fn go_on_alone(&mut self, myself: &ActorRef<Message>) {
        let Some((service, standing)) = self.seat.carry_on(self.service) else {
            return;
        };
        let Some(next) = standing.next else {
            return self.join(myself);
        };
        let (mut cursor, _) = self.ring.cursor(Start::Live);
        // Further back than the ring reaches, the pump learns it there.
        cursor.seek(next);
        let mut gate = Gate::new(self.wants, standing.waits, &self.context.config.egress);
        // It may not have all of them yet.
        (gate.joined_at, gate.leaves) = (self.joined_at, self.leaves);
        self.serve_alone(myself, service, cursor, None, gate);
    }

    /// Serves it on from behind a hole: with what holds there first.
    fn open_again(&mut self, myself: &ActorRef<Message>, behind: u64) {
        let Some((service, standing)) = self.seat.carry_on(self.service) else {
            return;
        };
        let (cursor, join) = self.ring.cursor(Start::At(behind));
        let waits = Waits {
            skip_video: standing.waits.skip_video || join.configuration.main_video().is_some(),
            ..standing.waits
        };
        let mut gate = Gate::new(self.wants, waits, &self.context.config.egress);
        (gate.joined_at, gate.leaves) = (self.joined_at, self.leaves);
        let joining = Joining {
            join,
            ring: self.ring.clone(),
            asked: None,
        };
        self.serve_alone(myself, service, cursor, Some(joining), gate);
    }

    fn serve_alone(
        &mut self,
        myself: &ActorRef<Message>,
        service: Service,
        cursor: media::Cursor,
        joining: Option<Joining>,
        gate: Gate,
    ) {
        self.leave_group();
        self.service = service;
        let catch_up = CatchUp {
            context: Arc::clone(&self.context),
            seat: Arc::clone(&self.seat),
            cursor,
            joining,
            gate,
            main: (self.wants.tracks == Tracks::Main).then(|| MainTracks::new(self.ring.clone())),
            service,
        };
        let myself = myself.clone();
        self.pump = Some(Pump::reporting(catch_up.run(), move |outcome| {
            drop(myself.cast(Message::PumpEnded(service, outcome)));
        }));
    }

    fn pump_ended(&mut self, myself: &ActorRef<Message>, outcome: Outcome) {
        self.pump = None;
        match outcome {
            Outcome::CaughtUp(next) => {
                let Some((service, _)) = self.seat.carry_on(self.service) else {
                    return;
                };
                self.service = service;
                let tracks = self.wants.tracks;
                let member = Member::new(&self.seat, service, next, tracks, myself.clone());
                self.group = Some(self.fanout.join(member));
            }
            Outcome::Overrun if self.overruns < MAX_OVERRUNS => {
                // What lies between may have changed the configuration: it joins anew.
                self.overruns += 1;
                self.context.metrics.overrun();
                self.join(myself);
            }
            Outcome::Hole(behind) => self.open_again(myself, behind),
            Outcome::Overrun | Outcome::TooSlow => self.end(myself, PlayEnd::TooSlow),
            Outcome::Ended(reason) => {
                debug!(peer = %self.seat.peer.addr, %reason, "play ended");
                self.end(myself, PlayEnd::StreamEnded);
            }
            Outcome::Left => self.end(myself, PlayEnd::NodeLeaves),
            Outcome::Replaced => {}
            Outcome::Failed(error) => {
                debug!(peer = %self.seat.peer.addr, %error, "player's socket failed");
                self.seat.peer.post(Command::Close);
                myself.stop(None);
            }
        }
    }

    /// Nobody writes media to it any more when this returns.
    fn hold(&mut self) {
        self.seat.close(self.service);
        self.leave_group();
        self.pump = None;
    }

    fn leave_group(&mut self) {
        if let Some(group) = self.group.take() {
            group.someone_left();
        }
    }

    fn end(&mut self, myself: &ActorRef<Message>, end: PlayEnd) {
        self.hold();
        self.told = true;
        self.seat.peer.post(Command::EndPlay {
            subscriber: self.id,
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
                subscriber: self.id,
                end,
            });
        }
    }
}
