//! Bytes that lie in several places, on their way out.

use std::io::IoSlice;

use ::hls::Body;
use bytes::Buf;
use node::hls::Egress;

/// What is sent of a [`Body`]: none of it is copied, and a write takes many of its slices at once. What was written is
/// counted. Nothing else of its stream is held, however long it takes.
///
/// It comes along with an answer, in its extensions, and becomes its body where that is sent.
#[derive(Clone)]
pub(crate) struct Run {
    egress: Egress,
    body: Body,
    /// The next slice, and how much of it is left out.
    at: usize,
    skip: usize,
    left: usize,
}

impl Run {
    /// Of a body `length` bytes from `start` on, or as many as there are.
    pub(super) fn new(egress: Egress, body: Body, start: usize, length: usize) -> Self {
        let left = body.len().saturating_sub(start).min(length);
        let mut run = Self {
            egress,
            body,
            at: 0,
            skip: 0,
            left,
        };
        run.go_on(start);
        run
    }

    /// So many bytes of it from its begin on, or as many as there are, which are left out of it.
    pub(crate) fn split_to(&mut self, length: usize) -> Self {
        let length = length.min(self.left);
        let mut first = self.clone();
        first.left = length;
        self.left -= length;
        self.go_on(length);
        first
    }

    /// So many bytes are behind. No slice that is next has none.
    fn go_on(&mut self, bytes: usize) {
        self.skip += bytes;
        let slices = self.body.slices();
        while let Some(slice) = slices.get(self.at).filter(|it| it.len() <= self.skip) {
            (self.at, self.skip) = (self.at + 1, self.skip - slice.len());
        }
    }

    /// What is left of the slices, from the next on.
    fn rest(&self) -> impl Iterator<Item = &[u8]> {
        let slices = self.body.slices().get(self.at..).unwrap_or_default();
        let mut skip = self.skip;
        let mut left = self.left;
        slices.iter().map_while(move |slice| {
            let slice = slice.get(skip..)?;
            let slice = slice.get(..left).unwrap_or(slice);
            skip = 0;
            left -= slice.len();
            (!slice.is_empty() || left > 0).then_some(slice)
        })
    }
}

impl Buf for Run {
    fn remaining(&self) -> usize {
        self.left
    }

    fn chunk(&self) -> &[u8] {
        self.rest().next().unwrap_or_default()
    }

    fn advance(&mut self, count: usize) {
        let count = count.min(self.left);
        self.left -= count;
        self.go_on(count);
        self.egress.sent(count);
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (place, slice) in slices.iter_mut().zip(self.rest()) {
            *place = IoSlice::new(slice);
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use ::hls::{Mode, Window};
    use bytes::{BufMut, Bytes};
    use node::hls::{News, Stage};

    use super::*;

    fn run(start: usize, length: usize) -> Run {
        let stage = Stage::new(News {
            window: Window::default(),
            mode: Mode::Fmp4,
            variant: None,
            is_caught_up: true,
        });
        let slices = ["abc", "", "d", "efgh"].map(|it| Bytes::from_static(it.as_bytes()));
        Run::new(stage.stream().egress(), Body::new(slices), start, length)
    }

    /// All that is written if a write takes so many slices, and so many bytes of them.
    fn written(mut run: Run, most: usize, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while run.has_remaining() {
            let mut slices = vec![IoSlice::new(&[]); most];
            let count = run.chunks_vectored(&mut slices);
            let bytes: Vec<u8> = slices[..count].iter().flat_map(|it| it.to_vec()).collect();
            assert!(bytes.starts_with(run.chunk()) && !run.chunk().is_empty());
            assert!(bytes.len() <= run.remaining());
            let taken = bytes.len().min(step);
            all.put_slice(&bytes[..taken]);
            run.advance(taken);
        }
        assert_eq!(run.chunk(), b"");
        assert_eq!(run.chunks_vectored(&mut [IoSlice::new(&[])]), 0);
        all
    }

    #[test]
    fn it_is_cut_anywhere() {
        for cut in 0..=9 {
            let mut rest = run(1, 6);
            let first = rest.split_to(cut);
            assert_eq!(first.remaining(), cut.min(6));
            let both = [written(first, 9, 9), written(rest, 9, 9)].concat();
            assert_eq!(both, b"bcdefg", "{cut}");
        }
    }

    #[test]
    fn any_stretch_is_written_in_any_strokes() {
        let all = b"abcdefgh";
        for start in 0..=all.len() {
            for end in start..=all.len() {
                let run = run(start, end - start);
                assert_eq!(run.remaining(), end - start);
                for (most, step) in [(9, 9), (1, 9), (2, 3), (9, 1), (3, 5)] {
                    let written = written(run.clone(), most, step);
                    assert_eq!(written, all[start..end], "{start}..{end} by {most}, {step}");
                }
            }
        }
        assert_eq!(written(run(6, usize::MAX), 9, 9), b"gh");
        assert_eq!(run(9, 1).remaining(), 0);
        assert_eq!(written(run(9, 1), 9, 9), b"");
    }
}
