//! How good the cables are.

use std::collections::HashMap;
use std::time::Duration;

/// One direction of a cable.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Link {
    /// Nothing comes through.
    pub is_cut: bool,
    /// How much later than sent a packet arrives.
    pub delay: Duration,
    /// The share of packets that never arrive, 0 to 1.
    pub loss: f64,
}

impl Link {
    /// A cable that is cut.
    pub const CUT: Self = Self {
        is_cut: true,
        delay: Duration::ZERO,
        loss: 0.0,
    };

    /// A cable of this delay each way, so that a round trip takes twice as long, which loses this
    /// share of the packets.
    pub fn slow(delay: Duration, loss: f64) -> Self {
        Self {
            is_cut: false,
            delay,
            loss,
        }
    }
}

/// What went through one direction of a cable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Packets that were let through.
    pub packets: u64,
    /// Their bytes, headers of IP and TCP included.
    pub bytes: u64,
    /// Packets that were lost.
    pub lost: u64,
}

/// What happens to a packet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Verdict {
    Now,
    After(Duration),
    Lost,
}

/// All cables. Those that nobody has touched are perfect.
#[derive(Debug)]
pub(super) struct Links {
    links: HashMap<(u8, u8), Link>,
    traffic: HashMap<(u8, u8), Traffic>,
    /// State of the dice.
    dice: u64,
}

impl Links {
    pub(super) fn new() -> Self {
        Self {
            links: HashMap::new(),
            traffic: HashMap::new(),
            // The same in every run: which packets are lost is chance enough.
            dice: 0x9E37_79B9_7F4A_7C15,
        }
    }

    pub(super) fn set(&mut self, from: u8, to: u8, link: Link) {
        self.links.insert((from, to), link);
    }

    pub(super) fn link(&self, from: u8, to: u8) -> Link {
        self.links.get(&(from, to)).copied().unwrap_or_default()
    }

    pub(super) fn reset(&mut self) {
        self.links.clear();
    }

    pub(super) fn traffic(&self, from: u8, to: u8) -> Traffic {
        self.traffic.get(&(from, to)).copied().unwrap_or_default()
    }

    /// Decides about a packet, and counts it.
    pub(super) fn judge(&mut self, from: u8, to: u8, length: usize) -> Verdict {
        let link = self.link(from, to);
        let is_lost = link.is_cut || (link.loss > 0.0 && self.roll() < link.loss);
        let traffic = self.traffic.entry((from, to)).or_default();
        if is_lost {
            traffic.lost += 1;
            return Verdict::Lost;
        }
        traffic.packets += 1;
        traffic.bytes += length as u64;
        if link.delay.is_zero() {
            Verdict::Now
        } else {
            Verdict::After(link.delay)
        }
    }

    /// A number from 0 to 1, by xorshift.
    fn roll(&mut self) -> f64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cable_loses_the_share_it_shall_lose_and_no_other_does() {
        let mut links = Links::new();
        links.set(2, 3, Link::slow(Duration::from_millis(50), 0.02));
        for _ in 0..100_000 {
            links.judge(2, 3, 100);
            assert_eq!(links.judge(3, 2, 100), Verdict::Now);
        }
        let traffic = links.traffic(2, 3);
        assert!((1_800..2_200).contains(&traffic.lost), "{traffic:?}");
        assert_eq!(traffic.packets + traffic.lost, 100_000);
        assert_eq!(traffic.bytes, traffic.packets * 100);
        links.set(2, 3, Link::CUT);
        assert_eq!(links.judge(2, 3, 100), Verdict::Lost);
        links.reset();
        assert_eq!(links.judge(2, 3, 100), Verdict::Now);
    }
}
