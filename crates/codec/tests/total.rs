//! No bytes panic, whatever they claim to be.

#[allow(dead_code, reason = "each test file uses its part")]
mod records;

use proptest::prelude::*;
use records::{AUDIO, AV1_OBU_WITH_EVERYTHING, HEVC_SPS_WITH_EVERYTHING, VIDEO, bytes};
use weir_codec::{AudioCodec, VideoCodec, audio_info, av1, avc, hevc, mp3, opus, video_info, vp9};

fn read_as_everything(bytes: &[u8]) {
    use {AudioCodec as A, VideoCodec as V};
    for codec in [V::Avc, V::Hevc, V::Vvc, V::Av1, V::Vp8, V::Vp9] {
        if let Ok(info) = video_info(codec, bytes) {
            assert!(info.width <= 65_536 && info.height <= 65_536);
            assert!(!info.codec_string.is_empty());
        }
    }
    for codec in [A::Aac, A::Opus, A::Flac, A::Mp3, A::Ac3, A::Eac3] {
        let _ = audio_info(codec, bytes);
    }
    let _ = avc::Sps::parse(bytes);
    let _ = hevc::Sps::parse(bytes);
    let _ = av1::SequenceHeader::parse(bytes);
    let _ = av1::SequenceHeader::find(bytes);
    let _ = mp3::header(bytes);
    let _ = opus::packet_samples(bytes);
    let _ = vp9::keyframe_size(bytes);
    let _ = vp9::vp8_keyframe_size(bytes);
}

#[test]
fn real_records_cut_off_anywhere_do_not_panic() {
    let mut records = vec![AV1_OBU_WITH_EVERYTHING, HEVC_SPS_WITH_EVERYTHING];
    records.extend(VIDEO.iter().map(|(_, hex)| hex));
    records.extend(AUDIO.iter().map(|(_, hex)| hex));
    for record in records {
        let record = bytes(record);
        for end in 0..=record.len() {
            read_as_everything(&record[..end]);
            // And each parameter set that such a record may hold.
            if let Ok(config) = avc::Configuration::parse(&record) {
                let sps = config.sps[0];
                let _ = avc::Sps::parse(&sps[..end.min(sps.len())]);
            }
            if let Ok(config) = hevc::Configuration::parse(&record) {
                for sps in config.sps {
                    let _ = hevc::Sps::parse(&sps[..end.min(sps.len())]);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_as_everything(&bytes);
    }

    #[test]
    fn random_parameter_sets_do_not_panic(tail in prop::collection::vec(any::<u8>(), 0..120)) {
        for head in [[0x67, 100, 0, 31].as_slice(), &[0x67, 66, 0, 31], &[0x42, 0x01, 0x01]] {
            let nal = [head, &tail].concat();
            let _ = avc::Sps::parse(&nal);
            let _ = hevc::Sps::parse(&nal);
        }
    }

    #[test]
    fn real_records_with_bits_turned_over_do_not_panic(
        index in 0..VIDEO.len() + AUDIO.len(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..8),
    ) {
        let hex = match VIDEO.get(index) {
            Some((_, hex)) => hex,
            None => AUDIO[index - VIDEO.len()].1,
        };
        let mut record = bytes(hex);
        for (at, bit) in flips {
            let at = at.index(record.len());
            record[at] ^= 1 << bit;
        }
        read_as_everything(&record);
    }
}
