//! The calls, from messages to what they mean and back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::Either;
use futures::stream::{self, Once};
use media::StreamKey;
use proto::relay::v1 as wire;
use proto::relay::v1::relay_server::Relay;
use tokio::time::timeout;
use tonic::{Request, Response, Status, Streaming};

use super::pump::Pump;
use crate::headers::{NEWEST, OLDEST, agree};
use crate::metrics::Served;
use crate::wire::{action, end, query, release, released, subscribe};
use crate::{Caller, End, Member, Refusal, RefusalCode, Source, Subscribe, Tuning};

/// The first message of a pull comes with it; a caller that sends none is odd.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);

pub(super) struct Service {
    pub(super) source: Arc<dyn Source>,
    pub(super) me: Member,
    pub(super) tuning: Tuning,
    pub(super) metrics: Served,
}

type Down = Result<wire::Down, Status>;
type Refused = Once<std::future::Ready<Down>>;

#[tonic::async_trait]
impl Relay for Service {
    type PullStream = Either<Pump, Refused>;

    async fn pull(
        &self,
        request: Request<Streaming<wire::Up>>,
    ) -> Result<Response<Self::PullStream>, Status> {
        let caller = caller(&request)?;
        let mut up = request.into_inner();
        let wanted = timeout(FIRST_MESSAGE, first(&mut up))
            .await
            .map_err(|_| Status::deadline_exceeded("a pull begins with what it wants"))??;
        let down = match self.open(caller, wanted, up).await {
            Ok(pump) => Either::Left(pump),
            Err(refusal) => {
                self.metrics.refused();
                Either::Right(refused(refusal))
            }
        };
        Ok(Response::new(down))
    }

    async fn release(
        &self,
        request: Request<wire::ReleaseRequest>,
    ) -> Result<Response<wire::ReleaseResponse>, Status> {
        use wire::release_response::Kind;
        let caller = caller(&request)?;
        let answer = match release::from_wire(request.into_inner()) {
            Ok(release) => self.source.release(caller, release).await,
            Err(refusal) => Err(refusal),
        };
        let kind = match answer {
            Ok(what) => Kind::Released(released::to_wire(&what)),
            Err(refusal) => Kind::Refused(refusal.to_wire()),
        };
        Ok(Response::new(wire::ReleaseResponse { kind: Some(kind) }))
    }

    async fn locate(
        &self,
        request: Request<wire::LocateRequest>,
    ) -> Result<Response<wire::LocateResponse>, Status> {
        let key = StreamKey::parse(&request.into_inner().key)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let record = self.source.locate(key).await.unwrap_or_default();
        Ok(Response::new(wire::LocateResponse { record }))
    }

    async fn status(
        &self,
        request: Request<wire::StatusRequest>,
    ) -> Result<Response<wire::StatusResponse>, Status> {
        use wire::status_response::Kind;
        let answer = match query::from_wire(&request.into_inner()) {
            Ok(query) => self.source.status(query).await,
            Err(refusal) => Err(refusal),
        };
        let kind = match answer {
            Ok(json) => Kind::Json(json),
            Err(refusal) => Kind::Refused(refusal.to_wire()),
        };
        Ok(Response::new(wire::StatusResponse { kind: Some(kind) }))
    }

    async fn act(
        &self,
        request: Request<wire::ActRequest>,
    ) -> Result<Response<wire::ActResponse>, Status> {
        use wire::act_response::Kind;
        let caller = caller(&request)?;
        let answer = match action::from_wire(request.into_inner()) {
            Ok(action) => self.source.act(caller, action).await,
            Err(refusal) => Err(refusal),
        };
        let kind = match answer {
            Ok(json) => Kind::Done(wire::Done { json }),
            Err(refusal) => Kind::Refused(refusal.to_wire()),
        };
        Ok(Response::new(wire::ActResponse { kind: Some(kind) }))
    }

    async fn ping(
        &self,
        _request: Request<wire::PingRequest>,
    ) -> Result<Response<wire::PingResponse>, Status> {
        Ok(Response::new(wire::PingResponse {
            clock: i64::try_from(self.source.clock().as_millis()).unwrap_or(i64::MAX),
            release: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }
}

impl Service {
    async fn open(
        &self,
        caller: Caller,
        wanted: wire::Subscribe,
        up: Streaming<wire::Up>,
    ) -> Result<Pump, Refusal> {
        let version = self.agree(&wanted)?;
        let wanted = subscribe::from_wire(wanted)?;
        self.check_hops(&caller, &wanted)?;
        let feed = self.source.subscribe(caller, wanted.clone()).await?;
        // Where an edge is itself still catching up, there is no place to join yet.
        feed.ring.caught_up().await;
        let source = Arc::clone(&self.source);
        let batch_bytes = self.tuning.batch_bytes;
        Pump::open(
            source,
            feed,
            &wanted,
            version,
            batch_bytes,
            up,
            &self.metrics,
        )
    }

    fn agree(&self, wanted: &wire::Subscribe) -> Result<u32, Refusal> {
        let (oldest, newest) = (wanted.oldest_version, wanted.newest_version);
        agree(oldest, newest).ok_or_else(|| {
            let sentence = format!(
                "node {} speaks versions {OLDEST} to {NEWEST} of the relay's protocol, the caller {oldest} to {newest}; upgrade one release at a time",
                self.me.node()
            );
            Refusal::new(RefusalCode::Version, sentence)
        })
    }

    fn check_hops(&self, caller: &Caller, wanted: &Subscribe) -> Result<(), Refusal> {
        let me = self.me.node();
        if caller.node == me || wanted.hops.iter().any(|hop| hop == me) {
            let sentence = format!("{} would come to node {me} from itself", wanted.key);
            return Err(Refusal::new(RefusalCode::Loop, sentence));
        }
        let (hops, most) = (wanted.hops.len(), self.tuning.max_hops);
        if hops > most {
            let sentence = format!("{} would pass {hops} nodes, {most} are allowed", wanted.key);
            return Err(Refusal::new(RefusalCode::Loop, sentence));
        }
        Ok(())
    }
}

/// Waits for what is wanted; a kind of message that we do not know is passed over.
async fn first(up: &mut Streaming<wire::Up>) -> Result<wire::Subscribe, Status> {
    loop {
        match up.message().await? {
            Some(wire::Up {
                kind: Some(wire::up::Kind::Subscribe(wanted)),
            }) => return Ok(wanted),
            Some(wire::Up { kind: None }) => {}
            Some(_) | None => {
                return Err(Status::invalid_argument("a pull begins with what it wants"));
            }
        }
    }
}

/// Whom the gate let in.
fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    let caller = request.extensions().get::<Caller>().cloned();
    caller.ok_or_else(|| Status::unauthenticated("the call came past the gate"))
}

fn refused(refusal: Refusal) -> Refused {
    let down = end::to_wire(&End::Refused(refusal));
    stream::once(std::future::ready(Ok(down)))
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("me", &self.me)
            .finish_non_exhaustive()
    }
}
