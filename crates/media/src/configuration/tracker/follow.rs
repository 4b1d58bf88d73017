//! The configuration of a stream whose origin is another node.

use std::sync::Arc;

use bytes::Bytes;
use flv::{Event, Info, Packet, Tag};

use super::{Change, Class, Place, Role, TrackSet, Tracker};
use crate::configuration::{AudioTrack, Configuration, VideoTrack};
use crate::ring::{Limits, Relayed};
use crate::{Epoch, MarkedTag};

impl Tracker {
    /// Takes over what another node has gathered so far.
    pub(crate) fn describe(
        &mut self,
        epoch: Epoch,
        version: u32,
        mut tags: Vec<Arc<MarkedTag>>,
        video: Vec<VideoTrack>,
        audio: Vec<AudioTrack>,
    ) -> Arc<Configuration> {
        self.restart(epoch);
        let mut next = Configuration {
            version,
            epoch,
            tags: Vec::new(),
            video,
            audio,
        };
        // In the order in which they came: which of two speaks for a track depends on it.
        tags.sort_by_key(|marked| marked.number);
        for marked in tags {
            if let Some(place) = place(&marked.tag, &next) {
                self.replace(place, marked);
            }
        }
        next.tags = self.tags();
        self.current = Arc::new(next);
        Arc::clone(&self.current)
    }

    /// What a tag changes that its origin has stored: it is neither refused nor corrected here.
    pub(crate) fn follow(&self, relayed: &Relayed) -> Option<Change> {
        let tag = &relayed.tag;
        let mut change = match *tag.info() {
            _ if relayed.repeat => None,
            Info::Data(data) => self.follow_data(data.event),
            _ => self.check_track(tag, &NO_LIMITS).unwrap_or_default(),
        };
        if tag.is_frame() {
            self.check_size(tag, &mut change);
        }
        if relayed.version != self.current.version || relayed.metadata.is_some() {
            change.get_or_insert_default();
        }
        if let (Some(change), Some(metadata)) = (&mut change, &relayed.metadata) {
            change.metadata = Some(Bytes::copy_from_slice(metadata));
        }
        change
    }

    fn follow_data(&self, event: Event) -> Option<Change> {
        let place = match event {
            Event::Metadata => Some(Place::new(Role::Metadata, TrackSet::default())),
            Event::ClearMetadata if self.has_metadata() => None,
            _ => return None,
        };
        Some(Change {
            place,
            frame_rate: Some(None),
            ..Change::default()
        })
    }
}

/// The origin has applied its own, and it is one of us.
const NO_LIMITS: Limits = Limits {
    max_tracks: usize::MAX,
    max_configuration_bytes: usize::MAX,
    max_metadata_bytes: usize::MAX,
    ..Limits::DEFAULT
};

/// The place of a tag among those for joiners, in a configuration that has it.
fn place(tag: &Tag, configuration: &Configuration) -> Option<Place> {
    let class = match tag.packet() {
        None if tag.is_metadata() => return Some(Place::new(Role::Metadata, TrackSet::default())),
        Some(Packet::Configuration | Packet::TsConfiguration) => Class::Record,
        Some(Packet::Metadata | Packet::Multichannel) => Class::Extra,
        _ => return None,
    };
    let role = match tag.is_video() {
        true => Role::Video,
        false => Role::Audio,
    };
    let (mut tracks, mut gone) = (TrackSet::default(), TrackSet::default());
    for track in flv::tracks(tag) {
        tracks.insert(track.id);
        // A track that is in another codec by now has no use for its record.
        let codec = configuration.codec(track.id, tag.is_video()).flatten();
        if class == Class::Record && track.codec != codec {
            gone.insert(track.id);
        }
    }
    let mut place = Place::new(role(class), tracks);
    place
        .cede_to(Place::new(role(class), gone))
        .then_some(place)
}
