//! The routes, as one connection sees them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::HttpBody;
use axum::http::{HeaderValue, Method, Request, Response, Version, header};
use futures::task::AtomicWaker;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::Service;

use super::site::Site;
use super::{answers, thrift};
use crate::api::PeerAddress;
use crate::error::{Elsewhere, Refusal};
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
    /// Another node is better asked next.
    leaves: AtomicBool,
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

    /// Whether the next request is better asked of another node.
    pub(super) fn leaves(&self) -> bool {
        self.leaves.load(Ordering::Acquire)
    }

    fn leave(&self) {
        self.leaves.store(true, Ordering::Release);
        self.changed.wake();
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
            return Reply::Now(Some(Box::new(made)));
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
            if let Some(players) = &self.site.players {
                players.cors.tell(request.headers(), answer.headers_mut());
                // Pages, too, are to come again when they are told to.
                let names = HeaderValue::from_static("Retry-After");
                let exposed = header::ACCESS_CONTROL_EXPOSE_HEADERS;
                answer.headers_mut().insert(exposed, names);
            }
            let in_pieces = !is_last_http1;
            let answer = answer.map(|body| Tracked::new(body, in_pieces, held));
            return Reply::Now(Some(Box::new(answer)));
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
        let in_pieces = request.version() == Version::HTTP_2;
        let answered = self.site.routes.call(request);
        let exchange = Arc::clone(&self.exchange);
        let answer = Box::pin(async move {
            match answered.await {
                Ok(answer) if answer.extensions().get() == Some(&Elsewhere::All) => {
                    exchange.leave();
                    Outgoing::of(answer).map(|body| Tracked::new(body, in_pieces, held))
                }
                Ok(answer) => Outgoing::of(answer).map(|body| Tracked::new(body, in_pieces, held)),
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
    Now(Option<Box<Answer>>),
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
            Self::Now(answer) => match answer.take() {
                Some(answer) => Poll::Ready(Ok(*answer)),
                None => Poll::Pending,
            },
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
    /// By HTTP/2, where somebody sees to it that they are taken.
    in_pieces: bool,
    /// What is there of it, and has not been handed over.
    rest: Option<Piece>,
    /// The length of what was handed over last.
    handed: usize,
    _held: Held,
}

impl Tracked {
    fn new(body: Outgoing, in_pieces: bool, held: Held) -> Self {
        Self {
            body,
            in_pieces,
            rest: None,
            handed: 0,
            _held: held,
        }
    }

    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        // Who asks for more has seen the last of it taken, or as good as that.
        let taken = std::mem::take(&mut self.handed);
        if self.rest.is_none() {
            let frame = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Pending => {
                    answers::starves(taken);
                    return Poll::Pending;
                }
                ended => return ended,
            };
            match frame.into_data() {
                Ok(piece) => self.rest = Some(piece),
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
        let piece = answers::cut(&mut self.rest, self.body.is_end_stream());
        self.handed = piece.as_ref().map_or(0, Piece::len);
        answers::waits(taken);
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
impl Tracked {
    /// One of no connection.
    pub(super) fn untracked(answer: Response<axum::body::Body>) -> Answer {
        let held = Held::new(&Arc::default());
        Outgoing::of(answer).map(|body| Self::new(body, false, held))
    }
}

impl HttpBody for Tracked {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        match self.in_pieces {
            true => self.poll_piece(cx),
            false => Pin::new(&mut self.body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.as_ref().map_or(0, Piece::len) as u64;
        if let Some(most) = hint.upper() {
            hint.set_upper(most.saturating_add(rest));
        }
        hint.set_lower(hint.lower().saturating_add(rest));
        hint
    }
}
