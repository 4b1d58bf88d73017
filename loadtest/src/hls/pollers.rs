//! Pollers: each fetches the playlist and the newest segment once in a segment's length, each at its own time.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use mio::{Events, Poll};

use super::poller::{Next, Poller, State, What};
use super::scout::Newest;
use crate::http;
use crate::stats::Histogram;
use crate::swarm::window;

/// A turn that begins so much behind its time is our own fault, and counted.
const LATE: Duration = Duration::from_millis(20);
/// The most that is thrown away at a time.
const DRAIN: usize = 1 << 20;

/// Who fetches what.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    pub(crate) authority: String,
    pub(crate) playlist: String,
    pub(crate) newest: Arc<Newest>,
    pub(crate) pollers: usize,
    /// From a poller's turn to its next.
    pub(crate) every: Duration,
}

/// Read, and steered, by others.
#[derive(Default)]
pub(crate) struct Progress {
    stop: AtomicBool,
    pub(crate) window: AtomicU8,
    pub(crate) bytes: AtomicU64,
}

/// What they found; counts and times are those of the window, errors of all the time.
#[derive(Default)]
pub(crate) struct Findings {
    /// Microseconds from a request to the last byte.
    pub(crate) segment: Histogram,
    pub(crate) playlist: Histogram,
    /// Turns at which the last one was not over.
    pub(crate) overruns: u64,
    /// Turns that we began too late.
    pub(crate) late: u64,
    pub(crate) errors: BTreeMap<String, u64>,
}

/// Pollers at work.
pub(crate) struct Pollers {
    pub(crate) progress: Arc<Progress>,
    thread: JoinHandle<Result<Findings>>,
}

impl Pollers {
    pub(crate) fn start(plan: Plan) -> Result<Self> {
        let progress = Arc::new(Progress::default());
        let shared = progress.clone();
        let thread = thread::Builder::new()
            .name("pollers".into())
            .spawn(move || run(&plan, &shared))?;
        Ok(Self { progress, thread })
    }

    pub(crate) fn stop(self) -> Result<Findings> {
        self.progress.stop.store(true, Relaxed);
        let result = self.thread.join();
        result.unwrap_or_else(|_| bail!("the pollers' thread panicked"))
    }
}

struct Swarm<'a> {
    plan: &'a Plan,
    progress: &'a Progress,
    poll: Poll,
    slots: Vec<Option<Poller>>,
    playlist: Vec<u8>,
    scratch: Vec<u8>,
    findings: Findings,
}

fn run(plan: &Plan, progress: &Progress) -> Result<Findings> {
    let mut swarm = Swarm {
        plan,
        progress,
        poll: Poll::new()?,
        slots: (0..plan.pollers).map(|_| None).collect(),
        playlist: http::request(&plan.authority, &plan.playlist),
        scratch: vec![0; DRAIN],
        findings: Findings::default(),
    };
    swarm.run()?;
    Ok(swarm.findings)
}

