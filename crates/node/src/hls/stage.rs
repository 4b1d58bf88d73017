//! Where what there is of a stream is shown, to any number of requests.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use hls::{Mode, Variant, Window};
use tokio::sync::watch;

use super::View;
use crate::context::Context;

/// What a packager has come to.
#[derive(Clone, Debug)]
pub struct News {
    /// What there is to serve.
    pub window: Window,
    /// What the stream is cut for.
    pub mode: Mode,
    /// What players are told of it first, once that is known.
    pub variant: Option<Variant>,
    /// Whether the newest there is here is the newest there is anywhere: nothing old is still coming in.
    pub is_caught_up: bool,
}

/// Shows a [`View`] of a stream after the other. Dropped, the stream is over for those who look at it.
#[derive(Debug)]
pub struct Stage(Arc<Shared>);

/// A stream over HLS: what there is of it now, and what comes.
#[derive(Clone, Debug)]
pub struct Stream(Arc<Shared>);

/// Counts what viewers are sent, and holds nothing of it: what somebody takes long to read is no more than what it asked
/// for.
#[derive(Clone)]
pub struct Egress(Option<Arc<Context>>);

struct Shared {
    view: ArcSwap<View>,
    /// Tells those who wait that there is another view. It is in several pieces, so that many may come and go at a
    /// time.
    news: watch::Sender<()>,
    is_over: AtomicBool,
    /// What counts what is sent; without a node nothing does.
    context: Option<Arc<Context>>,
}

impl News {
    /// There is nothing yet.
    pub(crate) fn nothing() -> Self {
        Self {
            window: Window::default(),
            mode: Mode::LowLatency,
            variant: None,
            is_caught_up: false,
        }
    }
}

impl Stage {
    /// One with this to be seen.
    pub fn new(news: News) -> Self {
        Self::within(news, None)
    }

    /// Like [`new`](Self::new), on that node.
    pub(crate) fn on(context: &Arc<Context>, news: News) -> Self {
        Self::within(news, Some(Arc::clone(context)))
    }

    fn within(news: News, context: Option<Arc<Context>>) -> Self {
        Self(Arc::new(Shared {
            view: ArcSwap::from_pointee(View::new(news, None)),
            news: watch::Sender::default(),
            is_over: AtomicBool::default(),
            context,
        }))
    }

    /// Shows this from now on, and wakes all who wait.
    pub fn show(&self, news: News) {
        if self.0.is_over.load(Ordering::Acquire) {
            // Whoever made this has not heard yet that it is over.
            return;
        }
        let view = View::new(news, Some(&self.0.view.load()));
        self.0.view.store(Arc::new(view));
        if self.0.is_over.load(Ordering::Acquire) {
            self.0.clear();
        }
        self.0.news.send_replace(());
    }

    /// For those who look.
    pub fn stream(&self) -> Stream {
        Stream(Arc::clone(&self.0))
    }

    /// Nothing is shown any more: who still has the stream keeps nothing of it.
    pub(crate) fn close(&self) {
        self.0.is_over.store(true, Ordering::Release);
        self.0.clear();
        self.0.news.send_replace(());
    }
}

impl Shared {
    fn clear(&self) {
        let nothing = View::new(News::nothing(), None);
        self.view.store(Arc::new(nothing));
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.close();
    }
}

impl Stream {
    /// What there is now.
    pub fn now(&self) -> Arc<View> {
        self.0.view.load_full()
    }

    /// What `look` says of the first view, the present one included, of which it says anything. `None` once the stream
    /// is over, and nothing more will come.
    pub async fn until<T>(&self, mut look: impl FnMut(&View) -> Option<T>) -> Option<T> {
        if let Some(said) = look(&self.0.view.load()) {
            return Some(said);
        }
        let mut news = self.0.news.subscribe();
        loop {
            // In this order: what was shown last is looked at after the end, too.
            let is_over = self.is_over();
            if let Some(said) = look(&self.0.view.load()) {
                return Some(said);
            }
            if is_over || news.changed().await.is_err() {
                return None;
            }
        }
    }

    /// For counting what is sent of it.
    pub fn egress(&self) -> Egress {
        Egress(self.0.context.clone())
    }

    /// Whether the node is about to leave: whoever asks is better served by another from now on.
    pub fn is_leaving(&self) -> bool {
        let context = self.0.context.as_ref();
        context.is_some_and(|context| context.leave.has_begun())
    }

    /// Whether there is a playlist that players take, and no newer one anywhere.
    pub fn is_playable(&self) -> bool {
        let view = self.0.view.load();
        view.is_caught_up() && view.window().is_playable()
    }

    /// How long one may wait for what comes next.
    pub(crate) fn target(&self) -> std::time::Duration {
        self.0.view.load().target()
    }

    /// Nothing more will be shown, and what there is stays: who waits asks anew.
    pub(super) fn close(&self) {
        self.0.is_over.store(true, Ordering::Release);
        self.0.news.send_replace(());
    }

    /// Whether nothing more will come.
    pub fn is_over(&self) -> bool {
        self.0.is_over.load(Ordering::Acquire)
    }
}

impl Egress {
    /// Takes note that so many bytes were sent: what nodes send is counted, and may have a limit.
    pub fn sent(&self, bytes: usize) {
        if let Some(context) = &self.0 {
            context.metrics.hls_sent(bytes);
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let view = self.view.load();
        f.debug_struct("Shared")
            .field("newest", &view.window().newest())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::join_all;
    use tokio::time::timeout;

    use super::*;

    fn news(is_caught_up: bool) -> News {
        News {
            is_caught_up,
            ..News::nothing()
        }
    }

    #[tokio::test]
    async fn all_who_wait_see_what_they_wait_for_and_nobody_waits_for_ever() {
        let stage = Stage::new(news(false));
        let stream = stage.stream();
        let wait = || stream.until(|view| view.is_caught_up().then_some(()));
        let waits = join_all((0..1000).map(|_| wait()));
        let shows = async {
            tokio::task::yield_now().await;
            stage.show(news(false));
            tokio::task::yield_now().await;
            stage.show(news(true));
        };
        let in_time = timeout(Duration::from_secs(10), async {
            tokio::join!(waits, shows)
        });
        let (seen, ()) = in_time.await.expect("all are woken");
        assert!(seen.iter().all(Option::is_some));

        let never = stream.until(|_| None::<()>);
        let ends = async { drop(stage) };
        let in_time = timeout(Duration::from_secs(10), async { tokio::join!(never, ends) });
        assert_eq!(in_time.await.expect("told").0, None);
        assert!(stream.is_over());
    }

    #[tokio::test]
    async fn nothing_is_held_of_a_stream_that_is_gone() {
        let stage = Stage::new(news(true));
        let (stream, egress) = (stage.stream(), stage.stream().egress());
        let view = Arc::downgrade(&stream.now());
        // The next publish makes way, and what there is of this one stays for who asks for it by name.
        stream.close();
        assert!(stream.is_over() && view.upgrade().is_some());
        stage.show(news(false));
        assert!(stream.now().is_caught_up(), "what comes late is not shown");
        drop(stage);
        assert!(view.upgrade().is_none() && !stream.now().is_caught_up());
        assert_eq!(stream.until(|_| None::<()>).await, None);
        egress.sent(1);
    }
}
