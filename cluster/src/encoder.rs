//! Encoders that come back.

mod ffmpeg;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flv::Tag;
use rtmp::Url;
use rtmp::client::{Config, Event};
use rtmp::net::{Client, ClientOptions, Publisher};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

pub use self::ffmpeg::FfmpegEncoder;
use crate::Place;

/// What an [`Encoder`] does.
#[derive(Debug, Clone)]
#[must_use]
pub struct EncoderOptions {
    urls: Vec<String>,
    tags: Vec<Tag>,
    rate: f64,
    pause: Duration,
    place: Option<Place>,
    stamp: Option<String>,
    of_old: bool,
}

impl EncoderOptions {
    /// Publishes tags to the first of some URLs that takes them, over and over, time going on.
    /// Tokens are in the URLs.
    pub fn new(urls: &[&str], tags: &[Tag]) -> Self {
        Self {
            urls: urls.iter().map(|&url| url.to_owned()).collect(),
            tags: tags.to_vec(),
            rate: 1.0,
            pause: Duration::from_millis(200),
            place: None,
            stamp: None,
            of_old: false,
        }
    }

    /// So many times as fast as its times say.
    pub fn rate(mut self, rate: f64) -> Self {
        self.rate = rate;
        self
    }

    /// Waits so long before it tries again (200 ms).
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// From a place of an isolated network.
    pub fn from(mut self, place: &Place) -> Self {
        self.place = Some(place.clone());
        self
    }

    /// Writes this name, the publish and a number into each frame (of H.264 or AAC, where decoders
    /// pass it over), so that no two of all that are sent are alike.
    pub fn stamped(mut self, name: &str) -> Self {
        self.stamp = Some(name.to_owned());
        self
    }

    /// Announces nothing of Enhanced RTMP: it cannot be asked to reconnect.
    pub fn of_old(mut self) -> Self {
        self.of_old = true;
        self
    }

    /// Begins.
    pub fn start(self) -> Encoder {
        let shared = Arc::new(Shared::default());
        let (urls, followed) = watch::channel(self.urls.clone());
        let place = self.place.clone();
        let run = run(self, followed, shared.clone());
        let task = match place {
            Some(place) => place.spawn(run),
            None => tokio::spawn(run),
        };
        Encoder { shared, urls, task }
    }
}

/// An encoder of our own, which remembers what it sent. Dropping it breaks its connection off.
///
/// It reconnects for ever: when it was refused, when the connection broke, and when the server
/// asks it to.
#[derive(Debug)]
pub struct Encoder {
    shared: Arc<Shared>,
    urls: watch::Sender<Vec<String>>,
    task: JoinHandle<()>,
}

/// A tag that was sent, or as good as: what a break leaves in buffers counts too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// In which publish, from 1.
    pub session: usize,
    /// When.
    pub at: Instant,
    /// Its time in this publish, in milliseconds.
    pub dts: u32,
    /// Video, else audio.
    pub is_video: bool,
    /// Whether decoding can begin with it.
    pub is_keyframe: bool,
    /// Of the payload, as in [`Frame`](crate::Frame).
    pub hash: u64,
}

#[derive(Debug, Default)]
struct Shared {
    record: Mutex<Record>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Record {
    sent: Vec<Sent>,
    /// When a server took the stream.
    accepted: Vec<Instant>,
    is_live: bool,
    /// Where it is accepted, or tries to be.
    url: Option<String>,
    /// Why it was refused, or lost its connection.
    failures: Vec<(Instant, String)>,
    /// How often a server asked it to reconnect.
    requests: usize,
}

impl Encoder {
    /// The frames sent so far.
    pub fn sent(&self) -> Vec<Sent> {
        self.shared.record().sent.clone()
    }

    /// Forgets the frames sent so far, and returns them: a long test would fill the memory.
    pub fn forget(&self) -> Vec<Sent> {
        std::mem::take(&mut self.shared.record().sent)
    }

