//! A connected socket that is read and written without waiting, in the clear or through TLS.
//!
//! Writers share it: a group of players is written by one task, while each player's own task
//! reads. So nothing here takes `&mut self`, and waiting is apart from moving bytes.

mod low_water;

use std::cell::RefCell;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use rustix::net::{RecvFlags, SendFlags};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

/// A socket, perhaps with TLS on it.
pub(crate) enum Transport {
    Plain(TcpStream),
    Tls(Box<Tls>),
}

/// TLS over a socket. rustls owns no socket either, so the same non-blocking calls serve both.
pub(crate) struct Tls {
    socket: TcpStream,
    state: Mutex<rustls::ServerConnection>,
}

/// Whether the system has said that something arrived. Where it has not, since that was too little, tokio
/// would not even ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Yes,
    No,
}

/// What came of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// The peer ended its half.
    End,
    Some,
    /// As much as is read at once: there may be more.
    Full,
}

/// Where a thread reads to. All its connections share it, so it stays near the processor, and an idle
/// connection holds no buffer.
struct Scratch {
    arrived: Vec<u8>,
    input: BytesMut,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        arrived: vec![0; READ],
        input: BytesMut::with_capacity(READ + SPARE),
    });
}

/// What is read at once.
const READ: usize = 64 << 10;
/// Room for what had begun, which is the greater part of a handshake at most.
const SPARE: usize = 4 << 10;
/// What a pipe within the process may hold.
const PIPE: usize = 32 << 10;

impl Transport {
    /// Of an accepted socket. With TLS, the handshake runs as bytes arrive.
    pub(crate) fn new(
        socket: TcpStream,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> Result<Transport, rustls::Error> {
        let Some(config) = tls else {
            return Ok(Transport::Plain(socket));
        };
        let state = Mutex::new(rustls::ServerConnection::new(config)?);
        Ok(Transport::Tls(Box::new(Tls { socket, state })))
    }

    /// Of a socket on which TLS has been spoken already.
    pub(crate) fn tls(socket: TcpStream, state: rustls::ServerConnection) -> Transport {
        let state = Mutex::new(state);
        Transport::Tls(Box::new(Tls { socket, state }))
    }

    /// One whose other end is read within this process.
    pub(crate) fn pipe() -> io::Result<(Transport, UnixStream)> {
        let (near, far) = std::os::unix::net::UnixStream::pair()?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        // What it holds is no lag yet, so it holds little; the system doubles this for its own needs.
        socket2::SockRef::from(&near).set_send_buffer_size(PIPE)?;
        // Nothing here asks a socket for more than any stream of bytes can do; what only TCP can is optional.
        let near = std::net::TcpStream::from(OwnedFd::from(near));
        let near = Transport::Plain(TcpStream::from_std(near)?);
        Ok((near, UnixStream::from_std(far)?))
    }

    /// We gather writes ourselves, so none shall wait in the kernel. And a slow reader shall show as lag
    /// in our ring, which has a policy, not as megabytes in the kernel, which keeps so many bytes unsent.
    pub(crate) fn prepare(&self, keep: usize) -> io::Result<()> {
        match self.socket().set_nodelay(true) {
            // A pipe has bounds of its own.
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(()),
            set => set?,
        }
        let keep = u32::try_from(keep).unwrap_or(u32::MAX);
        socket2::SockRef::from(self.socket()).set_tcp_notsent_lowat(keep)
    }

    /// Has the kernel find out whether a peer is there that need not say anything: it asks as often, and
    /// gives it up after so long.
    pub(crate) fn keep_alive(&self, interval: Duration, timeout: Duration) -> io::Result<()> {
        let interval = interval.max(Duration::from_secs(1));
        let asks = timeout.as_secs() / interval.as_secs();
        let asks = u32::try_from(asks).unwrap_or(u32::MAX).clamp(1, 100);
        let keepalive = socket2::TcpKeepalive::new()
            .with_time(interval)
            .with_interval(interval)
            .with_retries(asks);
        socket2::SockRef::from(self.socket()).set_tcp_keepalive(&keepalive)
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Transport::Plain(socket) => socket,
            Transport::Tls(tls) => &tls.socket,
        }
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.socket().readable().await
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.socket().writable().await
    }

