//! Follows the configuration of a stream, tag by tag.

mod follow;
mod pictures;
mod place;
mod told;

use std::sync::Arc;

use bytes::Bytes;
use codec::{AudioCodec, VideoCodec};
use flv::{Codec, Event, Info, Packet, Tag};

use super::{AudioTrack, Configuration, VideoTrack, metadata};
use crate::ring::{DropReason, Limits};
use crate::{Epoch, MarkedTag};
use place::{Class, Place, Role, TrackSet};
use told::Told;

/// What is to become of a tag.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It goes into the ring; the configuration stays.
    Pass(Tag),
    /// It goes into the ring, and [`Tracker::apply`] makes the new configuration.
    Change(Tag, Change),
    /// It goes nowhere.
    Refuse(DropReason),
}

/// How a tag changes the configuration.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// The place that the tag takes among those for joiners.
    place: Option<Place>,
    /// The frames per second that metadata tells, if it is metadata that changes.
    frame_rate: Option<Option<f64>>,
    pub(crate) video: Vec<VideoTrack>,
    pub(crate) audio: Vec<AudioTrack>,
    /// Tracks whose pictures have another size from here on: number, width and height.
    resized: Vec<(u8, u32, u32)>,
    /// What joiners get for metadata from here on, as another node has corrected it.
    metadata: Option<Bytes>,
}

#[derive(Debug)]
pub(crate) struct Tracker {
    current: Arc<Configuration>,
    entries: Vec<(Place, Arc<MarkedTag>)>,
    /// What the metadata in force says.
    frame_rate: Option<f64>,
    told: Told,
    /// The video tracks that had a keyframe in this epoch, in the codec that they have now.
    keyed: TrackSet,
}

impl Tracker {
    pub(crate) fn new(current: Arc<Configuration>) -> Self {
        Self {
            current,
            entries: Vec::new(),
            frame_rate: None,
            told: Told::default(),
            keyed: TrackSet::default(),
        }
    }

    pub(crate) fn current(&self) -> &Arc<Configuration> {
        &self.current
    }

    /// Frames per second, by the metadata in force.
    pub(crate) fn frame_rate(&self) -> Option<f64> {
        self.frame_rate
    }

    /// A new publish, of which nothing is known yet.
    pub(crate) fn restart(&mut self, epoch: Epoch) -> Arc<Configuration> {
        self.entries.clear();
        self.frame_rate = None;
        self.told = Told::default();
        self.keyed = TrackSet::default();
        let version = self.current.version.wrapping_add(1);
        self.current = Arc::new(Configuration {
            version,
            epoch,
            ..Configuration::default()
        });
        Arc::clone(&self.current)
    }

    /// Whether `tag` is of the kind that joiners get first.
    pub(crate) fn is_configuration(&self, tag: &Tag) -> bool {
        tag.is_metadata()
            || matches!(
                tag.packet(),
                Some(
                    Packet::Configuration
                        | Packet::TsConfiguration
                        | Packet::Metadata
                        | Packet::Multichannel
                )
            )
    }

    pub(crate) fn check(&mut self, tag: Tag, limits: &Limits) -> Verdict {
        let longest = match tag.is_metadata() {
            true => limits
                .max_metadata_bytes
                .min(limits.max_configuration_bytes),
            false => limits.max_configuration_bytes,
        };
        if self.is_configuration(&tag) && tag.payload.len() > longest {
            return Verdict::Refuse(DropReason::TooLarge);
        }
        if let Info::Data(data) = *tag.info() {
            return self.check_data(tag, data.event);
        }
        let result = self.check_track(&tag, limits);
        let keyed = self.keyed;
        let result = result.and_then(|change| {
            self.begin_anew(change.as_ref());
            self.check_keyframe(&tag).map(|()| change)
        });
        let mut change = match result {
            Ok(change) => change,
            Err(reason) => {
                self.keyed = keyed;
                return Verdict::Refuse(reason);
            }
        };
        if tag.is_frame() {
            self.check_size(&tag, &mut change);
            if self.told.frame(tag.dts, &self.current) {
                change.get_or_insert_default();
            }
        }
        match change {
            Some(change) => Verdict::Change(tag, change),
            None => Verdict::Pass(tag),
        }
    }