    /// When servers took the stream, each time.
    pub fn accepted(&self) -> Vec<Instant> {
        self.shared.record().accepted.clone()
    }

    /// Whether a server takes the stream at the moment.
    pub fn is_live(&self) -> bool {
        self.shared.record().is_live
    }

    /// Why it was refused or lost its connection, each time, and when.
    pub fn failures(&self) -> Vec<(Instant, String)> {
        self.shared.record().failures.clone()
    }

    /// How often a server asked it to reconnect.
    pub fn requests(&self) -> usize {
        self.shared.record().requests
    }

    /// Where it publishes at the moment, or tries to.
    pub fn url(&self) -> Option<String> {
        self.shared.record().url.clone()
    }

    /// Goes on with these URLs when it next has to connect.
    pub fn next(&self, urls: &[&str]) {
        let urls: Vec<_> = urls.iter().map(|&url| url.to_owned()).collect();
        self.urls.send_if_modified(|now| {
            *now = urls;
            false
        });
    }

    /// Breaks its connection off and goes on with these URLs.
    pub fn switch(&self, urls: &[&str]) {
        let urls = urls.iter().map(|&url| url.to_owned()).collect();
        self.urls.send_replace(urls);
    }

    /// Waits until servers have taken the stream so many times.
    ///
    /// # Panics
    /// When it takes longer than `limit`; says why it was refused.
    pub async fn accepted_times(&self, count: usize, limit: Duration) -> Instant {
        let end = Instant::now() + limit;
        loop {
            let more = self.shared.more.notified();
            if let Some(&at) = self.shared.record().accepted.get(count - 1) {
                return at;
            }
            if timeout_at(end, more).await.is_err() {
                let failures = self.failures();
                panic!("not accepted {count} times within {limit:?}: {failures:?}");
            }
        }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Record)) {
        change(&mut self.record());
        self.more.notify_waiters();
    }
}

/// What comparisons need of a payload.
pub(crate) fn hash(payload: &Bytes) -> u64 {
    let mut hasher = DefaultHasher::new();
    payload.hash(&mut hasher);
    hasher.finish()
}

/// Why a publish is over.
enum End {
    Lost(String),
    /// The server asked for it, and may have said where to.
    Asked(Option<String>),
    /// The URLs are others now.
    Switched,
}

async fn run(options: EncoderOptions, mut urls: watch::Receiver<Vec<String>>, shared: Arc<Shared>) {
    let mut turn = 0;
    let mut asked: Option<String> = None;
    loop {
        let list = urls.borrow_and_update().clone();
        let url = asked
            .take()
            .unwrap_or_else(|| list[turn % list.len()].clone());
        shared.change(|record| record.url = Some(url.clone()));
        let end = tokio::select! {
            end = publish(&options, &url, &shared) => end,
            changed = urls.changed() => match changed {
                Ok(()) => End::Switched,
                Err(_) => return,
            },
        };
        shared.change(|record| record.is_live = false);
        match end {
            End::Lost(why) => {
                shared.change(|record| record.failures.push((Instant::now(), why)));
                turn += 1;
                sleep(options.pause).await;
            }
            End::Asked(to) => {
                shared.change(|record| record.requests += 1);
                turn += 1;
                asked = to.map(|to| moved(&url, &to));
            }
            End::Switched => turn = 0,
        }
    }
}

/// The same stream on another server, whose `tcUrl` this is.
pub(crate) fn moved(url: &str, to: &str) -> String {
    let stream = Url::parse(url).map_or_else(|_| String::new(), |url| url.stream());
    format!("{}/{stream}", to.trim_end_matches('/'))
}

