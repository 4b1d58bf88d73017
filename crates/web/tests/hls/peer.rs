//! A connection of a player.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Far more than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One connection, for one request after the other.
pub(crate) struct Peer {
    socket: TcpStream,
    read: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) status: u16,
    /// Names in small letters, in the order of the alphabet, but for the date.
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Peer {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.expect("connects");
        let read = Vec::new();
        Self { socket, read }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Heard {
        self.ask("GET", path, "").await
    }

    pub(crate) async fn ask(&mut self, method: &str, path: &str, headers: &str) -> Heard {
        self.send(method, path, headers).await;
        self.heard(method).await
    }

    pub(crate) async fn send(&mut self, method: &str, path: &str, headers: &str) {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: weir\r\n{headers}\r\n");
        let sent = self.socket.write_all(request.as_bytes()).await;
        sent.expect("sends");
    }

    /// The answer to a request of this method.
    pub(crate) async fn heard(&mut self, method: &str) -> Heard {
        let end = loop {
            let end = self.read.windows(4).position(|it| it == b"\r\n\r\n");
            match end {
                Some(end) => break end + 4,
                None => self.some().await,
            }
        };
        let head: Vec<u8> = self.read.drain(..end).collect();
        let head = String::from_utf8(head).expect("a text");
        let (line, rest) = head.split_once("\r\n").expect("a line");
        let status = line.split(' ').nth(1).and_then(|it| it.parse().ok());
        let headers = rest.lines().filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let mut headers: Vec<_> = headers.filter(|(name, _)| name != "date").collect();
        headers.sort();
        let mut heard = Heard {
            status: status.expect("a status"),
            headers,
            body: Vec::new(),
        };
        let length = match (method, heard.status) {
            ("HEAD", _) | (_, 204 | 304) => 0,
            _ => heard
                .header("content-length")
                .expect("a length")
                .parse()
                .expect("a number"),
        };
        while self.read.len() < length {
            self.some().await;
        }
        heard.body = self.read.drain(..length).collect();
        heard
    }

    /// Waits until the other end has closed it.
    pub(crate) async fn is_left(&mut self) {
        let read = timeout(PATIENCE, self.socket.read_buf(&mut self.read));
        assert_eq!(read.await.expect("in time").expect("a socket"), 0);
    }

    /// Nothing has come that was not asked for.
    pub(crate) fn is_silent(&self) -> bool {
        let mut byte = [0];
        self.read.is_empty() && self.socket.try_read(&mut byte).is_err()
    }

    async fn some(&mut self) {
        let read = timeout(PATIENCE, self.socket.read_buf(&mut self.read));
        let read = read.await.expect("in time").expect("a socket");
        assert!(
            read > 0,
            "more than {:?}",
            String::from_utf8_lossy(&self.read)
        );
    }
}

impl Heard {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(it, _)| it == name)
            .map(|(_, value)| &**value)
    }

    pub(crate) fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text")
    }

    /// A playlist.
    #[track_caller]
    pub(crate) fn playlist(&self) -> &str {
        assert_eq!(self.status, 200, "{}", self.text());
        assert_eq!(
            self.header("content-type"),
            Some("application/vnd.apple.mpegurl")
        );
        self.text()
    }

    /// A refusal: its status, and its word for programs.
    #[track_caller]
    pub(crate) fn refusal(&self) -> (u16, String) {
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        let body: serde_json::Value = serde_json::from_slice(&self.body).expect("JSON");
        assert!(
            body["error"].as_str().is_some_and(|it| it.len() > 10),
            "{body}"
        );
        (
            self.status,
            body["code"].as_str().expect("a code").to_owned(),
        )
    }
}

/// The URIs of a playlist, in order.
pub(crate) fn uris(playlist: &str) -> Vec<String> {
    let lines = playlist.lines();
    let uris = lines.filter_map(|line| match line.starts_with('#') {
        true => line.split_once("URI=\"")?.1.split('"').next(),
        false => Some(line),
    });
    uris.map(str::to_owned).collect()
}
