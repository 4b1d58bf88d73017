//! The pump of a player that is not in a group: it joins, it is behind, or it wants something of its own.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use media::{Cursor, EndReason, Join, MarkedTag, ReadError};

use crate::burst::{Burst, SHARED_MESSAGE_STREAM, rtmp_wire, time_of};
use crate::context::Context;
use crate::gate::{Gate, Verdict};
use crate::peer::Written;
use crate::seat::{Seat, Service, Standing, Waits};

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
    /// The ring has let go of what comes next.
    Overrun,
    /// Another service has taken its place.
    Replaced,
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
    /// Under which it writes.
    pub(crate) service: Service,
}

/// What one turn came to.
enum Turn {
    /// There was no tag.
    Idle,
    Wrote,
    /// The socket took no more.
    Blocked,
    Over(Outcome),
}

/// What was decided about one tag.
struct Judged {
    left_out: bool,
    /// What the player waits for after it.
    waits: Waits,
}

impl CatchUp {
    pub(crate) async fn run(mut self) -> Outcome {
        self.serve().await.unwrap_or_else(Outcome::Failed)
    }

    async fn serve(&mut self) -> io::Result<Outcome> {
        loop {
            let blocked = if self.seat.peer.flush()? {
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
                        false
                    }
                    Turn::Wrote => {
                        tokio::task::yield_now().await;
                        false
                    }
                    Turn::Blocked => true,
                    Turn::Over(outcome) => return Ok(outcome),
                }
            } else {
                true
            };
            if blocked {
                let patience = self.context.config.egress.drop_after;
                match tokio::time::timeout(patience, self.seat.peer.transport.writable()).await {
                    Ok(ready) => ready?,
                    Err(_) => return Ok(Outcome::TooSlow),
                }
            }
        }
    }

    fn may_join_group(&self) -> bool {
        self.gate.is_open()
            && self.seat.message_stream == SHARED_MESSAGE_STREAM
            && self.joining.is_none()
    }

    /// Writes some of what there is.
    fn turn(&mut self) -> io::Result<Turn> {
        let now = self.context.clock.now();
        let (context, message_stream) = (Arc::clone(&self.context), self.seat.message_stream);
        let mut burst = Burst::default();
        burst.restart(self.cursor.position());
        // Judged on a copy: what the socket does not take is judged again, when it is older.
        let mut gate = self.gate.clone();
        let mut judged = Vec::new();
        let mut opens = false;
        match self.cursor.read() {
            Ok(batch) if batch.is_empty() => return Ok(Turn::Idle),
            Ok(batch) => {
                for tag in batch.iter() {
                    let verdict = gate.judge(tag, now);
                    if verdict == Verdict::TooSlow {
                        if burst.is_empty() {
                            return Ok(Turn::Over(Outcome::TooSlow));
                        }
                        break;
                    }
                    let left_out = verdict == Verdict::LeaveOut;
                    judged.push(Judged {
                        left_out,
                        waits: gate.waits,
                    });
                    if left_out {
                        burst.push([]);
                        continue;
                    }
                    // What comes before the first tag goes out with it.
                    let mut opening = Vec::new();
                    if let Some(joining) = &self.joining
                        && !opens
                    {
                        opens = true;
                        opening = opening_of(&joining.join, tag, message_stream, &context);
                    }
                    if message_stream == SHARED_MESSAGE_STREAM {
                        let wire = rtmp_wire(tag, context.rtmp.outbound_chunk_size());
                        burst.push(opening.iter().chain(wire));
                    } else {
                        let wire = own_wire(&tag.tag, time_of(tag), message_stream, &context);
                        burst.push(opening.iter().chain(&wire));
                    }
                    // A joiner gets its first picture before anyone gets a backlog.
                    let pictured = self.joining.is_some() && tag.keypoint;
                    if pictured || burst.len() >= TURN || burst.is_full() {
                        break;
                    }
                }
            }
            Err(ReadError::Ended(reason)) => return Ok(Turn::Over(Outcome::Ended(reason))),
            Err(ReadError::Lagged { .. }) => return Ok(Turn::Over(Outcome::Overrun)),
        }
        let first = burst.first();
        let before = self.gate.waits;
        let waits = |next: u64| {
            let last = usize::try_from(next - first)
                .ok()
                .and_then(|count| count.checked_sub(1));
            last.and_then(|last| judged.get(last))
                .map_or(before, |judged| judged.waits)
        };
        // It has joined once its first tag has begun to leave; until then it opens anew.
        let joined = self.joining.is_none();
        let standing = |written: &Written| Standing {
            next: (joined || opens && written.bytes > 0).then_some(written.next),
            waits: waits(written.next),
        };
        let peer = &self.seat.peer;
        let written = peer.serve_alone(message_stream, self.service, &burst, standing)?;
        let Some(written) = written else {
            return Ok(Turn::Over(Outcome::Replaced));
        };
        if opens
            && written.bytes > 0
            && let Some(joining) = self.joining.take()
        {
            context.metrics.joined(joining.asked.elapsed());
        }
        for judged in judged
            .iter()
            .take(usize::try_from(written.next - first).unwrap_or(0))
        {
            if judged.left_out {
                context.metrics.left_out(judged.waits.skip_video);
            }
        }
        context.metrics.egress(written.bytes);
        self.gate.waits = waits(written.next);
        self.cursor.seek(written.next);
        Ok(if written.blocked {
            Turn::Blocked
        } else {
            Turn::Wrote
        })
    }
}

