//! Metadata: what `onMetaData` tells about a stream.

mod tracks;

use amf::{Object, Value};
use codec::{AudioCodec, FourCc, VideoCodec};

use crate::head;
use crate::info::{Event, Info};
use crate::tag::{Kind, Tag};
pub use tracks::Known;

const NAME: &str = "onMetaData";
const DURATION: &str = "duration";
const FILE_SIZE: &str = "filesize";

/// Where the value of the duration stands in the payload of a recording's metadata: behind the
/// name, the head of the array, the key and a marker. The file writer comes back to it.
pub(crate) const DURATION_AT: usize = 3 + NAME.len() + 5 + 2 + DURATION.len() + 1;

/// Likewise of the size of the file.
pub(crate) const FILE_SIZE_AT: usize = DURATION_AT + 8 + 2 + FILE_SIZE.len() + 1;

/// The values of an `onMetaData`, in their order.
///
/// Encoders differ in what they tell, and some tell wrong: believe configuration records first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// All of them, also those we know nothing about.
    pub values: Object,
}

/// `tag` as players get it: bare `onMetaData`, without the `@setDataFrame` that encoders put
/// before it. Shares the payload. `None` if it is no metadata.
pub fn canonical(tag: &Tag) -> Option<Tag> {
    if !tag.is_metadata() {
        return None;
    }
    Some(unwrapped(tag).unwrap_or_else(|| tag.clone()))
}

/// What stands behind an `@setDataFrame`, metadata or other data. Shares the payload. `None` if
/// there is no such order in front, or nothing to set behind it.
pub fn unwrapped(tag: &Tag) -> Option<Tag> {
    let Info::Data(info) = tag.info() else {
        return None;
    };
    let set_data_frame = 3 + "@setDataFrame".len();
    let has_name = usize::from(info.body) > set_data_frame;
    if !info.wrapped || !has_name || info.event == Event::ClearMetadata {
        return None;
    }
    let payload = tag.payload.slice(set_data_frame.min(tag.payload.len())..);
    Some(Tag::new(Kind::Data, tag.dts, payload))
}

impl Metadata {
    /// The values of `tag`, wrapped or bare, object or array; what can be read of them.
    pub fn from_tag(tag: &Tag) -> Option<Self> {
        Self::read(tag, amf::Limits::default())
    }

    /// Like [`from_tag`](Self::from_tag), but nothing is read of values that would take more
    /// than `size` bytes of memory, estimated. For metadata of strangers.
    pub fn from_tag_within(tag: &Tag, size: usize) -> Option<Self> {
        let limits = amf::Limits {
            size,
            ..amf::Limits::default()
        };
        Self::read(tag, limits)
    }

    fn read(tag: &Tag, limits: amf::Limits) -> Option<Self> {
        if !tag.is_metadata() {
            return None;
        }
        let values = amf::decode_all_with(&tag.body(), limits)
            .into_iter()
            .find_map(Value::into_object);
        Some(Self {
            values: values.unwrap_or_default(),
        })
    }

    /// The tag that tells these values: a bare `onMetaData` with an array.
    pub fn to_tag(&self, dts: u32) -> Tag {
        let values = [Value::from(NAME), Value::EcmaArray(self.values.clone())];
        Tag::new(Kind::Data, dts, amf::encode_all(&values))
    }

    /// The same at time 0, with duration and size first so that their places are known.
    pub(crate) fn to_recording_tag(&self) -> Tag {
        let ours = [DURATION, FILE_SIZE].map(|key| (key, Value::Number(0.0)));
        let rest = self
            .values
            .iter()
            .filter(|(key, _)| ![DURATION, FILE_SIZE].contains(key));
        let rest = rest.map(|(key, value)| (key, value.clone()));
        Self {
            values: ours.into_iter().chain(rest).collect(),
        }
        .to_tag(0)
    }

