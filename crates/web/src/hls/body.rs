//! Bytes that lie in several places, on their way out.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::hls::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use node::hls::Stream;

/// What is sent of a [`Body`]: its slices one after the other, not copied.
pub(super) struct Slices {
    body: Body,
    /// The next slice, and how much of it is left out.
    at: usize,
    skip: usize,
    left: usize,
    stream: Stream,
}

impl Slices {
    /// Of a body of `stream` `length` bytes from `start` on, or as many as there are.
    pub(super) fn new(stream: Stream, body: Body, start: usize, length: usize) -> Self {
        let (mut at, mut skip) = (0, start);
        while let Some(slice) = body.slices().get(at).filter(|slice| slice.len() <= skip) {
            (at, skip) = (at + 1, skip - slice.len());
        }
        let left = body.len().saturating_sub(start).min(length);
        Self {
            body,
            at,
            skip,
            left,
            stream,
        }
    }
}

impl hyper::body::Body for Slices {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let Some(slice) = this.body.slices().get(this.at) else {
            return Poll::Ready(None);
        };
        let end = slice.len().min(this.skip.saturating_add(this.left));
        let slice = slice.slice(this.skip.min(end)..end);
        (this.at, this.skip) = (this.at + 1, 0);
        this.left -= slice.len();
        this.stream.sent(slice.len());
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use ::hls::{Mode, Window};
    use node::hls::{News, Stage};

    use super::*;

    fn sent(start: usize, length: usize) -> (Option<u64>, Vec<Bytes>) {
        let stage = Stage::new(News {
            window: Window::default(),
            mode: Mode::Fmp4,
            variant: None,
            is_caught_up: true,
        });
        let slices = ["abc", "", "d", "efgh"].map(|it| Bytes::from_static(it.as_bytes()));
        let mut body = Slices::new(stage.stream(), Body::new(slices), start, length);
        let told = hyper::body::Body::size_hint(&body).exact();
        let (mut all, mut cx) = (Vec::new(), Context::from_waker(Waker::noop()));
        while let Poll::Ready(Some(frame)) =
            hyper::body::Body::poll_frame(Pin::new(&mut body), &mut cx)
        {
            let Ok(frame) = frame;
            all.push(frame.into_data().expect("bytes"));
        }
        assert!(hyper::body::Body::is_end_stream(&body));
        (told, all)
    }

    #[test]
    fn any_stretch_is_sent_and_its_length_is_told_before() {
        let all = b"abcdefgh";
        for start in 0..=all.len() {
            for end in start..=all.len() {
                let (told, slices) = sent(start, end - start);
                assert_eq!(slices.concat(), all[start..end], "{start}..{end}");
                assert_eq!(told, Some((end - start) as u64), "{start}..{end}");
            }
        }
        assert_eq!(sent(6, usize::MAX).1.concat(), b"gh");
        assert_eq!(sent(9, 1), (Some(0), Vec::new()));
    }
}