    /// What a tag of audio or video changes by its packet.
    fn check_track(&self, tag: &Tag, limits: &Limits) -> Result<Option<Change>, DropReason> {
        let Some(packet) = tag.packet() else {
            return Ok(None);
        };
        match packet {
            Packet::Configuration | Packet::TsConfiguration => self.check_record(tag, limits),
            Packet::Metadata | Packet::Multichannel => Ok(self.check_extra(tag)),
            Packet::Frame if tag.has_many_tracks() => self.check_frames(tag, limits),
            Packet::Frame => {
                let body = || tag.body();
                self.check_frame(tag.track(), codec(tag), tag.is_video(), body, limits)
            }
            Packet::End => self.check_end(tag),
            Packet::Command | Packet::Unknown(_) => Ok(None),
            Packet::Malformed => Err(DropReason::Malformed),
        }
    }

    fn check_data(&mut self, tag: Tag, event: Event) -> Verdict {
        let place = Place::new(Role::Metadata, TrackSet::default());
        match event {
            Event::Metadata => {
                let tag = flv::metadata::canonical(&tag).unwrap_or(tag);
                if self.told.holds(&tag.payload) {
                    let payload = self.told.payload().cloned().unwrap_or(tag.payload);
                    return Verdict::Pass(Tag::new(tag.kind, tag.dts, payload));
                }
                let values = metadata(&tag).unwrap_or_default();
                let frame_rate = values.frame_rate();
                let tag = self.told.tell(tag, &values, &self.current);
                let change = Change {
                    place: Some(place),
                    frame_rate: Some(frame_rate),
                    ..Change::default()
                };
                Verdict::Change(tag, change)
            }
            Event::ClearMetadata if self.has_metadata() => {
                self.told.forget();
                let change = Change {
                    frame_rate: Some(None),
                    ..Change::default()
                };
                Verdict::Change(tag, change)
            }
            Event::ClearMetadata => Verdict::Pass(tag),
            Event::Other => Verdict::Pass(flv::metadata::unwrapped(&tag).unwrap_or(tag)),
        }
    }

    fn check_record(&self, tag: &Tag, limits: &Limits) -> Result<Option<Change>, DropReason> {
        let mut change = Change::default();
        let mut tracks = TrackSet::default();
        let descriptor = tag.packet() == Some(Packet::TsConfiguration);
        for track in flv::tracks(tag) {
            if track.body.is_empty() && needs_configuration(track.codec) {
                return Err(DropReason::Malformed);
            }
            self.admit(track.id, tag.is_video(), &change, limits)?;
            tracks.insert(track.id);
            let body = if descriptor { Bytes::new() } else { track.body };
            change.add(track.id, track.codec, tag.is_video(), &body);
        }
        if tracks.is_empty() {
            return Err(DropReason::Malformed);
        }
        let role = if tag.is_video() {
            Role::Video
        } else {
            Role::Audio
        };
        let place = Place::new(role(Class::Record), tracks);
        if self.holds(place, &tag.payload) {
            return Ok(None);
        }
        change.place = Some(place);
        Ok(Some(change))
    }

    fn check_extra(&self, tag: &Tag) -> Option<Change> {
        let mut tracks = TrackSet::default();
        flv::tracks(tag).for_each(|track| tracks.insert(track.id));
        let role = if tag.is_video() {
            Role::Video
        } else {
            Role::Audio
        };
        let place = Place::new(role(Class::Extra), tracks);
        // Of a track that nobody announced nothing is kept: the list is as long as that of tracks.
        if !tracks.is_empty() && self.knows_all(tracks, tag.is_video()) {
            let new = !self.holds(place, &tag.payload);
            return new.then(|| Change {
                place: Some(place),
                ..Change::default()
            });
        }
        None
    }

    /// The common case, which allocates nothing.
    fn check_frame(
        &self,
        id: u8,
        codec: Option<Codec>,
        video: bool,
        body: impl FnOnce() -> Bytes,
        limits: &Limits,
    ) -> Result<Option<Change>, DropReason> {
        if self.codec(id, video) == Some(codec) {
            return Ok(None);
        }
        if needs_configuration(codec) {
            return Err(DropReason::Unconfigured);
        }
        let mut change = Change::default();
        self.admit(id, video, &change, limits)?;
        let record = if is_its_own_record(codec) {
            body()
        } else {
            Bytes::new()
        };
        change.add(id, codec, video, &record);
        Ok(Some(change))
    }

