//! Who watches what, and what has been seen so far.

use std::collections::HashMap;
use std::time::Duration;

use testkit::{Clip, Recipe};
use tokio::time::Instant;
use weir_cluster::{Encoder, EncoderOptions, Viewer, ViewerOptions};

/// Who was closed comes back after this.
const PAUSE: Duration = Duration::from_millis(100);

/// A stream: its encoder, and all that it sent.
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) encoder: Encoder,
    /// The node that its encoder is at, or goes to next.
    pub(super) at: usize,
    /// Publish and number of each frame, by its hash.
    sent: HashMap<u64, Mark>,
    /// The last publish of which there are frames, and how many.
    last: Mark,
}

/// Which publish, from 1, and which frame of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    publish: usize,
    number: usize,
}

/// One who watches.
pub(super) struct Watcher {
    pub(super) stream: usize,
    pub(super) node: usize,
    viewer: Viewer,
    connection: usize,
    last: Mark,
    /// When the newest frame came.
    pub(super) seen: Option<Instant>,
}

impl Stream {
    pub(super) fn new(name: &str, url: &str, at: usize) -> Self {
        let clip = Clip::of(Recipe::H264_AAC);
        let options = EncoderOptions::new(&[url], &clip.tags).stamped(name);
        Self {
            name: format!("live/{name}"),
            encoder: options.pause(PAUSE).start(),
            at,
            sent: HashMap::new(),
            last: Mark::default(),
        }
    }

    /// How many publishes there were.
    pub(super) fn publishes(&self) -> usize {
        self.encoder.accepted().len()
    }

    /// Notes what was sent since.
    fn note(&mut self) {
        for sent in self.encoder.forget() {
            self.last = match sent.session == self.last.publish {
                true => Mark {
                    number: self.last.number + 1,
                    ..self.last
                },
                false => Mark {
                    publish: sent.session,
                    number: 0,
                },
            };
            let before = self.sent.insert(sent.hash, self.last);
            assert_eq!(before, None, "a frame was sent twice");
        }
    }
}

impl Watcher {
    pub(super) fn new(stream: usize, node: usize, url: &str) -> Self {
        Self {
            stream,
            node,
            viewer: ViewerOptions::new(url).reconnects(PAUSE).start(),
            connection: 0,
            last: Mark::default(),
            seen: None,
        }
    }

    /// The publish that it saw last.
    pub(super) fn publish(&self) -> usize {
        self.last.publish
    }
}

/// Looks at all that was seen since, and judges it: of each stream nobody sees a frame twice, nor one of an earlier
/// publish, for as long as it is connected.
///
/// # Panics
/// When somebody does.
pub(super) fn observe(streams: &mut [Stream], watchers: &mut [Watcher]) {
    // What was seen was sent before; so the viewers come first.
    let seen: Vec<_> = watchers
        .iter()
        .map(|watcher| watcher.viewer.forget())
        .collect();
    for stream in &mut *streams {
        stream.note();
    }
    for (watcher, frames) in watchers.iter_mut().zip(seen) {
        let stream = &streams[watcher.stream];
        for frame in frames.into_iter().filter(|frame| !frame.is_configuration) {
            let sent = stream.sent.get(&frame.hash);
            let mark = *sent.unwrap_or_else(|| panic!("nobody sent {frame:?}"));
            if frame.connection != watcher.connection {
                // It joins in mid-publish, and may have seen that before.
                let same = watcher.last.publish <= mark.publish;
                assert!(
                    same,
                    "{} at n{}: {mark:?} after {:?}, anew",
                    stream.name,
                    watcher.node + 1,
                    watcher.last
                );
                watcher.connection = frame.connection;
                watcher.last = Mark::default();
            }
            let on = watcher.last < mark;
            assert!(
                on,
                "{} at n{}: {mark:?} after {:?}",
                stream.name,
                watcher.node + 1,
                watcher.last
            );
            (watcher.last, watcher.seen) = (mark, Some(frame.at));
        }
    }
}
