//! The routes, as one connection sees them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::HttpBody;
use axum::http::{HeaderValue, Method, Request, Response, Version, header};
use futures::task::AtomicWaker;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::Service;

use super::site::Site;
use super::thrift;
use crate::api::PeerAddress;
use crate::error::Refusal;
use crate::flv::Wish;
use crate::outgoing::{Outgoing, Piece};
use crate::patience::Flow;

/// What is asked of each listener by balancers and probes, and answered however many are connected.
const PROBES: [&str; 2] = ["/health", "/ready"];

/// An answer, and what is under way until it has been sent.
pub(super) type Answer = Response<Tracked>;

/// What the requests of a connection share with whoever drives it.
#[derive(Default)]
pub(super) struct Exchange {
    /// Requests that are not answered, or not in whole.
    open: AtomicUsize,
    changed: AtomicWaker,
    turn: Mutex<Turn>,
}

/// What came of the last request of a connection that takes one after the other.
#[derive(Default)]
pub(super) struct Turn {
    /// It was of a player, for whom the connection is to be.
    pub(super) player: Option<Wish>,
    /// Its answer is being made.
    pub(super) making: Option<Making>,
    /// Its answer, once it is asked for again.
    pub(super) made: Option<Answer>,
    /// How many requests there were.
    pub(super) requests: u64,
    /// How many bytes had been read by then.
    pub(super) read: u64,
    /// More belongs to it than its head.
    pub(super) has_body: bool,
}

/// An answer that is being made.
pub(super) struct Making {
    pub(super) answer: Pin<Box<dyn Future<Output = Answer> + Send>>,
    /// It goes to who asked for the head alone.
    pub(super) head_only: bool,
    /// It is the last.
    pub(super) closes: bool,
}

impl Exchange {
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire) > 0
    }

    /// How many requests there were.
    pub(super) fn requests(&self) -> u64 {
        self.turn().requests
    }

    /// Wakes whoever drives the connection when the last open request ends elsewhere.
    pub(super) fn watch(&self, cx: &Context<'_>) {
        self.changed.register(cx.waker());
    }

    pub(super) fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The routes for one peer: they learn where requests come from.
pub(super) struct Addressed {
    pub(super) site: Arc<Site>,
    pub(super) peer: SocketAddr,
    /// What it is told to all but probes.
    pub(super) over: Option<Refusal>,
    pub(super) exchange: Arc<Exchange>,
    pub(super) flow: Arc<Flow>,
}

impl Service<Request<Incoming>> for Addressed {
    type Response = Answer;
    type Error = Infallible;
    type Future = Reply;

    fn call(&self, mut request: Request<Incoming>) -> Reply {
        let is_last_http1 = request.version() <= Version::HTTP_11;
        let made = {
            let mut turn = self.exchange.turn();
            turn.requests += 1;
            turn.read = self.flow.read();
            turn.has_body = !request.body().is_end_stream();
            turn.made.take()
        };
        if let Some(made) = made {
            return Reply::Now(Some(made));
        }
        let held = Held::new(&self.exchange);
        if let Some(over) = &self.over
            && !PROBES.contains(&request.uri().path())
        {
            let mut answer = over
                .clone()
                .response()
                .map(|body| Outgoing::Made(body.into()));
            if is_last_http1 {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(header::CONNECTION, close);
            }
            return Reply::Now(Some(answer.map(|body| Tracked { body, _held: held })));
        }
        if let Some(wish) = self.site.wish(&request) {
            self.exchange.turn().player = Some(wish);
            return Reply::Never;
        }
        request.extensions_mut().insert(PeerAddress(self.peer));
        if request.version() == Version::HTTP_2 {
            thrift::name_host(&mut request);
        }
        let waits_well = request.version() == Version::HTTP_11
            && matches!(*request.method(), Method::GET | Method::HEAD)
            && request.body().is_end_stream();
        if waits_well {
            thrift::lighten(&mut request);
        }
        let head_only = request.method() == Method::HEAD;
        let closes = thrift::closes(request.headers());
        let answered = self.site.routes.call(request);
        let answer = Box::pin(async move {
            match answered.await {
                Ok(answer) => Outgoing::of(answer).map(|body| Tracked { body, _held: held }),
                Err(never) => match never {},
            }
        });
        if !waits_well {
            return Reply::Alone(answer);
        }
        self.exchange.turn().making = Some(Making {
            answer,
            head_only,
            closes,
        });
        Reply::Shared(Arc::clone(&self.exchange))
    }
}

/// An answer to come.
pub(super) enum Reply {
    /// It is there.
    Now(Option<Answer>),
    /// It is made here.
    Alone(Pin<Box<dyn Future<Output = Answer> + Send>>),
    /// It is made here unless somebody takes it out of the exchange.
    Shared(Arc<Exchange>),
    /// Somebody else answers.
    Never,
}

impl Future for Reply {
    type Output = Result<Answer, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Now(answer) => answer.take().map_or(Poll::Pending, Poll::Ready).map(Ok),
            Self::Alone(answer) => answer.as_mut().poll(cx).map(Ok),
            Self::Shared(exchange) => {
                let mut turn = exchange.turn();
                let Some(making) = &mut turn.making else {
                    return Poll::Pending;
                };
                let answer = making.answer.as_mut().poll(cx);
                if answer.is_ready() {
                    turn.making = None;
                }
                answer.map(Ok)
            }
            Self::Never => Poll::Pending,
        }
    }
}

/// A request is open for as long as this is there.
struct Held(Arc<Exchange>);

impl Held {
    fn new(exchange: &Arc<Exchange>) -> Self {
        exchange.open.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(exchange))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.changed.wake();
        }
    }
}

/// The body of an answer.
pub(super) struct Tracked {
    body: Outgoing,
    _held: Held,
}

#[cfg(test)]
impl Tracked {
    /// One of no connection.
    pub(super) fn untracked(answer: Response<axum::body::Body>) -> Answer {
        let held = Held::new(&Arc::default());
        Outgoing::of(answer).map(|body| Self { body, _held: held })
    }
}

impl HttpBody for Tracked {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
