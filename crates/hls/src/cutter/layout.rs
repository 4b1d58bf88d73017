//! What an initialisation is made of.

use bytes::Bytes;
use media::{AudioTrack, Configuration, VideoTrack};

/// Follows what of a configuration matters to an initialisation.
#[derive(Debug, Default)]
pub(super) struct Layouts {
    /// The version that was looked at last.
    seen: Option<u32>,
    /// That of the segment at hand, with the version it is from.
    current: (u32, Layout),
    /// That of the next segment, if it is another.
    next: Option<(u32, Layout)>,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The pictures that come are of no use without another initialisation.
    MainVideo,
    /// Something else.
    Other,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Layout {
    video: Vec<VideoTrack>,
    audio: Vec<AudioTrack>,
    /// Records, and what goes with them.
    records: Vec<Bytes>,
    /// Those of the main video track.
    main: Vec<Bytes>,
}

impl Layouts {
    /// Takes note of the configuration in force. Returns whether it is another.
    pub(super) fn follow(&mut self, configuration: &Configuration) -> bool {
        let version = configuration.version;
        if self.seen.replace(version) == Some(version) {
            return false;
        }
        let layout = Layout::of(configuration);
        if layout == self.current.1 {
            self.next = None;
        } else if self.next.as_ref().is_none_or(|next| next.1 != layout) {
            self.next = Some((version, layout));
        }
        true
    }

    /// What the segment at hand cannot have any more.
    pub(super) fn change(&self) -> Option<Change> {
        let (_, next) = self.next.as_ref()?;
        let (_, current) = &self.current;
        let main_video = next.main != current.main || next.video.first() != current.video.first();
        Some(if main_video {
            Change::MainVideo
        } else {
            Change::Other
        })
    }

    /// A segment begins: the version of its initialisation.
    pub(super) fn begin(&mut self) -> u32 {
        if let Some(next) = self.next.take() {
            self.current = next;
        }
        self.current.0
    }
}

impl Layout {
    fn of(configuration: &Configuration) -> Self {
        let tags = configuration.tags.iter().map(|marked| &marked.tag);
        let records = tags.filter(|tag| !tag.is_metadata());
        let main = configuration.main_video().map(|track| track.track);
        let is_main = |tag: &&flv::Tag| {
            tag.is_video() && flv::tracks(tag).any(|track| Some(track.id) == main)
        };
        Self {
            video: configuration.video.clone(),
            audio: configuration.audio.clone(),
            records: records.clone().map(|tag| tag.payload.clone()).collect(),
            main: records
                .filter(is_main)
                .map(|tag| tag.payload.clone())
                .collect(),
        }
    }
}
