//! Init segments, as another reader understands them.

mod support;

use bytes::Bytes;
use codec::{AudioCodec, Error, FourCc, VideoCodec};
use mp4_atom::{Codec, Decode, Ftyp, Moov, Stsd};
use support::hex;
use weir_fmp4::{Media, Track, Unsupported, init};

const AVC: &str = "0142c00dffe100166742c00dda0507ec0440000003004000000c83c50aa801000468ce0fc8";
const HEVC: &str = "01016000000090000000000078f000fcfdf8f800000f03200001001840010c01ffff0160000003\
    00900000030000030078959409210001002b420101016000000300900000030000030078a003c0801107cb965654a4\
    c2f0168080000003008000000f0422000100064401c073c189";
const VVC: &str = "ff00655f010223800000028001680000028f000100ef007900ab022380000080140805a46a00737f\
    fac2";
const AV1: &str = "81010c000a0c0200000d2627fb3805f00080";
const VP9: &str = "010000000015820202020000";
const OPUS: &str = "4f707573486561640101380180bb0000000000";
const OPUS_5_1: &str = "4f707573486561640106380180bb00000000010402000401020305";
const FLAC: &str = "040004000000000008150bb800f00000000000000000000000000000000000000000";
/// The heads of frames of FFmpeg, 96 kbit/s at 48,000 Hz in stereo.
const AC3: &str = "0b7738900c4043e106f0010c0c0c21818187fd";

fn record(digits: &str) -> Bytes {
    hex(digits).into()
}

fn video(codec: VideoCodec, digits: &str) -> Media {
    let record = record(digits);
    Media::Video {
        codec,
        record,
        width: 320,
        height: 180,
    }
}

fn audio(codec: AudioCodec, digits: &str) -> Media {
    audio_at(codec, digits, 48_000)
}

fn audio_at(codec: AudioCodec, digits: &str, sample_rate: u32) -> Media {
    let record = record(digits);
    Media::Audio {
        codec,
        record,
        channels: 2,
        sample_rate,
    }
}

fn track(id: u32, media: Media) -> Track {
    Track {
        id,
        timescale: 90_000,
        media,
    }
}

/// What another reader finds in an init segment of one track, and its bytes.
fn read(media: Media) -> (Codec, Moov, Bytes) {
    let bytes = init(&[track(1, media)]).unwrap();
    let mut rest = &bytes[..];
    Ftyp::decode(&mut rest).unwrap();
    let moov = Moov::decode(&mut rest).unwrap();
    assert!(rest.is_empty());
    let Stsd { codecs } = &moov.trak[0].mdia.minf.stbl.stsd;
    assert_eq!(codecs.len(), 1);
    (codecs[0].clone(), moov.clone(), bytes)
}

/// Whether a box of this kind and with these contents is in it.
fn has_box(bytes: &[u8], kind: &[u8; 4], contents: &[u8]) -> bool {
    let length = (8 + contents.len()) as u32;
    let whole = [&length.to_be_bytes()[..], kind, contents].concat();
    bytes.windows(whole.len()).any(|window| window == whole)
}

fn refused(media: Media) -> Unsupported {
    init(&[track(1, media)]).unwrap_err()
}

#[test]
fn two_tracks_are_described() {
    let tracks = [
        track(1, video(VideoCodec::Avc, AVC)),
        Track {
            timescale: 48_000,
            ..track(7, audio(AudioCodec::Aac, "1190"))
        },
    ];
    let bytes = init(&tracks).unwrap();
    assert_eq!(bytes, init(&tracks).unwrap());
    let mut rest = &bytes[..];
    let brands = Ftyp::decode(&mut rest).unwrap();
    assert_eq!(brands.major_brand, (*b"iso6").into());
    assert_eq!(
        brands.compatible_brands,
        [(*b"iso6").into(), (*b"mp41").into()]
    );

    let moov = Moov::decode(&mut rest).unwrap();
    assert!(rest.is_empty());
    assert_eq!((moov.mvhd.duration, moov.mvhd.next_track_id), (0, 8));
    let [pictures, sound] = &moov.trak[..] else {
        panic!("two tracks")
    };
    assert_eq!((pictures.tkhd.track_id, sound.tkhd.track_id), (1, 7));
    assert!(pictures.tkhd.enabled && sound.tkhd.enabled);
    let size = |of: &mp4_atom::Trak| (of.tkhd.width.integer(), of.tkhd.height.integer());
    assert_eq!((size(pictures), size(sound)), ((320, 180), (0, 0)));
    let media = |of: &mp4_atom::Trak| (of.mdia.mdhd.timescale, of.mdia.hdlr.handler);
    assert_eq!(media(pictures), (90_000, (*b"vide").into()));
    assert_eq!(media(sound), (48_000, (*b"soun").into()));
    assert!(pictures.mdia.minf.vmhd.is_some() && sound.mdia.minf.smhd.is_some());
    let fragments = moov.mvex.unwrap();
    let ids: Vec<u32> = fragments
        .trex
        .iter()
        .map(|defaults| defaults.track_id)
        .collect();
    assert_eq!(ids, [1, 7]);
    assert!(
        fragments
            .trex
            .iter()
            .all(|it| it.default_sample_description_index == 1)
    );
}

