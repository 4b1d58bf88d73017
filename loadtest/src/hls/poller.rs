//! One poller: it asks for a playlist, then for a segment, and keeps nothing of either.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Interest, Poll, Token};

use crate::http::Head;
use crate::net;

/// What is read to find the head; the rest of an answer is thrown away uncopied.
const HEAD: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Playlist,
    Segment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Connecting,
    Idle,
    /// The head is read.
    Head(What),
    /// So much of the body is to come, and then the connection ends or does not.
    Body(What, usize, bool),
}

pub(super) struct Poller {
    socket: TcpStream,
    pub(super) state: State,
    head: Vec<u8>,
    pub(super) asked: Instant,
}

/// What became of a read.
pub(super) enum Next {
    Wait,
    Done(What),
    /// Done, and the connection with it.
    Closed(What),
}

impl Poller {
    pub(super) fn connect(address: SocketAddr, index: usize, poll: &Poll) -> Result<Self> {
        let mut socket = net::connect(address, index)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry()
            .register(&mut socket, Token(index), interest)?;
        Ok(Self {
            socket,
            state: State::Connecting,
            head: Vec::new(),
            asked: Instant::now(),
        })
    }

    pub(super) fn connected(&mut self, request: &[u8]) -> Result<Next> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error.into());
        }
        match self.socket.peer_addr() {
            Ok(_) => self.ask(What::Playlist, request).map(|()| Next::Wait),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(Next::Wait),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn ask(&mut self, what: What, request: &[u8]) -> Result<()> {
        let length = self.socket.write(request)?;
        ensure!(length == request.len(), "the server reads no requests");
        self.head.clear();
        self.asked = Instant::now();
        self.state = State::Head(what);
        Ok(())
    }

    /// Takes what has arrived of an answer, and adds its length to `bytes`.
    pub(super) fn read(&mut self, scratch: &mut [u8], bytes: &mut usize) -> Result<Next> {
        loop {
            let room = match self.state {
                State::Body(what, 0, closes) => {
                    self.state = State::Idle;
                    return Ok(match closes {
                        true => Next::Closed(what),
                        false => Next::Done(what),
                    });
                }
                State::Body(_, left, _) => left.min(scratch.len()),
                _ => HEAD.min(scratch.len()),
            };
            let buffer = scratch.get_mut(..room).unwrap_or_default();
            let taken = match self.state {
                State::Body(..) => net::drain(&self.socket, buffer),
                _ => self.socket.read(buffer),
            };
            let length = match taken {
                Ok(0) => bail!("the server closed the connection"),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Next::Wait),
                Err(error) => return Err(error.into()),
            };
            *bytes += length;
            match self.state {
                State::Body(what, left, closes) => {
                    self.state = State::Body(what, left.saturating_sub(length), closes);
                }
                State::Head(what) => {
                    self.head
                        .extend_from_slice(buffer.get(..length).unwrap_or_default());
                    let Some(head) = Head::parse(&self.head)? else {
                        continue;
                    };
                    ensure!(head.status == 200, "{what:?}: {}", head.status);
                    let body = self.head.len() - head.size;
                    ensure!(body <= head.length, "{what:?}: more than was promised");
                    self.state = State::Body(what, head.length - body, head.closes);
                }
                State::Connecting | State::Idle => bail!("an answer that nobody asked for"),
            }
        }
    }
}
