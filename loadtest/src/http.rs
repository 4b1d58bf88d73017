//! HTTP/1.1 as a player speaks it: heads of answers, and a connection that waits for its answer.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::net;

/// No head is longer.
pub(crate) const MAX_HEAD: usize = 16 << 10;
/// Longer than a server lets a player wait for a playlist.
const PATIENCE: Duration = Duration::from_secs(30);

/// The head of an answer whose length is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Bytes of the head itself.
    pub(crate) size: usize,
    /// Bytes of the body.
    pub(crate) length: usize,
    /// Whether the connection ends with it.
    pub(crate) closes: bool,
}

impl Head {
    /// The head at the front of `bytes`; `None` while it is not whole.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(size) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            ensure!(
                bytes.len() < MAX_HEAD,
                "an answer without an end of its head"
            );
            return Ok(None);
        };
        let head = bytes.get(..size).unwrap_or_default();
        let head = std::str::from_utf8(head).context("an answer in no known letters")?;
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.split(' ').next()?.parse().ok())
            .with_context(|| format!("no answer of HTTP/1.1: {first:?}"))?;
        let (mut length, mut closes) = (None, false);
        for line in lines {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(
                    value
                        .parse()
                        .context("a Content-Length that is no number")?,
                );
            } else if name.eq_ignore_ascii_case("connection") {
                closes |= value.eq_ignore_ascii_case("close");
            }
        }
        // RFC 9110 6.4.1: these have no body.
        let is_bare = matches!(status, 100..200 | 204 | 304);
        let length = match length {
            _ if is_bare => 0,
            Some(length) => length,
            None => bail!("an answer without a Content-Length: {first:?}"),
        };
        Ok(Some(Self {
            status,
            size: size + 4,
            length,
            closes,
        }))
    }
}

/// What is sent to ask for a path.
pub(crate) fn request(authority: &str, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: weir-loadtest\r\n\r\n")
        .into_bytes()
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// One connection, kept alive, that asks and waits.
pub(crate) struct Fetcher {
    authority: String,
    socket: Option<TcpStream>,
}

impl Fetcher {
    pub(crate) fn new(authority: &str) -> Self {
        Self {
            authority: authority.to_owned(),
            socket: None,
        }
    }

    /// What the server answers, whatever it is.
    pub(crate) fn get(&mut self, path: &str) -> Result<Answer> {
        let mut socket = match self.socket.take() {
            Some(socket) => socket,
            None => self.connect()?,
        };
        socket.write_all(&request(&self.authority, path))?;
        let mut bytes = Vec::new();
        let mut piece = vec![0; 64 << 10];
        let head = loop {
            if let Some(head) = Head::parse(&bytes)? {
                break head;
            }
            read(&mut socket, &mut piece, &mut bytes)?;
        };
        while bytes.len() < head.size + head.length {
            read(&mut socket, &mut piece, &mut bytes)?;
        }
        let body = bytes.split_off(head.size);
        if !head.closes {
            self.socket = Some(socket);
        }
        Ok(Answer {
            status: head.status,
            body,
        })
    }

    /// The body of an answer that has to be 200.
    pub(crate) fn fetch(&mut self, path: &str) -> Result<Vec<u8>> {
        let answer = self.get(path)?;
        ensure!(answer.status == 200, "{} for {path}", answer.status);
        Ok(answer.body)
    }

    fn connect(&self) -> Result<TcpStream> {
        let address = net::resolve(&self.authority)?;
        let socket = TcpStream::connect(address)
            .with_context(|| format!("nobody listens at {}", self.authority))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(socket)
    }
}

fn read(socket: &mut TcpStream, piece: &mut [u8], bytes: &mut Vec<u8>) -> Result<()> {
    loop {
        match socket.read(piece) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(length) => {
                bytes.extend_from_slice(piece.get(..length).unwrap_or_default());
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                bail!("no answer within {PATIENCE:?}")
            }
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 3\r\nConnection: keep-alive\r\n\r\nabc";
        let whole = text.len() - 3;
        for end in 0..whole {
            assert_eq!(Head::parse(&text[..end]).unwrap(), None);
        }
        let head = Head {
            status: 200,
            size: whole,
            length: 3,
            closes: false,
        };
        for end in whole..=text.len() {
            assert_eq!(Head::parse(&text[..end]).unwrap(), Some(head));
        }
        let closes = b"HTTP/1.1 503 x\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n";
        let closes = Head::parse(closes).unwrap().unwrap();
        assert_eq!((closes.status, closes.closes), (503, true));
    }

    #[test]
    fn what_has_no_length_or_is_no_answer_is_an_error() {
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n").is_err());
        assert!(Head::parse(b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n").is_err());
        assert!(Head::parse(&[b'a'; MAX_HEAD]).is_err());
        let bare = Head::parse(b"HTTP/1.1 304 Not Modified\r\n\r\n").unwrap();
        assert_eq!(bare.unwrap().length, 0);
    }
}
