//! A pull that runs.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::{Description, Relayed};
use proto::relay::v1 as wire;
use proto::relay::v1::down::Kind;
use tokio::sync::watch;
use tonic::{Request, Streaming};

use super::answer::broken;
use super::connection::Connection;
use super::{Client, up};
use crate::headers::{NEWEST, OLDEST};
use crate::metrics::PullMetrics;
use crate::wire::{about, description, end, read_tags, subscribe};
use crate::{About, End, Error, Peer, Refusal, RefusalCode, Subscribe, Viewers};

/// A stream that comes in from another node. Dropping it is leaving.
#[derive(Debug)]
pub struct Pulling {
    down: Streaming<wire::Down>,
    viewers: watch::Sender<Viewers>,
    begun: Instant,
    has_tags: bool,
    ended: Option<End>,
    metrics: PullMetrics,
    /// In use as long as this is.
    _connection: Arc<Connection>,
}

/// What the tags that follow belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// For [`media::Replica::describe`].
    pub description: Description,
    /// What the origin knows beside.
    pub about: About,
    /// Whether nothing is missing between what [`Subscribe::resume`] asked for and the first tag.
    pub resumed: bool,
}

/// What comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// In front of the first tag of a new epoch.
    Described(Box<Described>),
    /// What the origin knows by now of the epoch that was described last.
    About(Box<About>),
    /// Tags, for [`media::Replica::push`].
    Tags(Vec<Relayed>),
    /// All that was old when the pull or the epoch began is there: for [`media::Replica::caught_up`].
    CaughtUp,
    /// The peer will be gone after this; the stream goes on until then.
    Draining(Duration),
    /// The stream does not go on here.
    Ended(End),
}

/// Opens a stream, and waits for what is said first.
pub(super) async fn open(
    client: &Client,
    peer: &Peer,
    wanted: Subscribe,
) -> Result<(Described, Pulling), Error> {
    let begun = Instant::now();
    let mut spread = DefaultHasher::new();
    wanted.key.hash(&mut spread);
    let (connection, mut calls) = client.connect(peer, spread.finish()).await?;
    let signed = client.sign(peer, "/weir.relay.v1.Relay/Pull")?;
    let mut message = subscribe::to_wire(&wanted);
    message.hops.push(client.0.me.node().to_owned());
    let (viewers, counts) = watch::channel(Viewers::default());
    let mut request = Request::new(up::messages(message, counts));
    signed.write(request.metadata_mut())?;
    let answer = calls.pull(request).await;
    let mut down = signed.check(client.0.auth.key(), peer, answer)?;
    let described = match hear(&mut down).await? {
        Kind::Described(described) => understand(described)?,
        Kind::End(end) => return Err(not_begun(end::from_wire(end)).into()),
        Kind::Tags(_) | Kind::CaughtUp(_) | Kind::Draining(_) | Kind::Stream(_) => {
            return Err(Error::Malformed(
                "a stream that does not begin with a description",
            ));
        }
    };
    let pulling = Pulling {
        down,
        viewers,
        begun,
        has_tags: false,
        ended: None,
        metrics: client.0.metrics.open(),
        _connection: connection,
    };
    Ok((described, pulling))
}

/// A pull that ended before it began.
fn not_begun(end: End) -> Refusal {
    let sentence = "the stream ended as it was asked for";
    match end {
        End::Refused(refusal) => refusal,
        End::Draining => Refusal::new(RefusalCode::Draining, sentence),
        _ => Refusal::new(RefusalCode::NotFound, sentence),
    }
}

impl Pulling {
    /// Waits for what comes next. An end stays the last event.
    ///
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    ///
    /// A broken connection or nonsense from the peer. The pull is over: drop it, and begin another if
    /// [`Error::is_retryable`].
    pub async fn next(&mut self) -> Result<Event, Error> {
        if let Some(end) = &self.ended {
            return Ok(Event::Ended(end.clone()));
        }
        let heard = match hear(&mut self.down).await {
            Ok(kind) => self.understand(kind),
            Err(error) => Err(error),
        };
        match &heard {
            Ok(Event::Ended(end)) => {
                self.metrics.ended(end);
                self.ended = Some(end.clone());
            }
            Ok(_) => {}
            Err(error) => self.metrics.failed(error),
        }
        heard
    }

    /// Tells the peer how many watch here, and behind. Only the newest count matters.
    pub fn viewers(&self, viewers: Viewers) {
        self.viewers.send_if_modified(|told| {
            let is_new = *told != viewers;
            *told = viewers;
            is_new
        });
    }

    fn understand(&mut self, kind: Kind) -> Result<Event, Error> {
        Ok(match kind {
            Kind::Tags(tags) => {
                let (tags, bytes) = read_tags(tags).map_err(Error::Malformed)?;
                if !std::mem::replace(&mut self.has_tags, true) {
                    self.metrics.first_tag(self.begun.elapsed());
                }
                self.metrics.received(bytes);
                Event::Tags(tags)
            }
            Kind::Described(described) => Event::Described(Box::new(understand(described)?)),
            Kind::Stream(stream) => Event::About(Box::new(about::from_wire(stream))),
            Kind::CaughtUp(wire::CaughtUp {}) => Event::CaughtUp,
            Kind::Draining(draining) => {
                Event::Draining(Duration::from_millis(draining.within.into()))
            }
            Kind::End(end) => Event::Ended(end::from_wire(end)),
        })
    }
}

async fn hear(down: &mut Streaming<wire::Down>) -> Result<Kind, Error> {
    loop {
        let message = down.message().await.map_err(|status| broken(&status))?;
        let silent = || Error::Lost("the peer stopped in mid-stream".to_owned());
        // A kind of message that we do not know is passed over.
        if let Some(kind) = message.ok_or_else(silent)?.kind {
            return Ok(kind);
        }
    }
}

fn understand(mut described: wire::Described) -> Result<Described, Error> {
    // Missing: the first version.
    if !(OLDEST..=NEWEST).contains(&described.version.max(1)) {
        return Err(Error::Malformed(
            "a version of the protocol that was not offered",
        ));
    }
    let about = about::from_wire(described.stream.take().unwrap_or_default());
    let resumed = described.resumed;
    let description = description(described, about.hls.is_some()).map_err(Error::Malformed)?;
    Ok(Described {
        description,
        about,
        resumed,
    })
}
