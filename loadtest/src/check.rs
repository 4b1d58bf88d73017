//! What a player that looks sees, and what a swarm found in sum.

use std::time::{Duration, Instant};

use crate::chunk::{Header, kind};
use crate::stamp;
use crate::stats::Histogram;

/// A tag this much older than its stamp came late for any viewer.
pub(crate) const LATE: Duration = Duration::from_millis(500);
const MAX_ERRORS: usize = 5;

/// One player's memory of what it saw.
#[derive(Default)]
pub(crate) struct Checks {
    /// The numbers that come next, of audio and of video.
    next: [Option<u32>; 2],
    /// When it said `play`.
    pub(crate) asked: Option<Instant>,
    pub(crate) has_media: bool,
    pub(crate) has_keyframe: bool,
}

/// Everything a swarm found.
#[derive(Default)]
pub(crate) struct Findings {
    /// Microseconds from a tag's stamp to its last byte, inside the window.
    pub(crate) latency: Histogram,
    /// Microseconds from connecting until the server said that it plays.
    pub(crate) connect: Histogram,
    /// Microseconds from connecting until the first keyframe was whole.
    pub(crate) keyframe: Histogram,
    /// Microseconds from `play` until the server said that it plays.
    pub(crate) answer: Histogram,
    /// Microseconds from `play` until the first keyframe was whole.
    pub(crate) picture: Histogram,
    pub(crate) tags: u64,
    pub(crate) late: u64,
    pub(crate) missing: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupt: u64,
    pub(crate) least_bytes: Option<u64>,
    pub(crate) most_bytes: u64,
    pub(crate) worst_gap_ms: u32,
    pub(crate) errors: Vec<String>,
}

impl Checks {
    /// Looks at one audio or video message.
    pub(crate) fn tag(
        &mut self,
        header: Header,
        payload: &[u8],
        now_ns: u64,
        started: Instant,
        open: bool,
        findings: &mut Findings,
    ) {
        let video = header.kind == kind::VIDEO;
        findings.tags += 1;
        self.has_media = true;
        if video && !self.has_keyframe && is_keyframe(payload) {
            self.has_keyframe = true;
            findings
                .keyframe
                .record(started.elapsed().as_micros() as u64);
            if let Some(asked) = self.asked {
                findings.picture.record(asked.elapsed().as_micros() as u64);
            }
        }
        let Some(stamp) = stamp::read(video, payload) else {
            return;
        };
        if !stamp.intact {
            findings.corrupt += 1;
        }
        if open {
            let latency = now_ns.saturating_sub(stamp.sent_ns) / 1000;
            findings.latency.record(latency);
            findings.late += u64::from(u128::from(latency) > LATE.as_micros());
        }
        let Some(next) = self.next.get_mut(usize::from(video)) else {
            return;
        };
        match *next {
            // A publisher that came back counts anew.
            Some(expected) if stamp.number < expected && stamp.number > 0 => {
                findings.reordered += 1
            }
            Some(expected) => findings.missing += u64::from(stamp.number.saturating_sub(expected)),
            None => {}
        }
        *next = Some(stamp.number.wrapping_add(1));
    }
}

impl Findings {
    /// Keeps the first few different errors.
    pub(crate) fn error(&mut self, error: String) {
        if self.errors.len() < MAX_ERRORS && !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    /// Adds what one player got in the window.
    pub(crate) fn player(&mut self, bytes: u64, gap_ms: u32) {
        self.least_bytes = Some(self.least_bytes.map_or(bytes, |least| least.min(bytes)));
        self.most_bytes = self.most_bytes.max(bytes);
        self.worst_gap_ms = self.worst_gap_ms.max(gap_ms);
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.latency.merge(&other.latency);
        self.connect.merge(&other.connect);
        self.keyframe.merge(&other.keyframe);
        self.answer.merge(&other.answer);
        self.picture.merge(&other.picture);
        self.tags += other.tags;
        self.late += other.late;
        self.missing += other.missing;
        self.reordered += other.reordered;
        self.corrupt += other.corrupt;
        self.least_bytes = match (self.least_bytes, other.least_bytes) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        self.most_bytes = self.most_bytes.max(other.most_bytes);
        self.worst_gap_ms = self.worst_gap_ms.max(other.worst_gap_ms);
        for error in other.errors {
            self.error(error);
        }
    }
}

/// A keyframe of H.264 as in FLV, or of any codec as in Enhanced RTMP; not a configuration.
fn is_keyframe(payload: &[u8]) -> bool {
    match payload {
        [first, ..] if first & 0x80 != 0 => first & 0x70 == 0x10 && matches!(first & 0x0f, 1 | 3),
        [0x17, packet, ..] => *packet == 1,
        [first, ..] => first >> 4 == 1,
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::Parser;
    use crate::clip::Clip;
    use crate::wire::Wire;

    /// Sends the first tags of the clip through `fault`, and checks what comes out.
    fn check(fault: impl Fn(usize, &mut Vec<Vec<u8>>)) -> Findings {
        let clip = Clip::synthesise(2_155_000).unwrap();
        let mut wire = Wire::new(&clip, 4096);
        let (mut numbers, mut sent) = ([0_u32; 2], Vec::new());
        for index in 0..100 {
            let number = &mut numbers[usize::from(wire.tags[index].kind == kind::VIDEO)];
            sent.push(
                wire.ready(index, index as u32, 1, 1_000_000_000, *number)
                    .to_vec(),
            );
            *number += 1;
            fault(index, &mut sent);
        }
        let (mut parser, mut checks) = (Parser::new(4096), Checks::default());
        checks.asked = Some(Instant::now());
        let mut findings = Findings::default();
        parser
            .push(&sent.concat(), &mut |header, payload| {
                checks.tag(
                    header,
                    payload,
                    1_003_000_000,
                    Instant::now(),
                    true,
                    &mut findings,
                );
                Ok(())
            })
            .unwrap();
        findings
    }

    #[test]
    fn a_faultless_server_is_found_faultless_and_its_delay_is_measured() {
        let findings = check(|_, _| {});
        assert_eq!(
            (
                findings.tags,
                findings.missing,
                findings.corrupt,
                findings.reordered
            ),
            (100, 0, 0, 0)
        );
        assert!((2990..3060).contains(&findings.latency.quantile(0.5).unwrap()));
        assert_eq!(
            (findings.keyframe.total(), findings.picture.total()),
            (1, 1)
        );
    }

    #[test]
    fn a_server_that_drops_is_noticed() {
        let findings = check(|index, sent| {
            if index % 10 == 5 {
                sent.pop();
            }
        });
        assert_eq!(findings.missing, 10);
    }

    #[test]
    fn a_server_that_damages_is_noticed() {
        let findings = check(|index, sent| {
            if index == 50 {
                *sent.last_mut().unwrap().last_mut().unwrap() ^= 0x10;
            }
        });
        assert_eq!(findings.corrupt, 1);
    }

    #[test]
    fn a_server_that_reorders_is_noticed() {
        let findings = check(|index, sent| {
            if index == 50 {
                let at = sent.len() - 4;
                let moved = sent.remove(at);
                sent.push(moved);
            }
        });
        assert!(findings.reordered >= 1);
    }
}