    /// A packet of many tracks passes if one of them can be decoded.
    fn check_frames(&self, tag: &Tag, limits: &Limits) -> Result<Option<Change>, DropReason> {
        let mut all = Change::default();
        let mut result = Err(DropReason::Malformed);
        for track in flv::tracks(tag) {
            let body = || track.body;
            match self.check_frame(track.id, track.codec, tag.is_video(), body, limits) {
                Ok(change) => {
                    if let Some(change) = change {
                        self.admit(track.id, tag.is_video(), &all, limits)?;
                        all.video.extend(change.video);
                        all.audio.extend(change.audio);
                    }
                    result = Ok(());
                }
                Err(reason) => result = result.map_err(|_| reason),
            }
        }
        result.map(|()| (!all.video.is_empty() || !all.audio.is_empty()).then_some(all))
    }

    /// An encoder may end its second track with a legacy tag that seems to speak of the first.
    fn check_end(&self, tag: &Tag) -> Result<Option<Change>, DropReason> {
        match self.codec(tag.track(), tag.is_video()) {
            Some(known) if known == codec(tag) => Ok(None),
            Some(_) => Err(DropReason::WrongCodec),
            None => Err(DropReason::Unconfigured),
        }
    }

    fn codec(&self, id: u8, video: bool) -> Option<Option<Codec>> {
        self.current.codec(id, video)
    }

    fn knows_all(&self, mut tracks: TrackSet, video: bool) -> bool {
        let mut known = TrackSet::default();
        if video {
            self.current
                .video
                .iter()
                .for_each(|track| known.insert(track.track));
        } else {
            self.current
                .audio
                .iter()
                .for_each(|track| known.insert(track.track));
        }
        tracks.remove_all(known);
        tracks.is_empty()
    }

    /// Whether there is room for one more track beside those in `change`.
    fn admit(
        &self,
        id: u8,
        video: bool,
        change: &Change,
        limits: &Limits,
    ) -> Result<(), DropReason> {
        if self.codec(id, video).is_some() {
            return Ok(());
        }
        let known = if video {
            self.current.video.len()
        } else {
            self.current.audio.len()
        };
        let is_new = |track: u8| self.codec(track, video).is_none();
        let new = change.video.iter().filter(|new| is_new(new.track)).count()
            + change.audio.iter().filter(|new| is_new(new.track)).count();
        if known + new < limits.max_tracks {
            Ok(())
        } else {
            Err(DropReason::TooManyTracks)
        }
    }

    fn has_metadata(&self) -> bool {
        self.entries
            .iter()
            .any(|(place, _)| place.role == Role::Metadata)
    }

    fn holds(&self, place: Place, payload: &Bytes) -> bool {
        let held = self.entries.iter().find(|(held, _)| *held == place);
        held.is_some_and(|(_, marked)| marked.tag.payload == *payload)
    }

    /// Makes the configuration that is in force from the tag `marked` on. Beside it, the payload of
    /// its metadata where that was corrected without being sent again.
    pub(crate) fn apply(
        &mut self,
        change: Change,
        marked: &MarkedTag,
    ) -> (Arc<Configuration>, Option<Bytes>) {
        let mut next = Configuration {
            version: marked.version,
            epoch: marked.epoch,
            tags: Vec::new(),
            video: self.current.video.clone(),
            audio: self.current.audio.clone(),
        };
        if let Some(frame_rate) = change.frame_rate {
            self.frame_rate = frame_rate;
            self.entries
                .retain(|(place, _)| place.role != Role::Metadata);
        }
        for track in change.video {
            self.forget(track.track, Role::Video(Class::Record));
            let old = next.video.iter().find(|old| old.track == track.track);
            if old.is_some_and(|old| old.codec != track.codec) {
                self.forget(track.track, Role::Video(Class::Extra));
            }
            next.video.retain(|old| old.track != track.track);
            next.video.push(track);
        }
        for track in change.audio {
            self.forget(track.track, Role::Audio(Class::Record));
            let old = next.audio.iter().find(|old| old.track == track.track);
            if old.is_some_and(|old| old.codec != track.codec) {
                self.forget(track.track, Role::Audio(Class::Extra));
            }
            next.audio.retain(|old| old.track != track.track);
            next.audio.push(track);
        }
        next.video.sort_by_key(|track| track.track);
        next.audio.sort_by_key(|track| track.track);
        for (id, width, height) in change.resized {
            let track = next.video.iter_mut().find(|track| track.track == id);
            if let Some(track) = track {
                track.resize(width, height);
            }
        }
        if let Some(place) = change.place {
            self.replace(place, Arc::new(marked.clone()));
        }
        self.told.compare(&next);
        let told = change.metadata.or_else(|| self.told.payload().cloned());
        let corrected = told.filter(|payload| self.correct_metadata(payload));
        next.tags = self.tags();
        self.current = Arc::new(next);
        (Arc::clone(&self.current), corrected)
    }