async fn publish(options: &EncoderOptions, url: &str, shared: &Shared) -> End {
    let url = match Url::parse(url) {
        Ok(url) => url,
        Err(error) => return End::Lost(format!("{url}: {error}")),
    };
    let mut session = Config::default();
    if options.of_old {
        session.caps = None;
    }
    let client = Client::new(ClientOptions {
        session: Arc::new(session),
        connect_timeout: Duration::from_secs(3),
        write_timeout: Duration::from_secs(5),
        ..ClientOptions::default()
    });
    let mut publisher = match client.publish(&url).await {
        Ok(publisher) => publisher,
        Err(error) => return End::Lost(error.to_string()),
    };
    let start = Instant::now();
    shared.change(|record| {
        record.accepted.push(start);
        record.is_live = true;
    });
    let session = shared.record().accepted.len();
    for (number, mut tag) in endless(&options.tags).enumerate() {
        if let Some(name) = options.stamp.as_ref().filter(|_| tag.is_frame()) {
            tag.payload = stamped(&tag, &format!("{name}-{session}-{number}"));
        }
        let age = f64::from(tag.dts) / options.rate / 1000.0;
        let due = start + Duration::from_secs_f64(age);
        if let Some(end) = listen(&mut publisher, due).await {
            return end;
        }
        shared.note(session, &tag);
        if publisher.send(tag).await.is_err() {
            return lost(publisher).await;
        }
    }
    End::Lost("there is nothing to send".to_owned())
}

/// Hears what the server says until a tag is due.
async fn listen(publisher: &mut Publisher, due: Instant) -> Option<End> {
    loop {
        tokio::select! {
            () = sleep_until(due) => return None,
            event = publisher.event() => match event {
                Some(Event::ReconnectRequest { tc_url, .. }) => return Some(End::Asked(tc_url)),
                Some(_) => {}
                None => return Some(End::Lost("the server closed".to_owned())),
            },
        }
    }
}

async fn lost(publisher: Publisher) -> End {
    let why = publisher.finish().await;
    End::Lost(why.map_or_else(|error| error.to_string(), |()| "finished".to_owned()))
}

impl Shared {
    fn note(&self, session: usize, tag: &Tag) {
        if tag.is_frame() {
            self.record().sent.push(Sent {
                session,
                at: Instant::now(),
                dts: tag.dts,
                is_video: tag.is_video(),
                is_keyframe: tag.is_keyframe(),
                hash: hash(&tag.payload),
            });
        }
    }
}

/// A frame's payload with a text in it.
fn stamped(tag: &Tag, text: &str) -> Bytes {
    let short = |size: usize| u8::try_from(size).expect("a short text");
    let mut payload = tag.payload.to_vec();
    if tag.is_video() {
        // A unit of H.264 of its own: supplemental information, unregistered user data.
        let size = short(text.len() + 16);
        payload.extend((u32::from(size) + 4).to_be_bytes());
        payload.extend([6, 5, size]);
        payload.extend([b'-'; 16]);
        payload.extend(text.as_bytes());
        payload.push(0x80);
    } else {
        // A data element of AAC goes first: what follows the last one would be taken for another frame.
        let element = [0x80, short(text.len())].into_iter().chain(text.bytes());
        payload.splice(2..2, element);
    }
    payload.into()
}

/// Repeats tags for ever, time going on from 0; metadata and configuration come once.
fn endless(tags: &[Tag]) -> impl Iterator<Item = Tag> + '_ {
    let frames = || tags.iter().filter(|tag| tag.is_frame()).map(|tag| tag.dts);
    let first = frames().min().unwrap_or(0);
    let length = frames().max().unwrap_or(0) - first + 40;
    let rounds = if tags.iter().any(Tag::is_frame) {
        u32::MAX
    } else {
        0
    };
    (0..rounds).flat_map(move |round| {
        let kept = tags
            .iter()
            .filter(move |tag| (round == 0 || tag.is_frame()) && !tag.is_end());
        kept.map(move |tag| {
            let dts = tag.dts.saturating_sub(first);
            tag.clone()
                .with_dts(dts.wrapping_add(round.wrapping_mul(length)))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_moves_to_the_server_it_was_told() {
        let moved = moved(
            "rtmp://127.0.0.1:1935/live/cam?token=x",
            "rtmp://10.0.0.1/live",
        );
        assert_eq!(moved, "rtmp://10.0.0.1/live/cam?token=x");
    }
}
