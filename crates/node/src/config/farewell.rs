//! How the time is spent in which a node leaves.

use std::time::Duration;

use super::NodeConfig;

/// What is left of the time at the end, for the last goodbyes.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// When a node that leaves does what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Farewell {
    /// First it goes on for so long, so that balancers look away. A node alone skips that.
    pub delay: Duration,
    /// From then on it asks its peers to go, players one after the other within this.
    pub window: Duration,
    /// And so long after the delay it closes who is still there.
    pub until: Duration,
}

impl NodeConfig {
    /// When it does what once it is to leave.
    #[must_use]
    pub fn farewell(&self) -> Farewell {
        let delay = self.drain_delay.min(self.drain_timeout / 2);
        let left = self.drain_timeout.saturating_sub(delay);
        let until = left.saturating_sub(LAST_WORDS).max(left / 2);
        Farewell {
            delay,
            window: until / 2,
            until,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_set_it_is_over_in_time() {
        let seconds = Duration::from_secs;
        for (timeout, delay) in [(30, 5), (30, 60), (1, 5), (0, 5), (3600, 0)] {
            let config = NodeConfig {
                drain_timeout: seconds(timeout),
                drain_delay: seconds(delay),
                ..NodeConfig::default()
            };
            let farewell = config.farewell();
            assert!(farewell.delay + farewell.until <= config.drain_timeout);
            assert!(farewell.window <= farewell.until, "{farewell:?}");
        }
        let farewell = NodeConfig::default().farewell();
        let moments = [farewell.delay, farewell.until, farewell.window];
        assert_eq!(moments, [seconds(5), seconds(23), seconds(23) / 2]);
    }
}
