//! The side that wants the streams.

mod answer;
mod connection;
mod pool;
mod pulling;
mod up;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::StreamKey;
use proto::relay::v1 as wire;
use proto::relay::v1::relay_client::RelayClient;
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use crate::metrics::Pulled;
use crate::tuning::{MAX_DOWN, MAX_UP};
use crate::wire::{action, query, release, released, text};
use crate::{
    Action, Auth, Error, Member, Peer, Pong, Query, Refusal, Release, Released, Subscribe, Tuning,
};
use answer::Signed;
use connection::{Connection, Sender};
use pool::Pool;
pub use pulling::{Described, Event, Pulling};

/// Calls other nodes and pulls their streams.
///
/// Keeps a few connections to each node that it talks to, and makes them when they are needed. Cloning gives
/// another handle of the same client. It never tries again: the caller knows whether that still makes sense, and
/// [`Error::is_retryable`] whether it can.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    me: Member,
    auth: Auth,
    tuning: Tuning,
    pool: Pool,
    metrics: Pulled,
    /// In milliseconds of unix time.
    clock: fn() -> i64,
}

impl Client {
    /// A client that calls as `me`.
    #[must_use]
    pub fn new(me: Member, auth: Auth, tuning: Tuning) -> Self {
        Self::with_clock(me, auth, tuning, crate::clock::unix_millis)
    }

    pub(crate) fn with_clock(me: Member, auth: Auth, tuning: Tuning, clock: fn() -> i64) -> Self {
        Self(Arc::new(Inner {
            pool: Pool::new(auth.clone(), tuning.clone()),
            me,
            auth,
            tuning,
            metrics: Pulled::new(),
            clock,
        }))
    }

    /// Begins to pull a stream: returns once the peer has said what comes.
    ///
    /// # Errors
    ///
    /// No connection, no trust, no stream.
    pub async fn pull(
        &self,
        peer: &Peer,
        subscribe: Subscribe,
    ) -> Result<(Described, Pulling), Error> {
        let pull = Box::pin(pulling::open(self, peer, subscribe));
        let pulled = self.in_time(self.0.tuning.call_timeout, pull).await;
        pulled.inspect_err(|error| self.0.metrics.failed(error))
    }

    /// Asks the origin of a stream to let go of it.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if it keeps it.
    pub async fn release(&self, peer: &Peer, wanted: Release) -> Result<Released, Error> {
        use wire::release_response::Kind;
        let request = release::to_wire(wanted);
        let call = self.call(
            peer,
            "/weir.relay.v1.Relay/Release",
            request,
            async |mut client, request| client.release(request).await,
        );
        match call.await?.kind {
            Some(Kind::Released(what)) => Ok(released::from_wire(&what)),
            Some(Kind::Refused(refusal)) => Err(Refusal::from_wire(refusal).into()),
            None => Err(EMPTY),
        }
    }

    /// Asks whether the peer is the origin of a stream: its record for the directory, JSON.
    ///
    /// # Errors
    ///
    /// No answer.
    pub async fn locate(&self, peer: &Peer, key: &StreamKey) -> Result<Option<String>, Error> {
        let request = wire::LocateRequest {
            key: key.as_str().to_owned(),
        };
        let call = self.call(
            peer,
            "/weir.relay.v1.Relay/Locate",
            request,
            async |mut client, request| client.locate(request).await,
        );
        Ok(Some(call.await?.record).filter(|record| !record.is_empty()))
    }

    /// Asks for what the peer's HTTP API shows: JSON.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if it does not know.
    pub async fn status(&self, peer: &Peer, wanted: &Query) -> Result<String, Error> {
        use wire::status_response::Kind;
        let request = query::to_wire(wanted);
        let call = self.call(
            peer,
            "/weir.relay.v1.Relay/Status",
            request,
            async |mut client, request| client.status(request).await,
        );
        match call.await?.kind {
            Some(Kind::Json(json)) => Ok(json),
            Some(Kind::Refused(refusal)) => Err(Refusal::from_wire(refusal).into()),
            None => Err(EMPTY),
        }
    }

