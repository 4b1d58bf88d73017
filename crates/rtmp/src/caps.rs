//! What the two ends of an Enhanced RTMP connection tell each other they can do.

use amf::{Object, Value};

/// The codecs we pass on, as Enhanced RTMP v2 writes them.
pub const VIDEO_FOURCCS: [&str; 6] = ["avc1", "hvc1", "vvc1", "av01", "vp09", "vp08"];
/// The same for audio.
pub const AUDIO_FOURCCS: [&str; 6] = ["mp4a", "Opus", "fLaC", "ac-3", "ec-3", ".mp3"];

/// Every codec.
const WILDCARD: &str = "*";

/// The most codecs of one list that are kept; in memory each takes many times the bytes it came in.
const MAX_CODECS: usize = 64;

/// Bits of a codec's entry in an information map.
pub mod mask {
    /// Can decode it.
    pub const DECODE: u8 = 1;
    /// Can encode it.
    pub const ENCODE: u8 = 2;
    /// Can pass it on.
    pub const FORWARD: u8 = 4;
}

/// Bits of `capsEx`.
pub mod extra {
    /// Obeys a reconnect request.
    pub const RECONNECT: u8 = 1;
    /// Knows multitrack packets.
    pub const MULTITRACK: u8 = 2;
    /// Knows ModEx packets.
    pub const MODEX: u8 = 4;
    /// Knows the nanosecond offset.
    pub const NANO_OFFSET: u8 = 8;
}

const OUR_EXTRAS: u8 = extra::RECONNECT | extra::MULTITRACK | extra::MODEX | extra::NANO_OFFSET;

/// What one end has announced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caps {
    /// `fourCcList`: codecs without saying for what.
    pub fourccs: Vec<String>,
    /// `videoFourCcInfoMap`: codec and [`mask`].
    pub video: Vec<(String, u8)>,
    /// `audioFourCcInfoMap`.
    pub audio: Vec<(String, u8)>,
    /// `capsEx`: bits of [`extra`].
    pub extras: u8,
}

