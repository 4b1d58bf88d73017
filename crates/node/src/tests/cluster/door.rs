//! The way to a node's relay, which can be cut off.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Where a node is reached by others.
pub(super) struct Door {
    pub(super) address: SocketAddr,
    leads_to: watch::Sender<Option<SocketAddr>>,
    is_open: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Door {
    /// One that leads nowhere yet.
    pub(super) async fn new() -> Door {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let (leads_to, to) = watch::channel(None);
        let (is_open, open) = watch::channel(true);
        let task = tokio::spawn(serve(listener, to, open));
        Door {
            address,
            leads_to,
            is_open,
            task,
        }
    }

    pub(super) fn leads_to(&self, address: SocketAddr) {
        self.leads_to.send_replace(Some(address));
    }

    /// Nothing comes through any more, and who asks hears nothing; or all that has waited does.
    pub(super) fn open(&self, open: bool) {
        self.is_open.send_replace(open);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    listener: TcpListener,
    to: watch::Receiver<Option<SocketAddr>>,
    open: watch::Receiver<bool>,
) {
    let mut visits = JoinSet::new();
    while let Ok((visitor, _)) = listener.accept().await {
        visits.spawn(visit(visitor, to.clone(), open.clone()));
    }
}

async fn visit(
    mut visitor: TcpStream,
    mut to: watch::Receiver<Option<SocketAddr>>,
    mut open: watch::Receiver<bool>,
) {
    let Ok(Some(address)) = to.wait_for(Option::is_some).await.map(|to| *to) else {
        return;
    };
    if open.wait_for(|open| *open).await.is_err() {
        return;
    }
    let Ok(mut node) = TcpStream::connect(address).await else {
        return;
    };
    let mut talk = std::pin::pin!(copy_bidirectional(&mut visitor, &mut node));
    loop {
        tokio::select! {
            _ = &mut talk => return,
            changed = open.wait_for(|open| !*open) => {
                if changed.is_err() {
                    return;
                }
            }
        }
        // The talk stands still until it is open again.
        if open.wait_for(|open| *open).await.is_err() {
            return;
        }
    }
}
