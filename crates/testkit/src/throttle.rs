//! A link that is too slow.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// What the kernel keeps in front of the slow reader; it must not hide how slow it is.
const KERNEL_BUFFER: usize = 8 << 10;
const TICK: Duration = Duration::from_millis(20);

/// A proxy that takes only so many bytes a second from the server.
#[derive(Debug)]
pub struct Throttle {
    /// Where to connect instead of to the server.
    pub address: SocketAddr,
    rate: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Throttle {
    /// A link to `server` that carries `rate` bytes a second to each client.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start(server: SocketAddr, rate: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port has a number");
        let rate = Arc::new(AtomicU64::new(rate));
        let task = tokio::spawn(serve(listener, server, rate.clone()));
        Self {
            address,
            rate,
            task,
        }
    }

    /// The link has another rate from now on.
    pub fn set_rate(&self, rate: u64) {
        self.rate.store(rate, Ordering::Relaxed);
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, server: SocketAddr, rate: Arc<AtomicU64>) {
    let mut links = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        links.spawn(link(client, server, rate.clone()));
    }
}

async fn link(client: TcpStream, server: SocketAddr, rate: Arc<AtomicU64>) -> std::io::Result<()> {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
    socket.set_recv_buffer_size(KERNEL_BUFFER)?;
    socket.set_nonblocking(true)?;
    let upstream = TcpSocket::from_std_stream(socket.into())
        .connect(server)
        .await?;
    upstream.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = upstream.into_split();
    let up = tokio::io::copy(&mut from_client, &mut to_server);
    let down = async {
        let mut ticks = interval(TICK);
        // A pause of ours must not become a burst.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut buffer = vec![0; 64 << 10];
        loop {
            ticks.tick().await;
            let share = rate.load(Ordering::Relaxed) as f64 * TICK.as_secs_f64();
            let mut left = (share as usize).clamp(1, buffer.len());
            while left > 0 {
                let read = from_server.read(&mut buffer[..left]).await?;
                if read == 0 {
                    return Ok::<(), std::io::Error>(());
                }
                to_client.write_all(&buffer[..read]).await?;
                left -= read;
            }
        }
    };
    tokio::select! {
        // One half may end and the other go on, but no test needs that.
        ended = up => ended.map(drop),
        ended = down => ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_link_carries_what_it_may_and_no_more() {
        let server = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let link = Throttle::start(server.local_addr().expect("an address"), 50_000).await;
        let mut client = TcpStream::connect(link.address).await.expect("the link");
        let (mut socket, _) = server.accept().await.expect("through the link");
        let sender = tokio::spawn(async move { socket.write_all(&[7; 25_000]).await });
        let started = tokio::time::Instant::now();
        let mut bytes = Vec::new();
        while bytes.len() < 25_000 {
            assert_ne!(
                client.read_buf(&mut bytes).await.expect("the link is up"),
                0
            );
        }
        // Half a second, if the machine is not late; never much less.
        assert!(
            started.elapsed() > Duration::from_millis(400),
            "{:?}",
            started.elapsed()
        );
        sender.await.expect("no panic").expect("all is sent");
    }
}
