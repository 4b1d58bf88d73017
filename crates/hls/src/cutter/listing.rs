//! How many segments are listed.

use std::collections::VecDeque;

use crate::config::Config;

use super::SECOND;

/// The segments that are listed, by their lengths.
#[derive(Debug)]
pub(super) struct Listing {
    lengths: VecDeque<i64>,
    total: i64,
    window: usize,
    /// So long the list is at least, if that takes no more than `most` segments.
    least: i64,
    most: usize,
}

impl Listing {
    /// A list that begins with so many segments of the publish before.
    pub(super) fn new(config: &Config, carried: u64) -> Self {
        let window = usize::try_from(config.window).unwrap_or(usize::MAX);
        let most = window.saturating_mul(4);
        let carried = usize::try_from(carried).unwrap_or(usize::MAX).min(most);
        let target = i64::try_from(config.longest_target().as_secs()).unwrap_or(i64::MAX);
        Self {
            // How long they are nobody tells: they stay until the list is long enough without.
            lengths: VecDeque::from(vec![0; carried]),
            total: 0,
            window,
            // RFC 8216bis 6.2.2: no segment leaves a live playlist that would then be shorter.
            least: target.saturating_mul(3 * SECOND),
            most,
        }
    }

    /// A segment is complete.
    pub(super) fn push(&mut self, length: i64) {
        self.lengths.push_back(length);
        self.total = self.total.saturating_add(length);
        self.shorten();
    }

    fn shorten(&mut self) {
        while self.lengths.len() > self.window
            && let Some(&first) = self.lengths.front()
        {
            let rest = self.total.saturating_sub(first);
            if rest < self.least && self.lengths.len() <= self.most {
                break;
            }
            self.lengths.pop_front();
            self.total = rest;
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.lengths.len() as u64
    }
}
