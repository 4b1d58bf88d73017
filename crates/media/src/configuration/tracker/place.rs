//! The places of the tags that a joiner gets first.

/// Which tag among those for joiners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) role: Role,
    /// The tracks it still speaks for.
    tracks: TrackSet,
    /// Whether a newer tag speaks for some of the tracks it is about.
    outdated: bool,
}

impl Place {
    pub(super) fn new(role: Role, tracks: TrackSet) -> Self {
        Self {
            role,
            tracks,
            outdated: false,
        }
    }

    /// A newer tag speaks for these tracks. Returns whether some are left for this one.
    fn cede(&mut self, tracks: TrackSet) -> bool {
        let before = self.tracks;
        self.tracks.remove_all(tracks);
        self.outdated |= self.tracks != before;
        !self.tracks.is_empty()
    }

    /// Makes way for `other`. Returns whether it still has something to say.
    pub(super) fn cede_to(&mut self, other: Self) -> bool {
        self.role != other.role || self.cede(other.tracks)
    }

    /// By what the tags are sorted. One that is outdated in part goes before the newer ones.
    pub(super) fn order(&self) -> (Role, bool, u32) {
        (self.role, !self.outdated, self.tracks.first())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Metadata,
    Video(Class),
    Audio(Class),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// The record.
    Record,
    /// HDR metadata, or the layout of channels.
    Extra,
}

/// Some of the 256 tracks there can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TrackSet([u64; 4]);

impl TrackSet {
    pub(super) fn insert(&mut self, track: u8) {
        if let Some(word) = self.0.get_mut(usize::from(track / 64)) {
            *word |= 1 << (track % 64);
        }
    }

    pub(super) fn remove(&mut self, track: u8) {
        let mut gone = Self::default();
        gone.insert(track);
        self.remove_all(gone);
    }

    pub(super) fn contains(self, track: u8) -> bool {
        let word = self.0.get(usize::from(track / 64));
        word.is_some_and(|word| word >> (track % 64) & 1 == 1)
    }

    pub(super) fn remove_all(&mut self, other: Self) {
        for (word, gone) in self.0.iter_mut().zip(other.0) {
            *word &= !gone;
        }
    }

    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// The lowest track.
    pub(super) fn first(self) -> u32 {
        let mut first = 0;
        for word in self.0 {
            first += word.trailing_zeros();
            if word != 0 {
                break;
            }
        }
        first
    }
}
