//! The pump of a player that is not in a group: it joins, it is behind, or it wants something of its own.

mod main_tracks;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use media::{Configuration, Cursor, EndReason, Join, MarkedTag, ReadError, Ring};

use crate::burst::Burst;
use crate::context::Context;
use crate::format::{SHARED_MESSAGE_STREAM, promised, time_of};
use crate::gate::{Gate, Reason, Verdict};
use crate::peer::Written;
use crate::seat::{Seat, Service, Standing, Waits};
pub(crate) use main_tracks::MainTracks;
use main_tracks::{Mains, Part};

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
    /// Tags are missing in front of this one, and among them may be what it needs to be understood.
    Hole(u64),
    /// Another service has taken its place.
    Replaced,
    /// It was to leave at a keypoint, and has come to one.
    Left,
    Failed(io::Error),
}

/// What a player that joins is due.
pub(crate) struct Joining {
    /// What goes before the first tag.
    pub(crate) join: Join,
    pub(crate) ring: Ring,
    /// When it asked; `None` if it was there before.
    pub(crate) asked: Option<Instant>,
}

/// Serves one player from a cursor of its own.
pub(crate) struct CatchUp {
    pub(crate) context: Arc<Context>,
    pub(crate) seat: Arc<Seat>,
    pub(crate) cursor: Cursor,
    pub(crate) joining: Option<Joining>,
    pub(crate) gate: Gate,
    /// If it is to get no other tracks.
    pub(crate) main: Option<MainTracks>,
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
    left_out: Option<Reason>,
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
        let main = self.main.as_ref();
        self.gate.is_open()
            && main.is_none_or(|main| main.are_all(self.context.clock.now()))
            && self.seat.message_stream == SHARED_MESSAGE_STREAM
            && self.joining.is_none()
    }

    /// Writes some of what there is.
    fn turn(&mut self) -> io::Result<Turn> {
        let now = self.context.clock.now();
        let (context, seat) = (Arc::clone(&self.context), Arc::clone(&self.seat));
        let message_stream = seat.message_stream;
        let mut burst = Burst::default();
        burst.restart(self.cursor.position());
        // Judged on a copy: what the socket does not take is judged again, when it is older.
        let mut gate = self.gate.clone();
        let mut judged = Vec::new();
        let mut opens = false;
        // The first tag that is sent and no part of what a joiner is given to begin with.
        let mut oldest = None;
        match self.cursor.read() {
            Ok(batch) if batch.is_empty() => return Ok(Turn::Idle),
            Ok(batch) => {
                for tag in batch.iter() {
                    let is_opened = |joining: &Joining| joining.join.position == tag.seq;
                    if tag.follows_hole() && !self.joining.as_ref().is_some_and(is_opened) {
                        if burst.is_empty() {
                            return Ok(Turn::Over(Outcome::Hole(tag.seq)));
                        }
                        break;
                    }
                    let main = self.main.as_mut();
                    let part = main.map_or(Part::Whole, |main| main.part(tag, now));
                    let verdict = match part {
                        Part::Nothing => Verdict::LeaveOut(Reason::NotWanted),
                        Part::Whole | Part::Instead(_) => gate.judge(tag, now),
                    };
                    let left_out = match verdict {
                        Verdict::LeaveOut(reason) => Some(reason),
                        Verdict::Send => None,
                        // What comes before goes out first.
                        _ if !burst.is_empty() => break,
                        Verdict::TooSlow => return Ok(Turn::Over(Outcome::TooSlow)),
                        Verdict::Left => return Ok(Turn::Over(Outcome::Left)),
                    };
                    judged.push(Judged {
                        left_out,
                        waits: gate.waits,
                    });
                    if left_out.is_some() {
                        burst.push([]);
                        continue;
                    }
                    if oldest.is_none() && !gate.was_there(tag) {
                        oldest = Some((tag.seq, tag.ingest));
                    }
                    // What comes before the first tag goes out with it.
                    let mut opening = Vec::new();
                    if let Some(joining) = &self.joining
                        && !opens
                    {
                        opens = true;
                        let mains = self.main.as_ref();
                        let mains = mains.map(|_| Mains::of(&joining.join.configuration));
                        opening = opening_of(&seat, joining, mains, tag, &context);
                    }
                    let own = match &part {
                        Part::Instead(ordinary) => Some(ordinary),
                        _ if message_stream == SHARED_MESSAGE_STREAM => None,
                        _ => Some(&tag.tag),
                    };
                    if let Some(own) = own {
                        let time = time_of(tag);
                        let wire = seat.format.own(own, time, message_stream, &context);
                        burst.push(opening.iter().chain(&wire));
                    } else {
                        seat.format.push(&mut burst, &opening, tag, &context);
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
        let written = seat
            .peer
            .serve_alone(message_stream, self.service, &burst, standing)?;
        let Some(written) = written else {
            return Ok(Turn::Over(Outcome::Replaced));
        };
        if opens
            && written.bytes > 0
            && let Some(joining) = self.joining.take()
            && let Some(asked) = joining.asked
        {
            context.metrics.joined(seat.format, asked.elapsed());
        }
        for judged in judged
            .iter()
            .take(usize::try_from(written.next - first).unwrap_or(0))
        {
            if let Some(reason) = judged.left_out {
                context.metrics.left_out(reason);
            }
        }
        let delivered = oldest.filter(|(seq, _)| *seq < written.next);
        let age = delivered.map(|(_, ingest)| context.clock.since(ingest));
        context
            .metrics
            .delivered_alone(seat.format, written.bytes, age);
        context.pace.wrote(usize::from(written.bytes > 0));
        self.gate.waits = waits(written.next);
        self.cursor.seek(written.next);
        Ok(if written.blocked {
            Turn::Blocked
        } else {
            Turn::Wrote
        })
    }
}

/// What a joiner needs before its first tag: what opens everything, if it has been sent nothing, then
/// metadata and the configuration of that moment, of all tracks or of the main ones.
fn opening_of(
    seat: &Seat,
    joining: &Joining,
    mains: Option<Mains>,
    first: &MarkedTag,
    context: &Context,
) -> Vec<Bytes> {
    // It may have waited, and another publish began: that one's configuration is still to come.
    let joined = &joining.join.configuration;
    let configuration = match joined.epoch == first.epoch {
        true => &**joined,
        false => &Configuration::default(),
    };
    let mut slices = Vec::new();
    // Nobody else can have sent anything since this service began.
    if !seat.has_begun() {
        slices.extend(Some(seat.preface.clone()).filter(|preface| !preface.is_empty()));
        slices.extend(seat.format.head(|| {
            // What came since is known better.
            let now = joining.ring.configuration();
            match now.epoch == first.epoch {
                true => promised(&now, &first.tag),
                false => promised(configuration, &first.tag),
            }
        }));
    }
    for tag in &configuration.tags {
        let time = if tag.tag.is_metadata() {
            time_of(tag)
        } else {
            first.play_ms()
        };
        let part = mains.map_or(Part::Whole, |mains| mains.part(&tag.tag));
        let own = match &part {
            Part::Whole => &tag.tag,
            Part::Instead(own) => own,
            Part::Nothing => continue,
        };
        slices.extend(seat.format.own(own, time, seat.message_stream, context));
    }
    slices
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{self, Poll, Wake};

    use media::{Epoch, Limits, Start};

    use super::*;
    use crate::config::{Config, Tracks};
    use crate::gate::Wants;
    use crate::metrics::recorded::Recorded;
    use crate::tests::pair::{all, connected, sound};

    const BOTH: Wants = Wants {
        audio: true,
        video: true,
        tracks: Tracks::All,
    };

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
        let context = Arc::new(Context::alone(Config::default()));
        let ring = Ring::new(Limits::default());
        let mut publisher = ring.begin(Epoch::new(1, 1), context.clock.now());
        publisher
            .push(sound(0), context.clock.now())
            .expect("no other publisher");

        let (peer, _deaf) = connected().await;
        peer.transport.writable().await.expect("a socket");
        while peer.transport.try_write(&[0; 65536]).is_ok() {}

        let seat = Arc::new(Seat::rtmp(peer, SHARED_MESSAGE_STREAM));
        let service = seat.begin();
        let gate = Gate::new(BOTH, Waits::default(), &context.config.egress);
        let (cursor, _) = ring.cursor(Start::Oldest);
        let mut pump = pin!(
            CatchUp {
                context,
                seat,
                cursor,
                joining: None,
                gate,
                main: None,
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

    /// Serves two tags to a player of the main tracks; what becomes of its pump, and what is sent.
    async fn of_main_tracks(frames: [&'static [u8]; 2]) -> (Option<Outcome>, Vec<u8>) {
        let context = Arc::new(Context::alone(Config::default()));
        let ring = Ring::new(Limits::default());
        let now = context.clock.now();
        let mut publisher = ring.begin(Epoch::new(1, 1), now);
        for frame in frames {
            let tag = flv::Tag::new(flv::Kind::Audio, 0, Bytes::from_static(frame));
            publisher.push(tag, now).expect("no other publisher");
        }
        let (peer, far) = connected().await;
        peer.transport.writable().await.expect("a socket");
        let seat = Arc::new(Seat::rtmp(Arc::clone(&peer), SHARED_MESSAGE_STREAM));
        let service = seat.begin();
        let wants = Wants::both(Tracks::Main);
        let gate = Gate::new(wants, Waits::default(), &context.config.egress);
        let (cursor, _) = ring.cursor(Start::Oldest);
        let mut pump = Box::pin(
            CatchUp {
                context,
                seat,
                cursor,
                joining: None,
                gate,
                main: Some(MainTracks::new(ring.clone())),
                service,
            }
            .run(),
        );
        let mut outcome = None;
        for _ in 0..20 {
            outcome = futures::FutureExt::now_or_never(&mut pump);
            if outcome.is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(pump);
        (outcome, all(peer, far).await)
    }

    #[tokio::test]
    async fn a_player_of_the_main_tracks_is_served_alone_while_there_are_others() {
        // MP3, which needs no configuration: of track 0, as it always was, and of a track 1.
        let (main, other): (&[u8], &[u8]) = (&[0x2F, 1], b"\x95\x01.mp3\x01a");
        let (outcome, sent) = of_main_tracks([main, main]).await;
        assert!(matches!(outcome, Some(Outcome::CaughtUp(2))), "{outcome:?}");
        let (outcome, half) = of_main_tracks([main, other]).await;
        assert!(outcome.is_none(), "{outcome:?}");
        assert!(half.ends_with(main) && half.len() * 2 == sent.len());
    }

    /// Sends three tags, all a second old, to a player that joined when so many of them were there.
    async fn delivery(there: u64) -> usize {
        let context = Arc::new(Context::alone(Config::default()));
        let ring = Ring::new(Limits::default());
        let a_second_ago = context.clock.now() - 1_000_000_000;
        let mut publisher = ring.begin(Epoch::new(1, 1), a_second_ago);
        for dts in [0, 20, 40] {
            publisher
                .push(sound(dts), a_second_ago)
                .expect("no other publisher");
        }
        let (peer, _far) = connected().await;
        peer.transport.writable().await.expect("a socket");
        let seat = Arc::new(Seat::rtmp(peer, SHARED_MESSAGE_STREAM));
        let mut gate = Gate::new(BOTH, Waits::default(), &context.config.egress);
        gate.joined_at = there;
        let service = seat.begin();
        let (cursor, _) = ring.cursor(Start::Oldest);
        let catch_up = CatchUp {
            context,
            seat,
            cursor,
            joining: None,
            gate,
            main: None,
            service,
        };
        match catch_up.run().await {
            Outcome::CaughtUp(next) => usize::try_from(next).expect("a few"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_age_of_what_is_delivered_is_recorded_once_per_write_and_not_for_the_past() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        for (there, expected) in [(0, 1), (2, 1), (3, 0)] {
            let recorded = Recorded::default();
            let written = recorded.during(|| runtime.block_on(delivery(there)));
            assert_eq!(written, 3);
            let ages = recorded.samples("weir_delivery_seconds{protocol=\"rtmp\"}");
            assert_eq!(ages.len(), expected, "{there} before: {ages:?}");
            assert!(ages.iter().all(|age| (1.0..10.0).contains(age)), "{ages:?}");
            assert!(recorded.count("weir_egress_bytes_total{protocol=\"rtmp\"}") > 0.0);
        }
    }
}
