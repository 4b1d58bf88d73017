//! A player over HTTP that keeps what it is sent.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flv::Tag;
use flv::file::Reader;
use rtmp::tls::Trust;
use testkit::wait::until;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// What makes a WebSocket of a request; the key is that of RFC 6455 1.3.
const UPGRADE: &str = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// One player. It leaves when this is dropped.
pub(crate) struct Viewer {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

/// What came so far.
#[derive(Default)]
struct Seen {
    /// The head of the answer, once it is whole.
    head: Option<String>,
    carrier: Carrier,
    /// What came behind it, out of its chunks or messages.
    bytes: Vec<u8>,
    /// How long each of those was.
    pieces: Vec<usize>,
    /// A chunk has said that it is the last.
    whole: bool,
    /// The last message of a WebSocket: a number, and a sentence.
    goodbye: Option<(u16, String)>,
    tags: Vec<Tag>,
    file: Reader,
    ended: bool,
}

/// What the bytes come in, by the head of the answer.
#[derive(Clone, Copy, Default)]
enum Carrier {
    #[default]
    Bytes,
    Chunks,
    Messages,
}

impl Viewer {
    /// Asks for `/{stream}.flv`.
    pub(crate) fn get(address: SocketAddr, stream: &str) -> Self {
        Self::ask(address, stream, "")
    }

    /// The same in a WebSocket.
    pub(crate) fn websocket(address: SocketAddr, stream: &str) -> Self {
        Self::ask(address, stream, UPGRADE)
    }

    /// The file through TLS, whoever may answer.
    pub(crate) fn secure_get(address: SocketAddr, stream: &str) -> Self {
        Self::begin(address, stream, "", true)
    }

    /// The messages through TLS.
    pub(crate) fn secure_websocket(address: SocketAddr, stream: &str) -> Self {
        Self::begin(address, stream, UPGRADE, true)
    }

    fn ask(address: SocketAddr, stream: &str, headers: &str) -> Self {
        Self::begin(address, stream, headers, false)
    }

