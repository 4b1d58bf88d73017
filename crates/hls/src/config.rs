//! How a stream is cut.

use std::time::Duration;

use crate::names::Container;

/// How a stream is cut, the same for all of a publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What is made of the stream.
    pub mode: Mode,
    /// How long segments should be. They begin with keyframes, so they come as near to it as
    /// these allow; one that gets twice as long is cut without.
    pub segment: Duration,
    /// How long parts should be. They hold whole frames, so they come as near to it as these
    /// allow.
    pub part: Duration,
    /// How many segments are listed, beside the newest, which is still being made.
    pub window: u32,
}

/// What is made of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Low latency: segments of fragmented MP4, cut into parts.
    LowLatency,
    /// Whole segments of fragmented MP4.
    Fmp4,
    /// Whole segments of transport stream.
    Ts,
}

impl Mode {
    /// What its segments are made of.
    pub fn container(self) -> Container {
        match self {
            Self::LowLatency | Self::Fmp4 => Container::Fmp4,
            Self::Ts => Container::Ts,
        }
    }
}

/// What makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Segments are too short or too long.
    #[error("segments last from 0.5 to 60 seconds")]
    Segment,
    /// Parts are too short, or too long for their segments.
    #[error("parts last from 50 ms to half a segment")]
    Part,
    /// Too few segments are listed for players to begin, or too many.
    #[error("from 3 to 1000 segments are listed")]
    Window,
}

/// More than two segments a second would overtake the numbers of a later publish: see
/// [`Numbering::after_crash`](crate::Numbering::after_crash).
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);
const SHORTEST_PART: Duration = Duration::from_millis(50);
const FEWEST: u32 = 3;
const MOST: u32 = 1000;

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::LowLatency,
            segment: Duration::from_secs(2),
            part: Duration::from_millis(200),
            window: 10,
        }
    }
}

impl Config {
    /// Whether it makes sense. One that does not is brought within its bounds where it is used.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let bounded = self.bounded();
        if self.segment != bounded.segment {
            Err(ConfigError::Segment)
        } else if self.part != bounded.part {
            Err(ConfigError::Part)
        } else if self.window != bounded.window {
            Err(ConfigError::Window)
        } else {
            Ok(())
        }
    }

    pub(crate) fn bounded(&self) -> Self {
        let segment = self.segment.clamp(SHORTEST, LONGEST);
        Self {
            mode: self.mode,
            segment,
            part: self.part.clamp(SHORTEST_PART, segment / 2),
            window: self.window.clamp(FEWEST, MOST),
        }
    }

    /// Segments that are as long as they should be are no longer, once rounded to whole seconds.
    pub fn least_target(&self) -> Duration {
        let segment = self.bounded().segment;
        Duration::from_secs((segment + Duration::from_millis(500)).as_secs().max(1))
    }

    /// No segment is longer, once rounded to whole seconds: twice [`segment`](Self::segment), as
    /// GOPs may be that long. Once the first segment of a publish tells how long they are, the
    /// target duration of its playlists is no longer than that takes.
    pub fn longest_target(&self) -> Duration {
        let longest = self.bounded().segment * 2;
        Duration::from_secs(longest.as_secs() + u64::from(longest.subsec_nanos() > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_whole_seconds_that_hold_a_segment_of_twice_the_length() {
        let target = |millis| {
            let segment = Duration::from_millis(millis);
            let config = Config {
                segment,
                ..Config::default()
            };
            config.longest_target().as_secs()
        };
        assert_eq!([500, 600, 1000, 2000, 2100].map(target), [1, 2, 2, 4, 5]);
    }

    #[test]
    fn what_makes_no_sense_is_told_and_bounded() {
        let good = Config::default();
        assert_eq!(good.validate(), Ok(()));
        let short = Config {
            segment: Duration::from_millis(100),
            ..good.clone()
        };
        assert_eq!(short.validate(), Err(ConfigError::Segment));
        assert_eq!(short.bounded().validate(), Ok(()));
        let long = Config {
            part: Duration::from_secs(2),
            ..good.clone()
        };
        assert_eq!(long.validate(), Err(ConfigError::Part));
        let few = Config { window: 0, ..good };
        assert_eq!(few.validate(), Err(ConfigError::Window));
    }
}
