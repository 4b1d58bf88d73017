//! One player: it looks at what it receives, or throws it away.

use std::io::{ErrorKind, Read, Write};
use std::time::Instant;

use anyhow::{Result, bail};
use mio::net::TcpStream;

use crate::check::{Checks, Findings};
use crate::client::{self, Client};
use crate::swarm::Task;
use crate::{net, system};

/// Small, for there are thousands: what is needed only to look is boxed, and goes when it drains.
pub(crate) struct Player {
    pub(crate) socket: TcpStream,
    client: Option<Box<Client>>,
    checks: Option<Box<Checks>>,
    pub(crate) started: Instant,
    pub(crate) playing: bool,
    connected: bool,
    pub(crate) has_keyframe: bool,
    is_rtmp: bool,
    window_size: u32,
    stream: u32,
    pub(crate) bytes: u64,
    acknowledged: u64,
    /// Bytes it had when the window opened.
    pub(crate) bytes_before: u64,
    /// When it last received something, and how long it ever waited for it in the window.
    pub(crate) last_ms: u32,
    pub(crate) worst_gap_ms: u32,
}

/// What became of a read.
pub(crate) enum Next {
    /// Nothing more has arrived.
    Wait,
    /// There may be more.
    Again,
    /// It has seen what it came for.
    Leave,
}

impl Player {
    pub(crate) fn new(socket: TcpStream, client: Client, looks: bool, started: Instant) -> Self {
        Self {
            socket,
            is_rtmp: client.is_rtmp(),
            client: Some(Box::new(client)),
            checks: looks.then(Box::default),
            started,
            playing: false,
            connected: false,
            has_keyframe: false,
            window_size: 0,
            stream: 0,
            bytes: 0,
            acknowledged: 0,
            bytes_before: 0,
            last_ms: 0,
            worst_gap_ms: 0,
        }
    }

    /// Whether nobody looks at what it receives.
    pub(crate) fn drains(&self) -> bool {
        self.playing && self.client.is_none()
    }

    /// Whether it has got as far as others may have to wait for.
    pub(crate) fn is_there(&self, task: Task) -> bool {
        self.playing && (task != Task::Join || self.has_keyframe)
    }

    pub(crate) fn drain(&mut self, scratch: &mut [u8]) -> Result<Next> {
        match net::drain(&self.socket, scratch) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(length) => {
                self.bytes += length as u64;
                self.acknowledge();
                Ok(if length < scratch.len() {
                    Next::Wait
                } else {
                    Next::Again
                })
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Next::Wait),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn look(
        &mut self,
        task: Task,
        open: bool,
        buffer: &mut [u8],
        findings: &mut Findings,
    ) -> Result<Next> {
        let Some(client) = self.client.as_mut() else {
            return Ok(Next::Wait);
        };
        let next = match self.socket.read(buffer) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(length) => {
                self.bytes += length as u64;
                self.connected = true;
                let (now, checks, started) = (system::wall_ns(), &mut self.checks, self.started);
                client.input(
                    buffer.get(..length).unwrap_or_default(),
                    &mut |header, payload| {
                        if let Some(checks) = checks {
                            checks.tag(header, payload, now, started, open, findings);
                        }
                        Ok(())
                    },
                )?;
                if length < buffer.len() {
                    Next::Wait
                } else {
                    Next::Again
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.connected = true;
                Next::Wait
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(Next::Wait),
            Err(error) => return Err(error.into()),
        };
        if client.has_asked()
            && let Some(checks) = &mut self.checks
        {
            checks.asked.get_or_insert_with(Instant::now);
        }
        let out = client.output();
        if !out.is_empty() && self.socket.write(&out)? < out.len() {
            bail!("the server reads no commands");
        }
        if client.is_ready() && self.connected && !self.playing {
            self.playing = true;
            self.window_size = client.window;
            self.stream = client.stream();
            findings
                .connect
                .record(self.started.elapsed().as_micros() as u64);
            if let Some(asked) = self.checks.as_ref().and_then(|checks| checks.asked) {
                findings.answer.record(asked.elapsed().as_micros() as u64);
            }
        }
        self.has_keyframe = self
            .checks
            .as_ref()
            .is_some_and(|checks| checks.has_keyframe);
        let has_media = self.checks.as_ref().is_some_and(|checks| checks.has_media);
        let blind = match task {
            Task::Drain => self.playing,
            Task::Join => self.playing && self.has_keyframe,
            Task::Check => false,
            Task::Churn { .. } if self.playing && has_media => return Ok(Next::Leave),
            Task::Churn { .. } => false,
        };
        if blind {
            self.client = None;
            self.checks = None;
        }
        self.acknowledge();
        Ok(next)
    }

    /// Says goodbye the polite way; hanging up is left to whoever drops the player.
    pub(crate) fn say_goodbye(&mut self) {
        if self.is_rtmp {
            let _ = self.socket.write(&Client::leave(self.stream));
        }
    }

    /// Answers the ping it may have thrown away: a server may let go of those who do not.
    pub(crate) fn say_alive(&mut self) {
        if self.is_rtmp {
            let _ = self.socket.write(&client::BLIND_PONG);
        }
    }

    /// RTMP 5.4.3: the receiver speaks up after every window it received.
    fn acknowledge(&mut self) {
        if self.window_size > 0 && self.bytes - self.acknowledged >= u64::from(self.window_size) {
            self.acknowledged = self.bytes;
            let _ = self.socket.write(&client::acknowledgement(self.bytes));
        }
    }
}
