//! The players of a stream that are up to date, written in groups of those that are sent the same.
//!
//! One task writes for many players: a wake-up, a look at the clock and a gathering of tags are
//! paid once per write and group, and a player costs a system call. A player whose socket takes no
//! more leaves its group, is served by its own pump, and comes back once it has caught up. Its actor keeps control all the while.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use media::{Cursor, ReadError, Ring, Start};
use ractor::ActorRef;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::burst::Burst;
use crate::config::Tracks;
use crate::context::Context;
use crate::format::{Format, SHARED_MESSAGE_STREAM};
use crate::gate::is_multitrack;
use crate::peer::{Peer, Served};
use crate::pump::Pump;
use crate::seat::{Seat, Service, Standing, Waits};
use crate::subscriber;

/// A further group is opened when the smallest has this many players and there are processors for it.
const GROUP_SIZE: usize = 512;
/// A group looks for those who left when there are so many, at the least.
const LEAVERS: usize = 16;
/// After so many writes a group lets others run: a joining player must not wait for thousands.
const WRITES_PER_TURN: usize = 64;
/// So many players' memory is fetched at a time, ahead of their writes.
const TOUCHED: usize = 16;
/// From this many players on, joining the slices costs less than the kernel's work on them.
const FLATTEN_FROM: usize = 4;
/// Audio waits at most this long for the video frame that is due.
const RIDE: Duration = Duration::from_millis(40);
/// A group keeps a buffer of this size between bursts.
const KEEP_BUFFER: usize = 256 << 10;

/// The groups of one stream.
pub(crate) struct Fanout {
    ring: Ring,
    context: Arc<Context>,
    groups: Mutex<Vec<Group>>,
}

struct Group {
    format: Format,
    inbox: Arc<Inbox>,
    task: Pump,
}

/// Who wants to join a group, and how many have left it. Bounded by the players there are.
#[derive(Default)]
struct Inbox {
    joining: Mutex<Vec<Member>>,
    size: AtomicUsize,
    left: AtomicUsize,
    wake: Notify,
}

/// How a player's actor reaches the group that serves it.
pub(crate) struct GroupDoor(Arc<Inbox>);

impl GroupDoor {
    /// Lets the group know of one who left. It drops them at its next write, or when there are many: a
    /// look at all its members costs too much to do it for each.
    pub(crate) fn someone_left(&self) {
        let left = self.0.left.fetch_add(1, Ordering::Relaxed) + 1;
        if left >= LEAVERS.max(self.0.size.load(Ordering::Relaxed) / 4) {
            self.0.wake.notify_one();
        }
    }
}

/// A player in a group. Given back to its actor when the group lets go of it, whatever the reason.
pub(crate) struct Member {
    peer: Arc<Peer>,
    service: Service,
    format: Format,
    tracks: Tracks,
    subscriber: ActorRef<subscriber::Message>,
}

impl Member {
    /// A player that is sent the tags from `next` on under that service, as long as it wants them all.
    pub(crate) fn new(
        seat: &Seat,
        service: Service,
        next: u64,
        tracks: Tracks,
        subscriber: ActorRef<subscriber::Message>,
    ) -> Member {
        let standing = Standing {
            next: Some(next),
            waits: Waits::default(),
        };
        seat.peer.lock().place(seat.message_stream).stand(standing);
        Member {
            peer: Arc::clone(&seat.peer),
            service,
            format: seat.format,
            tracks,
            subscriber,
        }
    }

    fn next(&self) -> Option<u64> {
        self.peer.lock().place(SHARED_MESSAGE_STREAM).standing.next
    }

    fn is_served(&self) -> bool {
        self.peer
            .lock()
            .place(SHARED_MESSAGE_STREAM)
            .is_served_by(self.service)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let left = self
            .peer
            .lock()
            .place(SHARED_MESSAGE_STREAM)
            .close(self.service);
        if left {
            // Its actor may be gone already; then nobody needs to know.
            drop(
                self.subscriber
                    .cast(subscriber::Message::FellBehind(self.service)),
            );
        }
    }
}