    /// Sets `key` to `value`, whatever it was before.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.values.insert(key, value);
    }

    /// Removes `key`, however often it is there.
    pub fn remove(&mut self, key: &str) {
        self.values.remove(key);
    }

    /// A number, also one that came as text.
    pub fn number(&self, key: &str) -> Option<f64> {
        let number = match self.values.get_ignore_case(key)? {
            Value::Number(number) => *number,
            Value::String(text) => text.trim().parse().ok()?,
            _ => return None,
        };
        number.is_finite().then_some(number)
    }

    /// A text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.values.get_ignore_case(key)?.as_str()
    }

    /// Width of the picture in pixels.
    pub fn width(&self) -> Option<f64> {
        self.number("width")
    }

    /// Height of the picture in pixels.
    pub fn height(&self) -> Option<f64> {
        self.number("height")
    }

    /// Pictures per second.
    pub fn frame_rate(&self) -> Option<f64> {
        self.number("framerate").or_else(|| self.number("fps"))
    }

    /// Kilobits of video per second.
    pub fn video_data_rate(&self) -> Option<f64> {
        self.number("videodatarate")
    }

    /// Kilobits of audio per second.
    pub fn audio_data_rate(&self) -> Option<f64> {
        self.number("audiodatarate")
    }

    /// Audio samples per second.
    pub fn audio_sample_rate(&self) -> Option<f64> {
        self.number("audiosamplerate")
    }

    /// Audio channels: the number itself, which some encoders tell, or 1 or 2 after `stereo`.
    pub fn audio_channels(&self) -> Option<f64> {
        self.number("audiochannels").or_else(|| {
            let stereo = self.values.get_ignore_case("stereo")?.as_bool()?;
            Some(if stereo { 2.0 } else { 1.0 })
        })
    }

    /// Seconds; 0 from live encoders.
    pub fn duration(&self) -> Option<f64> {
        self.number(DURATION)
    }

    /// Bytes of the file it came from.
    pub fn file_size(&self) -> Option<f64> {
        self.number(FILE_SIZE)
    }

    /// The program that made the stream.
    pub fn encoder(&self) -> Option<&str> {
        self.text("encoder")
    }

    /// The codec of the video, told as a legacy number, as the number of a FourCC, or as one.
    pub fn video_codec(&self) -> Option<VideoCodec> {
        match self.codec("videocodecid")? {
            CodecId::Legacy(id) => head::legacy_video_codec(id),
            CodecId::FourCc(fourcc) => Some(VideoCodec::from_fourcc(fourcc)),
        }
    }

    /// The codec of the audio, told likewise.
    pub fn audio_codec(&self) -> Option<AudioCodec> {
        match self.codec("audiocodecid")? {
            CodecId::Legacy(id) => head::legacy_audio_codec(id),
            CodecId::FourCc(fourcc) => Some(AudioCodec::from_fourcc(fourcc)),
        }
    }

    fn codec(&self, key: &str) -> Option<CodecId> {
        match self.values.get_ignore_case(key)? {
            Value::String(text) if text.parse::<f64>().is_err() => {
                Some(CodecId::FourCc(FourCc(text.as_bytes().try_into().ok()?)))
            }
            _ => {
                let number = self.number(key)?;
                if !(0.0..=f64::from(u32::MAX)).contains(&number) {
                    return None;
                }
                let number = number as u32;
                Some(match u8::try_from(number) {
                    Ok(id) => CodecId::Legacy(id),
                    Err(_) => CodecId::FourCc(FourCc(number.to_be_bytes())),
                })
            }
        }
    }

    /// Tells that the video is in `codec`: with its legacy number if FLV has one, else with that
    /// of its FourCC.
    pub fn set_video_codec(&mut self, codec: VideoCodec) {
        let legacy = match codec {
            VideoCodec::SorensonH263 => 2,
            VideoCodec::ScreenVideo => 3,
            VideoCodec::Vp6 => 4,
            VideoCodec::Vp6Alpha => 5,
            VideoCodec::ScreenVideo2 => 6,
            VideoCodec::Avc => 7,
            _ => 0,
        };
        self.set("videocodecid", codec_number(legacy, codec.fourcc()));
    }

    /// Tells that the audio is in `codec`, likewise.
    pub fn set_audio_codec(&mut self, codec: AudioCodec) {
        let legacy = match codec {
            AudioCodec::Adpcm => 1,
            AudioCodec::Mp3 => 2,
            AudioCodec::PcmLe => 3,
            AudioCodec::Nellymoser => 6,
            AudioCodec::G711A => 7,
            AudioCodec::G711Mu => 8,
            AudioCodec::Aac => 10,
            AudioCodec::Speex => 11,
            _ => 0,
        };
        self.set("audiocodecid", codec_number(legacy, codec.fourcc()));
    }
}

