//! Viewers over HLS, who remember what went wrong.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use testkit::hls::MediaPlaylist;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use crate::http::{Loaded, load};

/// Longer than anything is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// From something that failed to the next try.
const PAUSE: Duration = Duration::from_millis(100);

/// A viewer who makes a connection for each request, so that behind a balancer each is answered by
/// another node. It leaves when this is dropped.
///
/// It plays as a player of low latency does: it asks for each version of the playlist, loads each
/// part when it is listed, and begins to show as soon as it has what the playlist says is to be
/// held back.
#[derive(Debug)]
pub struct HlsViewer {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<HlsSeen>,
    more: Notify,
}

/// What a viewer got.
#[derive(Debug, Clone, Default)]
pub struct HlsSeen {
    /// How many requests were answered as they should be.
    pub answered: usize,
    /// Those that were not: when, and what came.
    pub failures: Vec<(Instant, String)>,
    /// How many parts, or segments without parts, were loaded.
    pub parts: usize,
    /// How long all of them are together.
    pub played: Duration,
    /// How often, and for how long, there was nothing to show.
    pub stalls: Vec<Duration>,
    /// How often the list had nothing in common with what was shown before.
    pub jumps: usize,
    /// A media sequence number that was lower than one before.
    pub backwards: Option<(u64, u64)>,
}

impl HlsViewer {
    /// Plays a stream, `live/cam`, from whoever listens there.
    pub fn play(address: SocketAddr, stream: &str) -> Self {
        let shared = Arc::new(Shared::default());
        let player = Player {
            address,
            folder: format!("/{stream}"),
            shared: Arc::clone(&shared),
            next: (0, 0),
            map: None,
            shown: None,
        };
        let task = tokio::spawn(player.run());
        Self { shared, task }
    }

    /// All that was seen so far.
    pub fn seen(&self) -> HlsSeen {
        self.shared.seen().clone()
    }

    /// Waits until so many more parts were loaded than there are now.
    ///
    /// # Panics
    /// When they have not within `limit`.
    pub async fn goes_on(&self, parts: usize, limit: Duration) {
        let wanted = self.shared.seen().parts + parts;
        let end = Instant::now() + limit;
        loop {
            let more = self.shared.more.notified();
            if self.shared.seen().parts >= wanted {
                return;
            }
            if timeout_at(end, more).await.is_err() {
                let seen = self.shared.seen();
                panic!("waited {limit:?} in vain for {parts} more parts; {seen:?}");
            }
        }
    }
}

