//! What metadata tells about the tracks of a stream, against what there is.

use amf::Value;
use codec::{AudioCodec, VideoCodec};

use super::Metadata;

/// Values about video whose names do not say so.
const ABOUT_VIDEO: [&str; 8] = [
    "width",
    "height",
    "displaywidth",
    "displayheight",
    "framerate",
    "fps",
    "avcprofile",
    "avclevel",
];

/// Likewise about audio.
const ABOUT_AUDIO: [&str; 2] = ["stereo", "aacaot"];

/// What is known of the video, or of the audio, of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known<C> {
    /// Nothing yet.
    Nothing,
    /// That there is none.
    Absent,
    /// That there is a track, in this codec if we know it.
    Present(Option<C>),
}

impl Metadata {
    /// The same without what is told of video or audio that is not there, and with the codecs
    /// that are; `None` if all that is told is true.
    ///
    /// Some encoders always tell of both. Players believe them, and wait for sound that never
    /// comes before they show a picture.
    pub fn corrected(&self, video: Known<VideoCodec>, audio: Known<AudioCodec>) -> Option<Self> {
        let is_wrong = |key: &str| {
            (video == Known::Absent && is_about(key, "video", &ABOUT_VIDEO))
                || (audio == Known::Absent && is_about(key, "audio", &ABOUT_AUDIO))
        };
        let right = self.values.iter().filter(|(key, _)| !is_wrong(key));
        let mut corrected = Self {
            values: right.map(|(key, value)| (key, value.clone())).collect(),
        };
        let mut changed = corrected.values.len() != self.values.len();
        changed |= corrected.correct_flag("hasVideo", video);
        changed |= corrected.correct_flag("hasAudio", audio);
        if let Known::Present(Some(codec)) = video
            && self.video_codec().is_some_and(|told| told != codec)
        {
            corrected.remove_ignoring_case("videocodecid");
            corrected.set_video_codec(codec);
            changed = true;
        }
        if let Known::Present(Some(codec)) = audio
            && self.audio_codec().is_some_and(|told| told != codec)
        {
            corrected.remove_ignoring_case("audiocodecid");
            corrected.set_audio_codec(codec);
            changed = true;
        }
        changed.then_some(corrected)
    }

    /// Sets a flag that is there to the truth. Whether that changes anything.
    fn correct_flag<C: PartialEq>(&mut self, key: &str, known: Known<C>) -> bool {
        let told = self.values.get_ignore_case(key).and_then(Value::as_bool);
        let truth = match known {
            Known::Nothing => return false,
            Known::Absent => false,
            Known::Present(_) => true,
        };
        if told.is_none_or(|told| told == truth) {
            return false;
        }
        self.remove_ignoring_case(key);
        self.set(key, truth);
        true
    }

    fn remove_ignoring_case(&mut self, key: &str) {
        let others = self.values.iter();
        let others = others.filter(|(other, _)| !other.eq_ignore_ascii_case(key));
        self.values = others
            .map(|(other, value)| (other, value.clone()))
            .collect();
    }
}

/// Whether a value is about a kind of track: by the beginning of its name, or by all of it.
fn is_about(key: &str, kind: &str, names: &[&str]) -> bool {
    let beginning = key.as_bytes().get(..kind.len());
    beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(kind.as_bytes()))
        || names.iter().any(|name| key.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Known::{Absent, Nothing, Present};

    /// What an encoder tells of both, and of itself.
    fn of_both() -> Metadata {
        let mut metadata = Metadata::default();
        metadata.set("duration", 0.0);
        metadata.set("width", 1920.0);
        metadata.set("Height", 1080.0);
        metadata.set("frameRate", 30.0);
        metadata.set("videodatarate", 2500.0);
        metadata.set_video_codec(VideoCodec::Avc);
        metadata.set("audiosamplerate", 48_000.0);
        metadata.set("stereo", true);
        metadata.set("hasAudio", true);
        metadata.set_audio_codec(AudioCodec::Aac);
        metadata.set("encoder", "an encoder");
        metadata
    }

    fn names(metadata: &Metadata) -> Vec<&str> {
        metadata.values.iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn what_is_true_or_not_known_stays() {
        let metadata = of_both();
        let (avc, aac) = (Some(VideoCodec::Avc), Some(AudioCodec::Aac));
        assert_eq!(metadata.corrected(Present(avc), Present(aac)), None);
        assert_eq!(metadata.corrected(Present(None), Present(None)), None);
        assert_eq!(metadata.corrected(Nothing, Nothing), None);
        assert_eq!(Metadata::default().corrected(Absent, Absent), None);
    }

    #[test]
    fn nothing_is_told_of_video_or_audio_that_is_not_there() {
        let metadata = of_both();
        let without_video = metadata.corrected(Absent, Present(None)).unwrap();
        assert_eq!(
            names(&without_video),
            [
                "duration",
                "audiosamplerate",
                "stereo",
                "hasAudio",
                "audiocodecid",
                "encoder"
            ]
        );
        let without_audio = metadata.corrected(Present(None), Absent).unwrap();
        assert_eq!(
            names(&without_audio),
            [
                "duration",
                "width",
                "Height",
                "frameRate",
                "videodatarate",
                "videocodecid",
                "encoder",
                "hasAudio"
            ]
        );
        let flag = without_audio.values.get("hasAudio");
        assert_eq!(flag.and_then(Value::as_bool), Some(false));
        assert_eq!(without_audio.corrected(Present(None), Absent), None);
    }

    #[test]
    fn a_codec_that_is_told_wrong_is_told_right() {
        let metadata = of_both();
        let hevc = Present(Some(VideoCodec::Hevc));
        let opus = Present(Some(AudioCodec::Opus));
        let right = metadata.corrected(hevc, opus).unwrap();
        assert_eq!(right.video_codec(), Some(VideoCodec::Hevc));
        assert_eq!(right.audio_codec(), Some(AudioCodec::Opus));
        assert_eq!(right.values.len(), metadata.values.len());
        assert_eq!(right.corrected(hevc, opus), None);

        let mut denied = Metadata::default();
        denied.set("HasVideo", false);
        let right = denied.corrected(hevc, opus).unwrap();
        assert_eq!(right.values.get("hasVideo"), Some(&Value::Boolean(true)));
        assert_eq!(right.values.len(), 1);
    }
}
