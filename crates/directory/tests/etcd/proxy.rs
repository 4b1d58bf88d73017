//! The network between a node and etcd, which can be cut.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Forwards connections to wherever etcd is at the moment.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    inner: Arc<Inner>,
    accepting: JoinHandle<()>,
}

struct Inner {
    target: Mutex<SocketAddr>,
    cut: Mutex<bool>,
    connections: Mutex<JoinSet<()>>,
}

impl Proxy {
    pub(crate) fn start(target: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let listener = TcpListener::from_std(listener).expect("a runtime");
        let address = listener.local_addr().expect("an address");
        let inner = Arc::new(Inner {
            target: Mutex::new(target),
            cut: Mutex::new(false),
            connections: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, inner.clone()));
        Self {
            address,
            inner,
            accepting,
        }
    }

    /// All connections break, and there are none until it is mended.
    pub(crate) fn cut(&self, cut: bool) {
        *self.inner.cut.lock().expect("a lock") = cut;
        if cut {
            *self.inner.connections.lock().expect("a lock") = JoinSet::new();
        }
    }

    /// Etcd is somewhere else.
    pub(crate) fn retarget(&self, target: SocketAddr) {
        *self.inner.target.lock().expect("a lock") = target;
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        let mut connections = self.inner.connections.lock().expect("a lock");
        while connections.try_join_next().is_some() {}
        connections.len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, inner: Arc<Inner>) {
    while let Ok((mut near, _)) = listener.accept().await {
        let target = *inner.target.lock().expect("a lock");
        if *inner.cut.lock().expect("a lock") {
            continue;
        }
        inner.connections.lock().expect("a lock").spawn(async move {
            if let Ok(mut far) = TcpStream::connect(target).await {
                let _ = near.set_nodelay(true);
                let _ = far.set_nodelay(true);
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}
