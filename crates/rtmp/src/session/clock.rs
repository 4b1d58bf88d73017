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

    /// How long ago the ping with this timestamp was sent.
    pub(super) fn round_trip(&self, now: Instant, timestamp: u32) -> Duration {
        let elapsed = self.millis(now).wrapping_sub(timestamp);
        Duration::from_millis(elapsed.into())
    }

    fn millis(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.started).as_millis() as u32
    }

    /// The next deadline that ends the connection.
    fn end(&self, stage: Stage, config: &Config) -> Option<(Instant, Timeout)> {
        let moved = self.last_input.max(self.last_sent);
        Some(match stage {
            Stage::Handshake => (self.started + config.handshake_timeout, Timeout::Handshake),
            Stage::Connect => (self.entered + config.connect_timeout, Timeout::Connect),
            Stage::Deciding | Stage::Closing => return None,
            Stage::Open { publishing } => {
                let idle = match publishing {
                    true => (self.last_media + config.idle_timeout, Timeout::Publisher),
                    false => (moved + config.idle_timeout, Timeout::Idle),
                };
                match self.unanswered.map(|ping| ping + config.ping_timeout) {
                    Some(dead) if dead < idle.0 => (dead, Timeout::Ping),
                    _ => idle,
                }
            }
        })
    }

    fn next_ping(&self, stage: Stage, config: &Config) -> Option<Instant> {
        matches!(stage, Stage::Open { .. }).then(|| self.last_ping + config.ping_interval)
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
        Some(Due::Ping {
            timestamp: self.millis(now),
        })
    }
}
