//! A stream that is published, packaged and shown, as far as a test says.

use bytes::Bytes;
use flv::{Kind, Tag};
use hls::{Config, Cutter, Feed, Mode, Numbering, Packager, Playlist, Variant, Window};
use media::{EndReason, Epoch, Limits, Publisher, ReadError, Ring};
use node::hls::{News, Stage, Stream};

/// A day in 2025, in nanoseconds.
const NOW: i64 = 1_750_000_000_000_000_000;
/// A frame of AAC at 48 kHz, in microseconds.
const FRAME: u32 = 21_333;

/// Sound alone: its segments are about 2 s long, its parts 192 ms.
pub(crate) struct Cast {
    ring: Ring,
    publisher: Option<Publisher>,
    feed: Feed,
    packager: Packager,
    stage: Stage,
    mode: Mode,
    frames: u32,
    is_caught_up: bool,
}

impl Cast {
    /// One of which nothing has come yet.
    pub(crate) fn new(mode: Mode) -> Self {
        Self::cut(&Config {
            mode,
            ..Config::default()
        })
    }

    /// The same, cut in another way.
    pub(crate) fn cut(config: &Config) -> Self {
        let mode = config.mode;
        let ring = Ring::new(Limits {
            max_duration: std::time::Duration::from_secs(1000),
            ..Limits::default()
        });
        let cutter = Cutter::new(config, &Numbering::after_crash(None, NOW));
        let mut publisher =
            ring.begin_marked(Epoch::new(1_750_000_000_000, 42), NOW, Box::new(cutter));
        let record = Tag::new(Kind::Audio, 0, Bytes::from_static(&[0xaf, 0, 0x11, 0x90]));
        publisher.push(record, NOW).expect("the only publisher");
        Self {
            feed: Feed::new(&ring),
            ring,
            publisher: Some(publisher),
            packager: Packager::new(mode),
            stage: Stage::new(News {
                window: Window::default(),
                mode,
                variant: None,
                is_caught_up: true,
            }),
            mode,
            frames: 0,
            is_caught_up: true,
        }
    }

    /// One that has run for so many seconds.
    pub(crate) fn of(mode: Mode, seconds: u32) -> Self {
        let mut cast = Self::new(mode);
        cast.run(seconds * 1000);
        cast
    }

    pub(crate) fn stream(&self) -> Stream {
        self.stage.stream()
    }

    pub(crate) fn window(&self) -> &Window {
        self.packager.window()
    }

    /// Says that something old is still coming in, or that it is there.
    pub(crate) fn set_caught_up(&mut self, is_caught_up: bool) {
        self.is_caught_up = is_caught_up;
        self.show();
    }

    /// The next so many milliseconds are published, and shown whenever something is complete.
    pub(crate) fn run(&mut self, millis: u32) {
        let time = |frame: u32| u64::from(frame) * u64::from(FRAME) / 1000;
        let until = time(self.frames) + u64::from(millis);
        while time(self.frames) < until {
            let dts = u32::try_from(time(self.frames)).expect("a short stream");
            let payload = [&[0xaf, 1, 0x21][..], &self.frames.to_be_bytes(), &[0; 1000]].concat();
            let publisher = self.publisher.as_mut().expect("it goes on");
            let tag = Tag::new(Kind::Audio, dts, payload.into());
            let ingest = NOW + i64::from(dts) * 1_000_000;
            publisher.push(tag, ingest).expect("the only publisher");
            self.frames += 1;
            self.package();
        }
    }

    /// As long as until the next part is there.
    pub(crate) fn next_part(&mut self) {
        let before = self.window().newest();
        while self.window().newest() == before {
            self.run(20);
        }
    }

    /// Nobody publishes any more.
    pub(crate) fn end(&mut self) {
        self.publisher = None;
        self.ring.end(EndReason::Ended);
        self.package();
    }

    fn package(&mut self) {
        loop {
            match self.feed.read(&mut self.packager, 1) {
                Ok((0, _)) => return,
                Ok((_, true)) => self.show(),
                Ok(_) => {}
                Err(ReadError::Ended(_)) => {
                    self.packager.end();
                    return self.show();
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn show(&self) {
        self.stage.show(News {
            window: self.window().clone(),
            mode: self.mode,
            variant: Some(Variant {
                codecs: vec!["mp4a.40.2".to_owned()],
                ..Variant::default().with_bandwidth(64_000, 48_000)
            }),
            is_caught_up: self.is_caught_up,
        });
    }

    /// The text of the version that ends with this.
    pub(crate) fn text(&self, msn: u64, part: Option<u32>, skip: bool) -> String {
        let version = hls::Version { msn, part };
        let playlist = Playlist::media(self.window(), version, skip);
        playlist.expect("it is there").text().to_owned()
    }

    /// The newest version.
    pub(crate) fn newest(&self) -> (u64, Option<u32>) {
        let newest = self.window().newest().expect("something is there");
        (newest.msn, newest.part)
    }
}
