//! The time of a stream.

use media::{Configuration, MarkedTag};

/// Follows the frames that time goes by.
#[derive(Debug, Default)]
pub(super) struct Clock {
    now: i64,
    /// The newest picture: its time, and what the sound had come to by then. Sound and pictures
    /// need not come in order, so only how far the sound goes on from there counts.
    picture: Option<(i64, Option<i64>)>,
    sound: Option<i64>,
}

/// A frame that time goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tick {
    /// In nanoseconds of the time of the publish. It never steps back.
    pub(super) now: i64,
    /// Whether it is a picture; otherwise it is sound while no pictures come.
    pub(super) picture: bool,
}

impl Clock {
    /// Time begins with the first segment.
    pub(super) fn start(&mut self, now: i64) {
        self.now = now;
    }

    /// The next frame; `None` if time does not go by it. Pictures count as missing after
    /// `patience` nanoseconds without.
    pub(super) fn next(
        &mut self,
        tag: &MarkedTag,
        configuration: &Configuration,
        patience: i64,
    ) -> Option<Tick> {
        let picture = configuration.is_main_picture(&tag.tag);
        let time = if picture {
            self.picture = Some((tag.time, self.sound));
            tag.time
        } else if configuration.is_main_sound(&tag.tag) {
            let sound = self.sound.map_or(tag.time, |sound| sound.max(tag.time));
            self.sound = Some(sound);
            match &mut self.picture {
                Some((picture, then)) => {
                    let silent = sound.saturating_sub(*then.get_or_insert(sound));
                    if silent <= patience {
                        return None;
                    }
                    picture.saturating_add(silent)
                }
                None => sound,
            }
        } else {
            return None;
        };
        self.now = self.now.max(time);
        let now = self.now;
        Some(Tick { now, picture })
    }
}