    fn begin(address: SocketAddr, stream: &str, headers: &str, is_secure: bool) -> Self {
        let (path, query) = stream.split_once('?').unwrap_or((stream, ""));
        let request = format!("GET /{path}.flv?{query} HTTP/1.1\r\nhost: weir\r\n{headers}\r\n");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            // Whether it ends well or is reset is told apart by what has come by then.
            drop(match is_secure {
                true => play(secured(address).await, &request, &shared).await,
                false => play(TcpStream::connect(address).await, &request, &shared).await,
            });
            lock(&shared).ended = true;
        });
        Self { seen, task }
    }

    /// The status of the answer, as soon as there is one.
    pub(crate) async fn status(&self) -> u16 {
        let head = self.head().await;
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
        status.unwrap_or_else(|| panic!("a status in {head}"))
    }

    /// The head of the answer in small letters.
    pub(crate) async fn head(&self) -> String {
        until("an answer", async || lock(&self.seen).head.clone()).await
    }

    /// What came behind the head so far.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        lock(&self.seen).bytes.clone()
    }

    /// How long each chunk was, or each message of a WebSocket.
    pub(crate) fn pieces(&self) -> Vec<usize> {
        lock(&self.seen).pieces.clone()
    }

    /// Whether it was told that it has all.
    pub(crate) fn is_whole(&self) -> bool {
        lock(&self.seen).whole
    }

    pub(crate) fn tags(&self) -> Vec<Tag> {
        lock(&self.seen).tags.clone()
    }

    /// Waits for so many frames in all.
    pub(crate) async fn frames(&self, count: usize) {
        let frames = || {
            lock(&self.seen)
                .tags
                .iter()
                .filter(|it| it.is_frame())
                .count()
        };
        let what = format!("{count} frames");
        until(&what, async || (frames() >= count).then_some(())).await;
    }

    /// Waits for the end, and what was said last in a WebSocket.
    pub(crate) async fn ended(&self) -> Option<(u16, String)> {
        let ended = async || lock(&self.seen).ended.then_some(());
        until("the end", ended).await;
        lock(&self.seen).goodbye.clone()
    }

    /// The head of the answer, or nothing where nobody answers.
    pub(crate) async fn answered(&self) -> Option<String> {
        let over = async || {
            let seen = lock(&self.seen);
            (seen.ended || seen.head.is_some()).then(|| seen.head.clone())
        };
        until("an answer or none", over).await
    }

    pub(crate) fn has_ended(&self) -> bool {
        lock(&self.seen).ended
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn secured(address: SocketAddr) -> io::Result<impl AsyncRead + AsyncWrite + Unpin> {
    let connector = Trust::Anybody.connector().map_err(io::Error::other)?;
    let socket = TcpStream::connect(address).await?;
    let name = "localhost".try_into().map_err(io::Error::other)?;
    connector.connect(name, socket).await
}

async fn play(
    socket: io::Result<impl AsyncRead + AsyncWrite + Unpin>,
    request: &str,
    seen: &Mutex<Seen>,
) -> io::Result<()> {
    let mut socket = socket?;
    socket.write_all(request.as_bytes()).await?;
    let mut read = Vec::new();
    while socket.read_buf(&mut read).await? > 0 {
        lock(seen).take(&mut read);
    }
    Ok(())
}

impl Seen {
    fn take(&mut self, read: &mut Vec<u8>) {
        if self.head.is_none() {
            let Some(end) = read.windows(4).position(|it| it == b"\r\n\r\n") else {
                return;
            };
            let head: Vec<u8> = read.drain(..end + 4).collect();
            let head = String::from_utf8_lossy(&head).to_lowercase();
            self.carrier = match () {
                () if head.contains("upgrade: websocket") => Carrier::Messages,
                () if head.contains("transfer-encoding: chunked") => Carrier::Chunks,
                () => Carrier::Bytes,
            };
            self.head = Some(head);
        }
        match self.carrier {
            Carrier::Bytes => self.media(std::mem::take(read)),
            Carrier::Chunks => {
                while let Some((before, len)) = chunk(read) {
                    let chunk: Vec<u8> = read.drain(..before + len + 2).collect();
                    self.whole = len == 0;
                    self.piece(chunk[before..before + len].to_vec());
                }
            }
            Carrier::Messages => {
                while let Some((kind, head, len)) = message(read) {
                    let payload: Vec<u8> = read.drain(..head + len).skip(head).collect();
                    self.message(kind, payload);
                }
            }
        }
    }

    fn message(&mut self, kind: u8, payload: Vec<u8>) {
        match kind {
            0x82 => self.piece(payload),
            0x88 => {
                let code = payload.first_chunk();
                let code = code.map_or(0, |it| u16::from_be_bytes(*it));
                let why = payload.get(2..).unwrap_or_default();
                self.goodbye = Some((code, String::from_utf8_lossy(why).into_owned()));
            }
            0x89 => {}
            other => panic!("a message of kind {other:x}"),
        }
    }

    fn piece(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.pieces.push(bytes.len());
            self.media(bytes);
        }
    }

    fn media(&mut self, bytes: Vec<u8>) {
        self.file.push(&bytes);
        while let Ok(Some(tag)) = self.file.pull() {
            self.tags.push(tag);
        }
        self.bytes.extend(bytes);
    }
}

/// The first message of a WebSocket, once it is whole: its kind, and the lengths of its head and of the rest.
fn message(read: &[u8]) -> Option<(u8, usize, usize)> {
    let &[kind, short] = read.first_chunk()?;
    let (head, len) = match short {
        126 => (
            4,
            u64::from(u16::from_be_bytes(*read.get(2..)?.first_chunk()?)),
        ),
        127 => (10, u64::from_be_bytes(*read.get(2..)?.first_chunk()?)),
        short => (2, u64::from(short)),
    };
    let len = usize::try_from(len).expect("a length that fits into memory");
    (read.len() >= head + len).then_some((kind, head, len))
}

/// The first chunk, once it is whole: the lengths of what stands before it and of itself.
fn chunk(read: &[u8]) -> Option<(usize, usize)> {
    let line = read.windows(2).position(|it| it == b"\r\n")?;
    let size = std::str::from_utf8(&read[..line]).expect("a number");
    let len = usize::from_str_radix(size, 16).expect("a number");
    (read.len() >= line + 2 + len + 2).then_some((line + 2, len))
}
