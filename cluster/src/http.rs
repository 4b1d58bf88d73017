//! Asking a program over HTTP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Who does not answer within this does not answer: it may be paused, or cut off.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a node answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// The key of whoever may ask that.
    pub(crate) bearer: Option<&'a str>,
    /// JSON.
    pub(crate) body: Option<&'a str>,
}

impl<'a> Request<'a> {
    pub(crate) fn get(path: &'a str) -> Self {
        Self {
            method: "GET",
            path,
            bearer: None,
            body: None,
        }
    }

    pub(crate) fn post(path: &'a str, body: &'a str) -> Self {
        Self {
            method: "POST",
            path,
            bearer: None,
            body: Some(body),
        }
    }

    fn text(&self, address: SocketAddr) -> String {
        let Self { method, path, .. } = self;
        let mut text =
            format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
        if let Some(key) = self.bearer {
            text += &format!("Authorization: Bearer {key}\r\n");
        }
        if let Some(body) = self.body {
            let length = body.len();
            text += &format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
        }
        text + "\r\n" + self.body.unwrap_or_default()
    }
}

/// One request on a connection of its own; `None` when there is no (whole) answer in time.
pub(crate) async fn ask(address: SocketAddr, request: Request<'_>) -> Option<Answer> {
    let text = request.text(address);
    timeout(PATIENCE, exchange(address, &text)).await.ok()?
}

async fn exchange(address: SocketAddr, request: &str) -> Option<Answer> {
    let mut socket = TcpStream::connect(address).await.ok()?;
    socket.write_all(request.as_bytes()).await.ok()?;
    let mut text = String::new();
    socket.read_to_string(&mut text).await.ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let chunked = head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    let body = if chunked {
        joined(body)?
    } else {
        body.to_owned()
    };
    Some(Answer { status, body })
}

fn joined(mut chunks: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, rest) = chunks.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body += rest.get(..size)?;
        chunks = rest.get(size + 2..)?;
    }
}

/// An answer of any bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The status code.
    pub status: u16,
    /// The status and the headers, as they came.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Loads `path` over a connection of its own.
///
/// # Errors
/// When there is no whole answer within `patience`.
pub async fn load(address: SocketAddr, path: &str, patience: Duration) -> io::Result<Loaded> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: test\r\nConnection: close\r\n\r\n"
    );
    let bytes = async {
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).await?;
        io::Result::Ok(bytes)
    };
    let bytes = timeout(patience, bytes).await??;
    Loaded::of(&bytes).ok_or_else(|| io::Error::other("an answer that is not whole"))
}

impl Loaded {
    /// What came of an answer, if that is all of it.
    fn of(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|it| it == b"\r\n\r\n")?;
        let (head, body) = bytes.split_at_checked(end + 4)?;
        let head = String::from_utf8(head.to_vec()).ok()?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().ok())?
        });
        (length == Some(body.len())).then_some(())?;
        Some(Self {
            status: head.split(' ').nth(1)?.parse().ok()?,
            head,
            body: body.to_vec(),
        })
    }

    /// The body as a text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
