//! What there is of a stream at one moment.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hls::{Mode, Playlist, Version, Window};

use super::News;

/// The texts of so many versions of the playlist are kept: of the newest, and of the one before, for those who were
/// not quick enough.
const KEPT: usize = 2;

/// What there is of a stream at one moment. It never changes.
pub struct View {
    window: Window,
    mode: Mode,
    is_caught_up: bool,
    multivariant: Option<Arc<Playlist>>,
    /// Of the newest versions, the newest first.
    texts: Vec<Arc<Texts>>,
}

/// The texts of one version of the playlist, made on first need.
#[derive(Debug)]
struct Texts {
    version: Version,
    /// It is told as every node tells it, at any time.
    is_exact: bool,
    whole: OnceLock<Option<Arc<Playlist>>>,
    delta: OnceLock<Option<Arc<Playlist>>>,
}

impl View {
    /// A view of `news`. What is the same as in the view `before` is shared with it.
    pub(super) fn new(news: News, before: Option<&View>) -> Self {
        let News {
            window,
            mode,
            variant,
            is_caught_up,
        } = news;
        let known = before.map_or(&[][..], |before| &before.texts);
        let mut texts = Vec::with_capacity(KEPT);
        texts.extend(window.newest().map(|version| {
            let is_exact = window.is_exact(version) && !window.has_ended();
            let mut known = known.iter();
            let same = known.find(|it| it.version == version && it.is_exact && is_exact);
            same.cloned().unwrap_or_else(|| {
                Arc::new(Texts {
                    version,
                    is_exact,
                    whole: OnceLock::new(),
                    delta: OnceLock::new(),
                })
            })
        }));
        let older = known.iter().filter(|it| {
            let is_older = texts
                .first()
                .is_none_or(|newest| it.version < newest.version);
            is_older && it.is_exact && window.is_exact(it.version)
        });
        let older: Vec<_> = older.take(KEPT - texts.len()).cloned().collect();
        texts.extend(older);
        let multivariant = variant.map(|variant| {
            let made = Playlist::multivariant(&variant);
            let known = before.and_then(|before| before.multivariant.as_ref());
            let same = known.filter(|known| ***known == made);
            same.cloned().unwrap_or_else(|| Arc::new(made))
        });
        Self {
            window,
            mode,
            is_caught_up,
            multivariant,
            texts,
        }
    }

    /// The segments and parts there are.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Whether the newest there is here is the newest there is anywhere: it may be shown.
    pub fn is_caught_up(&self) -> bool {
        self.is_caught_up
    }

    /// What the stream is cut for.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The target duration of the newest segment: how long one may wait for what comes next.
    pub fn target(&self) -> Duration {
        self.window.target().unwrap_or(UNKNOWN_TARGET)
    }

    /// The playlist that players begin with; `None` while nothing is known of the tracks.
    pub fn multivariant(&self) -> Option<Arc<Playlist>> {
        self.multivariant.clone()
    }

    /// The version `version` of the media playlist, without what clients have long known if that is to be skipped.
    /// `None` if its last part is not there.
    ///
    /// Those that many ask for at a time are made once.
    pub fn media(&self, version: Version, skip: bool) -> Option<Arc<Playlist>> {
        let make = || Playlist::media(&self.window, version, skip).map(Arc::new);
        let Some(kept) = self.texts.iter().find(|it| it.version == version) else {
            return make();
        };
        let place = if skip { &kept.delta } else { &kept.whole };
        place.get_or_init(make).clone()
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segments = self.window.segments();
        let numbers = segments.map(|it| (it.msn(), it.parts().len(), it.is_whole()));
        f.debug_struct("View")
            .field("segments", &numbers.collect::<Vec<_>>())
            .field("has_ended", &self.window.has_ended())
            .field("mode", &self.mode)
            .field("is_caught_up", &self.is_caught_up)
            .field(
                "multivariant",
                &self.multivariant.as_ref().map(|it| it.text()),
            )
            .finish_non_exhaustive()
    }
}

/// That of segments as long as they are by default.
const UNKNOWN_TARGET: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use flv::{Kind, Tag};
    use hls::{Config, Cutter, Feed, Numbering, Packager};
    use media::{Epoch, Limits, Publisher, Ring};

    use super::*;

    /// A publish of sound alone, on its way through a packager.
    struct Stream {
        publisher: Publisher,
        feed: Feed,
        packager: Packager,
        sent: u32,
    }

    impl Stream {
        fn new() -> Stream {
            let ring = Ring::new(Limits::default());
            let numbering = Numbering::after_crash(None, 0);
            let cutter = Cutter::new(&Config::default(), &numbering);
            let mut publisher = ring.begin_marked(Epoch::new(1, 1), 0, Box::new(cutter));
            let record = Tag::new(Kind::Audio, 0, Bytes::from_static(&[0xaf, 0, 0x11, 0x90]));
            publisher.push(record, 0).expect("the only one");
            Stream {
                publisher,
                feed: Feed::new(&ring),
                packager: Packager::new(Mode::LowLatency),
                sent: 0,
            }
        }

        /// Sends until there is another version of the playlist.
        fn next(&mut self) -> Version {
            let before = self.packager.window().newest();
            loop {
                let dts = self.sent * 64 / 3;
                let frame = Tag::new(Kind::Audio, dts, Bytes::from_static(&[0xaf, 1, 0x21]));
                self.publisher.push(frame, 0).expect("the only one");
                self.sent += 1;
                self.feed.read(&mut self.packager, 10).expect("it goes on");
                let newest = self.packager.window().newest();
                if newest != before {
                    return newest.expect("another");
                }
            }
        }

        fn view(&self, before: Option<&View>) -> View {
            let news = News {
                window: self.packager.window().clone(),
                variant: Some(hls::Variant::default()),
                ..News::nothing()
            };
            View::new(news, before)
        }
    }

    fn text(view: &View, version: Version) -> Arc<Playlist> {
        view.media(version, false).expect("it is there")
    }

    #[test]
    fn a_text_is_made_once_and_kept_while_it_may_be_asked_for() {
        let mut stream = Stream::new();
        let first = stream.next();
        let one = stream.view(None);
        let made = text(&one, first);
        assert!(Arc::ptr_eq(&made, &text(&one, first)));
        assert_eq!(one.texts.len(), 1);

        let second = stream.next();
        let two = stream.view(Some(&one));
        assert!(Arc::ptr_eq(&made, &text(&two, first)));
        assert_ne!(made.text(), text(&two, second).text());
        // Two views of the same version have one text.
        let again = stream.view(Some(&two));
        assert!(Arc::ptr_eq(&text(&two, second), &text(&again, second)));
        let begin = |view: &View| view.multivariant().expect("told");
        assert!(Arc::ptr_eq(&begin(&one), &begin(&again)));

        stream.next();
        let three = stream.view(Some(&again));
        assert_eq!(three.texts.len(), KEPT);
        assert!(!Arc::ptr_eq(&made, &text(&three, first)), "made anew");
        assert_eq!(made.text(), text(&three, first).text());
    }

    #[test]
    fn the_end_is_told_in_a_version_that_was_there_before() {
        let mut stream = Stream::new();
        stream.next();
        let before = stream.view(None);
        let version = before.window().newest().expect("one");
        text(&before, version);
        stream.packager.end();
        let after = stream.view(Some(&before));
        let last = after.window().newest().expect("one");
        assert!(text(&after, last).text().ends_with("#EXT-X-ENDLIST\n"));
        let again = stream.view(Some(&after));
        assert!(text(&again, last).text().ends_with("#EXT-X-ENDLIST\n"));
    }
}
