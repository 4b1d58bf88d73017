//! One player of a connection, and what it is spared.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flv::{Packet, Tag};

use super::peer::{Counters, Peer};
use super::queue::{Closed, Offer, Queue, QueueLimits};
use crate::session::{Params, Play, Short};

/// The most configuration records and metadata kept for a player that goes on after a pause.
const MAX_REMEMBERED: usize = 32;
/// Configuration and metadata may exceed the limits of the queue by this factor.
const CONFIGURATION_RESERVE: usize = 2;

/// What to do with a player that does not keep up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Leave video out up to the next keyframe that fits; audio goes on where it fits.
    #[default]
    SkipVideo,
    /// End the connection.
    Disconnect,
}

/// What became of a tag that was to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It will be written.
    Queued,
    /// The player does not want it now: it pauses, or has turned that kind off, or has to wait
    /// for a keyframe after that.
    Unwanted,
    /// The player is too slow.
    Dropped,
}

/// One play on a connection. Clones are the same play.
#[derive(Clone)]
pub struct Player(Arc<Inner>);

struct Inner {
    peer: Peer,
    request: Play,
    overflow: Overflow,
    queue: Queue,
    gate: Mutex<Gate>,
}

/// What is let through.
#[derive(Debug)]
struct Gate {
    paused: bool,
    audio: bool,
    video: bool,
    /// Nothing goes through before a keyframe does.
    hold: bool,
    /// No video goes through before a keyframe does.
    skip_video: bool,
    seen_video: bool,
    remembered: Vec<Tag>,
}

impl Player {
    pub(crate) fn new(peer: Peer, request: Play, limits: QueueLimits, overflow: Overflow) -> Self {
        let queue = Queue::new(limits, peer.wake().clone());
        let gate = Gate {
            paused: false,
            audio: true,
            video: true,
            hold: false,
            // Joining in the middle of a group of pictures shows nothing but rubbish.
            skip_video: true,
            seen_video: false,
            remembered: Vec::new(),
        };
        Self(Arc::new(Inner {
            peer,
            request,
            overflow,
            queue,
            gate: Mutex::new(gate),
        }))
    }

    /// Whose it is.
    pub fn peer(&self) -> &Peer {
        &self.0.peer
    }

    /// The app.
    pub fn app(&self) -> &str {
        &self.0.request.app
    }

    /// The name, without its query; it may be a secret.
    pub fn name(&self) -> &str {
        &self.0.request.name
    }

    /// `app/name`, as its publisher has it.
    pub fn path(&self) -> String {
        format!("{}/{}", self.app(), self.name())
    }

    /// The parameters of the name, and those of `connect`.
    pub fn params(&self) -> &Params {
        &self.0.request.params
    }

    /// Where it wants to begin: see [`Play::start`].
    pub fn start(&self) -> f64 {
        self.0.request.start
    }

    /// Its message stream.
    pub fn stream_id(&self) -> u32 {
        self.0.request.stream_id
    }

    /// Whether `other` is this very play.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Sends a tag, at its own time, without waiting. The payload is shared. Video begins with a
    /// keyframe; configuration and metadata go through at any time.
    ///
    /// # Errors
    /// When the play is over.
    pub fn send(&self, tag: Tag) -> Result<Sent, Closed> {
        // Players know nothing of the wrapping that encoders use.
        let tag = flv::metadata::canonical(&tag).unwrap_or(tag);
        let mut gate = self.gate();
        if is_remembered(&tag) {
            gate.remember(&tag);
            if gate.paused {
                return if self.0.queue.is_closed() {
                    Err(Closed)
                } else {
                    Ok(Sent::Unwanted)
                };
            }
            return self.queue_configuration(tag);
        }
        if !gate.lets_through(&tag) {
            return if self.0.queue.is_closed() {
                Err(Closed)
            } else {
                Ok(Sent::Unwanted)
            };
        }
        let is_video = tag.is_video();
        match self.0.queue.offer(tag, 1) {
            Offer::Taken => {
                gate.passed(is_video);
                Ok(Sent::Queued)
            }
            Offer::Closed => Err(Closed),
            Offer::Full(_) => {
                Counters::add(&self.0.peer.counters().tags_dropped, 1);
                if self.0.overflow == Overflow::Disconnect {
                    self.give_up();
                    return Err(Closed);
                }
                gate.skip_video |= is_video;
                Ok(Sent::Dropped)
            }
        }
    }

