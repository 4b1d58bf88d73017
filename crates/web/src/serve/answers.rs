//! Answers by HTTP/2 on their way to peers who say how much they will take, and may say none.
//!
//! What waits for that waits in no socket. So each answer has a time of its own, after which its stream is reset; and it
//! is handed over in pieces, so that there is somebody to reset it until next to nothing is left.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use hyper::rt::Executor;
use metrics::{Counter, counter, describe_counter};
use tokio::time::sleep_until;
use tracing::debug;

use crate::outgoing::Piece;
use crate::patience::{Budget, Terms};

/// What is handed over at once. Whoever takes one after the other shows with each how it goes on.
const PIECE: usize = 256 << 10;
/// The last of an answer, which nobody could take back, is so short, and holds nothing but itself.
const LAST: usize = 4 << 10;

thread_local! {
    /// What came of the answer that this thread is at.
    static NOTED: Cell<Noted> = const { Cell::new(Noted::Nothing) };
}

/// How it stands with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Noted {
    Nothing,
    /// More of it is there for the peer, who has taken so many bytes since.
    Waits(usize),
    /// There is no more of it yet.
    Starves(usize),
}

/// Runs them.
#[derive(Clone)]
pub(super) struct Answers {
    terms: Terms,
    untaken: Counter,
}

impl Answers {
    pub(super) fn new(terms: Terms) -> Self {
        describe_counter!(
            "weir_http_untaken_total",
            "Answers by HTTP/2 that were broken off since their peers did not take them"
        );
        Self {
            terms,
            untaken: counter!("weir_http_untaken_total"),
        }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Answers {
    fn execute(&self, answer: F) {
        let answers = self.clone();
        tokio::spawn(async move {
            let mut answer = pin!(answer);
            let mut budget = Budget::new(answers.terms);
            let mut deadline = None;
            let is_taken = poll_fn(|cx| {
                NOTED.set(Noted::Nothing);
                if answer.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(true);
                }
                match NOTED.replace(Noted::Nothing) {
                    Noted::Nothing => {}
                    Noted::Waits(bytes) => {
                        budget.takes(bytes);
                        deadline = Some(Box::pin(sleep_until(budget.waits())));
                    }
                    Noted::Starves(bytes) => {
                        budget.takes(bytes);
                        deadline = None;
                    }
                }
                match &mut deadline {
                    Some(deadline) => deadline.as_mut().poll(cx).map(|()| false),
                    None => Poll::Pending,
                }
            });
            if !is_taken.await {
                debug!("a peer of HTTP/2 does not take what it asked for");
                answers.untaken.increment(1);
            }
            // What goes here resets its stream, if that has not ended.
        });
    }
}

/// Some of the body of this answer is there for the peer, who has taken so many bytes since that was last said.
pub(super) fn waits(taken: usize) {
    note(Noted::Waits, taken);
}

/// There is nothing more of the body of this answer yet.
pub(super) fn starves(taken: usize) {
    note(Noted::Starves, taken);
}

fn note(noted: impl Fn(usize) -> Noted, taken: usize) {
    let before = match NOTED.get() {
        Noted::Nothing => 0,
        Noted::Waits(bytes) | Noted::Starves(bytes) => bytes,
    };
    NOTED.set(noted(before.saturating_add(taken)));
}

/// The next piece of what is there, which is left out of it.
pub(super) fn cut(rest: &mut Option<Piece>, is_last: bool) -> Option<Piece> {
    let piece = rest.as_mut()?;
    match piece.len() {
        length if length <= LAST && is_last => rest.take().map(Piece::apart),
        length if length <= LAST => rest.take(),
        length => Some(piece.split_to(PIECE.min(length - LAST))),
    }
}
