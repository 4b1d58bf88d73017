//! The price of the kernel: a bare epoll loop that sends the same bytes to the same number of
//! sockets, and does nothing else.

use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

use anyhow::Result;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::chunk::kind;
use crate::clip::Clip;
use crate::system;
use crate::wire::Wire;

const LISTENER: Token = Token(usize::MAX >> 1);
/// A player this far behind is let go.
const MAX_PENDING: usize = 8 << 20;

/// How the loop writes.
pub(crate) struct Plan {
    /// Tags gather so long before they are written; zero writes each tag.
    pub(crate) coalesce: Duration,
    /// Leaves Nagle's algorithm on.
    pub(crate) nagle: bool,
    pub(crate) chunk_size: usize,
}

struct Player {
    socket: TcpStream,
    pending: Vec<u8>,
}

/// Serves the clip to all who connect, until killed; says on standard output where.
pub(crate) fn serve(plan: &Plan, clip: &Clip) -> Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(4096)?;
    let mut listener = TcpListener::from_std(socket.into());
    println!("listening {}", listener.local_addr()?.port());
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;

    let mut wire = Wire::new(clip, plan.chunk_size);
    let mut players: Vec<Option<Player>> = Vec::new();
    let mut batch = Vec::new();
    let begin = Instant::now();
    let (mut next, mut cycle, mut numbers) = (0_usize, 0_u64, [0_u32; 2]);
    let mut flush = plan.coalesce;
    loop {
        let ms = wire.tags.get(next).map_or(0, |tag| tag.ms);
        let time = cycle * u64::from(wire.cycle_ms) + u64::from(ms);
        let due = Duration::from_millis(time);
        let wake = if plan.coalesce.is_zero() {
            due
        } else {
            due.min(flush)
        };
        poll_once(&mut poll, &mut events, wake.saturating_sub(begin.elapsed()))?;
        for event in &events {
            match event.token() {
                LISTENER => accept(&listener, &poll, plan, &mut players)?,
                Token(index) => {
                    let Some(slot) = players.get_mut(index) else {
                        continue;
                    };
                    if event.is_read_closed() || event.is_error() {
                        *slot = None;
                    } else if event.is_writable() {
                        write(slot, &[]);
                    }
                }
            }
        }
        let now = begin.elapsed();
        if now >= due {
            let Some(tag) = wire.tags.get(next) else {
                continue;
            };
            let [audio, video] = &mut numbers;
            let counter = if tag.kind == kind::AUDIO {
                audio
            } else {
                video
            };
            let number = std::mem::replace(counter, tag.number_after(*counter));
            let bytes = wire.ready(next, time as u32, 1, system::wall_ns(), number);
            if plan.coalesce.is_zero() {
                players.iter_mut().for_each(|slot| write(slot, bytes));
            } else {
                batch.extend_from_slice(bytes);
            }
            next += 1;
            if next == wire.tags.len() {
                next = 0;
                cycle += 1;
            }
        }
        if !plan.coalesce.is_zero() && now >= flush {
            players.iter_mut().for_each(|slot| write(slot, &batch));
            batch.clear();
            while flush <= now {
                flush += plan.coalesce;
            }
        }
    }
}

fn poll_once(poll: &mut Poll, events: &mut Events, timeout: Duration) -> Result<()> {
    match poll.poll(events, Some(timeout)) {
        Err(error) if error.kind() != ErrorKind::Interrupted => Err(error.into()),
        _ => Ok(()),
    }
}

fn accept(
    listener: &TcpListener,
    poll: &Poll,
    plan: &Plan,
    players: &mut Vec<Option<Player>>,
) -> Result<()> {
    loop {
        match listener.accept() {
            Ok((mut socket, _)) => {
                socket.set_nodelay(!plan.nagle)?;
                let interest = Interest::READABLE | Interest::WRITABLE;
                poll.registry()
                    .register(&mut socket, Token(players.len()), interest)?;
                players.push(Some(Player {
                    socket,
                    pending: Vec::new(),
                }));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Writes what is pending, then `bytes`; what the socket does not take stays pending.
fn write(slot: &mut Option<Player>, bytes: &[u8]) {
    let Some(player) = slot else { return };
    if !player.pending.is_empty() {
        player.pending.extend_from_slice(bytes);
        match player.socket.write(&player.pending) {
            Ok(taken) => drop(player.pending.drain(..taken)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => *slot = None,
        }
    } else if !bytes.is_empty() {
        match player.socket.write(bytes) {
            Ok(taken) => player
                .pending
                .extend_from_slice(bytes.get(taken..).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                player.pending.extend_from_slice(bytes)
            }
            Err(_) => *slot = None,
        }
    }
    if slot
        .as_ref()
        .is_some_and(|player| player.pending.len() > MAX_PENDING)
    {
        *slot = None;
    }
}