impl Fanout {
    pub(crate) fn new(ring: Ring, context: Arc<Context>) -> Fanout {
        Fanout {
            ring,
            context,
            groups: Mutex::default(),
        }
    }

    /// Has a group serve a player.
    pub(crate) fn join(&self, member: Member) -> GroupDoor {
        let inbox = self.smallest_group(member.format);
        inbox.size.fetch_add(1, Ordering::Relaxed);
        inbox
            .joining
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(member);
        inbox.wake.notify_one();
        GroupDoor(inbox)
    }

    fn smallest_group(&self, format: Format) -> Arc<Inbox> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.retain(|group| !group.task.is_finished());
        let alike = || groups.iter().filter(|group| group.format == format);
        let smallest = alike().min_by_key(|group| group.inbox.size.load(Ordering::Relaxed));
        if let Some(group) = smallest {
            let full = group.inbox.size.load(Ordering::Relaxed) >= GROUP_SIZE;
            if !full || alike().count() >= self.context.workers {
                return Arc::clone(&group.inbox);
            }
        }
        let inbox = Arc::new(Inbox::default());
        let server = Server {
            inbox: Arc::clone(&inbox),
            format,
            ring: self.ring.clone(),
            context: Arc::clone(&self.context),
            members: Vec::new(),
            burst: Burst::default(),
            multitrack: false,
            last_write: Instant::now(),
            oldest: 0,
            video: VideoPace::default(),
        };
        groups.push(Group {
            format,
            inbox: Arc::clone(&inbox),
            task: Pump::spawn(server.run()),
        });
        inbox
    }
}

/// The task of one group.
struct Server {
    inbox: Arc<Inbox>,
    format: Format,
    ring: Ring,
    context: Arc<Context>,
    members: Vec<Member>,
    burst: Burst,
    /// The burst has something of further tracks.
    multitrack: bool,
    last_write: Instant,
    /// When the oldest tag of the burst came in.
    oldest: i64,
    video: VideoPace,
}

