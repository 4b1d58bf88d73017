//! The price of the kernel: a bare loop that holds sockets, and writes the same answer to all of them when a timer
//! fires.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::options::ReloadsFloorCommand;
use crate::server::{self, Server, Setup};

const LISTENER: Token = Token(usize::MAX >> 1);

struct Waiting {
    socket: TcpStream,
    asks: bool,
    /// What of the answer the socket did not take.
    rest: usize,
}

/// Starts one on the server's core, with an answer that is in a file.
pub(crate) fn start(answer: &Path, waiting: usize, setup: &Setup) -> Result<Server> {
    let mut command = server::pinned(&std::env::current_exe()?, setup.core);
    command.arg("reloads-floor").arg("--answer").arg(answer);
    command.arg("--waiting").arg(waiting.to_string());
    let mut server = Server::start_bare(command)?;
    server.name = "floor".to_owned();
    Ok(server)
}

/// Answers all who ask once there are enough of them, until killed; says on standard output where.
pub(crate) fn serve(command: &ReloadsFloorCommand) -> Result<()> {
    let answer = std::fs::read(&command.answer)
        .with_context(|| format!("no answer in {}", command.answer.display()))?;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(4096)?;
    let mut listener = TcpListener::from_std(socket.into());
    println!("listening {}", listener.local_addr()?.port());
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;

    let mut all: Vec<Option<Waiting>> = Vec::new();
    let mut scratch = vec![0; 4096];
    let (mut asking, mut fires): (usize, Option<Instant>) = (0, None);
    loop {
        let timeout = fires.map(|at| at.saturating_duration_since(Instant::now()));
        match poll.poll(&mut events, timeout) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            match event.token() {
                LISTENER => accept(&listener, &poll, &mut all)?,
                Token(index) => {
                    let Some(slot) = all.get_mut(index) else {
                        continue;
                    };
                    asking += slot
                        .as_mut()
                        .map_or(0, |it| usize::from(it.read(&mut scratch)));
                    if event.is_read_closed() || event.is_error() {
                        asking -= slot.take().map_or(0, |it| usize::from(it.asks));
                    } else if event.is_writable() {
                        write(slot, &answer);
                    }
                }
            }
        }
        if asking >= command.waiting && fires.is_none() {
            fires = Some(Instant::now() + command.after);
        }
        if fires.is_some_and(|at| at <= Instant::now()) {
            for slot in &mut all {
                if let Some(waiting) = slot.as_mut().filter(|waiting| waiting.asks) {
                    (waiting.asks, waiting.rest) = (false, answer.len());
                    write(slot, &answer);
                }
            }
            (asking, fires) = (0, None);
        }
    }
}

fn accept(listener: &TcpListener, poll: &Poll, all: &mut Vec<Option<Waiting>>) -> Result<()> {
    loop {
        match listener.accept() {
            Ok((mut socket, _)) => {
                socket.set_nodelay(true)?;
                let interest = Interest::READABLE | Interest::WRITABLE;
                poll.registry()
                    .register(&mut socket, Token(all.len()), interest)?;
                all.push(Some(Waiting {
                    socket,
                    asks: false,
                    rest: 0,
                }));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

impl Waiting {
    /// Reads requests, whatever they ask for; whether it asks now, and did not before.
    fn read(&mut self, scratch: &mut [u8]) -> bool {
        let mut length = 0;
        while let Ok(more @ 1..) = self.socket.read(scratch) {
            length += more;
        }
        let begins = length > 0 && !self.asks;
        self.asks |= begins;
        begins
    }
}

/// Writes what is left of the answer.
fn write(slot: &mut Option<Waiting>, answer: &[u8]) {
    let Some(waiting) = slot else { return };
    let from = answer.len().saturating_sub(waiting.rest);
    let rest = answer.get(from..).unwrap_or_default();
    if rest.is_empty() {
        return;
    }
    match waiting.socket.write(rest) {
        Ok(taken) => waiting.rest -= taken.min(waiting.rest),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(_) => *slot = None,
    }
}
