//! Makes segments of tags.

mod open;

use std::sync::Arc;

use media::{Configuration, Cut, Epoch, MarkedTag};

use crate::config::Mode;
use crate::mux;
use crate::segment::{Init, Progress, Segment};
use crate::window::Window;
use open::Open;

/// How much a packager may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of frames in one segment. One that gets more is given up.
    pub segment: usize,
    /// Bytes of all segments together. The oldest go, unless it is one alone.
    pub all: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            // Sixty seconds at 30 Mbit/s are less.
            segment: 256 << 20,
            all: 1 << 30,
        }
    }
}

/// Makes parts, segments and what players need before them out of the tags of a stream, as their
/// [cuts](media::Cut) say.
///
/// Begin it with a cursor at [`Start::Window`](media::Start::Window), and give it each tag from
/// there on. What it makes of a segment depends on the tags of that segment, on where the next
/// begins, and on nothing else: no clock, no chance, nothing that was before. So whoever has these
/// tags has the same bytes, wherever it began to read.
///
/// What is not complete on this node for sure is never served. Where tags are missing
/// ([a hole](MarkedTag::follows_hole)), the segment in which that is is torn, and the playlist
/// begins anew with the first segment behind. A segment that is open when a publish ends is
/// completed when the next one [carries on](crate::Numbering::carry_on) from it, or the stream
/// [ends](Self::end): only then nobody has more of it. After a crash it stays open for good.
#[derive(Debug)]
pub struct Packager {
    mode: Mode,
    window: Window,
    /// What the newest segment is being filled with; `None` before the first, and behind a hole.
    open: Option<Open>,
    /// The publish that the newest tag belongs to.
    epoch: Epoch,
    bounds: Bounds,
    /// Segments that grew too large.
    given_up: u64,
}

impl Packager {
    /// A packager of a stream that is cut for `mode`.
    pub fn new(mode: Mode) -> Self {
        Self::within(mode, Bounds::default())
    }

    /// Like [`new`](Self::new), with bounds of its own.
    pub fn within(mode: Mode, bounds: Bounds) -> Self {
        Self {
            mode,
            window: Window::default(),
            open: None,
            epoch: Epoch::default(),
            bounds,
            given_up: 0,
        }
    }

    /// How many segments were given up so far because they grew too large.
    pub fn given_up(&self) -> u64 {
        self.given_up
    }

    /// What the next segment is cut for.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// From the next segment on, the stream is cut for `mode`: a later publish may be, by an
    /// origin that is configured otherwise.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// What there is to serve. Clone it for those who serve: that shares everything.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Takes the next tag of the stream, with the configuration in force with it (if its
    /// `version` or epoch is another than before:
    /// [`Ring::configuration_at`](media::Ring::configuration_at)). Returns whether there is
    /// something new in the window.
    pub fn push(&mut self, tag: &MarkedTag, configuration: &Configuration) -> bool {
        if self.window.has_ended() {
            return false;
        }
        self.epoch = tag.epoch;
        let torn = tag.follows_hole() && self.tear();
        let begun = match tag.cut() {
            Some(cut) if cut.segment.is_some() => self.begin_segment(tag, cut, configuration),
            Some(cut) => self.begin_part(tag, cut),
            None => false,
        };
        if let Some(open) = &mut self.open
            && open.epoch == tag.epoch
        {
            open.add(tag, configuration);
            if open.bytes > self.bounds.segment {
                self.given_up += 1;
                return self.tear();
            }
        }
        torn || begun
    }

    /// The stream has ended, and its last tag was given: nothing comes any more, anywhere.
    pub fn end(&mut self) {
        match self.open.take() {
            Some(open) if open.epoch == self.epoch => self.complete(open, None),
            // A publish came behind and made no segment, so nobody said whether it carries on.
            Some(_) => self.window.tear(),
            None => {}
        }
        self.window.end();
    }

    /// Gives up the segment that is open.
    fn tear(&mut self) -> bool {
        let was_open = self.open.take().is_some();
        if was_open {
            self.window.tear();
        }
        was_open
    }

    fn begin_segment(&mut self, tag: &MarkedTag, cut: &Cut, configuration: &Configuration) -> bool {
        let Some(mark) = &cut.segment else {
            return false;
        };
        if let Some(open) = self.open.take() {
            let goes_on = open.msn.checked_add(1) == Some(cut.msn);
            match open.epoch == tag.epoch {
                true if goes_on => self.complete(open, Some(cut.start)),
                // The origin knew where that publish ended.
                false if goes_on && mark.first_listed <= open.msn => self.complete(open, None),
                _ => self.window.tear(),
            }
        }
        let container = self.mode.container();
        let open = Open::new(tag, cut, mark, container, configuration);
        let segment = Segment {
            epoch: tag.epoch,
            msn: cut.msn,
            mark: mark.clone(),
            container,
            init: self.init(tag, mark.version, &open),
            parts: Vec::new(),
            progress: Progress::Filling,
        };
        self.window.begin(segment, self.bounds.all);
        self.open = Some(open);
        true
    }

    /// The initialisation of a segment that begins with `tag`: that of the segment before, if it
    /// is of the same version.
    fn init(&self, tag: &MarkedTag, version: u32, open: &Open) -> Option<Arc<Init>> {
        let before = self.window.segments().next_back();
        let known = before
            .and_then(|before| before.init())
            .filter(|init| (init.epoch, init.version) == (tag.epoch, version));
        known.cloned().or_else(|| {
            let body = mux::init(open.container, &open.tracks)?;
            Some(Arc::new(Init {
                epoch: tag.epoch,
                version,
                body,
            }))
        })
    }

    fn begin_part(&mut self, tag: &MarkedTag, cut: &Cut) -> bool {
        let Some(open) = self.open.as_mut().filter(|open| open.epoch == tag.epoch) else {
            return false;
        };
        if !open.has_parts {
            return false;
        }
        let is_next = open.part.checked_add(1) == Some(cut.part);
        if open.msn != cut.msn || !is_next {
            return self.tear();
        }
        let part = open.next_part(tag, cut.start);
        if let Some(segment) = self.window.last_mut() {
            segment.parts.push(Arc::new(part));
        }
        true
    }

    /// All of the newest segment is there; `next` is where the next begins, if that is of the
    /// same epoch.
    fn complete(&mut self, mut open: Open, next: Option<i64>) {
        let part = open.close(next);
        if let Some(segment) = self.window.last_mut() {
            segment.parts.push(Arc::new(part));
            segment.complete();
        }
    }
}
