//! Requests that wait for the same answer, on thousands of connections: all ask, and then all are answered.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{ClockId, clock_gettime};

use super::report::Errors;
use super::wire::{Protocol, Said};
use crate::net;

/// Connections that may be in the making at the same time.
const MAX_IN_FLIGHT: usize = 256;
const SETUP_TIMEOUT: Duration = Duration::from_secs(60);
/// How often the server is looked at while all wait.
const LOOK: Duration = Duration::from_millis(20);

/// Connections that are there, each with so many requests at a time.
pub(crate) struct Waiters {
    poll: Poll,
    slots: Vec<Option<Waiter>>,
    scratch: Vec<u8>,
    per_connection: usize,
    pub(crate) errors: Errors,
}

struct Waiter {
    socket: TcpStream,
    protocol: Box<dyn Protocol>,
    /// What the socket did not take yet.
    unsent: Vec<u8>,
    /// Requests without an answer.
    open: usize,
    is_there: bool,
}

/// What became of one part that all waited for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Round {
    pub(crate) asked: usize,
    pub(crate) answered: usize,
    /// Answers other than the first.
    pub(crate) different: usize,
    /// From the first byte of any answer to the last byte of the last.
    pub(crate) release: Duration,
    /// From the last request to the first byte of any answer; `None` if some were answered before.
    pub(crate) quiet: Option<Duration>,
    /// Processor time of this thread in the release.
    pub(crate) own: Duration,
    /// The first answer: its body, and all of it.
    pub(crate) body: Vec<u8>,
    pub(crate) whole: Vec<u8>,
}

impl Waiters {
    /// Connects, each with its own side of a protocol.
    pub(crate) fn connect(
        address: SocketAddr,
        connections: usize,
        per_connection: usize,
        protocol: &mut dyn FnMut() -> Box<dyn Protocol>,
    ) -> Result<Self> {
        let mut waiters = Self {
            poll: Poll::new()?,
            slots: Vec::with_capacity(connections),
            scratch: vec![0; 256 << 10],
            per_connection,
            errors: Errors::new(),
        };
        let mut events = Events::with_capacity(1024);
        let begin = Instant::now();
        let mut there = 0;
        while there < connections {
            while waiters.slots.len() < connections && waiters.slots.len() - there < MAX_IN_FLIGHT {
                let index = waiters.slots.len();
                let mut socket = net::connect(address, index)?;
                let interest = Interest::READABLE | Interest::WRITABLE;
                let registry = waiters.poll.registry();
                registry.register(&mut socket, Token(index), interest)?;
                waiters.slots.push(Some(Waiter {
                    socket,
                    protocol: protocol(),
                    unsent: Vec::new(),
                    open: 0,
                    is_there: false,
                }));
            }
            ensure!(
                begin.elapsed() < SETUP_TIMEOUT,
                "{there} of {connections} are connected after {SETUP_TIMEOUT:?}"
            );
            waiters.wait(&mut events, Duration::from_millis(100))?;
            for event in &events {
                let index = event.token().0;
                let Some(Some(waiter)) = waiters.slots.get_mut(index) else {
                    continue;
                };
                let was_there = waiter.is_there;
                waiter.talk(&mut waiters.scratch, &mut |_| {})?;
                there += usize::from(waiter.is_there && !was_there);
            }
        }
        Ok(waiters)
    }

    /// How many requests wait at a time.
    pub(crate) fn places(&self) -> usize {
        self.slots.iter().flatten().count() * self.per_connection
    }

