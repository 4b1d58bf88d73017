//! Publishers: all from one thread, each tag at its time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::Result;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::chunk::kind;
use crate::client::{Client, Role, Target};
use crate::clip::Clip;
use crate::wire::{self, Wire};
use crate::{net, system};

/// A send this long behind its time is our own fault, and counted.
const LATE: Duration = Duration::from_millis(20);
/// What may wait for a server that does not read; then tags are left out.
const MAX_PENDING: usize = 4 << 20;
const MAX_IN_FLIGHT: usize = 64;

/// What to publish where.
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) address: SocketAddr,
    pub(crate) streams: usize,
    /// New publishers per second.
    pub(crate) ramp: f64,
    pub(crate) clip: Arc<Clip>,
    pub(crate) chunk_size: usize,
    /// Tags due within so much of each other are written together; zero sends each alone.
    pub(crate) batch: Duration,
}

/// Read by others while publishers run.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) stop: AtomicBool,
    pub(crate) live: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) disconnects: AtomicU64,
    pub(crate) tags: AtomicU64,
    pub(crate) payload_bytes: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) worst_late_us: AtomicU64,
    pub(crate) left_out: AtomicU64,
}

struct Publisher {
    socket: TcpStream,
    client: Client,
    /// When its clip began; set when the server lets it publish.
    start: Option<Instant>,
    next: usize,
    cycle: u64,
    numbers: [u32; 2],
    pending: Vec<u8>,
}

/// Publishes until told to stop.
pub(crate) fn run(plan: &Plan, progress: &Progress) -> Result<()> {
    system::go_first();
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut wire = Wire::new(&plan.clip, plan.chunk_size);
    let mut publishers: Vec<Option<Publisher>> = Vec::new();
    let mut due: BinaryHeap<Reverse<(Instant, usize)>> = BinaryHeap::new();
    let mut scratch = vec![0; 64 << 10];
    let mut out = Vec::new();
    let mut in_flight = 0_usize;
    let begin = Instant::now();

    while !progress.stop.load(Relaxed) {
        let wanted = (begin.elapsed().as_secs_f64() * plan.ramp) as usize + 1;
        while publishers.len() < plan.streams.min(wanted) && in_flight < MAX_IN_FLIGHT {
            let index = publishers.len();
            let mut socket = net::connect(plan.address, index)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(&mut socket, Token(index), interest)?;
            let role = Role::Publish {
                chunk_size: plan.chunk_size,
            };
            let client = Client::new(role, &plan.target, index, plan.streams);
            publishers.push(Some(Publisher {
                socket,
                client,
                start: None,
                next: 0,
                cycle: 0,
                numbers: [0; 2],
                pending: Vec::new(),
            }));
            in_flight += 1;
        }

        let now = Instant::now();
        let until = due
            .peek()
            .map_or(Duration::from_millis(50), |Reverse((at, _))| {
                at.saturating_duration_since(now)
            });
        let most = if publishers.len() < plan.streams {
            2
        } else {
            50
        };
        match poll.poll(&mut events, Some(until.min(Duration::from_millis(most)))) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            let index = event.token().0;
            let Some(slot) = publishers.get_mut(index) else {
                continue;
            };
            let Some(publisher) = slot else { continue };
            let waiting = publisher.start.is_none();
            match publisher.talk(event.is_writable(), &mut scratch) {
                Ok(()) if waiting && publisher.client.is_ready() => {
                    publisher.begin(plan);
                    in_flight -= 1;
                    progress.live.fetch_add(1, Relaxed);
                    due.push(Reverse((Instant::now(), index)));
                }
                Ok(()) => {}
                Err(error) => {
                    eprintln!("publisher {index}: {error:#}");
                    if waiting {
                        in_flight -= 1;
                        progress.failed.fetch_add(1, Relaxed);
                    } else {
                        progress.live.fetch_sub(1, Relaxed);
                        progress.disconnects.fetch_add(1, Relaxed);
                    }
                    *slot = None;
                }
            }
        }
        let now = Instant::now();
        while let Some(Reverse((at, index))) = due.peek().copied() {
            if at > now {
                break;
            }
            due.pop();
            let Some(Some(publisher)) = publishers.get_mut(index) else {
                continue;
            };
            publisher.send(now, plan, &mut wire, &mut out, progress);
            due.push(Reverse((publisher.due(&wire), index)));
        }
    }
    Ok(())
}