enum CodecId {
    Legacy(u8),
    FourCc(FourCc),
}

fn codec_number(legacy: u8, fourcc: Option<FourCc>) -> f64 {
    match fourcc {
        Some(FourCc(fourcc)) if legacy == 0 => f64::from(u32::from_be_bytes(fourcc)),
        _ => f64::from(legacy),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const WRAPPED: &[u8] = b"\x02\0\x0d@setDataFrame\x02\0\x0aonMetaData\x08\0\0\0\x01\0\x05width\0\x40\x74\0\0\0\0\0\0\0\0\x09";
    const BARE: &[u8] = b"\x02\0\x0aonMetaData\x03\0\x05width\0\x40\x74\0\0\0\0\0\0\0\0\x09";

    fn data(payload: &'static [u8]) -> Tag {
        Tag::new(Kind::Data, 7, Bytes::from_static(payload))
    }

    fn with(key: &str, value: impl Into<Value>) -> Metadata {
        let mut metadata = Metadata::default();
        metadata.set(key, value);
        metadata
    }

    #[test]
    fn reads_wrapped_and_bare_objects_and_arrays() {
        for payload in [WRAPPED, BARE, &BARE[..BARE.len() - 3]] {
            let metadata = Metadata::from_tag(&data(payload)).unwrap();
            assert_eq!(metadata.width(), Some(320.0));
        }
        let nothing = data(b"\x02\0\x0aonMetaData");
        assert_eq!(Metadata::from_tag(&nothing), Some(Metadata::default()));
        assert_eq!(Metadata::from_tag(&data(b"\x02\0\x0aonTextData\x05")), None);
        assert_eq!(Metadata::from_tag(&data(b"")), None);
    }

    #[test]
    fn values_beyond_the_limit_are_not_read() {
        let tag = with("encoder", "x".repeat(10_000).as_str()).to_tag(0);
        let read = |size| Metadata::from_tag_within(&tag, size).unwrap();
        assert_eq!(read(100_000), Metadata::from_tag(&tag).unwrap());
        assert_eq!(read(1_000), Metadata::default());
    }

    #[test]
    fn the_canonical_form_lacks_the_wrapping_and_keeps_the_rest() {
        let bare = canonical(&data(WRAPPED)).unwrap();
        assert_eq!(bare.payload, &WRAPPED[16..]);
        assert_eq!((bare.dts, bare.is_metadata()), (7, true));
        assert_eq!(canonical(&bare), Some(bare));
        assert_eq!(
            canonical(&data(b"\x02\0\x0f@clearDataFrame\x02\0\x0aonMetaData")),
            None
        );
    }

    #[test]
    fn other_data_is_unwrapped_too() {
        // Such as the time of day that some encoders tell.
        let other = data(b"\x02\0\x0d@setDataFrame\x02\0\x04onFI\x05");
        assert_eq!(canonical(&other), None);
        let bare = unwrapped(&other).unwrap();
        assert_eq!(bare.payload, &b"\x02\0\x04onFI\x05"[..]);
        assert_eq!((bare.dts, bare.is_metadata()), (7, false));
        assert_eq!(unwrapped(&bare), None);
        for nothing in [
            &b"\x02\0\x0d@setDataFrame"[..],
            b"\x02\0\x0d@setDataFrame\x05",
            b"\x02\0\x0d@setDataFrame\x02\0\x0f@clearDataFrame",
        ] {
            assert_eq!(unwrapped(&data(nothing)), None);
        }
    }

    #[test]
    fn a_tag_made_of_values_tells_them() {
        let mut metadata = with("width", 320.0);
        metadata.set("encoder", "a program");
        metadata.set("height", 1.0);
        metadata.remove("height");
        let tag = metadata.to_tag(9);
        assert_eq!((tag.kind, tag.dts), (Kind::Data, 9));
        assert_eq!(Metadata::from_tag(&tag), Some(metadata));
    }

    #[test]
    fn a_recording_has_room_at_known_places() {
        let mut metadata = with("width", 320.0);
        metadata.set("filesize", "unknown");
        let tag = metadata.to_recording_tag();
        for at in [DURATION_AT, FILE_SIZE_AT] {
            // A number marker, and 0.0.
            assert_eq!(&tag.payload[at - 1..at + 8], &[0; 9]);
        }
        assert_eq!(&tag.payload[DURATION_AT - 9..DURATION_AT - 1], b"duration");
        assert_eq!(
            &tag.payload[FILE_SIZE_AT - 9..FILE_SIZE_AT - 1],
            b"filesize"
        );
        assert_eq!(Metadata::from_tag(&tag).unwrap().width(), Some(320.0));
    }

    #[test]
    fn codecs_are_told_in_three_ways() {
        let hevc = f64::from(u32::from_be_bytes(*b"hvc1"));
        for (value, codec) in [
            (Value::from(7.0), Some(VideoCodec::Avc)),
            (Value::from("7"), Some(VideoCodec::Avc)),
            (Value::from("avc1"), Some(VideoCodec::Avc)),
            (Value::from(12.0), Some(VideoCodec::Hevc)),
            (Value::from(hevc), Some(VideoCodec::Hevc)),
            (Value::from(99.0), None),
            (Value::from(-1.0), None),
            (Value::from(f64::NAN), None),
            (Value::from(1e300), None),
            (Value::from("H264-ish"), None),
            (Value::Null, None),
        ] {
            assert_eq!(
                with("videocodecid", value.clone()).video_codec(),
                codec,
                "{value:?}"
            );
        }
        assert_eq!(
            with("audiocodecid", "Opus").audio_codec(),
            Some(AudioCodec::Opus)
        );
        assert_eq!(
            with("audiocodecid", 10.0).audio_codec(),
            Some(AudioCodec::Aac)
        );
    }

    #[test]
    fn codecs_survive_the_round_trip() {
        use {AudioCodec as A, VideoCodec as V};
        let mut metadata = Metadata::default();
        for codec in [
            V::SorensonH263,
            V::ScreenVideo,
            V::ScreenVideo2,
            V::Vp6,
            V::Vp6Alpha,
        ]
        .into_iter()
        .chain([V::Avc, V::Hevc, V::Vvc, V::Av1, V::Vp8, V::Vp9])
        {
            metadata.set_video_codec(codec);
            assert_eq!(metadata.video_codec(), Some(codec));
        }
        for codec in [
            A::Pcm,
            A::Adpcm,
            A::Mp3,
            A::PcmLe,
            A::Nellymoser,
            A::G711A,
            A::G711Mu,
        ]
        .into_iter()
        .chain([A::Aac, A::Speex, A::Opus, A::Flac, A::Ac3, A::Eac3])
        {
            metadata.set_audio_codec(codec);
            assert_eq!(metadata.audio_codec(), Some(codec));
        }
        assert_eq!(metadata.values.len(), 2);
    }

    #[test]
    fn numbers_come_as_text_too_and_keys_in_any_case() {
        assert_eq!(with("frameRate", " 29.97 ").frame_rate(), Some(29.97));
        assert_eq!(with("fps", 30.0).frame_rate(), Some(30.0));
        assert_eq!(with("width", "wide").width(), None);
        assert_eq!(with("stereo", true).audio_channels(), Some(2.0));
        assert_eq!(with("audiochannels", 6.0).audio_channels(), Some(6.0));
    }
}