    /// Ends the play, once what is queued has been written.
    pub fn end(&self) {
        self.0.queue.close();
    }

    /// Whether the play is over.
    pub fn is_closed(&self) -> bool {
        self.0.queue.is_closed()
    }

    /// Resolves when the play is over.
    pub async fn closed(&self) {
        self.0.queue.closed().await;
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.0.queue
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        let mut gate = self.gate();
        if std::mem::replace(&mut gate.paused, paused) == paused {
            return;
        }
        if paused {
            self.0.queue.clear();
            return;
        }
        gate.hold = gate.seen_video && gate.video;
        let remembered = gate.remembered.clone();
        for tag in remembered {
            let _ = self.queue_configuration(tag);
        }
    }

    pub(crate) fn set_audio(&self, on: bool) {
        self.gate().audio = on;
    }

    pub(crate) fn set_video(&self, on: bool) {
        let mut gate = self.gate();
        gate.skip_video |= on && !gate.video;
        // Who sees no video need not wait for it.
        gate.hold &= on;
        gate.video = on;
    }

    /// What must not be lost. A player that has no room even for this is beyond hope.
    fn queue_configuration(&self, tag: Tag) -> Result<Sent, Closed> {
        match self.0.queue.offer(tag, CONFIGURATION_RESERVE) {
            Offer::Taken => Ok(Sent::Queued),
            Offer::Closed => Err(Closed),
            Offer::Full(_) => {
                self.give_up();
                Err(Closed)
            }
        }
    }

    fn give_up(&self) {
        self.0.queue.clear();
        self.0.queue.close();
        self.0.peer.close();
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.0.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    fn lets_through(&mut self, tag: &Tag) -> bool {
        self.seen_video |= tag.is_video();
        if self.paused || (tag.is_audio() && !self.audio) || (tag.is_video() && !self.video) {
            return false;
        }
        let waits = self.hold || (tag.is_video() && self.skip_video);
        !waits || tag.is_keyframe()
    }

    /// A tag was queued; if it is video and video was waited for, it is the keyframe.
    fn passed(&mut self, is_video: bool) {
        if is_video {
            self.hold = false;
            self.skip_video = false;
        }
    }

    fn remember(&mut self, tag: &Tag) {
        self.seen_video |= tag.is_video();
        let identity = |tag: &Tag| (tag.kind, tag.packet(), tag.track(), tag.has_many_tracks());
        match self
            .remembered
            .iter()
            .position(|old| identity(old) == identity(tag))
        {
            Some(index) => self.remembered[index] = tag.clone(),
            None if self.remembered.len() < MAX_REMEMBERED => self.remembered.push(tag.clone()),
            None => {}
        }
    }
}

/// Whether a player that goes on needs it again.
fn is_remembered(tag: &Tag) -> bool {
    let packet = tag.packet();
    tag.is_metadata()
        || tag.is_configuration()
        || matches!(packet, Some(Packet::Metadata | Packet::Multichannel))
}

/// Shortened: the name may be a secret.
impl fmt::Display for Player {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:?}", self.app(), Short(self.name()))
    }
}

impl fmt::Debug for Player {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Player")
            .field("peer", &self.0.peer)
            .field("request", &self.0.request)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use flv::Kind;

    use super::*;

    fn player(limits: QueueLimits, overflow: Overflow) -> Player {
        let peer = Peer::new(1, ([127, 0, 0, 1], 1).into(), false);
        let request = Play {
            stream_id: 1,
            app: "live".into(),
            name: "cam".into(),
            params: Params::default(),
            start: -2.0,
            duration: -1.0,
            reset: true,
        };
        Player::new(peer, request, limits, overflow)
    }

    fn small(tags: usize) -> QueueLimits {
        QueueLimits {
            tags,
            bytes: 1 << 20,
        }
    }

    fn tag(kind: Kind, dts: u32, payload: &'static [u8]) -> Tag {
        Tag::new(kind, dts, Bytes::from_static(payload))
    }

    fn keyframe(dts: u32) -> Tag {
        tag(Kind::Video, dts, &[0x17, 1, 0, 0, 0, 0x65])
    }

    fn inter(dts: u32) -> Tag {
        tag(Kind::Video, dts, &[0x27, 1, 0, 0, 0, 0x41])
    }

