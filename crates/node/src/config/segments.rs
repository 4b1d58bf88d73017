//! How streams are cut for HLS.

use std::time::Duration;

use super::forms::{Choice, choice, count, duration, size};
use super::section::section;

section! {
    /// How streams are cut for HLS. In a cluster, what the origin of a stream is set to counts.
    HlsConfig: "hls" {
        /// What is made of streams: `ll` low latency, segments of fragmented MP4 in parts; `fmp4`
        /// whole segments of it; `ts` segments of MPEG-TS; `off` nothing. The origin's counts.
        mode: Option<hls::Mode> = Some(hls::Config::default().mode), "choice";
        /// How long segments should be, 500ms to 1m. They begin with keyframes, so they come as near
        /// to it as these allow: twice as long at most. How long the first one of a publish gets decides
        /// the target duration of its playlists.
        segment: Duration = hls::Config::default().segment, "duration";
        /// How long parts should be: 50ms to half a segment.
        part: Duration = hls::Config::default().part, "duration";
        /// How many segments are listed, 3 to 1000.
        window: usize = hls::Config::default().window as usize, "count";
        /// Bytes that the segments of one stream may take while somebody asks for them. Beyond, the
        /// oldest go. They are the bytes of the stream itself, shared with what `ring.*` keeps.
        max_bytes: usize = hls::Bounds::default().all, "size";
        /// Bytes that one segment may take. A larger one is left out.
        max_segment_bytes: usize = hls::Bounds::default().segment, "size";
        /// Requests for one stream that wait until it is known here, at a time; further ones are refused. They are
        /// among those that `http.waiting` counts. 0 is no limit.
        asking: usize = 20_000, "count";
    }
}

impl Choice for Option<hls::Mode> {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("ll", Some(hls::Mode::LowLatency)),
        ("fmp4", Some(hls::Mode::Fmp4)),
        ("ts", Some(hls::Mode::Ts)),
        ("off", None),
    ];
}

impl HlsConfig {
    /// How streams are cut; `None` if they are not.
    #[must_use]
    pub fn cutting(&self) -> Option<hls::Config> {
        Some(hls::Config {
            mode: self.mode?,
            segment: self.segment,
            part: self.part,
            window: u32::try_from(self.window).unwrap_or(u32::MAX),
        })
    }

    /// The key that makes no sense, and why.
    pub(super) fn problem(&self) -> Option<(&'static str, String)> {
        let error = self.cutting()?.validate().err()?;
        let key = match error {
            hls::ConfigError::Segment => "hls.segment",
            hls::ConfigError::Part => "hls.part",
            hls::ConfigError::Window => "hls.window",
            _ => "hls.mode",
        };
        Some((key, error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_cutter() {
        assert_eq!(HlsConfig::default().cutting(), Some(hls::Config::default()));
    }

    #[test]
    fn off_cuts_nothing_and_has_no_problem() {
        let off = HlsConfig {
            mode: None,
            window: 0,
            ..HlsConfig::default()
        };
        assert_eq!((off.cutting(), off.problem()), (None, None));
    }
}
