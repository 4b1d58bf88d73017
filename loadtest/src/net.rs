//! Sockets: opened without waiting, drained without copying.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use anyhow::{Context, Result};
use mio::net::TcpStream;
use rustix::net::RecvFlags;
use socket2::{Domain, Protocol, Socket, Type};

/// How many connections share a source address before the next one is taken: a source has about
/// 28 000 ports.
const PER_SOURCE: usize = 20_000;

pub(crate) fn resolve(authority: &str) -> Result<SocketAddr> {
    let mut addresses = authority
        .to_socket_addrs()
        .with_context(|| format!("no address {authority}"))?;
    addresses
        .next()
        .with_context(|| format!("no address {authority}"))
}

/// Begins to connect; the socket is writable once it is connected.
pub(crate) fn connect(to: SocketAddr, index: usize) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if to.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) && index >= PER_SOURCE {
        let host = (index / PER_SOURCE).min(250) as u8 + 1;
        socket.bind(&SocketAddr::from(([127, 0, 1, host], 0)).into())?;
    }
    match socket.connect(&to.into()) {
        Err(error)
            if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) =>
        {
            Err(error)
        }
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

/// Throws away what has arrived, up to the length of `scratch`, and says how much it was.
///
/// On TCP the kernel then copies nothing (tcp(7), `MSG_TRUNC`), so `scratch` stays untouched.
pub(crate) fn drain(socket: &TcpStream, scratch: &mut [u8]) -> io::Result<usize> {
    let (_, length) = rustix::net::recv(socket, scratch, RecvFlags::TRUNC)?;
    Ok(length)
}
