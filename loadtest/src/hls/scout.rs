//! Who knows which segment is the newest, so that pollers need not read playlists.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::playlist::{self, Playlist};
use super::shelf::Shelf;
use crate::http::{self, Fetcher};

/// How long a stream may take until it lists its first segment.
const PATIENCE: Duration = Duration::from_secs(30);
/// After a refusal, and between playlists of a server that lets nobody wait for them.
const PAUSE: Duration = Duration::from_millis(200);

/// The newest whole segment, as it is asked for.
#[derive(Default)]
pub(crate) struct Newest {
    request: Mutex<Option<Arc<[u8]>>>,
    /// How many there were so far.
    pub(crate) changes: AtomicU64,
    pub(crate) failures: AtomicU64,
}

impl Newest {
    pub(crate) fn request(&self) -> Option<Arc<[u8]>> {
        let request = self.request.lock();
        request.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, authority: &str, path: &str) {
        let request = http::request(authority, path).into();
        *self.request.lock().unwrap_or_else(PoisonError::into_inner) = Some(request);
        self.changes.fetch_add(1, Relaxed);
    }
}

/// A thread that keeps [`Newest`] right, until dropped.
pub(crate) struct Scout {
    pub(crate) newest: Arc<Newest>,
    /// How long segments are.
    pub(crate) every: Duration,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Scout {
    /// Follows the playlist at `path`, once it lists a segment.
    pub(crate) fn follow(authority: &str, path: &str) -> Result<Self> {
        let mut fetcher = Fetcher::new(authority);
        let begin = Instant::now();
        let first = loop {
            let answer = fetcher.get(path)?;
            let playlist = match answer.status {
                200 => Some(Playlist::parse(&String::from_utf8_lossy(&answer.body))?),
                _ => None,
            };
            let listed = playlist.filter(|playlist| !playlist.segments.is_empty());
            if let Some(playlist) = listed {
                break playlist;
            }
            let body = String::from_utf8_lossy(&answer.body);
            ensure!(
                begin.elapsed() < PATIENCE,
                "no segment of {path} within {PATIENCE:?}: {} {body:.200}",
                answer.status
            );
            thread::sleep(PAUSE);
        };
        let seconds = first.segment_seconds().context("segments of no length")?;
        let every = Duration::from_secs_f64(seconds);
        let (authority, path) = (authority.to_owned(), path.to_owned());
        Self::spawn(every, move |newest, stop| {
            let mut last = first;
            while !stop.load(Relaxed) {
                if let Some(segment) = last.newest() {
                    newest.set(&authority, &playlist::resolve(&path, &segment.uri));
                }
                last = match next(&mut fetcher, &path, &last, stop) {
                    Ok(playlist) => playlist,
                    Err(_) if stop.load(Relaxed) => return,
                    Err(error) => {
                        newest.failures.fetch_add(1, Relaxed);
                        eprintln!("scout: {error:#}");
                        fetcher = Fetcher::new(&authority);
                        thread::sleep(PAUSE);
                        last
                    }
                };
            }
        })
    }

    /// Lets the segments of a shelf become the newest in turn, at the pace they were made.
    pub(crate) fn turn(authority: &str, shelf: &Shelf) -> Result<Self> {
        let every = shelf.every();
        let authority = authority.to_owned();
        let paths: Vec<String> = shelf.names().map(|name| format!("/{name}")).collect();
        ensure!(!paths.is_empty(), "there is nothing on the shelf");
        Self::spawn(every, move |newest, stop| {
            let begin = Instant::now();
            for (count, path) in (0..).zip(paths.iter().cycle()) {
                newest.set(&authority, path);
                while begin.elapsed() < every * (count + 1) {
                    if stop.load(Relaxed) {
                        return;
                    }
                    thread::sleep(Duration::from_millis(5));
                }
            }
        })
    }

    fn spawn(
        every: Duration,
        work: impl FnOnce(&Newest, &AtomicBool) + Send + 'static,
    ) -> Result<Self> {
        let (newest, stop) = (
            Arc::new(Newest::default()),
            Arc::new(AtomicBool::new(false)),
        );
        let (theirs, stopped) = (newest.clone(), stop.clone());
        let thread = thread::Builder::new()
            .name("scout".into())
            .spawn(move || work(&theirs, &stopped))?;
        let scout = Self {
            newest,
            every,
            stop,
            thread: Some(thread),
        };
        while scout.newest.request().is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        Ok(scout)
    }
}

impl Drop for Scout {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The playlist once it lists a segment more than `last`.
fn next(fetcher: &mut Fetcher, path: &str, last: &Playlist, stop: &AtomicBool) -> Result<Playlist> {
    let before = last.newest().map(|segment| segment.number);
    while !stop.load(Relaxed) {
        let asked = match (last.blocks, before) {
            (true, Some(number)) => playlist::Version {
                segment: number + 1,
                part: None,
            }
            .of(path),
            _ => path.to_owned(),
        };
        let body = fetcher.fetch(&asked)?;
        let playlist = Playlist::parse(&String::from_utf8_lossy(&body))?;
        ensure!(!playlist.ended, "the stream ended");
        if playlist.newest().map(|segment| segment.number) > before {
            return Ok(playlist);
        }
        thread::sleep(PAUSE);
    }
    bail!("it is over")
}
