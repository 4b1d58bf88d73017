//! What is read from the records of real encoders, against what they were told to encode.

#[allow(dead_code, reason = "each test file uses its part")]
mod records;

use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::rbsp::{BitReader, decode_nal};
use proptest::prelude::*;
use records::*;
use weir_codec::{AudioCodec, AudioInfo, Error, VideoCodec, VideoInfo, audio_info, video_info};
use weir_codec::{aac, av1, avc, hevc, opus, vvc};

fn video(
    codec: VideoCodec,
    record: &str,
    codec_string: &str,
    (width, height): (u32, u32),
    frame_rate: Option<(u32, u32)>,
) {
    let info = video_info(codec, &bytes(record)).unwrap();
    let nal_length_size =
        matches!(codec, VideoCodec::Avc | VideoCodec::Hevc | VideoCodec::Vvc).then_some(4);
    let codec_string = codec_string.to_owned();
    assert_eq!(
        info,
        VideoInfo {
            codec_string,
            width,
            height,
            frame_rate,
            nal_length_size
        }
    );
}

fn audio(
    codec: AudioCodec,
    record: &[u8],
    codec_string: &str,
    sample_rate: u32,
    channels: u32,
    samples_per_frame: Option<u32>,
) {
    let codec_string = codec_string.to_owned();
    let expected = AudioInfo {
        codec_string,
        sample_rate,
        channels,
        samples_per_frame,
    };
    assert_eq!(audio_info(codec, record), Ok(expected));
}

#[test]
fn h264() {
    let avc = VideoCodec::Avc;
    video(avc, AVC_BASELINE, "avc1.42c00d", (320, 240), Some((25, 1)));
    video(
        avc,
        AVC_1080_NTSC,
        "avc1.42c028",
        (1920, 1080),
        Some((30_000, 1001)),
    );
    video(avc, AVC_422_10, "avc1.7a001f", (642, 358), Some((50, 1)));
    video(avc, AVC_444, "avc1.f4000d", (320, 240), Some((24, 1)));
    video(avc, AVC_GRAY, "avc1.64000d", (322, 242), Some((24, 1)));
    video(
        avc,
        AVC_INTERLACED,
        "avc1.640028",
        (1920, 1080),
        Some((25, 1)),
    );

    let record = bytes(AVC_422_10);
    let config = avc::Configuration::parse(&record).unwrap();
    assert_eq!((config.sps.len(), config.pps.len()), (1, 1));
    let sps = avc::Sps::parse(config.sps[0]).unwrap();
    assert_eq!((sps.chroma_format, sps.bit_depth), (2, 10));
}

#[test]
fn h265() {
    let hevc = VideoCodec::Hevc;
    video(
        hevc,
        HEVC_1080,
        "hvc1.1.6.L120.90",
        (1920, 1080),
        Some((30, 1)),
    );
    video(
        hevc,
        HEVC_10,
        "hvc1.2.4.L90.90",
        (642, 358),
        Some((60_000, 1001)),
    );
    video(
        hevc,
        HEVC_444,
        "hvc1.4.10.L60.9E.8",
        (322, 242),
        Some((24, 1)),
    );
    video(hevc, HEVC_HRD, "hvc1.1.6.L63.90", (640, 360), Some((25, 1)));

    let record = bytes(HEVC_10);
    let config = hevc::Configuration::parse(&record).unwrap();
    assert_eq!(
        (config.vps.len(), config.sps.len(), config.pps.len()),
        (1, 1, 1)
    );
    let sps = hevc::Sps::parse(config.sps[0]).unwrap();
    assert_eq!((sps.chroma_format, sps.bit_depth), (1, 10));
    let sps = hevc::Sps::parse(&bytes(HEVC_SPS_WITH_EVERYTHING)).unwrap();
    assert_eq!((sps.width, sps.height), (1280, 720));
    assert_eq!(sps.pixel_aspect, Some((4, 3)));
    assert_eq!(sps.frame_rate, Some((60_000, 1001)));
}

#[test]
fn h266() {
    video(VideoCodec::Vvc, VVC, "vvc1.1.L35", (640, 360), None);
    assert_eq!(
        vvc::Configuration::parse(&[0xfe]).unwrap().codec_string(),
        "vvc1"
    );
}

