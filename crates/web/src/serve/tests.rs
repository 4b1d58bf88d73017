//! Connections, by what their peers see.

mod http1;
mod limits;
mod memory;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use node::Watch;
use node::status::{Answer, Done, Order, Question, Refusal, RefusalKind};
use node::watch::{Refused, Request};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::{Check, Config, Server, Source};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// The path whose answers take until they are let go.
const SLOW: &str = "/api/v1/streams";

/// A node that is made up. What is asked of it waits.
struct Stub {
    /// Those who wait.
    waiting: AtomicUsize,
    gate: Semaphore,
}

struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Source for Stub {
    fn node_id(&self) -> &str {
        "node-1"
    }

    fn role(&self) -> &'static str {
        "all"
    }

    async fn active_streams(&self) -> u64 {
        0
    }

    async fn checks(&self) -> Vec<Check> {
        Vec::new()
    }

    fn metrics(&self) -> String {
        "m".repeat(100_000)
    }

    fn admin_key(&self) -> Option<&str> {
        None
    }

    async fn ask(&self, _question: Question) -> Result<Answer, Refusal> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits(&self.waiting);
        self.gate.acquire().await.expect("it is open").forget();
        Err(Refusal::new(RefusalKind::NotFound, "not here"))
    }

    fn watch(&self, _watch: Watch) {}

    async fn may_watch(&self, _request: &Request) -> Result<(), Refused> {
        Ok(())
    }

    async fn hls(&self, _request: &node::hls::Request) -> Result<node::hls::Stream, Refused> {
        Err(Refused::new(RefusalKind::NotFound, "not here"))
    }

    async fn order(&self, _order: Order) -> Result<Done, Refusal> {
        Err(Refusal::new(RefusalKind::Busy, "not now"))
    }
}

/// A server in front of it.
struct Site {
    stub: Arc<Stub>,
    address: SocketAddr,
    server: Server,
}

impl Site {
    fn start(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.http.listen = "127.0.0.1:0".parse().ok();
        change(&mut config);
        let stub = Arc::new(Stub {
            waiting: AtomicUsize::new(0),
            gate: Semaphore::new(0),
        });
        let server = Server::start(&config, Arc::clone(&stub)).expect("starts");
        Self {
            stub,
            address: server.addresses()[0].1,
            server,
        }
    }

    async fn connect(&self) -> Peer<TcpStream> {
        Peer::new(TcpStream::connect(self.address).await.expect("connects"))
    }

    /// Lets so many have their answers.
    fn let_go(&self, count: usize) {
        self.stub.gate.add_permits(count);
    }

    async fn waiting(&self, count: usize) {
        until("so many wait", || {
            self.stub.waiting.load(Ordering::Relaxed) == count
        })
        .await;
    }
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let waits = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = timeout(PATIENCE, waits).await;
    waited.unwrap_or_else(|_| panic!("never: {what}"));
}

/// One connection.
struct Peer<S> {
    socket: S,
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    fn new(socket: S) -> Self {
        let read = Vec::new();
        Self { socket, read }
    }

    async fn say(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).await.expect("sends");
    }

    async fn ask(&mut self, path: &str) {
        self.say(&format!("GET {path} HTTP/1.1\r\nhost: weir\r\n\r\n"))
            .await;
    }

    /// The next answer: its status, and all of it.
    async fn answer(&mut self) -> (u16, String) {
        self.answer_to("GET").await
    }

    async fn answer_to(&mut self, method: &str) -> (u16, String) {
        loop {
            if let Some(answer) = self.whole(method) {
                return answer;
            }
            let read = timeout(PATIENCE, self.socket.read_buf(&mut self.read));
            let read = read.await.expect("in time").expect("a socket");
            assert!(
                read > 0,
                "more than {:?}",
                String::from_utf8_lossy(&self.read)
            );
        }
    }

    fn whole(&mut self, method: &str) -> Option<(u16, String)> {
        let head = self.read.windows(4).position(|it| it == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(&self.read[..head]).to_lowercase();
        let length = text.split("content-length: ").nth(1)?.lines().next()?;
        let length = match method {
            "HEAD" => 0,
            _ => length.parse().expect("a number"),
        };
        if self.read.len() < head + length {
            return None;
        }
        let answer: Vec<u8> = self.read.drain(..head + length).collect();
        let status = text.split(' ').nth(1)?.parse().expect("a status");
        Some((status, String::from_utf8(answer).expect("a text")))
    }

    /// Waits until it is closed, and says what came before that.
    async fn closed(mut self) -> String {
        // A reset is an end as well.
        let read = timeout(PATIENCE, self.socket.read_to_end(&mut self.read));
        drop(read.await.expect("an end"));
        String::from_utf8(self.read).expect("a text")
    }
}