    /// Orders what the peer's HTTP API can order; what there is to say is JSON, or nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if it does not do it.
    pub async fn act(&self, peer: &Peer, order: Action) -> Result<String, Error> {
        use wire::act_response::Kind;
        let request = action::to_wire(order);
        let call = self.call(
            peer,
            "/weir.relay.v1.Relay/Act",
            request,
            async |mut client, request| client.act(request).await,
        );
        match call.await?.kind {
            Some(Kind::Done(done)) => Ok(done.json),
            Some(Kind::Refused(refusal)) => Err(Refusal::from_wire(refusal).into()),
            None => Err(EMPTY),
        }
    }

    /// Asks whether there is anybody, within `patience`.
    ///
    /// # Errors
    ///
    /// Nobody, or nobody who answers.
    pub async fn ping(&self, peer: &Peer, patience: Duration) -> Result<Pong, Error> {
        let asked = Instant::now();
        let call = self.call(
            peer,
            "/weir.relay.v1.Relay/Ping",
            wire::PingRequest {},
            async |mut client, request| client.ping(request).await,
        );
        let pong = self.in_time(patience, call).await?;
        Ok(Pong {
            clock: Duration::from_millis(u64::try_from(pong.clock).unwrap_or(0)),
            round_trip: asked.elapsed(),
            release: text(pong.release),
        })
    }

    /// One question, one answer.
    async fn call<Q, A>(
        &self,
        peer: &Peer,
        method: &'static str,
        question: Q,
        ask: impl AsyncFnOnce(RelayClient<Sender>, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Error> {
        let call = async {
            let (connection, client) = self.connect(peer, 0).await?;
            let signed = self.sign(peer, method)?;
            let mut request = Request::new(question);
            signed.write(request.metadata_mut())?;
            let answer = ask(client, request).await;
            let answer = signed.check(self.0.auth.key(), peer, answer)?;
            drop(connection);
            Ok(answer)
        };
        // Large, and whoever calls would have to hold it.
        self.in_time(self.0.tuning.call_timeout, Box::pin(call))
            .await
    }

    /// A connection on which streams go that `spread` leads to.
    async fn connect(
        &self,
        peer: &Peer,
        spread: u64,
    ) -> Result<(Arc<Connection>, RelayClient<Sender>), Error> {
        let connection = self.0.pool.connection(peer.address(), spread).await?;
        let client = RelayClient::with_origin(connection.sender(), connection.origin())
            .max_decoding_message_size(MAX_DOWN)
            .max_encoding_message_size(MAX_UP);
        Ok((connection, client))
    }

    fn sign(&self, peer: &Peer, method: &'static str) -> Result<Signed, Error> {
        Signed::new(
            &self.0.me,
            peer,
            method,
            self.0.auth.key(),
            (self.0.clock)(),
        )
    }

    async fn in_time<T>(
        &self,
        patience: Duration,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let in_time = timeout(patience, call).await;
        in_time.unwrap_or(Err(Error::TimedOut(patience)))
    }
}

const EMPTY: Error = Error::Malformed("an answer without anything in it");

/// The means of a caller who keeps to no rule, for tests.
#[cfg(test)]
pub(crate) mod raw {
    use proto::relay::v1::relay_client::RelayClient;
    use tonic::metadata::MetadataMap;

    use super::connection::{Sender, connect};
    use crate::{Auth, Member, Peer, Tuning};

    /// On a connection without TLS.
    pub(crate) async fn client(address: &str) -> RelayClient<Sender> {
        let auth = Auth::secret("whatever this is").expect("long enough");
        let connection = connect(address.to_owned(), auth, Tuning::default()).await;
        let connection = connection.expect("connects");
        RelayClient::with_origin(connection.sender(), connection.origin())
    }

    /// What a call to `method` says, if it is made now.
    pub(crate) fn sign(
        me: &Member,
        peer: &Peer,
        method: &'static str,
        auth: &Auth,
        now: i64,
    ) -> MetadataMap {
        let method = format!("/weir.relay.v1.Relay/{method}").leak();
        let signed = super::Signed::new(me, peer, method, auth.key(), now).expect("signs");
        let mut metadata = MetadataMap::new();
        signed.write(&mut metadata).expect("can be said");
        metadata
    }
}
