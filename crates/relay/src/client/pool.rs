//! The connections there are: few to each node, made when needed, by the first who needs one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};

use super::connection::{Connection, Failed, connect};
use crate::{Auth, Error, Tuning};

#[derive(Debug)]
pub(super) struct Pool {
    auth: Auth,
    tuning: Tuning,
    peers: Arc<Peers>,
}

/// By address.
type Peers = Mutex<HashMap<String, Vec<Slot>>>;

/// A place for one connection.
#[derive(Clone, Debug, Default)]
struct Slot {
    connection: Weak<Connection>,
    connecting: Option<WeakShared<Connecting>>,
}

type Connecting = BoxFuture<'static, Result<Arc<Connection>, Failed>>;

impl Pool {
    pub(super) fn new(auth: Auth, tuning: Tuning) -> Self {
        Self {
            auth,
            tuning,
            peers: Arc::default(),
        }
    }

    /// A connection to the node at `address`, the same for the same `spread`.
    pub(super) async fn connection(
        &self,
        address: &str,
        spread: u64,
    ) -> Result<Arc<Connection>, Error> {
        let at = spread % self.tuning.connections_per_peer.max(1) as u64;
        let at = usize::try_from(at).unwrap_or(0);
        match self.find(address, at) {
            Ok(connection) => Ok(connection),
            Err(connecting) => connecting.await.map_err(|failed| failed.at(address)),
        }
    }

    /// The connection there is, or who makes one.
    fn find(&self, address: &str, at: usize) -> Result<Arc<Connection>, Shared<Connecting>> {
        let mut peers = lock(&self.peers);
        if !peers.contains_key(address) {
            peers.retain(|_, slots| slots.iter().any(Slot::is_used));
            let slots = vec![Slot::default(); self.tuning.connections_per_peer.max(1)];
            peers.insert(address.to_owned(), slots);
        }
        let slot = peers.get_mut(address).and_then(|slots| slots.get_mut(at));
        if let Some(open) = slot.as_ref().and_then(|slot| slot.open()) {
            return Ok(open);
        }
        if let Some(connecting) = slot.as_ref().and_then(|slot| slot.connecting()) {
            return Err(connecting);
        }
        let connecting = self.connect(address.to_owned(), at).boxed().shared();
        if let Some(slot) = slot {
            slot.connecting = connecting.downgrade();
        }
        Err(connecting)
    }

    /// Makes a connection and puts it into its place, before anybody who waits for it hears of it: who comes in
    /// between would make another.
    fn connect(
        &self,
        address: String,
        at: usize,
    ) -> impl Future<Output = Result<Arc<Connection>, Failed>> + Send + 'static {
        let peers = Arc::clone(&self.peers);
        let connecting = connect(address.clone(), self.auth.clone(), self.tuning.clone());
        async move {
            let connection = connecting.await?;
            let mut peers = lock(&peers);
            if let Some(slot) = peers.get_mut(&address).and_then(|slots| slots.get_mut(at)) {
                slot.connection = Arc::downgrade(&connection);
            }
            Ok(connection)
        }
    }
}

fn lock(peers: &Peers) -> MutexGuard<'_, HashMap<String, Vec<Slot>>> {
    peers.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slot {
    fn open(&self) -> Option<Arc<Connection>> {
        self.connection
            .upgrade()
            .filter(|connection| connection.is_open())
    }

    /// Who is making a connection. Where that is done it was for those who waited: it may have failed, or broken
    /// since.
    fn connecting(&self) -> Option<Shared<Connecting>> {
        let connecting = self.connecting.as_ref()?.upgrade()?;
        connecting.peek().is_none().then_some(connecting)
    }

    fn is_used(&self) -> bool {
        self.open().is_some() || self.connecting().is_some()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn nodes_that_are_gone_are_forgotten() {
        let auth = Auth::secret("a secret of all nodes").expect("long enough");
        let pool = Pool::new(auth, Tuning::default());
        for _ in 0..10 {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
            let address = listener.local_addr().expect("has an address").to_string();
            drop(listener);
            let refused = pool.connection(&address, 0).await;
            assert!(matches!(refused, Err(Error::Connect { .. })), "{refused:?}");
            // The last one is looked at when the next comes.
            assert_eq!(lock(&pool.peers).len(), 1);
        }
    }
}
