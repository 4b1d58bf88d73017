//! The bodies of answers on their way out: those that routes make, and those that are written in large strokes.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::http::Response;
use bytes::{Buf, Bytes};
use hyper::body::{Frame, SizeHint};

use crate::hls::Run;

/// The body of an answer.
pub(crate) enum Outgoing {
    /// As a route made it.
    Made(Body),
    /// Bytes that are there, all in one frame: a write takes as many of their slices as it may.
    Run(Option<Run>),
}

/// What is written at once, if the socket takes it.
pub(crate) enum Piece {
    Bytes(Bytes),
    Run(Run),
}

impl Outgoing {
    /// The answer with the [`Run`] that comes along with it, if there is one, for its body. (Bodies of routes cannot
    /// be of kinds that are not theirs.)
    pub(crate) fn of(mut response: Response<Body>) -> Response<Self> {
        match response.extensions_mut().remove() {
            Some(run) => response.map(|_| Self::Run(Some(run))),
            None => response.map(Self::Made),
        }
    }
}

impl HttpBody for Outgoing {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        match &mut *self {
            Self::Made(body) => {
                let frame = Pin::new(body).poll_frame(cx);
                frame.map_ok(|frame| frame.map_data(Piece::Bytes))
            }
            Self::Run(run) => Poll::Ready(run.take().map(|run| Ok(Frame::data(Piece::Run(run))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Made(body) => body.is_end_stream(),
            Self::Run(run) => run.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Made(body) => body.size_hint(),
            Self::Run(run) => {
                let left = run.as_ref().map_or(0, Buf::remaining);
                SizeHint::with_exact(left as u64)
            }
        }
    }
}

impl Piece {
    pub(crate) fn len(&self) -> usize {
        self.remaining()
    }

    /// So many bytes of it from its begin on, or as many as there are, which are left out of it.
    pub(crate) fn split_to(&mut self, length: usize) -> Self {
        let length = length.min(self.len());
        match self {
            Self::Bytes(bytes) => Self::Bytes(bytes.split_to(length)),
            Self::Run(run) => Self::Run(run.split_to(length)),
        }
    }

    /// The same, but lying where nothing else is.
    pub(crate) fn apart(self) -> Self {
        Self::Bytes(match self {
            Self::Bytes(bytes) => Bytes::copy_from_slice(&bytes),
            Self::Run(mut run) => run.copy_to_bytes(run.remaining()),
        })
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.remaining(),
            Self::Run(run) => run.remaining(),
        }
    }

    fn chunk(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes.chunk(),
            Self::Run(run) => run.chunk(),
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::Bytes(bytes) => bytes.advance(count),
            Self::Run(run) => run.advance(count),
        }
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.chunks_vectored(slices),
            Self::Run(run) => run.chunks_vectored(slices),
        }
    }
}