    fn tags(&self) -> Vec<Arc<MarkedTag>> {
        self.entries
            .iter()
            .map(|(_, tag)| Arc::clone(tag))
            .collect()
    }

    /// Keeps of the metadata for joiners what is true. Returns whether that is something else.
    fn correct_metadata(&mut self, payload: &Bytes) -> bool {
        let mut entries = self.entries.iter_mut();
        let metadata = entries.find(|(place, _)| place.role == Role::Metadata);
        let Some((_, marked)) = metadata else {
            return false;
        };
        if marked.tag.payload == *payload {
            return false;
        }
        let tag = Tag::new(marked.tag.kind, marked.tag.dts, payload.clone());
        let old = MarkedTag::clone(marked);
        *marked = Arc::new(MarkedTag { tag, ..old });
        true
    }

    /// Drops what is kept of one track in `role`.
    fn forget(&mut self, track: u8, role: Role) {
        let mut tracks = TrackSet::default();
        tracks.insert(track);
        let place = Place::new(role, tracks);
        self.entries.retain_mut(|(old, _)| old.cede_to(place));
    }

    fn replace(&mut self, place: Place, marked: Arc<MarkedTag>) {
        self.entries.retain_mut(|(old, _)| old.cede_to(place));
        self.entries.push((place, marked));
        self.entries.sort_by_key(|(place, _)| place.order());
    }
}

impl Change {
    /// The frames per second that metadata tells, if it is metadata that changes.
    pub(crate) fn frame_rate(&self) -> Option<Option<f64>> {
        self.frame_rate
    }

    /// How many tracks it is about.
    pub(crate) fn tracks(&self) -> usize {
        self.video.len() + self.audio.len() + self.resized.len()
    }

    fn add(&mut self, track: u8, codec: Option<Codec>, video: bool, record: &[u8]) {
        if video {
            let codec = codec.and_then(|codec| match codec {
                Codec::Video(codec) => Some(codec),
                Codec::Audio(_) => None,
            });
            let read = |codec: VideoCodec| codec::video_info(codec, record).ok().map(Arc::new);
            let info = codec.filter(|_| !record.is_empty()).and_then(read);
            self.video.push(VideoTrack { track, codec, info });
        } else {
            let codec = codec.and_then(|codec| match codec {
                Codec::Audio(codec) => Some(codec),
                Codec::Video(_) => None,
            });
            let read = |codec: AudioCodec| codec::audio_info(codec, record).ok().map(Arc::new);
            let told = !record.is_empty() || is_its_own_record(codec.map(Codec::Audio));
            let info = codec.filter(|_| told).and_then(read);
            self.audio.push(AudioTrack { track, codec, info });
        }
    }
}

fn codec(tag: &Tag) -> Option<Codec> {
    match *tag.info() {
        Info::Video(video) => video.codec.map(Codec::Video),
        Info::Audio(audio) => audio.codec.map(Codec::Audio),
        Info::Data(_) => None,
    }
}

/// Whether any frame tells what in other codecs a record does.
fn is_its_own_record(codec: Option<Codec>) -> bool {
    use AudioCodec::{Ac3, Eac3, Mp3};
    matches!(codec, Some(Codec::Audio(Mp3 | Ac3 | Eac3)))
}

fn needs_configuration(codec: Option<Codec>) -> bool {
    match codec {
        Some(Codec::Video(codec)) => codec.needs_configuration(),
        Some(Codec::Audio(codec)) => codec.needs_configuration(),
        None => false,
    }
}
