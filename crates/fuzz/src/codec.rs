use ::codec::{
    AudioCodec, VideoCodec, aac, audio_info, av1, avc, flac, hevc, mp3, opus, video_info, vp9, vvc,
};

use crate::memory::bounded;
use crate::pieces::choices;

/// A video configuration record: a byte for what it claims to be, then its bytes.
pub fn codec_video(data: &[u8]) {
    use VideoCodec as V;
    let Some(([what], bytes)) = choices::<1>(data) else {
        return;
    };
    match what % 11 {
        index @ 0..=5 => {
            let codecs = [V::Avc, V::Hevc, V::Vvc, V::Av1, V::Vp8, V::Vp9];
            let codec = codecs[usize::from(index)];
            let Ok(info) = bounded(bytes.len(), 64, 4096, || video_info(codec, bytes)) else {
                return;
            };
            check_string(&info.codec_string);
            check_size((info.width, info.height));
            assert!(
                info.nal_length_size
                    .is_none_or(|size| (1..=4).contains(&size))
            );
            if let Some((numerator, denominator)) = info.frame_rate {
                assert!(numerator > 0 && denominator > 0, "a rate to divide by");
            }
            records(codec, bytes);
        }
        6 => {
            if let Ok(sps) = avc::Sps::parse(bytes) {
                check_size((sps.width, sps.height));
            }
        }
        7 => {
            if let Ok(sps) = hevc::Sps::parse(bytes) {
                check_size((sps.width, sps.height));
            }
        }
        8 => {
            let found = av1::SequenceHeader::find(bytes);
            let parsed = av1::SequenceHeader::parse(bytes).ok();
            for header in [found, parsed].into_iter().flatten() {
                check_string(&header.codec_string());
            }
        }
        9 => {
            let _ = vp9::keyframe_size(bytes).map(check_size);
        }
        _ => {
            let _ = vp9::vp8_keyframe_size(bytes).map(check_size);
        }
    }
}

/// An audio configuration record: a byte for what it claims to be, then its bytes.
pub fn codec_audio(data: &[u8]) {
    use AudioCodec as A;
    let Some(([what], bytes)) = choices::<1>(data) else {
        return;
    };
    match what % 8 {
        index @ 0..=5 => {
            let codecs = [A::Aac, A::Opus, A::Flac, A::Mp3, A::Ac3, A::Eac3];
            let codec = codecs[usize::from(index)];
            let Ok(info) = bounded(bytes.len(), 64, 4096, || audio_info(codec, bytes)) else {
                return;
            };
            check_string(&info.codec_string);
            assert!(info.samples_per_frame != Some(0), "a frame has samples");
            assert!(info.channels <= 256, "{} channels", info.channels);
        }
        6 => {
            if let Some(samples) = opus::packet_samples(bytes) {
                // RFC 6716: at most 120 ms.
                assert!((1..=5760).contains(&samples), "{samples} samples");
            }
        }
        _ => {
            if let Some(header) = mp3::header(bytes) {
                assert!(
                    (1..=3).contains(&header.layer) && header.samples > 0,
                    "{header:?}"
                );
            }
            let _ = (
                aac::Configuration::parse(bytes),
                flac::Configuration::parse(bytes),
            );
        }
    }
}

/// The records themselves hold no more than they were given.
fn records(codec: VideoCodec, bytes: &[u8]) {
    match codec {
        VideoCodec::Avc => {
            let record = avc::Configuration::parse(bytes).expect("it had an info");
            check_sets(&record.sps, bytes);
            check_sets(&record.pps, bytes);
        }
        VideoCodec::Hevc => {
            let record = hevc::Configuration::parse(bytes).expect("it had an info");
            check_sets(&record.sps, bytes);
        }
        VideoCodec::Vvc => {
            let record = vvc::Configuration::parse(bytes).expect("it had an info");
            check_string(&record.codec_string());
        }
        _ => {}
    }
}

fn check_sets(sets: &[&[u8]], record: &[u8]) {
    let bytes: usize = sets.iter().map(|set| set.len() + 2).sum();
    assert!(bytes <= record.len());
}

fn check_string(text: &str) {
    assert!(!text.is_empty() && text.len() < 64, "{text}");
    assert!(
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)),
        "{text}"
    );
}

fn check_size((width, height): (u32, u32)) {
    assert!(width <= 65_536 && height <= 65_536, "{width}x{height}");
}
