//! Players: thousands in one thread, most of which only drain.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::{Events, Interest, Poll, Token};

use crate::check::Findings;
use crate::client::{Client, Role, Target};
use crate::player::{Next, Player};
use crate::{net, parse, system};

/// Players that read at intervals are spread over so many turns.
const TURN: Duration = Duration::from_millis(5);
pub(crate) const SETUP_TIMEOUT: Duration = Duration::from_secs(15);
/// How often a player that drains without looking says that it is alive.
const SIGN_OF_LIFE: u64 = 15;

/// When a player takes what has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    AtOnce,
    Every(Duration),
}

impl FromStr for Reading {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.strip_prefix("every:") {
            Some(interval) => Ok(Self::Every(parse::duration(interval)?)),
            None if text == "at-once" => Ok(Self::AtOnce),
            None => bail!("`at-once` or `every:50ms`, not `{text}`"),
        }
    }
}

/// What a player does once it plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Throws everything away, uncopied.
    Drain,
    /// Reads every tag.
    Check,
    /// Waits for the first keyframe, then drains.
    Join,
    /// Leaves at the first tag, and another comes, so many times.
    Churn { cycles: usize },
}

/// Who plays what, and how.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) address: SocketAddr,
    /// No protocol, chunks of this size from the first byte: the bare loop.
    pub(crate) raw: Option<usize>,
    /// Where to ask for the stream by HTTP, if it is played as FLV.
    pub(crate) flv: Option<String>,
    pub(crate) players: usize,
    pub(crate) streams: usize,
    /// New players per second.
    pub(crate) ramp: f64,
    /// Players that may be connecting at once; those who join, until they have their keyframe.
    pub(crate) in_flight: usize,
    pub(crate) reading: Reading,
    pub(crate) task: Task,
}

/// Which part of a run this is.
pub(crate) mod window {
    pub(crate) const BEFORE: u8 = 0;
    pub(crate) const OPEN: u8 = 1;
    pub(crate) const CLOSED: u8 = 2;
}

/// Read, and steered, by others while the swarm runs.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) stop: AtomicBool,
    pub(crate) window: AtomicU8,
    pub(crate) playing: AtomicU64,
    /// How many ever had a keyframe, of those who join.
    pub(crate) joined: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) disconnects: AtomicU64,
    pub(crate) bytes: AtomicU64,
    /// Connections that played and left.
    pub(crate) left: AtomicU64,
}

struct Swarm<'a> {
    plan: &'a Plan,
    progress: &'a Progress,
    poll: Poll,
    players: Vec<Option<Player>>,
    free: Vec<usize>,
    started: usize,
    in_flight: usize,
    begin: Instant,
    copied: Vec<u8>,
    thrown: Vec<u8>,
    bytes: u64,
    findings: Findings,
}

/// Plays until told to stop, or until the task is done.
pub(crate) fn run(plan: &Plan, progress: &Progress) -> Result<Findings> {
    if plan.task != Task::Drain {
        system::go_first();
    }
    let mut swarm = Swarm {
        plan,
        progress,
        poll: Poll::new()?,
        players: Vec::new(),
        free: Vec::new(),
        started: 0,
        in_flight: 0,
        begin: Instant::now(),
        copied: vec![0; 64 << 10],
        thrown: vec![0; 1 << 20],
        bytes: 0,
        findings: Findings::default(),
    };
    swarm.run()?;
    Ok(swarm.findings)
}