    /// As [`Transport::readable`], for the one task that reads: asking again costs next to nothing.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_read_ready(cx)
    }

    /// As [`Transport::writable`], for the same task.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_write_ready(cx)
    }

    /// Hands to `take` what had `begun` and what has arrived since; what it leaves has begun again.
    pub(crate) fn try_read(
        &self,
        begun: &mut BytesMut,
        news: Told,
        take: impl FnOnce(&mut BytesMut),
    ) -> io::Result<Arrived> {
        SCRATCH.with_borrow_mut(|Scratch { arrived, input }| {
            let room = arrived.len();
            let read = match self {
                Transport::Plain(socket) => match news {
                    Told::Yes => try_read_plain(socket, arrived)?,
                    Told::No => rustix::net::recv(socket, &mut arrived[..], RecvFlags::DONTWAIT)?.0,
                },
                Transport::Tls(tls) => tls.try_read(arrived)?,
            };
            if read == 0 {
                return Ok(Arrived::End);
            }
            input.clear();
            input.extend_from_slice(begun);
            input.extend_from_slice(arrived.get(..read).unwrap_or_default());
            take(input);
            if !begun.is_empty() || !input.is_empty() {
                *begun = BytesMut::from(&input[..]);
            }
            Ok(if read == room {
                Arrived::Full
            } else {
                Arrived::Some
            })
        })
    }

    /// Writes what the socket takes of `bytes`.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => {
                // Past tokio's record of readiness, which is one more cold cache line for each player.
                // When the socket is full, tokio is asked after all, so that it notices.
                match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                    Err(rustix::io::Errno::AGAIN) => socket.try_write(bytes),
                    sent => Ok(sent?),
                }
            }
            Transport::Tls(tls) => tls.try_write(&[IoSlice::new(bytes)]),
        }
    }

    /// Writes what the socket takes of `slices`.
    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.try_write_vectored(slices),
            Transport::Tls(tls) => tls.try_write(slices),
        }
    }

    /// Acknowledges what has arrived at once, and not with our next answer or 40 ms later. Encoders and
    /// players write a message in pieces and leave Nagle on, so the next piece waits for this.
    pub(crate) fn acknowledge_now(&self) {
        // Without it things are slower, not wrong.
        rustix::net::sockopt::set_tcp_quickack(self.socket(), true).ok();
    }

    /// Wakes the reader only once so much has arrived; false where that cannot be: within TLS, what has
    /// arrived is not what was sent.
    pub(crate) fn wake_from(&self, bytes: u16) -> bool {
        match self {
            Transport::Plain(socket) => low_water::set(socket, bytes).is_ok(),
            Transport::Tls(_) => false,
        }
    }

    /// Moves on what TLS still holds; false while the socket takes no more of it.
    pub(crate) fn try_flush(&self) -> io::Result<bool> {
        match self {
            Transport::Plain(_) => Ok(true),
            Transport::Tls(tls) => tls.try_flush(),
        }
    }

    /// Ends both directions, so that whoever waits on the socket wakes up.
    pub(crate) fn shutdown(&self) {
        if let Transport::Tls(tls) = self {
            tls.lock().send_close_notify();
            drop(tls.try_flush());
        }
        // An error here means that the peer was faster.
        drop(socket2::SockRef::from(self.socket()).shutdown(Shutdown::Both));
    }

    /// Ends our direction only: what has been written still arrives, and the peer learns that no more will.
    pub(crate) fn shutdown_write(&self) {
        if let Transport::Tls(tls) = self {
            tls.lock().send_close_notify();
            drop(tls.try_flush());
        }
        drop(socket2::SockRef::from(self.socket()).shutdown(Shutdown::Write));
    }
}

impl Tls {
    fn lock(&self) -> std::sync::MutexGuard<'_, rustls::ServerConnection> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_read(&self, spare: &mut [u8]) -> io::Result<usize> {
        let mut state = self.lock();
        loop {
            match state.reader().read(spare) {
                Ok(read) => return Ok(read),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // A peer that closes without saying so in TLS has closed all the same.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) => return Err(error),
            }
            let read = self.socket.try_io(Interest::READABLE, || {
                state.read_tls(&mut Raw(&self.socket))
            })?;
            if read == 0 {
                return Ok(0);
            }
            let processed = state.process_new_packets();
            // Handshake answers and alerts leave at once; what the socket does not take, `try_flush` moves on.
            drop(self.write_tls(&mut state));
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.lock();
        if !self.write_tls(&mut state)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = state.writer().write_vectored(slices)?;
        self.write_tls(&mut state)?;
        if taken == 0 && slices.iter().any(|slice| !slice.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(taken)
    }

    fn try_flush(&self) -> io::Result<bool> {
        self.write_tls(&mut self.lock())
    }

    fn write_tls(&self, state: &mut rustls::ServerConnection) -> io::Result<bool> {
        while state.wants_write() {
            let written = self.socket.try_io(Interest::WRITABLE, || {
                state.write_tls(&mut Raw(&self.socket))
            });
            match written {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// Reads once, and tells tokio when that emptied the socket: the next read waits, instead of asking
/// the system in vain first.
fn try_read_plain(socket: &TcpStream, spare: &mut [u8]) -> io::Result<usize> {
    let mut short = None;
    let read = socket.try_io(Interest::READABLE, || {
        let (read, _) = rustix::net::recv(socket, &mut *spare, RecvFlags::DONTWAIT)?;
        if read == 0 || read == spare.len() {
            return Ok(read);
        }
        short = Some(read);
        Err(io::ErrorKind::WouldBlock.into())
    });
    short.map_or(read, Ok)
}

/// The bare socket under `try_io`, which wants the system call itself and not tokio's.
struct Raw<'a>(&'a TcpStream);

impl Read for Raw<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(self.0, buf)?)
    }
}

impl Write for Raw<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self.0, buf, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