impl Server {
    async fn run(mut self) {
        loop {
            self.welcome();
            let Some(first) = self.members.iter().filter_map(Member::next).min() else {
                self.inbox.wake.notified().await;
                continue;
            };
            let (mut cursor, _) = self.ring.cursor(Start::At(first));
            while !self.members.is_empty() {
                self.burst.restart(cursor.position());
                self.multitrack = false;
                tokio::select! {
                    () = cursor.ready() => {
                        let whole = self.gather(&mut cursor).await;
                        self.write().await;
                        if !whole {
                            // Ended, overrun, or a hole: each player's own pump finds out which.
                            self.let_go();
                        }
                    }
                    () = self.inbox.wake.notified() => {
                        let position = cursor.position();
                        self.welcome();
                        if self.members.iter().any(|member| member.next() < Some(position)) {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Takes in who joins, and drops who left.
    fn welcome(&mut self) {
        self.inbox.left.store(0, Ordering::Relaxed);
        self.members.retain(Member::is_served);
        let joining = std::mem::take(
            &mut *self
                .inbox
                .joining
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        self.members.extend(joining);
        self.inbox.size.store(self.members.len(), Ordering::Relaxed);
    }

    fn let_go(&mut self) {
        self.members.clear();
        self.inbox.size.store(0, Ordering::Relaxed);
    }

    /// Collects tags until it is time to write. False when there will be no more from this cursor, or none that
    /// all members can go on with as they are.
    async fn gather(&mut self, cursor: &mut Cursor) -> bool {
        loop {
            let mut frame = false;
            loop {
                match cursor.read() {
                    Ok(batch) => {
                        if batch.is_empty() {
                            break;
                        }
                        for tag in batch.iter() {
                            if tag.follows_hole() {
                                return false;
                            }
                            if self.burst.is_empty() {
                                self.oldest = tag.ingest;
                            }
                            frame |= !tag.tag.is_audio();
                            self.multitrack |= is_multitrack(&tag.tag);
                            self.video.note(tag);
                            self.format.push(&mut self.burst, &[], tag, &self.context);
                        }
                    }
                    Err(ReadError::Lagged { .. } | ReadError::Ended(_)) => return false,
                }
                if self.burst.is_full() {
                    return true;
                }
            }
            if self.burst.is_empty() {
                return true;
            }
            let now = Instant::now();
            let due = self.last_write + self.context.pace.gather();
            if now < due {
                tokio::time::sleep_until(due).await;
                continue;
            }
            if frame || !self.context.pace.audio_rides() {
                return true;
            }
            let waited = self.context.clock.since(self.oldest);
            let Some(left) = RIDE.checked_sub(waited) else {
                return true;
            };
            if !self.video.is_due_within(left, self.context.clock.now()) {
                return true;
            }
            tokio::select! {
                () = cursor.ready() => {}
                () = tokio::time::sleep_until(now + left) => return true,
            }
        }
    }

    fn count(&self, bytes: usize, served: usize) {
        let age = self.context.clock.since(self.oldest);
        let metrics = &self.context.metrics;
        metrics.delivered(self.format, bytes, served, age);
        self.context.pace.wrote(served);
    }

    async fn write(&mut self) {
        if self.burst.is_empty() {
            return;
        }
        self.last_write = Instant::now();
        if self.members.len() >= FLATTEN_FROM {
            self.burst.flatten();
        }
        let mut index = 0;
        let mut turn = 0;
        let mut bytes = 0;
        let mut served = 0;
        while let Some(member) = self.members.get(index) {
            if self.multitrack && member.tracks == Tracks::Main {
                // Its own pump chooses for it.
                drop(self.members.swap_remove(index));
                continue;
            }
            if turn % TOUCHED == 0 {
                let ahead = self.members.iter().skip(index).take(TOUCHED);
                std::hint::black_box(ahead.filter(|member| member.peer.touch()).count());
            }
            match member.peer.serve(member.service, &self.burst) {
                Served::UpToDate(written) => {
                    bytes += written;
                    served += 1;
                    index += 1;
                }
                Served::Behind(written) => {
                    bytes += written;
                    drop(self.members.swap_remove(index));
                }
                Served::Left => drop(self.members.swap_remove(index)),
                Served::Failed(error) => {
                    let member = self.members.swap_remove(index);
                    drop(
                        member
                            .subscriber
                            .cast(subscriber::Message::SocketFailed(error)),
                    );
                }
            }
            turn += 1;
            if turn == WRITES_PER_TURN {
                self.count(bytes, served);
                (turn, bytes, served) = (0, 0, 0);
                tokio::task::yield_now().await;
            }
        }
        self.count(bytes, served);
        self.inbox.size.store(self.members.len(), Ordering::Relaxed);
        self.burst.shrink(KEEP_BUFFER);
    }
}

/// When video frames come, so that audio can tell whether to wait for one.
#[derive(Default)]
struct VideoPace {
    last: Option<i64>,
    interval: i64,
}

impl VideoPace {
    fn note(&mut self, tag: &media::MarkedTag) {
        if !tag.tag.is_video() || tag.tag.is_configuration() {
            return;
        }
        if let Some(last) = self.last {
            let interval = (tag.ingest - last).clamp(0, 1_000_000_000);
            self.interval += (interval - self.interval) / 8;
        }
        self.last = Some(tag.ingest);
    }

    /// Frames are due at their interval; one that is a little late is still waited for.
    fn is_due_within(&self, wait: Duration, now: i64) -> bool {
        let wait = i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX);
        self.last.is_some_and(|last| {
            let due = last + self.interval;
            due <= now.saturating_add(wait) && now - due < 2 * self.interval
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use bytes::Bytes;
    use flv::{Kind, Tag};
    use ractor::{Actor, ActorProcessingErr};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::config::Config;
    use crate::transport::Transport;

    /// Stands in for the players' actors.
    struct Nobody;

    impl Actor for Nobody {
        type Msg = subscriber::Message;
        type State = ();
        type Arguments = ();

        async fn pre_start(
            &self,
            _myself: ActorRef<subscriber::Message>,
            (): (),
        ) -> Result<(), ActorProcessingErr> {
            Ok(())
        }
    }

    /// A group of players that want these tracks, and the players' ends.
    async fn group(ring: &Ring, players: &[Tracks]) -> (Server, Vec<std::net::TcpStream>) {
        let context = Arc::new(Context::alone(Config::default()));
        let (nobody, _) = Actor::spawn(None, Nobody, ()).await.expect("an actor");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let mut ends = Vec::new();
        let mut members = Vec::new();
        for &tracks in players {
            let end = TcpStream::connect(address).await.expect("connected");
            let (socket, from) = listener.accept().await.expect("accepted");
            ends.push(end.into_std().expect("a socket"));
            let peer = Arc::new(Peer::new(from, Transport::Plain(socket)));
            let seat = Seat::rtmp(peer, SHARED_MESSAGE_STREAM);
            let service = seat.begin();
            members.push(Member::new(&seat, service, 0, tracks, nobody.clone()));
        }
        let server = Server {
            inbox: Arc::default(),
            format: Format::Rtmp,
            ring: ring.clone(),
            context,
            members,
            burst: Burst::default(),
            multitrack: false,
            last_write: Instant::now(),
            oldest: 0,
            video: VideoPace::default(),
        };
        (server, ends)
    }

    /// Allocations of a hundred tags, each gathered and written to so many players.
    fn allocations(players: usize) -> u64 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let ring = Ring::new(media::Limits::default());
        let mut publisher = ring.begin(media::Epoch::new(1, 1), 0);
        let (mut server, mut ends) = runtime.block_on(group(&ring, &vec![Tracks::All; players]));
        let (mut cursor, _) = ring.cursor(Start::At(0));
        let mut counted = 0;
        for number in 0..200u32 {
            // A frame of Sorenson H.263, which needs no configuration.
            let payload = Bytes::from([&[0x12, 0, 0, 0x84][..], &[0; 996]].concat());
            publisher
                .push(Tag::new(Kind::Video, number * 40, payload), 0)
                .expect("no other publisher");
            let measured = allocation_counter::measure(|| {
                runtime.block_on(async {
                    server.burst.restart(cursor.position());
                    assert!(server.gather(&mut cursor).await);
                    server.write().await;
                });
            });
            // The first ones grow buffers that stay.
            if number >= 100 {
                counted += measured.count_total;
            }
            for end in &mut ends {
                assert!(end.read(&mut [0; 4096]).expect("the tag") > 0);
            }
        }
        assert_eq!(server.members.len(), players, "nobody fell behind");
        counted
    }

    #[tokio::test]
    async fn who_wants_the_main_tracks_rides_along_until_another_track_comes() {
        let ring = Ring::new(media::Limits::default());
        let mut publisher = ring.begin(media::Epoch::new(1, 1), 0);
        let (mut server, mut ends) = group(&ring, &[Tracks::Main, Tracks::All]).await;
        let (mut cursor, _) = ring.cursor(Start::At(0));
        // Frames of MP3, which need no configuration: an ordinary one, and one of a track 1.
        let frames: [&[u8]; 2] = [&[0x2F, 1], b"\x95\x01.mp3\x01a"];
        let mut served: Vec<Vec<Tracks>> = Vec::new();
        for frame in frames {
            let tag = Tag::new(Kind::Audio, 0, Bytes::from_static(frame));
            publisher.push(tag, 0).expect("no other publisher");
            server.burst.restart(cursor.position());
            assert!(server.gather(&mut cursor).await);
            server.write().await;
            served.push(server.members.iter().map(|member| member.tracks).collect());
        }
        let both = vec![Tracks::Main, Tracks::All];
        assert_eq!(served, [both, vec![Tracks::All]]);
        drop(server);
        let mut read = |index: usize| {
            let mut bytes = Vec::new();
            ends[index].set_nonblocking(false).expect("a socket");
            ends[index].read_to_end(&mut bytes).expect("its bytes");
            bytes
        };
        let (main, all) = (read(0), read(1));
        assert!(all.ends_with(frames[1]));
        assert!(main.ends_with(frames[0]) && all.starts_with(&main));
    }

    #[test]
    fn a_tag_allocates_nothing_per_player() {
        let (few, many) = (allocations(4), allocations(60));
        assert_eq!(
            few, many,
            "allocations of 100 tags with 4 and with 60 players"
        );
    }
}
