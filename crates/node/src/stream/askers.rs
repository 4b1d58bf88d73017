//! Those who ask over HLS for a stream of which it is not known yet whether it is there.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::over_hls::HlsReply;

/// Among fewer nobody looks who has gone.
const FEW: usize = 64;

/// All who wait, those who came first in front.
///
/// Many thousands come within a moment where a node takes over from another: nothing here looks at all of them for
/// each that comes.
pub(super) struct Askers {
    /// So many may wait at a time; 0 is any number.
    most: usize,
    line: VecDeque<Asker>,
    /// At so many one looks who has gone.
    look_at: usize,
    /// So many were looked at.
    #[cfg(test)]
    looked: usize,
}

struct Asker {
    reply: HlsReply,
    since: Instant,
}

impl Askers {
    /// For so many at a time; 0 is any number.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            line: VecDeque::new(),
            look_at: 0,
            #[cfg(test)]
            looked: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Lets another wait, who is given back if there is no room.
    pub(super) fn push(&mut self, reply: HlsReply) -> Result<(), HlsReply> {
        if self.line.len() >= self.look_at.max(FEW) {
            self.forget_who_left();
        }
        if self.most > 0 && self.line.len() >= self.most {
            return Err(reply);
        }
        let since = Instant::now();
        self.line.push_back(Asker { reply, since });
        Ok(())
    }

    /// Some have lost patience.
    pub(super) fn forget_who_left(&mut self) {
        #[cfg(test)]
        {
            self.looked += self.line.len();
        }
        self.line.retain(|asker| !asker.reply.is_closed());
        self.look_at = self.line.len() * 2;
    }

    /// Those who have waited for so long.
    pub(super) fn take_waited(&mut self, wait: Duration) -> Vec<HlsReply> {
        let waits = |asker: &Asker| asker.since.elapsed() < wait;
        let waited = self.line.iter().position(waits);
        let waited = self.line.drain(..waited.unwrap_or(self.line.len()));
        waited.map(|asker| asker.reply).collect()
    }

    /// When the next will have waited for so long.
    pub(super) fn next_after(&self, wait: Duration) -> Option<Duration> {
        let first = self.line.front()?;
        Some(wait.saturating_sub(first.since.elapsed()))
    }

    /// All of them.
    pub(super) fn take(&mut self) -> impl Iterator<Item = HlsReply> + use<> {
        std::mem::take(&mut self.line)
            .into_iter()
            .map(|asker| asker.reply)
    }
}

#[cfg(test)]
mod tests {
    use ractor::concurrency::oneshot;

    use super::*;

    const MOST: usize = 20_000;

    #[test]
    fn who_comes_costs_the_same_however_many_wait() {
        let (mut askers, mut wait) = (Askers::new(MOST), Vec::new());
        for _ in 0..MOST {
            let (reply, answer) = oneshot();
            wait.push(answer);
            assert!(askers.push(reply.into()).is_ok());
            assert!(askers.take_waited(Duration::from_secs(600)).is_empty());
        }
        for _ in 0..1000 {
            let (reply, _answer) = oneshot();
            assert!(askers.push(reply.into()).is_err(), "there is no room");
        }
        assert!(askers.looked < MOST * 3, "{}", askers.looked);
        // Those who have gone make room, as soon as somebody looks.
        drop(wait);
        askers.forget_who_left();
        assert!(askers.is_empty());
    }

    #[test]
    fn who_has_waited_long_enough_goes_first() {
        let mut askers = Askers::new(0);
        let (reply, first) = oneshot();
        assert!(askers.push(reply.into()).is_ok());
        std::thread::sleep(Duration::from_millis(20));
        let (reply, second) = oneshot();
        assert!(askers.push(reply.into()).is_ok());
        let next = askers.next_after(Duration::from_secs(10));
        assert!(next.is_some_and(|next| next < Duration::from_secs(10)));
        assert_eq!(askers.take_waited(Duration::from_millis(15)).len(), 1);
        assert_eq!(askers.take().count(), 1);
        assert!(askers.next_after(Duration::ZERO).is_none());
        drop((first, second));
    }
}