/// What a joiner needs before its first tag: metadata and the configuration of that moment.
fn opening_of(
    join: &Join,
    first: &MarkedTag,
    message_stream: u32,
    context: &Context,
) -> Vec<Bytes> {
    if join.configuration.epoch != first.epoch && !join.configuration.tags.is_empty() {
        // It waited, and another publish began: that one's configuration is still to come.
        return Vec::new();
    }
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{self, Poll, Wake};

    use flv::{Kind, Tag};
    use media::{Epoch, Limits, Ring, Start};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::config::Config;
    use crate::gate::Wants;
    use crate::peer::Peer;
    use crate::transport::Transport;

    /// Counts how often a pump wants to run.
    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn a_full_socket_at_a_tags_border_is_waited_for() {
        let context = Arc::new(Context::new(Config::default(), 1));
        let ring = Ring::new(Limits::default());
        let mut publisher = ring.begin(Epoch::new(1, 1), context.clock.now());
        // A frame of MP3, which needs no configuration.
        let sound = Tag::new(Kind::Audio, 0, Bytes::from_static(&[0x2f, 0xff, 0xfb]));
        publisher
            .push(sound, context.clock.now())
            .expect("no other publisher");

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let _deaf = TcpStream::connect(address).await.expect("connected");
        let (socket, from) = listener.accept().await.expect("accepted");
        socket.writable().await.expect("a socket");
        while socket.try_write(&[0; 65536]).is_ok() {}

        let peer = Arc::new(Peer::new(from, Transport::Plain(socket)));
        let seat = Arc::new(Seat {
            peer,
            message_stream: SHARED_MESSAGE_STREAM,
        });
        let service = seat.begin();
        let wants = Wants {
            audio: true,
            video: true,
        };
        let gate = Gate::new(wants, Waits::default(), &context.config.egress);
        let (cursor, _) = ring.cursor(Start::Oldest);
        let mut pump = pin!(
            CatchUp {
                context,
                seat,
                cursor,
                joining: None,
                gate,
                service
            }
            .run()
        );

        let wakes = Arc::new(Wakes::default());
        let waker = Arc::clone(&wakes).into();
        for _ in 0..50 {
            let polled = poll_fn(|_| {
                Poll::Ready(
                    pump.as_mut()
                        .poll(&mut task::Context::from_waker(&waker))
                        .is_ready(),
                )
            });
            assert!(!polled.await, "it has not sent the tag");
            tokio::task::yield_now().await;
        }
        let wakes = wakes.0.load(Ordering::Relaxed);
        assert!(wakes < 5, "it wanted to run {wakes} times");
    }
}