#[test]
fn av1() {
    let av1 = VideoCodec::Av1;
    video(av1, AV1, "av01.0.01M.08", (640, 360), None);
    video(av1, AV1_10, "av01.0.09M.10", (1920, 1080), None);
    video(av1, AV1_WITHOUT_HEADER, "av01.0.31M.08", (0, 0), None);
    // With libaom, FFmpeg 9 sends an empty record; the header is then in the first frame.
    assert_eq!(video_info(av1, &[]), Err(Error::Truncated));
    let frame = bytes("12000a0a200000043d07c4daf902");
    let header = av1::SequenceHeader::find(&frame).unwrap();
    assert_eq!((header.width, header.height), (322, 242));
    assert_eq!(header.codec_string(), "av01.1.00M.08");
    let header = av1::SequenceHeader::find(&bytes(AV1_OBU_WITH_EVERYTHING)).unwrap();
    assert_eq!((header.width, header.height), (1280, 720));
    assert_eq!(header.frame_rate, Some((30_000, 1001)));
    assert_eq!(header.codec_string(), "av01.2.09H.12");
    // What the sequence header says agrees with the head of the record.
    for record in [AV1, AV1_10] {
        let record = bytes(record);
        let config = av1::Configuration::parse(&record).unwrap();
        let header = av1::SequenceHeader::find(config.obus).unwrap();
        assert_eq!(header.codec_string(), config.codec_string());
    }
}

#[test]
fn vp9() {
    video(VideoCodec::Vp9, VP9, "vp09.00.21.08", (0, 0), None);
    video(VideoCodec::Vp9, VP9_10, "vp09.02.21.10", (0, 0), None);
    video(VideoCodec::Vp9, &VP9_10[8..], "vp09.02.21.10", (0, 0), None);
    video(VideoCodec::Vp8, VP9, "vp08.00.21.08", (0, 0), None);
}

#[test]
fn aac() {
    let aac = AudioCodec::Aac;
    audio(aac, &bytes(AAC), "mp4a.40.2", 48_000, 1, Some(1024));
    audio(aac, &bytes(AAC_5_1), "mp4a.40.2", 44_100, 6, Some(1024));
    audio(aac, &bytes(AAC_8000), "mp4a.40.2", 8_000, 1, Some(1024));
}

#[test]
fn aac_with_extensions() {
    let aac = AudioCodec::Aac;
    // HE-AAC, type first: a core at 22,050 Hz.
    audio(
        aac,
        &[0x2b, 0x92, 0x08, 0x00],
        "mp4a.40.5",
        44_100,
        2,
        Some(2048),
    );
    // HE-AAC v2: a mono core at 22,050 Hz.
    audio(
        aac,
        &[0xeb, 0x8a, 0x08, 0x00],
        "mp4a.40.29",
        44_100,
        2,
        Some(2048),
    );
    // The same two, told behind the end.
    audio(
        aac,
        &[0x13, 0x90, 0x56, 0xe5, 0xa0],
        "mp4a.40.2",
        44_100,
        2,
        Some(2048),
    );
    let both = [0x13, 0x88, 0x56, 0xe5, 0xa5, 0x48, 0x80];
    audio(aac, &both, "mp4a.40.2", 44_100, 2, Some(2048));
    assert!(aac::Configuration::parse(&both).unwrap().ps);
    // 960 samples, as in DAB+ and DRM.
    audio(aac, &[0x11, 0x94], "mp4a.40.2", 48_000, 2, Some(960));
    // A rate of its own: 24 bits behind index 15.
    audio(
        aac,
        &[0x17, 0x80, 0x56, 0x22, 0x10],
        "mp4a.40.2",
        44_100,
        2,
        Some(1024),
    );
    // A program configuration element: one pair in front, and an LFE.
    audio(aac, &bytes(AAC_2_1), "mp4a.40.2", 48_000, 3, Some(1024));
}

#[test]
fn opus() {
    audio(AudioCodec::Opus, &bytes(OPUS), "opus", 48_000, 1, None);
    audio(AudioCodec::Opus, &bytes(OPUS_5_1), "opus", 48_000, 6, None);
    let record = bytes(OPUS_5_1);
    let config = opus::Configuration::parse(&record).unwrap();
    assert_eq!(config.mapping, [4, 2, 0, 4, 1, 2, 3, 5]);
}

