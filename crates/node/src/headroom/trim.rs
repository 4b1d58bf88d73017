//! Memory that was freed, given back to the system.
//!
//! An allocator keeps it for later: nearly all that a node's rings once took, so that a node that was full
//! once would be full for good. To give it back holds up whoever allocates: 60 ms where a gigabyte is in
//! pieces of 20 kB, 200 ms if half of them are given back. So it is done only when memory is short, and
//! less and less often where it is in vain.

use std::time::{Duration, Instant};

use super::memory::Memory;

const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(160);
/// Less than this share of the memory is not worth it.
const WORTH: f64 = 0.03;

/// Knows when to try again.
#[derive(Debug, Default)]
pub(super) struct Trimmer {
    next: Option<Instant>,
    pause: Duration,
}

impl Trimmer {
    /// Gives back what is not used of `memory`, unless that was done just now. `measure` looks again.
    pub(super) fn trim(
        &mut self,
        at: Instant,
        memory: Memory,
        measure: impl FnOnce() -> Memory,
    ) -> Memory {
        if self.next.is_some_and(|next| at < next) {
            return memory;
        }
        give_back();
        let left = measure();
        self.note(at, memory.share() - left.share());
        left
    }

    fn note(&mut self, at: Instant, gained: f64) {
        self.pause = if gained < WORTH {
            (self.pause * 2).clamp(SHORTEST, LONGEST)
        } else {
            SHORTEST
        };
        self.next = Some(at + self.pause);
    }
}

#[cfg(target_env = "gnu")]
#[expect(
    unsafe_code,
    reason = "no crate offers this call safely, and a node full of memory that nobody uses refuses everybody"
)]
fn give_back() {
    // SAFETY: it takes the allocator's own locks, and leaves everything that is allocated where it is.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators do it by themselves.
#[cfg(not(target_env = "gnu"))]
fn give_back() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_vain_is_done_less_often() {
        let (mut trimmer, at) = (Trimmer::default(), Instant::now());
        let mut pause = |gained| {
            trimmer.note(at, gained);
            trimmer.next.expect("a time").duration_since(at).as_secs()
        };
        let pauses: Vec<_> = (0..7).map(|_| pause(0.0)).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 160]);
        assert_eq!(pause(0.5), 5);
        assert_eq!(pause(0.0), 10);
    }

    #[test]
    fn is_not_done_again_before_its_time() {
        let (mut trimmer, at) = (Trimmer::default(), Instant::now());
        let measured = Memory {
            used: 1,
            ..Memory::default()
        };
        let mut trim = |at| trimmer.trim(at, Memory::default(), || measured);
        assert_eq!(trim(at), measured);
        assert_eq!(trim(at + SHORTEST / 2), Memory::default());
        assert_eq!(trim(at + SHORTEST), measured);
    }
}