impl Swarm<'_> {
    fn run(&mut self) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        let begin = Instant::now();
        let turn = self.plan.every / self.plan.pollers.max(1) as u32;
        let mut turns = 0_u32;
        while !self.progress.stop.load(Relaxed) {
            let due = begin + turn * turns;
            let now = Instant::now();
            if now >= due {
                if now > due + LATE && self.is_open() {
                    self.findings.late += 1;
                }
                self.turn(turns as usize % self.plan.pollers.max(1));
                turns += 1;
                continue;
            }
            let timeout = (due - now).min(Duration::from_millis(50));
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            for event in &events {
                self.ready(event.token().0);
            }
        }
        Ok(())
    }

    fn is_open(&self) -> bool {
        self.progress.window.load(Relaxed) == window::OPEN
    }

    /// It is time for this poller to ask.
    fn turn(&mut self, index: usize) {
        let open = self.is_open();
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let result = match slot {
            Some(poller) if poller.state == State::Idle => {
                poller.ask(What::Playlist, &self.playlist)
            }
            Some(_) => {
                self.findings.overruns += u64::from(open);
                Ok(())
            }
            None => Poller::connect(self.plan.address, index, &self.poll).map(|poller| {
                *slot = Some(poller);
            }),
        };
        if let Err(error) = result {
            self.lost(index, &error);
        }
    }

    fn ready(&mut self, index: usize) {
        let open = self.is_open();
        loop {
            let Some(Some(poller)) = self.slots.get_mut(index) else {
                return;
            };
            let since = poller.asked;
            let mut bytes = 0;
            let next = match poller.state {
                State::Connecting => poller.connected(&self.playlist),
                _ => poller.read(&mut self.scratch, &mut bytes),
            };
            self.progress.bytes.fetch_add(bytes as u64, Relaxed);
            let (what, closed) = match next {
                Ok(Next::Wait) => return,
                Ok(Next::Done(what)) => (what, false),
                Ok(Next::Closed(what)) => (what, true),
                Err(error) => return self.lost(index, &error),
            };
            if open {
                let histogram = match what {
                    What::Playlist => &mut self.findings.playlist,
                    What::Segment => &mut self.findings.segment,
                };
                histogram.record(since.elapsed().as_micros() as u64);
            }
            if closed {
                // The next turn begins with a new connection.
                if let Some(slot) = self.slots.get_mut(index) {
                    *slot = None;
                }
                return;
            }
            if what == What::Segment {
                continue;
            }
            let result = match self.plan.newest.request() {
                Some(request) => poller.ask(What::Segment, &request),
                None => Ok(()),
            };
            if let Err(error) = result {
                return self.lost(index, &error);
            }
        }
    }

    fn lost(&mut self, index: usize, error: &anyhow::Error) {
        let count = self.findings.errors.entry(format!("{error:#}"));
        *count.or_default() += 1;
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers all requests of so many connections until they end: a long segment, or a refusal.
    fn serve(listener: &TcpListener, connections: usize, segment: &'static [u8]) {
        thread::scope(|scope| {
            for _ in 0..connections {
                let (mut socket, _) = listener.accept().unwrap();
                scope.spawn(move || {
                    let mut request = [0; 1024];
                    while let Ok(length @ 1..) = socket.read(&mut request) {
                        let is_segment = request[..length].starts_with(b"GET /s.ts");
                        let body: &[u8] = if is_segment { segment } else { b"list" };
                        let status = if body.is_empty() { "404 x" } else { "200 OK" };
                        let head = format!(
                            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
                            body.len()
                        );
                        // One that is cut off in the midst of the head.
                        let (one, two) = head.split_at(10);
                        for piece in [one.as_bytes(), two.as_bytes(), body] {
                            if socket.write_all(piece).is_err() {
                                return;
                            }
                        }
                    }
                });
            }
        });
    }

    fn polled(segment: &'static [u8], until: impl Fn(&Progress) -> bool) -> (Findings, u64) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let newest = Arc::new(Newest::default());
        newest.set("x", "/s.ts");
        let plan = Plan {
            address: listener.local_addr().unwrap(),
            authority: "x".into(),
            playlist: "/media.m3u8".into(),
            newest,
            pollers: 2,
            every: Duration::from_millis(20),
        };
        thread::spawn(move || serve(&listener, 2, segment));
        let pollers = Pollers::start(plan).unwrap();
        pollers.progress.window.store(window::OPEN, Relaxed);
        while !until(&pollers.progress) {
            thread::sleep(Duration::from_millis(1));
        }
        let bytes = pollers.progress.bytes.load(Relaxed);
        (pollers.stop().unwrap(), bytes)
    }

    #[test]
    fn each_fetches_a_playlist_and_a_segment_at_each_turn() {
        static SEGMENT: [u8; 100_000] = [1; 100_000];
        let (findings, bytes) = polled(&SEGMENT, |it| it.bytes.load(Relaxed) > 600_000);
        assert_eq!(findings.errors, BTreeMap::new());
        let (segments, playlists) = (findings.segment.total(), findings.playlist.total());
        assert!(segments >= 5, "{segments}");
        assert!((segments..segments + 3).contains(&playlists));
        // Not much more than the segments, and not a byte less.
        let whole = bytes / 100_000;
        assert!(
            (segments..segments + 3).contains(&whole),
            "{segments} {bytes}"
        );
    }

    #[test]
    fn a_refusal_is_an_error() {
        // Two lists with 38 bytes of head, and a refusal of 37.
        let (findings, _) = polled(&[], |it| it.bytes.load(Relaxed) >= 2 * (38 + 4) + 37);
        assert_eq!(findings.segment.total(), 0);
        assert!(
            findings.errors.contains_key("Segment: 404"),
            "{:?}",
            findings.errors
        );
    }
}