impl Caps {
    /// Reads what a `connect` object, or the properties or information of its result, says.
    #[must_use]
    pub fn from_object(object: &Object) -> Self {
        // Bits we do not know are left out, of any number of them.
        let number = |value: &Value| value.as_number().map_or(0, |number| number as u64 as u8);
        let map = |name| match object.get_ignore_case(name).and_then(Value::as_object) {
            Some(map) => map
                .iter()
                .take(MAX_CODECS)
                .map(|(codec, value)| (codec.to_owned(), number(value)))
                .collect(),
            None => Vec::new(),
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let fourccs = match object.get_ignore_case("fourCcList") {
            Some(Value::StrictArray(list)) => {
                list.iter().filter_map(text).take(MAX_CODECS).collect()
            }
            Some(list) => match list.as_object() {
                Some(list) => {
                    let values = list.iter().filter_map(|(_, value)| text(value));
                    values.take(MAX_CODECS).collect()
                }
                None => text(list).into_iter().collect(),
            },
            None => Vec::new(),
        };
        Self {
            fourccs,
            video: map("videoFourCcInfoMap"),
            audio: map("audioFourCcInfoMap"),
            extras: object.get_ignore_case("capsEx").map_or(0, number),
        }
    }

    /// What we announce as a client.
    #[must_use]
    pub fn announcement() -> Self {
        let map = |codecs: [&str; 6]| {
            codecs
                .map(|codec| (codec.to_owned(), mask::FORWARD))
                .to_vec()
        };
        Self {
            fourccs: VIDEO_FOURCCS
                .into_iter()
                .chain(AUDIO_FOURCCS)
                .map(str::to_owned)
                .collect(),
            video: map(VIDEO_FOURCCS),
            audio: map(AUDIO_FOURCCS),
            extras: OUR_EXTRAS,
        }
    }

    /// Whether anything was announced at all.
    #[must_use]
    pub fn is_enhanced(&self) -> bool {
        !(self.fourccs.is_empty() && self.video.is_empty() && self.audio.is_empty())
            || self.extras != 0
    }

    /// Whether this end obeys a reconnect request.
    #[must_use]
    pub fn reconnects(&self) -> bool {
        self.extras & extra::RECONNECT != 0
    }

    /// Whether a codec was announced, by name or by wildcard.
    #[must_use]
    pub fn knows(&self, fourcc: &str) -> bool {
        let maps = self.video.iter().chain(&self.audio).map(|(codec, _)| codec);
        self.fourccs
            .iter()
            .chain(maps)
            .any(|codec| codec == fourcc || codec == WILDCARD)
    }

    /// Our answer to this announcement: what both ends have, in the forms the peer used.
    #[must_use]
    pub fn answer(&self) -> Self {
        let common = |theirs: &[(String, u8)], ours: [&str; 6]| {
            let known = |codec: &&str| {
                theirs
                    .iter()
                    .any(|(their, _)| their == codec || their == WILDCARD)
            };
            ours.into_iter()
                .filter(known)
                .map(|codec| (codec.to_owned(), mask::FORWARD))
                .collect()
        };
        let listed = |codec: &&str| {
            self.fourccs
                .iter()
                .any(|their| their == codec || their == WILDCARD)
        };
        Self {
            fourccs: VIDEO_FOURCCS
                .into_iter()
                .chain(AUDIO_FOURCCS)
                .filter(listed)
                .map(str::to_owned)
                .collect(),
            video: common(&self.video, VIDEO_FOURCCS),
            audio: common(&self.audio, AUDIO_FOURCCS),
            extras: self.extras & OUR_EXTRAS,
        }
    }

    /// Adds the properties that say this to an object.
    pub fn write(&self, object: &mut Object) {
        let map = |codecs: &[(String, u8)]| -> Object {
            codecs
                .iter()
                .map(|(codec, mask)| (codec.clone(), Value::from(f64::from(*mask))))
                .collect()
        };
        if !self.fourccs.is_empty() {
            let list = self
                .fourccs
                .iter()
                .map(|codec| Value::from(codec.as_str()))
                .collect();
            object.insert("fourCcList", Value::StrictArray(list));
        }
        if !self.video.is_empty() {
            object.insert("videoFourCcInfoMap", map(&self.video));
        }
        if !self.audio.is_empty() {
            object.insert("audioFourCcInfoMap", map(&self.audio));
        }
        if self.extras != 0 {
            object.insert("capsEx", f64::from(self.extras));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(codecs: &[(&str, u8)]) -> Vec<(String, u8)> {
        codecs
            .iter()
            .map(|&(codec, mask)| (codec.to_owned(), mask))
            .collect()
    }

    #[test]
    fn an_announcement_survives_the_round_trip() {
        let mut object = Object::new();
        Caps::announcement().write(&mut object);
        assert_eq!(Caps::from_object(&object), Caps::announcement());
    }

    #[test]
    fn bits_of_the_future_are_not_taken_for_those_of_today() {
        for (number, extras) in [(256.0, 0), (259.0, 3), (f64::NAN, 0), (-1.0, 0)] {
            let mut object = Object::new();
            object.insert("capsEx", number);
            assert_eq!(Caps::from_object(&object).extras, extras, "{number}");
        }
    }

    #[test]
    fn the_answer_is_what_both_have() {
        let theirs = Caps {
            fourccs: vec!["hvc1".into(), "dvh1".into()],
            video: map(&[("av01", 1), ("zzzz", 7)]),
            audio: map(&[("Opus", 3)]),
            extras: 0xF3,
        };
        let answer = theirs.answer();
        assert_eq!(answer.fourccs, ["hvc1"]);
        assert_eq!(answer.video, map(&[("av01", mask::FORWARD)]));
        assert_eq!(answer.audio, map(&[("Opus", mask::FORWARD)]));
        assert_eq!(answer.extras, extra::RECONNECT | extra::MULTITRACK);
    }

    #[test]
    fn a_wildcard_is_everything() {
        let theirs = Caps {
            fourccs: vec!["*".into()],
            video: map(&[("*", 4)]),
            ..Caps::default()
        };
        assert!(theirs.knows("vp09"));
        let answer = theirs.answer();
        assert_eq!(answer.fourccs.len(), 12);
        assert_eq!(answer.video.len(), 6);
        assert!(answer.audio.is_empty());
    }

    #[test]
    fn nothing_announced_is_nothing_answered() {
        let caps = Caps::from_object(&Object::new());
        assert!(!caps.is_enhanced());
        let mut object = Object::new();
        caps.answer().write(&mut object);
        assert!(object.is_empty());
    }

    #[test]
    fn lists_in_other_clothes_are_understood() {
        let list: Object = [("0".to_owned(), Value::from("av01"))]
            .into_iter()
            .collect();
        let mut object = Object::new();
        object.insert("fourcclist", Value::EcmaArray(list));
        assert_eq!(Caps::from_object(&object).fourccs, ["av01"]);
        object.insert("fourcclist", "hvc1");
        assert_eq!(Caps::from_object(&object).fourccs, ["hvc1"]);
    }
}
