//! The side that has the streams.

mod connection;
mod gate;
mod listen;
mod pump;
mod service;
mod strangers;

use std::future::Future;
use std::sync::Arc;

use proto::relay::v1::relay_server::RelayServer;
use tokio::net::TcpListener;

use crate::metrics::Served;
use crate::tuning::{MAX_DOWN, MAX_UP};
use crate::{Auth, Member, Source, Tuning};
use gate::Gate;
use service::Service;

/// Serves a node's streams and answers to the other nodes of its cluster, and to nobody else.
#[derive(Debug)]
pub struct Server(Arc<Shared>);

/// What all connections share.
#[derive(Debug)]
struct Shared {
    gate: Gate,
    auth: Auth,
    tuning: Tuning,
    service: RelayServer<Service>,
}

impl Server {
    /// A server for `me`, which answers with what `source` has.
    #[must_use]
    pub fn new(me: Member, auth: Auth, tuning: Tuning, source: Arc<dyn Source>) -> Self {
        let service = Service {
            metrics: Served::new(source.sent()),
            source,
            me: me.clone(),
            tuning: tuning.clone(),
        };
        let service = RelayServer::new(service)
            .max_decoding_message_size(MAX_UP)
            .max_encoding_message_size(MAX_DOWN);
        Self(Arc::new(Shared {
            gate: Gate::new(me, auth.clone()),
            auth,
            tuning,
            service,
        }))
    }

    /// Serves until `stop` comes true; then takes no more calls and waits for those under way, for whose end
    /// [`Notice::End`](crate::Notice::End) is there.
    ///
    /// Whoever drops this future cuts all connections at once.
    pub async fn serve(&self, listener: TcpListener, stop: impl Future<Output = ()>) {
        connection::serve(&self.0, listener, stop).await;
    }
}