impl Publisher {
    /// Reads what the server says, and writes what is owed to it.
    fn talk(&mut self, writable: bool, scratch: &mut [u8]) -> Result<()> {
        if writable && !self.pending.is_empty() {
            let pending = std::mem::take(&mut self.pending);
            self.write(&pending);
        }
        loop {
            match self.socket.read(scratch) {
                Ok(0) => anyhow::bail!("the server closed the connection"),
                Ok(length) => {
                    let bytes = scratch.get(..length).unwrap_or_default();
                    self.client.input(bytes, &mut |_, _| Ok(()))?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        let out = self.client.output();
        if !out.is_empty() {
            self.write(&out);
        }
        Ok(())
    }

    /// The server lets us publish: metadata and configuration go first.
    fn begin(&mut self, plan: &Plan) {
        let mut out = Vec::new();
        for tag in &plan.clip.head {
            wire::write_tag(&mut out, tag, 0, self.client.stream(), plan.chunk_size);
        }
        self.write(&out);
        self.start = Some(Instant::now());
    }

    /// When its next tag is to be sent.
    fn due(&self, wire: &Wire) -> Instant {
        let start = self.start.unwrap_or_else(Instant::now);
        start + Duration::from_millis(self.time(wire))
    }

    fn time(&self, wire: &Wire) -> u64 {
        let ms = wire.tags.get(self.next).map_or(0, |tag| tag.ms);
        self.cycle * u64::from(wire.cycle_ms) + u64::from(ms)
    }

    fn send(
        &mut self,
        now: Instant,
        plan: &Plan,
        wire: &mut Wire,
        out: &mut Vec<u8>,
        progress: &Progress,
    ) {
        let horizon = now + plan.batch;
        let (stamp, stream) = (system::wall_ns(), self.client.stream());
        let mut due = self.due(wire);
        let late = now.saturating_duration_since(due);
        if late > LATE {
            progress.late.fetch_add(1, Relaxed);
        }
        progress
            .worst_late_us
            .fetch_max(late.as_micros() as u64, Relaxed);
        out.clear();
        while due <= horizon {
            let time = self.time(wire) as u32;
            let Some(tag) = wire.tags.get(self.next) else {
                break;
            };
            let (kind, payload) = (tag.kind, tag.payload as u64);
            let [audio, video] = &mut self.numbers;
            let counter = if kind == kind::AUDIO { audio } else { video };
            let number = std::mem::replace(counter, tag.number_after(*counter));
            let bytes = wire.ready(self.next, time, stream, stamp, number);
            if self.pending.len() + bytes.len() > MAX_PENDING {
                progress.left_out.fetch_add(1, Relaxed);
            } else if plan.batch.is_zero() {
                self.write(bytes);
            } else {
                out.extend_from_slice(bytes);
            }
            progress.tags.fetch_add(1, Relaxed);
            progress.payload_bytes.fetch_add(payload, Relaxed);
            self.next += 1;
            if self.next == wire.tags.len() {
                self.next = 0;
                self.cycle += 1;
            }
            due = self.due(wire);
        }
        if !out.is_empty() {
            self.write(out);
        }
    }

    /// Writes what the socket takes and keeps the rest. A broken socket shows when it is read.
    fn write(&mut self, bytes: &[u8]) {
        let taken = if self.pending.is_empty() {
            self.socket.write(bytes).unwrap_or(0)
        } else {
            0
        };
        self.pending
            .extend_from_slice(bytes.get(taken..).unwrap_or_default());
    }
}
