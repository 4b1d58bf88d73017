//! A socket with what is to be written to it and what was read from it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

/// The most slices in one write; beyond that the kernel's own limit is near, and the gain gone.
const MAX_SLICES: usize = 64;
/// Below this much room the input buffer is grown before a read.
const LEAST_READ: usize = 4 * 1024;

/// With more than this waiting to be written, nothing more is read: a peer that asks and does
/// not listen has to wait, and costs no more memory.
const MAX_PENDING: usize = 1024 * 1024;

/// Both directions of one socket, driven from one task.
#[derive(Debug)]
pub(crate) struct Link<S> {
    stream: S,
    /// Bytes read and not yet taken by the session.
    pub(crate) input: BytesMut,
    output: Output,
    /// Written to the stream, which may hold some of it back (TLS does).
    unflushed: bool,
    read_size: usize,
    bytes_in: u64,
    bytes_out: u64,
    /// When the peer last took something, or there was nothing to take.
    taken: Instant,
}

/// What [`Link::progress`] waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Bytes were read, or everything pending was written, or both.
    Some,
    /// The peer has closed its side.
    Eof,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    pub(crate) fn new(stream: S, read_size: usize) -> Self {
        Self {
            stream,
            input: BytesMut::new(),
            output: Output::default(),
            unflushed: false,
            read_size: read_size.max(LEAST_READ),
            bytes_in: 0,
            bytes_out: 0,
            taken: Instant::now(),
        }
    }

    /// Adds to what the next write takes along.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if self.output.len == 0 {
            self.taken = Instant::now();
        }
        self.output.push(bytes);
    }

    /// Whether something waits to be written.
    pub(crate) fn is_pending(&self) -> bool {
        self.output.len > 0 || self.unflushed
    }

    /// Bytes read and written since the beginning.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.bytes_in, self.bytes_out)
    }

    /// When a peer that takes nothing has done so for `limit`.
    pub(crate) fn stalls_at(&self, limit: Duration) -> Option<Instant> {
        self.is_pending().then(|| self.taken + limit)
    }

    /// Writes what is pending, as much as possible in one call, and reads once. Nothing is lost
    /// when the future is dropped.
    pub(crate) async fn progress(&mut self) -> io::Result<Progress> {
        poll_fn(|cx| self.poll_progress(cx)).await
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Progress>> {
        let wrote = self.is_pending() && self.poll_write(cx)?.is_ready();
        if self.output.len > MAX_PENDING {
            return Poll::Pending;
        }
        match self.poll_read(cx)? {
            Poll::Ready(0) => Poll::Ready(Ok(Progress::Eof)),
            Poll::Ready(_) => Poll::Ready(Ok(Progress::Some)),
            Poll::Pending if wrote => Poll::Ready(Ok(Progress::Some)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < LEAST_READ {
            self.input.reserve(self.read_size);
        }
        let read = pin!(self.stream.read_buf(&mut self.input));
        let count = ready!(read.poll(cx))?;
        self.bytes_in += count as u64;
        Poll::Ready(Ok(count))
    }

    /// Ready when nothing is pending any more.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.output.len > 0 {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let count = self.output.fill(&mut slices);
            let stream = Pin::new(&mut self.stream);
            let written = ready!(stream.poll_write_vectored(cx, &slices[..count]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            self.bytes_out += written as u64;
            self.output.advance(written);
            self.taken = Instant::now();
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
            self.taken = Instant::now();
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what is pending, says goodbye and waits for the peer to do the same, for at most
    /// `limit`. Closing at once would reset the connection of a peer that is still sending, and
    /// our last words would be lost.
    pub(crate) async fn close(&mut self, limit: Duration) {
        let farewell = async {
            poll_fn(|cx| self.poll_write(cx)).await?;
            self.stream.shutdown().await?;
            loop {
                self.input.clear();
                if poll_fn(|cx| self.poll_read(cx)).await? == 0 {
                    return io::Result::Ok(());
                }
            }
        };
        // The peer may be gone long since; there is nobody to tell.
        let _ = tokio::time::timeout(limit, farewell).await;
    }
}

/// Shared bytes in the order they are to be sent.
#[derive(Debug, Default)]
struct Output {
    slices: VecDeque<Bytes>,
    len: usize,
}

impl Output {
    fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.len += bytes.len();
            self.slices.push_back(bytes);
        }
    }

    fn fill<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slot, slice) in out.iter_mut().zip(&self.slices) {
            *slot = IoSlice::new(slice);
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut written: usize) {
        self.len -= written;
        while let Some(front) = self.slices.front_mut() {
            if written < front.len() {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.slices.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_goes_on_in_the_middle_of_a_slice() {
        let mut output = Output::default();
        for text in [&b"abc"[..], b"", b"de", b"fgh"] {
            output.push(Bytes::from_static(text));
        }
        output.advance(4);
        let mut slices = [IoSlice::new(&[]); 4];
        let count = output.fill(&mut slices);
        assert_eq!(
            slices[..count]
                .iter()
                .map(|slice| &slice[..])
                .collect::<Vec<_>>(),
            [&b"e"[..], b"fgh"]
        );
        output.advance(4);
        assert_eq!((output.len, output.slices.len()), (0, 0));
    }

    #[tokio::test]
    async fn writes_everything_pending_and_then_reports_progress() {
        let (near, mut far) = tokio::io::duplex(1024);
        let mut link = Link::new(near, 0);
        link.push(Bytes::from_static(b"one "));
        link.push(Bytes::from_static(b"two"));
        assert_eq!(link.progress().await.unwrap(), Progress::Some);
        assert!(!link.is_pending());
        let mut read = [0; 7];
        far.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"one two");
        assert_eq!(link.totals(), (0, 7));
    }

    #[tokio::test]
    async fn reads_while_the_peer_takes_nothing() {
        let (near, mut far) = tokio::io::duplex(4);
        let mut link = Link::new(near, 0);
        link.push(Bytes::from_static(b"more than four bytes"));
        far.write_all(b"hi").await.unwrap();
        assert_eq!(link.progress().await.unwrap(), Progress::Some);
        assert_eq!(&link.input[..], b"hi");
        assert!(link.stalls_at(Duration::from_secs(1)).is_some());
        drop(far);
        assert!(matches!(link.progress().await, Ok(Progress::Eof) | Err(_)));
    }
}
