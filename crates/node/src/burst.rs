//! Tags in wire form, gathered for one write.

use std::io::IoSlice;

use bytes::Bytes;

/// At most this many slices go into one vectored write (the system takes 1024).
const MAX_SLICES: usize = 512;

/// The wire forms of neighbouring tags, and where each ends.
///
/// Made once and written to any number of players, so the slices are joined when there are several
/// players: the kernel charges for every slice of every write, and a copy is paid once.
#[derive(Default)]
pub(crate) struct Burst {
    first: u64,
    slices: Vec<Bytes>,
    ends: Vec<End>,
    flat: Vec<u8>,
    len: usize,
}

/// Where one tag ends in its burst.
#[derive(Clone, Copy)]
struct End {
    bytes: usize,
    slices: usize,
}

impl Burst {
    /// Empties it for tags from `first` on; keeps its memory.
    pub(crate) fn restart(&mut self, first: u64) {
        self.first = first;
        self.slices.clear();
        self.ends.clear();
        self.flat.clear();
        self.len = 0;
    }

    /// Adds the next tag; no slices for one that is left out.
    pub(crate) fn push<'a>(&mut self, slices: impl IntoIterator<Item = &'a Bytes>) {
        for slice in slices {
            self.len += slice.len();
            self.slices.push(slice.clone());
        }
        self.ends.push(End {
            bytes: self.len,
            slices: self.slices.len(),
        });
    }

    /// The sequence number after its last tag.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.ends.len() as u64
    }

    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Whether it holds no tag at all, not even one that was left out.
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_full(&self) -> bool {
        self.slices.len() >= MAX_SLICES
    }

    /// Joins the slices, which pays from a few players on.
    pub(crate) fn flatten(&mut self) {
        self.flat.clear();
        self.flat.reserve(self.len);
        for slice in &self.slices {
            self.flat.extend_from_slice(slice);
        }
    }

    /// Gives back a buffer that a rare large burst has grown.
    pub(crate) fn shrink(&mut self, keep: usize) {
        if self.flat.capacity() > keep {
            self.flat = Vec::new();
        }
    }

    /// Where the tag `next` begins; `None` when it is not in this burst.
    pub(crate) fn start_of(&self, next: u64) -> Option<usize> {
        match next.checked_sub(self.first)? {
            0 => Some(0),
            index => self
                .ends
                .get(usize::try_from(index).ok()? - 1)
                .map(|end| end.bytes),
        }
    }

    /// The bytes from `start` on in one piece, when they have been joined.
    pub(crate) fn flat(&self, start: usize) -> Option<&[u8]> {
        if self.flat.len() == self.len {
            self.flat.get(start..)
        } else {
            None
        }
    }

    /// The bytes from `start` (a tag's begin) on, for a vectored write.
    pub(crate) fn slices(&self, start: usize) -> Vec<IoSlice<'_>> {
        let skip = if start == 0 {
            0
        } else {
            self.ends
                .iter()
                .find(|end| end.bytes == start)
                .map_or(0, |end| end.slices)
        };
        self.slices
            .iter()
            .skip(skip)
            .map(|slice| IoSlice::new(slice))
            .collect()
    }

    /// After a write that stopped at `stop`: the next tag to begin, and what is left of the one that was cut.
    pub(crate) fn cut(&self, stop: usize) -> (u64, Vec<Bytes>) {
        let whole = self.ends.partition_point(|end| end.bytes <= stop);
        let start = whole.checked_sub(1).and_then(|last| self.ends.get(last));
        let start = start.copied().unwrap_or(End {
            bytes: 0,
            slices: 0,
        });
        let next = self.first + whole as u64;
        let Some(end) = self.ends.get(whole).filter(|_| start.bytes < stop) else {
            return (next, Vec::new());
        };
        let mut offset = start.bytes;
        let mut rest = Vec::new();
        for slice in self
            .slices
            .get(start.slices..end.slices)
            .unwrap_or_default()
        {
            let skip = stop.saturating_sub(offset).min(slice.len());
            if skip < slice.len() {
                rest.push(slice.slice(skip..));
            }
            offset += slice.len();
        }
        (next + 1, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burst() -> Burst {
        let mut burst = Burst::default();
        burst.restart(7);
        burst.push([&Bytes::from_static(b"ab"), &Bytes::from_static(b"cde")]);
        burst.push([]);
        burst.push([&Bytes::from_static(b"fg")]);
        burst
    }

    #[test]
    fn a_cut_names_the_next_tag_and_the_rest_of_the_cut_one() {
        let burst = burst();
        assert_eq!(burst.cut(0), (7, Vec::new()));
        assert_eq!(
            burst.cut(1),
            (
                8,
                vec![Bytes::from_static(b"b"), Bytes::from_static(b"cde")]
            )
        );
        assert_eq!(burst.cut(3), (8, vec![Bytes::from_static(b"de")]));
        assert_eq!(burst.cut(5), (9, Vec::new()));
        assert_eq!(burst.cut(6), (10, vec![Bytes::from_static(b"g")]));
        assert_eq!(burst.cut(7), (10, Vec::new()));
    }

    #[test]
    fn a_player_may_start_at_any_tag() {
        let mut burst = burst();
        assert_eq!(burst.start_of(6), None);
        assert_eq!(burst.start_of(7), Some(0));
        assert_eq!(burst.start_of(9), Some(5));
        assert_eq!(burst.start_of(10), Some(7));
        assert_eq!(burst.start_of(11), None);
        assert_eq!(
            burst
                .slices(5)
                .iter()
                .map(|slice| slice.len())
                .sum::<usize>(),
            2
        );
        assert_eq!(burst.flat(5), None);
        burst.flatten();
        assert_eq!(burst.flat(5), Some(&b"fg"[..]));
    }
}