impl Swarm<'_> {
    fn run(&mut self) -> Result<()> {
        let turns = match self.plan.reading {
            Reading::AtOnce => 1,
            Reading::Every(interval) => (interval.as_micros() / TURN.as_micros()).max(1) as usize,
        };
        let mut events = Events::with_capacity(1024);
        let (mut again, mut next_again) = (Vec::new(), Vec::new());
        let (mut turn, mut second, mut phase) = (0_usize, 0_u64, window::BEFORE);

        while !self.progress.stop.load(Relaxed) && !self.is_done() {
            self.start_players()?;
            let mut timeout = Duration::from_millis(if self.started < self.to_start() {
                2
            } else {
                50
            });
            if turns > 1 {
                let at = self.begin + TURN * (turn as u32 + 1);
                timeout = timeout.min(at.saturating_duration_since(Instant::now()));
            }
            if !again.is_empty() {
                timeout = Duration::ZERO;
            }
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            for event in &events {
                if self.read(event.token().0) {
                    next_again.push(event.token().0);
                }
            }
            for index in again.drain(..) {
                if self.read(index) {
                    next_again.push(index);
                }
            }
            std::mem::swap(&mut again, &mut next_again);

            let due = (self.begin.elapsed().as_micros() / TURN.as_micros()) as usize;
            if turns > 1 && due > turn {
                // After a stall one round serves everybody; nobody is read twice for it.
                for missed in turn.max(due.saturating_sub(turns))..due {
                    for index in (missed % turns..self.players.len()).step_by(turns) {
                        if self
                            .players
                            .get(index)
                            .is_some_and(|slot| slot.as_ref().is_some_and(Player::drains))
                        {
                            self.read(index);
                        }
                    }
                }
                turn = due;
            }
            let seconds = self.begin.elapsed().as_secs();
            if seconds > second {
                second = seconds;
                self.every_second(second);
            }
            self.progress
                .bytes
                .fetch_add(std::mem::take(&mut self.bytes), Relaxed);
            let wanted = self.progress.window.load(Relaxed);
            if wanted != phase {
                phase = wanted;
                self.window_edge(phase);
            }
        }
        if phase == window::OPEN {
            self.window_edge(window::CLOSED);
        }
        Ok(())
    }

    fn to_start(&self) -> usize {
        match self.plan.task {
            Task::Churn { cycles } => cycles,
            _ => self.plan.players,
        }
    }

    fn is_done(&self) -> bool {
        let failed = self.progress.failed.load(Relaxed) as usize;
        match self.plan.task {
            Task::Churn { cycles } => self.progress.left.load(Relaxed) as usize + failed >= cycles,
            _ => false,
        }
    }

    fn start_players(&mut self) -> Result<()> {
        let by_now = self.begin.elapsed().as_secs_f64() * self.plan.ramp + 1.0;
        let by_now = (by_now as usize).min(self.to_start());
        while self.started < by_now && self.in_flight < self.plan.in_flight {
            let index = match self.free.pop() {
                Some(index) => index,
                None if self.players.len() >= self.plan.players => break,
                None => {
                    self.players.push(None);
                    self.players.len() - 1
                }
            };
            let player = self.start(index).context("cannot open a connection")?;
            if let Some(slot) = self.players.get_mut(index) {
                *slot = Some(player);
            }
            self.started += 1;
            self.in_flight += 1;
        }
        Ok(())
    }

    fn start(&self, index: usize) -> Result<Player> {
        let Plan {
            players, streams, ..
        } = *self.plan;
        // Few players of many streams are spread over them.
        let stream = if players < streams {
            index * streams / players
        } else {
            index % streams
        };
        let started = Instant::now();
        let mut socket = net::connect(self.plan.address, index)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut socket, Token(index), interest)?;
        let target = &self.plan.target;
        let client = match (self.plan.raw, &self.plan.flv) {
            (Some(chunk_size), _) => Client::raw(chunk_size),
            (None, Some(authority)) => Client::flv(authority, target, stream, streams),
            (None, None) => Client::new(Role::Play, target, stream, streams),
        };
        let looks = self.plan.task != Task::Drain;
        Ok(Player::new(socket, client, looks, started))
    }

    /// Lets a player take what has arrived. `true`: there may be more.
    fn read(&mut self, index: usize) -> bool {
        let Some(slot) = self.players.get_mut(index) else {
            return false;
        };
        let Some(player) = slot else { return false };
        let task = self.plan.task;
        let (before, was_playing, was_there) =
            (player.bytes, player.playing, player.is_there(task));
        let open = self.progress.window.load(Relaxed) == window::OPEN;
        let result = if player.drains() {
            player.drain(&mut self.thrown)
        } else {
            player.look(task, open, &mut self.copied, &mut self.findings)
        };
        let now_ms = self.begin.elapsed().as_millis() as u32;
        if player.bytes > before {
            player.worst_gap_ms = player
                .worst_gap_ms
                .max(now_ms.saturating_sub(player.last_ms));
            player.last_ms = now_ms;
            self.bytes += player.bytes - before;
        }
        if player.playing && !was_playing {
            self.progress.playing.fetch_add(1, Relaxed);
        }
        if player.is_there(task) && !was_there {
            self.in_flight -= 1;
            if task == Task::Join {
                self.progress.joined.fetch_add(1, Relaxed);
            }
            if matches!(self.plan.reading, Reading::Every(_)) && player.drains() {
                // From here on the clock says when to read.
                let _ = self.poll.registry().deregister(&mut player.socket);
            }
        }
        match result {
            Ok(Next::Wait) => false,
            Ok(Next::Again) => true,
            Ok(Next::Leave) => {
                if index.is_multiple_of(2) {
                    // One half says goodbye, the other hangs up.
                    player.say_goodbye();
                }
                self.progress.left.fetch_add(1, Relaxed);
                self.remove(index);
                false
            }
            Err(error) => {
                self.lost(index, &error);
                false
            }
        }
    }

    fn lost(&mut self, index: usize, error: &anyhow::Error) {
        self.findings.error(format!("{error:#}"));
        let player = self.players.get(index).and_then(Option::as_ref);
        if !player.is_some_and(|player| player.is_there(self.plan.task)) {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
        if player.is_some_and(|player| player.playing) {
            self.progress.disconnects.fetch_add(1, Relaxed);
        } else {
            self.progress.failed.fetch_add(1, Relaxed);
        }
        self.remove(index);
    }

    fn remove(&mut self, index: usize) {
        if let Some(player) = self.players.get_mut(index).and_then(Option::take) {
            if player.playing {
                self.progress.playing.fetch_sub(1, Relaxed);
            }
            if matches!(self.plan.task, Task::Churn { .. }) {
                self.free.push(index);
            }
        }
    }

    fn every_second(&mut self, second: u64) {
        let mut stuck = Vec::new();
        for (index, player) in self.players.iter_mut().enumerate() {
            let Some(player) = player else { continue };
            if !player.is_there(self.plan.task) && player.started.elapsed() > SETUP_TIMEOUT {
                stuck.push(index);
            } else if player.drains()
                && self.plan.raw.is_none()
                && index as u64 % SIGN_OF_LIFE == second % SIGN_OF_LIFE
            {
                player.say_alive();
            }
        }
        for index in stuck {
            let what = match self.plan.task {
                Task::Join => "keyframe",
                _ => "play",
            };
            self.lost(
                index,
                &anyhow::anyhow!("no {what} within {SETUP_TIMEOUT:?}"),
            );
        }
    }

    fn window_edge(&mut self, phase: u8) {
        let now_ms = self.begin.elapsed().as_millis() as u32;
        for player in self
            .players
            .iter_mut()
            .flatten()
            .filter(|player| player.playing)
        {
            if phase == window::OPEN {
                player.bytes_before = player.bytes;
                player.last_ms = now_ms;
                player.worst_gap_ms = 0;
            } else {
                let gap = player
                    .worst_gap_ms
                    .max(now_ms.saturating_sub(player.last_ms));
                self.findings
                    .player(player.bytes - player.bytes_before, gap);
            }
        }
    }
}
