//! Viewers that remember what they saw.

mod seen;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rtmp::Url;
use rtmp::client::{Config, Event};
use rtmp::net::{Client, ClientOptions, Puller};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

pub use self::seen::{Frame, Seen};
use crate::Place;
use crate::encoder::moved;

/// How long a viewer looks at a picture that stands still.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What a [`Viewer`] does.
#[derive(Debug, Clone)]
#[must_use]
pub struct ViewerOptions {
    url: String,
    reconnects: Option<Duration>,
    place: Option<Place>,
    of_old: bool,
}

impl ViewerOptions {
    /// Plays a URL once, by RTMP.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            reconnects: None,
            place: None,
            of_old: false,
        }
    }

    /// Connects again, after a pause, when it was closed; at once, and where it was told, when it
    /// was asked to.
    pub fn reconnects(mut self, pause: Duration) -> Self {
        self.reconnects = Some(pause);
        self
    }

    /// From a place of an isolated network.
    pub fn from(mut self, place: &Place) -> Self {
        self.place = Some(place.clone());
        self
    }

    /// Announces nothing of Enhanced RTMP: it cannot be asked to reconnect.
    pub fn of_old(mut self) -> Self {
        self.of_old = true;
        self
    }

    /// Begins.
    pub fn start(self) -> Viewer {
        let shared = Arc::new(Shared::default());
        let place = self.place.clone();
        let run = run(self, shared.clone());
        let task = match place {
            Some(place) => place.spawn(run),
            None => tokio::spawn(run),
        };
        Viewer { shared, task }
    }
}

/// A viewer of a stream. It leaves when this is dropped.
#[derive(Debug)]
pub struct Viewer {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    more: Notify,
}

impl Viewer {
    /// Plays a URL once.
    pub fn play(url: &str) -> Self {
        ViewerOptions::new(url).start()
    }

    /// Looks at what was seen so far.
    pub fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.shared.seen())
    }

    /// All that was seen so far.
    pub fn seen(&self) -> Seen {
        self.shared.seen().clone()
    }

    /// Forgets the frames seen so far, and returns them: a long test would fill the memory.
    pub fn forget(&self) -> Vec<Frame> {
        std::mem::take(&mut self.shared.seen().frames)
    }

    /// Waits until `look` finds something in what was seen, no longer than `limit`.
    ///
    /// # Panics
    /// When it has not by then.
    pub async fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut(&Seen) -> Option<T>,
    ) -> T {
        let end = Instant::now() + limit;
        loop {
            let more = self.shared.more.notified();
            if let Some(found) = look(&self.shared.seen()) {
                return found;
            }
            if timeout_at(end, more).await.is_err() {
                let seen = self.shared.seen();
                panic!("waited {limit:?} in vain for {what}; {}", seen.summary());
            }
        }
    }

    /// Waits until so many more frames have come than there are now.
    ///
    /// # Panics
    /// When they have not within `limit`.
    pub async fn goes_on(&self, frames: usize, limit: Duration) {
        let wanted = self.look(|seen| seen.frames.len()) + frames;
        let what = format!("{frames} more frames");
        self.until(&what, limit, |seen| {
            (seen.frames.len() >= wanted).then_some(())
        })
        .await;
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen());
        self.more.notify_waiters();
    }
}

async fn run(options: ViewerOptions, shared: Arc<Shared>) {
    let mut session = Config {
        read_timeout: PATIENCE,
        ..Config::default()
    };
    if options.of_old {
        session.caps = None;
    }
    let client = Client::new(ClientOptions {
        session: Arc::new(session),
        ..ClientOptions::default()
    });
    let mut url = options.url.clone();
    loop {
        shared.change(Seen::connects);
        let end = play(&client, &url, options.reconnects.is_some(), &shared).await;
        let Some(pause) = options.reconnects else {
            return;
        };
        url.clone_from(&options.url);
        match end {
            End::Asked(Some(to)) => url = moved(&options.url, &to),
            End::Asked(None) => {}
            End::Closed => sleep(pause).await,
        }
    }
}

/// Why a connection is over.
enum End {
    Closed,
    /// The server asked for another one, and may have said where.
    Asked(Option<String>),
}

/// Plays until the connection is over; who does not reconnect does not hear that it should.
async fn play(client: &Client, url: &str, reconnects: bool, shared: &Shared) -> End {
    let why = match Url::parse(url) {
        Ok(url) => match client.pull(&url).await {
            Ok(puller) => match watch(puller, reconnects, shared).await {
                Ok(to) => return End::Asked(to),
                Err(why) => why,
            },
            Err(error) => error.to_string(),
        },
        Err(error) => format!("{url}: {error}"),
    };
    shared.change(|seen| seen.closed(why));
    End::Closed
}

/// Watches until the server asks for another connection, and says so where to, or closes.
async fn watch(
    mut puller: Puller,
    reconnects: bool,
    shared: &Shared,
) -> Result<Option<String>, String> {
    loop {
        let event = puller.next().await.map_err(|error| error.to_string())?;
        match event.ok_or("the server closed")? {
            Event::Tag(tag) => shared.change(|seen| seen.tag(&tag)),
            Event::Status(status) => shared.change(|seen| seen.status(status.code)),
            Event::StreamEnded => shared.change(|seen| seen.status("ended".to_owned())),
            Event::ReconnectRequest { tc_url, .. } => {
                shared.change(|seen| seen.requests += 1);
                if reconnects {
                    return Ok(tc_url);
                }
            }
            _ => {}
        }
    }
}