    /// All ask for `path`; then the answers are awaited, for so long. `waiting` is called now and then while none
    /// has come, from so long after the last request on.
    pub(crate) fn round(
        &mut self,
        authority: &str,
        path: &str,
        patience: Duration,
        after: Duration,
        waiting: &mut dyn FnMut(),
    ) -> Result<Round> {
        let mut round = Round::default();
        for index in 0..self.slots.len() {
            self.ask(index, authority, path);
        }
        round.asked = self.slots.iter().flatten().map(|waiter| waiter.open).sum();
        let sent = Instant::now();
        let (mut first, mut last) = (None, sent);
        let (mut open, mut is_told) = (round.asked, false);
        let mut own = Duration::ZERO;
        let mut events = Events::with_capacity(1024);
        while open > 0 && sent.elapsed() < patience {
            let timeout = match first {
                None if !is_told => after.saturating_sub(sent.elapsed()),
                None => LOOK,
                Some(_) => Duration::from_millis(100),
            };
            self.wait(&mut events, timeout)?;
            if first.is_none() && sent.elapsed() >= after && events.is_empty() {
                is_told = true;
                waiting();
            }
            for event in &events {
                let index = event.token().0;
                let answered = self.read(index, &mut round, &mut first, &mut last, &mut own);
                open -= answered.min(open);
            }
        }
        round.quiet = first.filter(|_| is_told).map(|first: Instant| first - sent);
        round.release = first.map(|first| last - first).unwrap_or_default();
        round.own = own_time().saturating_sub(own);
        Ok(round)
    }

    fn ask(&mut self, index: usize, authority: &str, path: &str) {
        let Some(Some(waiter)) = self.slots.get_mut(index) else {
            return;
        };
        let mut out = Vec::new();
        waiter.protocol.ask(authority, path, &mut out);
        waiter.open = self.per_connection;
        if let Err(error) = waiter.send(&out) {
            self.lost(index, &error);
        }
    }

    /// Takes what has arrived, and says how many requests are over with it.
    fn read(
        &mut self,
        index: usize,
        round: &mut Round,
        first: &mut Option<Instant>,
        last: &mut Instant,
        own: &mut Duration,
    ) -> usize {
        let Some(Some(waiter)) = self.slots.get_mut(index) else {
            return 0;
        };
        let before = waiter.open;
        let mut answered = 0;
        let errors = &mut self.errors;
        let result = waiter.talk(&mut self.scratch, &mut |said| {
            let now = Instant::now();
            if first.is_none() {
                *own = own_time();
            }
            first.get_or_insert(now);
            *last = now;
            answered += 1;
            if said.status != 200 {
                let status = format!("an answer of status {}", said.status);
                *errors.entry(status).or_default() += 1;
            } else if round.body.is_empty() {
                round.body.extend_from_slice(said.body);
                round.whole.extend_from_slice(said.whole);
            } else if round.body != said.body {
                round.different += 1;
            }
        });
        round.answered += answered;
        waiter.open = before.saturating_sub(answered);
        match result {
            Ok(()) => answered,
            Err(error) => {
                self.lost(index, &error);
                before
            }
        }
    }

    fn lost(&mut self, index: usize, error: &anyhow::Error) {
        *self.errors.entry(format!("{error:#}")).or_default() += 1;
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = None;
        }
    }

    fn wait(&mut self, events: &mut Events, timeout: Duration) -> Result<()> {
        match self.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl Waiter {
    /// Writes what is owed, and reads what has arrived.
    fn talk(&mut self, scratch: &mut [u8], sink: &mut dyn FnMut(Said<'_>)) -> Result<()> {
        if !self.is_there {
            if let Some(error) = self.socket.take_error()? {
                return Err(error.into());
            }
            if self.socket.peer_addr().is_err() {
                return Ok(());
            }
        }
        let mut out = Vec::new();
        if !self.is_there {
            // What a protocol begins with.
            self.protocol.input(&[], &mut out, sink)?;
        }
        loop {
            match self.socket.read(scratch) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(length) => {
                    let bytes = scratch.get(..length).unwrap_or_default();
                    self.protocol.input(bytes, &mut out, sink)?;
                    // What comes behind is told anew.
                    if length < scratch.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.is_there = self.protocol.is_ready();
        if out.is_empty() && self.unsent.is_empty() {
            return Ok(());
        }
        self.send(&out)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.unsent.extend_from_slice(bytes);
        match self.socket.write(&self.unsent) {
            Ok(taken) => drop(self.unsent.drain(..taken)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// Processor time of this thread so far.
fn own_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