#[test]
fn one_track_is_a_cmaf_header() {
    let brands = |media| {
        let bytes = init(&[track(1, media)]).unwrap();
        Ftyp::decode(&mut &bytes[..]).unwrap().compatible_brands
    };
    let cmaf = [(*b"iso6").into(), (*b"cmfc").into(), (*b"mp41").into()];
    assert_eq!(brands(audio(AudioCodec::Aac, "1190")), cmaf);
    assert!(brands(video(VideoCodec::Av1, AV1)).contains(&(*b"av01").into()));
}

#[test]
fn records_of_video_stand_in_their_boxes_as_they_came() {
    for (codec, digits, kind) in [
        (VideoCodec::Avc, AVC, b"avcC"),
        (VideoCodec::Hevc, HEVC, b"hvcC"),
        (VideoCodec::Av1, AV1, b"av1C"),
        (VideoCodec::Vp9, VP9, b"vpcC"),
        (VideoCodec::Vp8, VP9, b"vpcC"),
    ] {
        let (_, _, bytes) = read(video(codec, digits));
        assert!(has_box(&bytes, kind, &record(digits)), "{codec:?}");
    }
    // Some come without the version and flags that these boxes begin with.
    let (_, _, bytes) = read(video(VideoCodec::Vp9, &VP9[8..]));
    assert!(has_box(&bytes, b"vpcC", &record(VP9)));
    let (_, _, bytes) = read(video(VideoCodec::Vvc, VVC));
    assert!(has_box(&bytes, b"vvcC", &hex(&format!("00000000{VVC}"))));
}

#[test]
fn another_reader_knows_the_codecs() {
    let (avc, ..) = read(video(VideoCodec::Avc, AVC));
    let Codec::Avc1(avc) = avc else {
        panic!("{avc:?}")
    };
    assert_eq!((avc.visual.width, avc.visual.height), (320, 180));
    assert_eq!((avc.avcc.length_size, avc.pasp), (4, None));
    let (hevc, ..) = read(video(VideoCodec::Hevc, HEVC));
    let Codec::Hvc1(hevc) = hevc else {
        panic!("{hevc:?}")
    };
    assert_eq!(hevc.hvcc.arrays.len(), 3);
    assert!(matches!(
        read(video(VideoCodec::Av1, AV1)).0,
        Codec::Av01(_)
    ));
    let (vp9, ..) = read(video(VideoCodec::Vp9, VP9));
    let Codec::Vp09(vp9) = vp9 else {
        panic!("{vp9:?}")
    };
    assert_eq!((vp9.vpcc.level, vp9.vpcc.bit_depth), (21, 8));
    assert!(matches!(
        read(video(VideoCodec::Vp8, VP9)).0,
        Codec::Vp08(_)
    ));
    assert!(matches!(
        read(video(VideoCodec::Vvc, VVC)).0,
        Codec::Unknown(..)
    ));
}

#[test]
fn aac_and_mp3_have_descriptors() {
    let descriptor = |media| match read(media).0 {
        Codec::Mp4a(entry) => (entry.audio, entry.esds.es_desc.dec_config),
        other => panic!("{other:?}"),
    };
    let (entry, aac) = descriptor(audio(AudioCodec::Aac, "118856e500"));
    assert_eq!((entry.channel_count, entry.sample_size), (2, 16));
    assert_eq!(entry.sample_rate.integer(), 48_000);
    assert_eq!((aac.object_type_indication, aac.stream_type), (0x40, 5));
    assert_eq!(aac.dec_specific.unwrap().raw, hex("118856e500"));
    // So long that lengths take two bytes.
    let long = "1190".to_owned() + &"ab".repeat(300);
    let (_, aac) = descriptor(audio(AudioCodec::Aac, &long));
    assert_eq!(aac.dec_specific.unwrap().raw, hex(&long));

    let (_, mp3) = descriptor(audio_at(AudioCodec::Mp3, "", 44_100));
    assert_eq!((mp3.object_type_indication, mp3.dec_specific), (0x6b, None));
    let (_, mp3) = descriptor(audio_at(AudioCodec::Mp3, "", 22_050));
    assert_eq!(mp3.object_type_indication, 0x69);
}

#[test]
fn rates_beyond_16_bits_are_halved() {
    let Codec::Mp4a(entry) = read(audio_at(AudioCodec::Aac, "1010", 96_000)).0 else {
        panic!("not AAC")
    };
    assert_eq!(entry.audio.sample_rate.integer(), 48_000);
}

