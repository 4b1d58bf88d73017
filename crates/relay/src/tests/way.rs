//! A way to a server that is not as short and as sure as loopback.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::Peer;

/// Counts connections. It can be long, go dead without a word, and be cut.
pub(super) struct Way {
    /// Where it begins.
    pub(super) peer: Peer,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    delay: Duration,
    made: AtomicUsize,
    open: AtomicUsize,
    /// Bytes from the server.
    down: AtomicUsize,
    is_dead: AtomicBool,
    /// After how many bytes from the server each of the next connections is cut.
    cuts: Mutex<VecDeque<usize>>,
}

impl Way {
    pub(super) async fn to(server: &Peer) -> Self {
        Self::long(server, Duration::ZERO).await
    }

    /// What goes this way takes so long, in each direction.
    pub(super) async fn long(server: &Peer, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("has an address").to_string();
        let state = Arc::new(State {
            delay,
            ..State::default()
        });
        let way = Self {
            peer: Peer::new(server.node(), address).expect("a name"),
            state: Arc::clone(&state),
        };
        let server = server.address().to_owned();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                state.made.fetch_add(1, Ordering::SeqCst);
                state.open.fetch_add(1, Ordering::SeqCst);
                let cut = state.cuts.lock().expect("not poisoned").pop_front();
                let far = TcpStream::connect(&server).await.expect("connects");
                tokio::spawn(carry(near, far, cut, Arc::clone(&state)));
            }
        });
        way
    }

    /// How many connections there were.
    pub(super) fn made(&self) -> usize {
        self.state.made.load(Ordering::SeqCst)
    }

    /// How many there are.
    pub(super) fn open(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }

    /// How many bytes came from the server.
    pub(super) fn down(&self) -> usize {
        self.state.down.load(Ordering::SeqCst)
    }

    /// From now on it swallows all, and says nothing.
    pub(super) fn die(&self) {
        self.state.is_dead.store(true, Ordering::SeqCst);
    }

    /// The next connection is cut after so many bytes from the server.
    pub(super) fn cut_next_after(&self, bytes: usize) {
        let mut cuts = self.state.cuts.lock().expect("not poisoned");
        cuts.push_back(bytes);
    }
}

async fn carry(near: TcpStream, far: TcpStream, cut: Option<usize>, state: Arc<State>) {
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    let up = AtomicUsize::default();
    tokio::select! {
        () = copy(near_in, far_out, usize::MAX, &state, &up) => {}
        () = copy(far_in, near_out, cut.unwrap_or(usize::MAX), &state, &state.down) => {}
    }
    state.open.fetch_sub(1, Ordering::SeqCst);
}

/// Carries `most` bytes, and counts them.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    most: usize,
    state: &State,
    carried: &AtomicUsize,
) {
    let (under_way, mut arriving) = mpsc::channel::<(Instant, Bytes)>(64);
    let read = async move {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let bytes = Bytes::copy_from_slice(&buffer[..read]);
            let due = Instant::now() + state.delay;
            if under_way.send((due, bytes)).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        let mut left = most;
        while let Some((due, mut bytes)) = arriving.recv().await {
            sleep_until(due).await;
            if state.is_dead.load(Ordering::SeqCst) {
                continue;
            }
            bytes.truncate(left);
            left -= bytes.len();
            carried.fetch_add(bytes.len(), Ordering::SeqCst);
            if to.write_all(&bytes).await.is_err() || left == 0 {
                return;
            }
        }
    };
    // What was read before the end still arrives.
    tokio::select! {
        () = write => {}
        () = async { read.await; std::future::pending().await } => {}
    }
}