impl Drop for HlsViewer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl HlsSeen {
    /// Panics unless all went well: no request failed, nothing stood still, nothing was left out.
    ///
    /// # Panics
    /// As said.
    pub fn was_undisturbed(&self, who: &str) {
        assert!(self.failures.is_empty(), "{who}: {self:?}");
        assert!(self.stalls.is_empty(), "{who}: {self:?}");
        assert_eq!((self.jumps, self.backwards), (0, None), "{who}: {self:?}");
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, HlsSeen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is still to be loaded: a part, or a segment without parts.
struct Piece {
    at: (u64, usize),
    behind: (u64, usize),
    uri: String,
    map: Option<String>,
    duration: Duration,
}

struct Player {
    address: SocketAddr,
    folder: String,
    shared: Arc<Shared>,
    /// What is to be loaded next: the number of a segment, and of its part.
    next: (u64, usize),
    map: Option<String>,
    /// When showing began, moved by each stall, and how much there is to show.
    shown: Option<(Instant, Duration)>,
}

impl Player {
    async fn run(mut self) {
        self.get("index.m3u8").await;
        let (mut playlist, mut held_back) = self.playlist("media.m3u8").await;
        self.begin(&playlist, held_back);
        loop {
            self.load(&playlist).await;
            if playlist.ended {
                return;
            }
            let (msn, part) = playlist.next();
            let query = match playlist.part_target {
                Some(_) => format!("?_HLS_msn={msn}&_HLS_part={part}"),
                None => format!("?_HLS_msn={msn}"),
            };
            let before = playlist.media_sequence;
            (playlist, held_back) = self.playlist(&format!("media.m3u8{query}")).await;
            if playlist.media_sequence < before {
                self.shared.seen().backwards = Some((before, playlist.media_sequence));
            }
            if playlist.media_sequence > self.next.0 {
                // What would have been next is gone: it begins anew.
                self.shared.seen().jumps += 1;
                self.begin(&playlist, held_back);
            }
        }
    }

    /// Leaves out what is too old to be shown.
    fn begin(&mut self, playlist: &MediaPlaylist, held_back: Duration) {
        let mut left = Duration::ZERO;
        for piece in pieces(playlist).iter().rev() {
            self.next = piece.at;
            left += piece.duration;
            if left >= held_back {
                return;
            }
        }
    }

    async fn load(&mut self, playlist: &MediaPlaylist) {
        for piece in pieces(playlist) {
            if piece.at < self.next {
                continue;
            }
            if piece.map.is_some() && self.map != piece.map {
                self.get(piece.map.as_deref().unwrap_or_default()).await;
                self.map.clone_from(&piece.map);
            }
            self.get(&piece.uri).await;
            self.next = piece.behind;
            self.show(piece.duration);
        }
    }

    /// There is more to show. Had that been shown by now which was there before, it stood still.
    fn show(&mut self, duration: Duration) {
        let now = Instant::now();
        let mut seen = self.shared.seen();
        let (began, there) = self.shown.get_or_insert((now, Duration::ZERO));
        let over = now.duration_since(*began).checked_sub(*there);
        if let Some(stall) = over.filter(|stall| !stall.is_zero() && !there.is_zero()) {
            seen.stalls.push(stall);
            *began += stall;
        }
        *there += duration;
        seen.parts += 1;
        seen.played += duration;
        drop(seen);
        self.shared.more.notify_waiters();
    }

    /// A playlist, and how far from its end players are to stay.
    async fn playlist(&self, path: &str) -> (MediaPlaylist, Duration) {
        let text = self.get(path).await.text();
        let (playlist, _) = MediaPlaylist::parse(&text);
        let told = text.split_once("PART-HOLD-BACK=").map(|(_, rest)| rest);
        let told = told.and_then(|rest| {
            let end = rest.find([',', '\n']).unwrap_or(rest.len());
            rest.get(..end)?.parse().ok().map(Duration::from_secs_f64)
        });
        let target = Duration::from_secs(playlist.target);
        (playlist, told.unwrap_or(target * 3))
    }

    /// What there is at `path`, in the end.
    async fn get(&self, path: &str) -> Loaded {
        let path = format!("{}/{path}", self.folder);
        loop {
            let failed = match load(self.address, &path, PATIENCE).await {
                Ok(loaded) if loaded.status == 200 => {
                    self.shared.seen().answered += 1;
                    return loaded;
                }
                Ok(loaded) => format!("{path}: {}{}", loaded.head, loaded.text()),
                Err(error) => format!("{path}: {error}"),
            };
            self.shared.seen().failures.push((Instant::now(), failed));
            sleep(PAUSE).await;
        }
    }
}

/// What is to be loaded of a playlist, in order: parts where they are listed, else segments.
fn pieces(playlist: &MediaPlaylist) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for segment in &playlist.segments {
        let mut add = |uri: &String, duration: i64, at, behind| {
            pieces.push(Piece {
                at,
                behind,
                uri: uri.clone(),
                map: segment.map.clone(),
                duration: Duration::from_nanos(u64::try_from(duration).unwrap_or(0)),
            });
        };
        let (msn, after) = (segment.msn, (segment.msn + 1, 0));
        for (number, part) in segment.parts.iter().enumerate() {
            let is_last = segment.uri.is_some() && number + 1 == segment.parts.len();
            let behind = if is_last { after } else { (msn, number + 1) };
            add(&part.uri, part.duration, (msn, number), behind);
        }
        if let Some(uri) = segment.uri.as_ref().filter(|_| segment.parts.is_empty()) {
            add(uri, segment.duration, (msn, 0), after);
        }
    }
    pieces
}
