//! The deadlines of a connection.

use std::time::{Duration, Instant};

use super::event::Timeout;
use crate::config::Config;

/// When things last happened.
#[derive(Debug)]
pub(super) struct Clock {
    started: Instant,
    /// The handshake ended, or `connect` was accepted.
    entered: Instant,
    last_input: Instant,
    /// A publisher's media.
    last_media: Instant,
    /// Media accepted by the socket.
    last_sent: Instant,
    last_ping: Instant,
    /// The oldest ping since which nothing moved.
    unanswered: Option<Instant>,
    /// The timestamp of the newest ping, until it comes back.
    pinged: Option<u32>,
}

/// Which deadlines apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Handshake,
    Connect,
    /// Somebody else decides; nothing to wait for here.
    Deciding,
    Open {
        publishing: bool,
    },
    Closing,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Ping { timestamp: u32 },
    Timeout(Timeout),
}

impl Clock {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            started: now,
            entered: now,
            last_input: now,
            last_media: now,
            last_sent: now,
            last_ping: now,
            unanswered: None,
            pinged: None,
        }
    }

    pub(super) fn input(&mut self, now: Instant) {
        self.last_input = now;
        self.unanswered = None;
    }

    pub(super) fn last_input(&self) -> Instant {
        self.last_input
    }

    pub(super) fn media(&mut self, now: Instant) {
        self.last_media = self.last_media.max(now);
    }

    pub(super) fn sent(&mut self, now: Instant) {
        self.last_sent = now;
        self.unanswered = None;
    }

    /// A new stage begins.
    pub(super) fn enter(&mut self, now: Instant) {
        self.entered = now;
        self.last_ping = now;
    }

    /// A ping comes back: how long ago it was sent, if it is the newest of ours.
    pub(super) fn pong(&mut self, now: Instant, timestamp: u32) -> Option<Duration> {
        let sent = self.pinged.take_if(|sent| *sent == timestamp)?;
        let elapsed = self.millis(now).wrapping_sub(sent);
        Some(Duration::from_millis(elapsed.into()))
    }

    fn millis(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.started).as_millis() as u32
    }

    /// The next deadline that ends the connection; none where a time is as good as for ever.
    fn end(&self, stage: Stage, config: &Config) -> Option<(Instant, Timeout)> {
        let (since, allowed, timeout) = match stage {
            Stage::Handshake => (self.started, config.handshake_timeout, Timeout::Handshake),
            Stage::Connect => (self.entered, config.connect_timeout, Timeout::Connect),
            Stage::Deciding | Stage::Closing => return None,
            Stage::Open { publishing: true } => {
                (self.last_media, config.idle_timeout, Timeout::Publisher)
            }
            Stage::Open { publishing: false } => {
                let moved = self.last_input.max(self.last_sent);
                (moved, config.idle_timeout, Timeout::Idle)
            }
        };
        let end = since.checked_add(allowed).map(|at| (at, timeout));
        if !matches!(stage, Stage::Open { .. }) {
            return end;
        }
        let dead = self.unanswered.and_then(|ping| {
            let at = ping.checked_add(config.ping_timeout)?;
            Some((at, Timeout::Ping))
        });
        [end, dead].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn next_ping(&self, stage: Stage, config: &Config) -> Option<Instant> {
        match stage {
            Stage::Open { .. } => self.last_ping.checked_add(config.ping_interval),
            _ => None,
        }
    }

    pub(super) fn next(&self, stage: Stage, config: &Config) -> Option<Instant> {
        let end = self.end(stage, config).map(|(at, _)| at);
        let ping = self.next_ping(stage, config);
        [end, ping].into_iter().flatten().min()
    }

    pub(super) fn due(&mut self, now: Instant, stage: Stage, config: &Config) -> Option<Due> {
        if let Some((at, timeout)) = self.end(stage, config)
            && now >= at
        {
            return Some(Due::Timeout(timeout));
        }
        let ping = self.next_ping(stage, config)?;
        if now < ping {
            return None;
        }
        self.last_ping = now;
        self.unanswered.get_or_insert(now);
        let timestamp = self.millis(now);
        self.pinged = Some(timestamp);
        Some(Due::Ping { timestamp })
    }
}