#[test]
fn other_audio() {
    audio(
        AudioCodec::Flac,
        &bytes(FLAC),
        "fLaC",
        48_000,
        1,
        Some(1024),
    );
    let marked = [b"fLaC\x80\0\0\x22".as_slice(), &bytes(FLAC_44100)].concat();
    audio(AudioCodec::Flac, &marked, "fLaC", 44_100, 2, Some(925));
    audio(
        AudioCodec::Mp3,
        &bytes("fffb50c4"),
        "mp4a.40.34",
        44_100,
        1,
        Some(1152),
    );
    audio(
        AudioCodec::Mp3,
        &bytes(&MP3_22050[2..]),
        "mp4a.40.34",
        22_050,
        1,
        Some(576),
    );
    audio(AudioCodec::Mp3, &[], "mp4a.40.34", 0, 0, None);
    audio(AudioCodec::Ac3, &[], "ac-3", 0, 0, Some(1536));
    audio(AudioCodec::Eac3, &[], "ec-3", 0, 0, None);
    assert_eq!(
        audio_info(AudioCodec::Speex, &[]),
        Err(Error::Unsupported("speex"))
    );
}

#[test]
fn refuses_more_parameter_sets_than_there_are_ids() {
    // 65,535 sets of no bytes, which would take eight times their size to list.
    let mut record = bytes(HEVC_1080)[..22].to_vec();
    record.extend([1, 33, 0xff, 0xff]);
    record.resize(record.len() + 2 * 0xffff, 0);
    let refused = Err(Error::Invalid("number of parameter sets"));
    assert_eq!(hevc::Configuration::parse(&record), refused);
}

#[test]
fn nal_length_sizes_are_those_of_the_record() {
    for (bits, size) in [(0xfc, 1), (0xfd, 2), (0xff, 4)] {
        let mut record = bytes(AVC_BASELINE);
        record[4] = bits;
        let info = video_info(VideoCodec::Avc, &record).unwrap();
        assert_eq!(info.nal_length_size, Some(size));
    }
}

#[test]
fn a_bad_parameter_set_leaves_the_codec_its_name() {
    let info = video_info(VideoCodec::Avc, &bytes("0164001fffe1000267ff00")).unwrap();
    assert_eq!((info.codec_string.as_str(), info.width), ("avc1.64001f", 0));
    let info = video_info(VideoCodec::Avc, &bytes("0164001fffe000")).unwrap();
    assert_eq!((info.codec_string.as_str(), info.width), ("avc1.64001f", 0));
}

proptest! {
    /// A real parameter set with some bits turned over, read by us and by another reader.
    #[test]
    fn agrees_with_another_reader_on_h264(
        record in prop::sample::select(
            &[AVC_BASELINE, AVC_1080_NTSC, AVC_422_10, AVC_444, AVC_GRAY, AVC_INTERLACED][..]),
        flips in prop::collection::vec((4usize..40, 0u8..8), 0..4),
    ) {
        let record = bytes(record);
        let mut nal = avc::Configuration::parse(&record).unwrap().sps[0].to_vec();
        for (at, bit) in flips {
            let at = at % nal.len();
            nal[at] ^= if at < 4 { 0 } else { 1 << bit };
        }
        let Ok(payload) = decode_nal(&nal) else { return Ok(()) };
        let theirs = SeqParameterSet::from_bits(BitReader::new(&payload[..]));
        let (Ok(theirs), Ok(ours)) = (theirs, avc::Sps::parse(&nal)) else { return Ok(()) };
        if let Ok(size) = theirs.pixel_dimensions() {
            prop_assert_eq!((ours.width, ours.height), size);
        }
        if let Some(usability) = &theirs.vui_parameters {
            let aspect = usability.aspect_ratio_info.as_ref().and_then(|aspect| aspect.get());
            let aspect = aspect.filter(|&(width, height)| width > 0 && height > 0);
            prop_assert_eq!(ours.pixel_aspect, aspect);
        }
        if let (Some(theirs), Some((numerator, denominator))) = (theirs.fps(), ours.frame_rate) {
            let ours = f64::from(numerator) / f64::from(denominator);
            prop_assert!((ours - theirs).abs() <= theirs * 1e-9, "{ours} is not {theirs}");
        }
    }
}
