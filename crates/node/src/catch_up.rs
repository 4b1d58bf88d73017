//! The pump of a player that is not in a group: it joins, it is behind, or it wants something of its own.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use media::{Cursor, EndReason, Join, MarkedTag, ReadError};

use crate::burst::{Burst, SHARED_MESSAGE_STREAM, rtmp_wire, time_of};
use crate::context::Context;
use crate::gate::{Gate, Verdict};
use crate::seat::Seat;

/// A player's own pump writes about this much before others run.
const TURN: usize = 64 << 10;

/// How serving a player alone ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It has everything before this tag: a group may serve it.
    CaughtUp(u64),
    /// The stream ended, and it has all of it.
    Ended(EndReason),
    /// It reads too slowly, even for audio alone.
    TooSlow,
    Failed(io::Error),
}

/// What a player that joins is due.
pub(crate) struct Joining {
    /// What goes before the first tag.
    pub(crate) join: Join,
    /// When it asked.
    pub(crate) asked: Instant,
}

/// Serves one player from a cursor of its own.
pub(crate) struct CatchUp {
    pub(crate) context: Arc<Context>,
    pub(crate) seat: Arc<Seat>,
    pub(crate) cursor: Cursor,
    pub(crate) joining: Option<Joining>,
    pub(crate) gate: Gate,
    /// The message stream its media carries; groups serve stream 1.
    pub(crate) message_stream: u32,
}

/// What one turn came to.
enum Turn {
    /// There was no tag.
    Idle,
    Wrote,
    TooSlow,
    Ended(EndReason),
}

impl CatchUp {
    pub(crate) async fn run(mut self) -> Outcome {
        self.serve().await.unwrap_or_else(Outcome::Failed)
    }

    async fn serve(&mut self) -> io::Result<Outcome> {
        loop {
            if !self.seat.peer.flush()? {
                let patience = self.context.config.egress.drop_after;
                match tokio::time::timeout(patience, self.seat.peer.transport.writable()).await {
                    Ok(ready) => ready?,
                    Err(_) => return Ok(Outcome::TooSlow),
                }
                continue;
            }
            match self.turn()? {
                Turn::Idle if self.may_join_group() => {
                    return Ok(Outcome::CaughtUp(self.cursor.position()));
                }
                Turn::Idle => {
                    self.cursor.ready().await;
                    let gather = self.context.pace.gather();
                    if gather > Duration::ZERO {
                        tokio::time::sleep(gather).await;
                    }
                }
                Turn::Wrote => tokio::task::yield_now().await,
                Turn::TooSlow => return Ok(Outcome::TooSlow),
                Turn::Ended(reason) => return Ok(Outcome::Ended(reason)),
            }
        }
    }

    fn may_join_group(&self) -> bool {
        self.gate.is_open()
            && self.message_stream == SHARED_MESSAGE_STREAM
            && self.joining.is_none()
    }

    /// Writes some of what there is.
    fn turn(&mut self) -> io::Result<Turn> {
        let now = self.context.clock.now();
        let mut burst = Burst::default();
        burst.restart(self.cursor.position());
        let mut opening = Vec::new();
        let mut joins = None;
        match self.cursor.read() {
            Ok(batch) if batch.is_empty() => return Ok(Turn::Idle),
            Ok(batch) => {
                for tag in batch.iter() {
                    match self.gate.judge(tag, now) {
                        Verdict::Send => {}
                        Verdict::LeaveOut => {
                            burst.push([]);
                            self.context.metrics.left_out(self.gate.skip_video);
                            continue;
                        }
                        Verdict::TooSlow => return Ok(Turn::TooSlow),
                    }
                    joins = self.joining.take();
                    if let Some(joining) = &joins {
                        opening =
                            opening_of(&joining.join, tag, self.message_stream, &self.context);
                    }
                    if self.message_stream == SHARED_MESSAGE_STREAM {
                        burst.push(rtmp_wire(tag, self.context.rtmp.outbound_chunk_size()));
                    } else {
                        burst.push(&own_wire(
                            &tag.tag,
                            time_of(tag),
                            self.message_stream,
                            &self.context,
                        ));
                    }
                    // A joiner gets its first picture before anyone gets a backlog.
                    if joins.is_some() || burst.len() >= TURN || burst.is_full() {
                        break;
                    }
                }
            }
            Err(ReadError::Ended(reason)) => return Ok(Turn::Ended(reason)),
            Err(ReadError::Lagged { .. }) => {
                // The ring has let go of what comes next: go on where a joiner would start.
                self.cursor.skip_to_keypoint();
                self.gate.hold = true;
                self.context.metrics.overrun();
                return Ok(Turn::Wrote);
            }
        }
        if !opening.is_empty() {
            self.seat.peer.send(opening)?;
        }
        let written = self.seat.peer.write(&burst, burst.first())?;
        self.context.metrics.egress(burst.len());
        if let Some(joining) = joins {
            self.context.metrics.joined(joining.asked.elapsed());
        }
        self.cursor.seek(written.next);
        if self.joining.is_none() {
            self.seat.note(written.next, self.gate.skip_video);
        }
        Ok(Turn::Wrote)
    }
}

/// What a joiner needs before its first tag: metadata and the configuration of that moment.
fn opening_of(
    join: &Join,
    first: &MarkedTag,
    message_stream: u32,
    context: &Context,
) -> Vec<Bytes> {
    let mut slices = Vec::new();
    for tag in &join.configuration.tags {
        let time = if tag.tag.is_metadata() {
            time_of(tag)
        } else {
            first.play_ms()
        };
        slices.extend(own_wire(&tag.tag, time, message_stream, context));
    }
    slices
}

fn own_wire(tag: &flv::Tag, timestamp: u32, message_stream: u32, context: &Context) -> Vec<Bytes> {
    rtmp::wire::wire(
        tag,
        timestamp,
        context.rtmp.outbound_chunk_size(),
        message_stream,
    )
}