#[test]
fn opus_is_told_in_the_other_byte_order() {
    let configuration = |digits| match read(audio(AudioCodec::Opus, digits)).0 {
        Codec::Opus(entry) => entry.dops,
        other => panic!("{other:?}"),
    };
    let mono = configuration(OPUS);
    assert_eq!((mono.output_channel_count, mono.pre_skip), (1, 312));
    assert_eq!(
        (mono.input_sample_rate, mono.channel_mapping),
        (48_000, None)
    );
    let surround = configuration(OPUS_5_1).channel_mapping.unwrap();
    assert_eq!(
        (
            surround.family,
            surround.stream_count,
            surround.coupled_count
        ),
        (1, 4, 2)
    );
    assert_eq!(surround.channel_mapping, [0, 4, 1, 2, 3, 5]);
    let assumed = configuration("");
    assert_eq!((assumed.output_channel_count, assumed.pre_skip), (2, 0));
}

#[test]
fn flac_keeps_its_stream_information() {
    let bare = read(audio(AudioCodec::Flac, FLAC));
    let Codec::Flac(entry) = &bare.0 else {
        panic!("{:?}", bare.0)
    };
    assert_eq!((entry.audio.sample_size, entry.dfla.blocks.len()), (16, 1));
    let expected = hex(&format!("00000000 80000022 {FLAC}"));
    assert!(has_box(&bare.2, b"dfLa", &expected));
    // Behind a marker and a header, which does not say that it is the last.
    let whole = format!("664c6143 00000022 {FLAC} 84000001 00");
    assert_eq!(read(audio(AudioCodec::Flac, &whole)).2, bare.2);
}

#[test]
fn ac3_repeats_the_header_of_a_frame() {
    let Codec::Ac3(entry) = read(audio(AudioCodec::Ac3, AC3)).0 else {
        panic!("not AC-3")
    };
    let told = entry.dac3;
    assert_eq!((told.fscod, told.bsid, told.bsmod), (0, 8, 0));
    // Stereo without bass, and the seventh of the rates of table F.4.1: 96 kbit/s.
    assert_eq!((told.acmod, told.lfeon, told.bit_rate_code), (2, false, 6));
    // 5.1, where the levels of the mix stand before the bass: 3/2 with it, at 448 kbit/s.
    let (surround, ..) = read(audio(AudioCodec::Ac3, "0b77 0000 1e 40 e1 00"));
    let Codec::Ac3(entry) = surround else {
        panic!("not AC-3")
    };
    assert_eq!(
        (entry.dac3.acmod, entry.dac3.lfeon, entry.dac3.bit_rate_code),
        (7, true, 15)
    );
}

#[test]
fn eac3_repeats_the_header_of_a_frame() {
    // 384 bytes, 48,000 Hz, six blocks, stereo, version 16.
    let (stereo, ..) = read(audio(AudioCodec::Eac3, "0b77 00bf 34 80"));
    let Codec::Eac3(entry) = stereo else {
        panic!("not E-AC-3")
    };
    assert_eq!(entry.dec3.data_rate, 96);
    let [substream] = &entry.dec3.substreams[..] else {
        panic!("one substream")
    };
    assert_eq!(
        (substream.fscod, substream.bsid, substream.acmod),
        (0, 16, 2)
    );
    assert_eq!((substream.lfeon, substream.num_dep_sub), (false, 0));
    // Two frames in one.
    let twice = "0b77 0003 34 80 0000".repeat(2);
    let twice = audio(AudioCodec::Eac3, &twice);
    assert!(init(&[track(1, twice)]).is_ok());
}

#[test]
fn what_cannot_be_described_is_refused() {
    assert_eq!(
        refused(audio(AudioCodec::Speex, "")),
        Unsupported::Codec("speex")
    );
    assert_eq!(
        refused(video(VideoCodec::Vp6, "")),
        Unsupported::Codec("vp6")
    );
    let unknown = VideoCodec::Other(FourCc(*b"wxyz"));
    assert_eq!(refused(video(unknown, "")), Unsupported::Codec("other"));
    assert_eq!(
        refused(video(VideoCodec::Avc, &AVC[..20])),
        Unsupported::Record {
            codec: "avc",
            source: Error::Truncated
        }
    );
    let is_bad = |media| matches!(refused(media), Unsupported::Record { .. });
    assert!(is_bad(audio(AudioCodec::Aac, "")));
    assert!(is_bad(audio(AudioCodec::Flac, &FLAC[..66])));
    assert!(is_bad(audio(AudioCodec::Ac3, "")));
    assert!(is_bad(audio(AudioCodec::Ac3, "0b77 0000 c0 40 40")));
    // A substream that needs another, behind the one that it needs, and before any.
    assert!(is_bad(audio(AudioCodec::Eac3, "0b77 4001 34 80")));
    assert!(is_bad(audio(
        AudioCodec::Eac3,
        "0b77 0002 34 80 0b77 4002 34 80"
    )));
}