    fn record() -> Tag {
        tag(Kind::Video, 0, &[0x17, 0, 0, 0, 0, 1])
    }

    fn audio(dts: u32) -> Tag {
        tag(Kind::Audio, dts, &[0xaf, 1, 0x21])
    }

    fn taken(player: &Player) -> Vec<(Kind, u32)> {
        std::iter::from_fn(|| player.queue().take())
            .map(|tag| (tag.kind, tag.dts))
            .collect()
    }

    #[test]
    fn a_slow_player_loses_video_up_to_the_next_keyframe() {
        let player = player(small(2), Overflow::SkipVideo);
        player.send(keyframe(0)).unwrap();
        player.send(inter(1)).unwrap();
        assert_eq!(player.send(inter(2)), Ok(Sent::Dropped));
        assert_eq!(taken(&player).len(), 2);
        assert_eq!(
            player.send(inter(3)),
            Ok(Sent::Unwanted),
            "it lacks what came before"
        );
        assert_eq!(player.send(audio(4)), Ok(Sent::Queued));
        assert_eq!(player.send(keyframe(5)), Ok(Sent::Queued));
        assert_eq!(taken(&player), [(Kind::Audio, 4), (Kind::Video, 5)]);
        assert_eq!(player.peer().stats().tags_dropped, 1);
    }

    #[test]
    fn a_slow_player_is_cut_where_that_is_wanted() {
        let player = player(small(1), Overflow::Disconnect);
        player.send(audio(0)).unwrap();
        assert_eq!(player.send(audio(1)), Err(Closed));
        assert!(player.is_closed() && player.peer().take_requests().close);
    }

    #[test]
    fn a_record_is_never_dropped_before_its_player() {
        let player = player(small(1), Overflow::SkipVideo);
        player.send(audio(0)).unwrap();
        assert_eq!(player.send(record()), Ok(Sent::Queued));
        assert_eq!(player.send(record()), Err(Closed), "hopeless");
    }

    #[test]
    fn after_a_pause_the_record_comes_again_and_nothing_before_a_keyframe() {
        let player = player(small(16), Overflow::SkipVideo);
        for tag in [record(), keyframe(1), audio(2)] {
            player.send(tag).unwrap();
        }
        player.set_paused(true);
        assert_eq!(taken(&player), [], "what was queued is not to be seen");
        assert_eq!(player.send(keyframe(3)), Ok(Sent::Unwanted));
        player.set_paused(false);
        for tag in [audio(4), inter(5), keyframe(6), audio(7), inter(8)] {
            player.send(tag).unwrap();
        }
        let expected = [
            (Kind::Video, 0),
            (Kind::Video, 6),
            (Kind::Audio, 7),
            (Kind::Video, 8),
        ];
        assert_eq!(taken(&player), expected);
    }

    #[test]
    fn without_video_a_player_goes_on_with_audio_at_once() {
        let player = player(small(16), Overflow::SkipVideo);
        player.send(audio(0)).unwrap();
        player.set_paused(true);
        player.set_paused(false);
        player.send(audio(1)).unwrap();
        assert_eq!(taken(&player), [(Kind::Audio, 1)]);
    }

    #[test]
    fn video_turned_on_again_begins_with_a_keyframe() {
        let player = player(small(16), Overflow::SkipVideo);
        player.send(keyframe(0)).unwrap();
        player.set_video(false);
        assert_eq!(player.send(inter(1)), Ok(Sent::Unwanted));
        assert_eq!(player.send(audio(2)), Ok(Sent::Queued));
        player.set_video(true);
        assert_eq!(player.send(inter(3)), Ok(Sent::Unwanted));
        assert_eq!(player.send(keyframe(4)), Ok(Sent::Queued));
        player.set_audio(false);
        assert_eq!(player.send(audio(5)), Ok(Sent::Unwanted));
    }

    #[test]
    fn metadata_loses_its_wrapping() {
        let player = player(small(16), Overflow::SkipVideo);
        let values = [
            "@setDataFrame".into(),
            "onMetaData".into(),
            amf::Object::new().into(),
        ];
        player
            .send(Tag::new(Kind::Data, 0, amf::encode_all(&values)))
            .unwrap();
        let tag = player.queue().take().unwrap();
        assert_eq!(&tag.payload[..13], b"\x02\x00\x0aonMetaData");
    }
}
