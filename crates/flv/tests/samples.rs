//! Files of every codec at hand, read by us and by an independent demuxer (`data/make.sh`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Cursor;
use std::path::PathBuf;

use codec::{AudioCodec, VideoCodec};
use flv::file::{Header, Tags, Writer};
use flv::{Codec, Info, Kind, Metadata, Packet, Tag, tracks};
use weir_flv as flv;

const SAMPLES: &[&str] = &[
    "av1-opus",
    "flac",
    "flashsv-nellymoser",
    "flv1-adpcm",
    "h264-aac",
    "h264-aac-9",
    "h264-ac3",
    "h264-eac3",
    "hevc-aac",
    "hevc-hdr",
    "mp3",
    "multitrack",
    "pcm-alaw",
    "speex",
    "vp9-opus",
];

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

fn bytes(sample: &str) -> Vec<u8> {
    fs::read(path(&format!("{sample}.flv"))).unwrap()
}

fn read(sample: &str) -> Vec<Tag> {
    Tags::new(bytes(sample).as_slice())
        .collect::<Result<_, _>>()
        .unwrap()
}

/// A coded frame, as far as two readers can compare it.
#[derive(Debug, PartialEq)]
struct Frame {
    dts: i64,
    pts: i64,
    len: usize,
    hash: u32,
    key: bool,
}

type Frames = BTreeMap<(Kind, usize), Vec<Frame>>;

/// Adler-32 as framecrc has it: begun at 0.
fn hash(bytes: &[u8]) -> u32 {
    let step = |(a, b): (u32, u32), byte: &u8| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (b + a) % 65521)
    };
    let (a, b) = bytes.iter().fold((0, 0), step);
    b << 16 | a
}

/// The frames of each track; the tracks of a kind counted in the order of their numbers.
fn ours(tags: &[Tag]) -> Frames {
    let mut by_id = BTreeMap::<(Kind, u8), Vec<Frame>>::new();
    for tag in tags {
        for track in tracks(tag) {
            if track.packet != Packet::Frame || track.body.is_empty() {
                continue;
            }
            by_id.entry((tag.kind, track.id)).or_default().push(Frame {
                dts: i64::from(tag.dts),
                pts: i64::from(tag.dts) + i64::from(track.composition),
                len: track.body.len(),
                hash: hash(&track.body),
                key: tag.is_audio() || tag.is_keyframe(),
            });
        }
    }
    let mut counts = BTreeMap::<Kind, usize>::new();
    let count = |((kind, _), frames)| {
        let count = counts.entry(kind).or_default();
        *count += 1;
        ((kind, *count - 1), frames)
    };
    by_id.into_iter().map(count).collect()
}

/// What the other demuxer read, in the form of its framecrc output.
fn theirs(sample: &str) -> (Frames, BTreeSet<(usize, u32)>) {
    let text = fs::read_to_string(path(&format!("{sample}.framecrc"))).unwrap();
    let mut counts = BTreeMap::<Kind, usize>::new();
    let mut streams = BTreeMap::new();
    let mut frames = Frames::new();
    let mut configurations = BTreeSet::new();
    let hex = |text: &str| u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).unwrap();
    for line in text.lines() {
        if let Some(line) = line.strip_prefix("#media_type ") {
            let (stream, kind) = line.split_once(": ").unwrap();
            let kind = if kind == "video" {
                Kind::Video
            } else {
                Kind::Audio
            };
            let count = counts.entry(kind).or_default();
            streams.insert(stream.to_owned(), (kind, *count));
            *count += 1;
        } else if let Some(line) = line.strip_prefix("#extradata ") {
            let (len, hash) = line.split_once(": ").unwrap().1.split_once(',').unwrap();
            configurations.insert((len.trim().parse().unwrap(), hex(hash)));
        } else if !line.starts_with('#') {
            let fields: Vec<_> = line.split(',').map(str::trim).collect();
            let frame = Frame {
                dts: fields[1].parse().unwrap(),
                pts: fields[2].parse().unwrap(),
                len: fields[4].parse().unwrap(),
                hash: hex(fields[5]),
                key: fields
                    .get(6)
                    .is_none_or(|flags| !flags.starts_with("F=0x0")),
            };
            // It makes an empty packet of an end of sequence.
            if frame.len > 0 {
                frames.entry(streams[fields[0]]).or_default().push(frame);
            }
        }
    }
    (frames, configurations)
}

#[test]
fn every_frame_is_what_an_independent_demuxer_reads() {
    for sample in SAMPLES {
        let ours = ours(&read(sample));
        let (theirs, _) = theirs(sample);
        assert!(!ours.is_empty());
        assert_eq!(
            ours.keys().collect::<Vec<_>>(),
            theirs.keys().collect::<Vec<_>>(),
            "{sample}"
        );
        for (track, frames) in ours {
            let theirs = &theirs[&track];
            for (at, (ours, theirs)) in frames.iter().zip(theirs).enumerate() {
                assert_eq!(ours, theirs, "{sample}, {track:?}, frame {at}");
            }
            assert_eq!(frames.len(), theirs.len(), "{sample}, {track:?}");
        }
    }
}

#[test]
fn every_configuration_is_what_an_independent_demuxer_reads() {
    for sample in SAMPLES {
        // The first of each track: FLAC ends with another that has the checksum.
        let mut first = BTreeMap::new();
        for tag in read(sample).iter().filter(|tag| tag.is_configuration()) {
            for track in tracks(tag).filter(|track| !track.body.is_empty()) {
                let configuration = (track.body.len(), hash(&track.body));
                first.entry((tag.kind, track.id)).or_insert(configuration);
            }
        }
        let ours: BTreeSet<_> = first.into_values().collect();
        assert_eq!(ours, theirs(sample).1, "{sample}");
    }
}

#[test]
fn a_file_written_from_what_was_read_is_the_same_file() {
    for sample in SAMPLES {
        let file = bytes(sample);
        let mut tags = Tags::new(file.as_slice());
        let first = tags.next().unwrap().unwrap();
        let header = tags.reader().header().unwrap();
        let mut writer = Writer::new(Vec::new(), header).unwrap();
        writer.write(&first).unwrap();
        for tag in tags {
            writer.write(&tag.unwrap()).unwrap();
        }
        assert!(writer.into_inner() == file, "{sample} differs");
    }
}

#[test]
fn a_recording_knows_its_duration_as_well_as_the_encoder_did() {
    for sample in SAMPLES {
        let tags = read(sample);
        let metadata = tags.iter().find_map(Metadata::from_tag).unwrap();
        let header = Header {
            audio: true,
            video: true,
        };
        let target = Cursor::new(Vec::new());
        let mut writer = Writer::with_metadata(target, header, &metadata).unwrap();
        for tag in tags.iter().filter(|tag| !tag.is_metadata()) {
            writer.write(tag).unwrap();
        }
        let file = writer.finish().unwrap().into_inner();
        let first = Tags::new(file.as_slice()).next().unwrap().unwrap();
        let ours = Metadata::from_tag(&first).unwrap();
        let difference = ours.duration().unwrap() - metadata.duration().unwrap();
        assert!(difference.abs() < 0.1, "{sample}: {difference} s");
        assert_eq!(ours.file_size(), Some(file.len() as f64));
        assert_eq!(ours.encoder(), metadata.encoder());
    }
}

#[test]
fn codecs_are_named_and_no_head_is_malformed() {
    use AudioCodec as A;
    use VideoCodec as V;
    let expected: &[(&str, &[Codec])] = &[
        ("av1-opus", &[Codec::Video(V::Av1), Codec::Audio(A::Opus)]),
        ("flac", &[Codec::Audio(A::Flac)]),
        (
            "flashsv-nellymoser",
            &[Codec::Video(V::ScreenVideo), Codec::Audio(A::Nellymoser)],
        ),
        (
            "flv1-adpcm",
            &[Codec::Video(V::SorensonH263), Codec::Audio(A::Adpcm)],
        ),
        ("h264-aac", &[Codec::Video(V::Avc), Codec::Audio(A::Aac)]),
        ("h264-aac-9", &[Codec::Video(V::Avc), Codec::Audio(A::Aac)]),
        ("h264-ac3", &[Codec::Video(V::Avc), Codec::Audio(A::Ac3)]),
        ("h264-eac3", &[Codec::Video(V::Avc), Codec::Audio(A::Eac3)]),
        ("hevc-aac", &[Codec::Video(V::Hevc), Codec::Audio(A::Aac)]),
        ("hevc-hdr", &[Codec::Video(V::Hevc)]),
        ("mp3", &[Codec::Audio(A::Mp3)]),
        ("pcm-alaw", &[Codec::Audio(A::G711A)]),
        ("speex", &[Codec::Audio(A::Speex)]),
        ("vp9-opus", &[Codec::Video(V::Vp9), Codec::Audio(A::Opus)]),
        (
            "multitrack",
            &[
                Codec::Video(V::Hevc),
                Codec::Video(V::Avc),
                Codec::Audio(A::Aac),
                Codec::Audio(A::Opus),
            ],
        ),
    ];
    assert_eq!(expected.len(), SAMPLES.len());
    for (sample, codecs) in expected {
        let tags = read(sample);
        let mut found = Vec::new();
        for tag in &tags {
            assert!(
                !matches!(tag.packet(), Some(Packet::Malformed | Packet::Unknown(_))),
                "{tag:?}"
            );
            for track in tracks(tag) {
                let codec = track.codec.unwrap();
                if !found.contains(&codec) {
                    found.push(codec);
                }
            }
        }
        assert_eq!(found.len(), codecs.len(), "{sample}: {found:?}");
        assert!(
            codecs.iter().all(|codec| found.contains(codec)),
            "{sample}: {found:?}"
        );

        let metadata = tags.iter().find_map(Metadata::from_tag).unwrap();
        let video = codecs.iter().find(|codec| matches!(codec, Codec::Video(_)));
        assert_eq!(
            metadata.video_codec().map(Codec::Video),
            video.copied(),
            "{sample}"
        );
        let audio = codecs.iter().find(|codec| matches!(codec, Codec::Audio(_)));
        assert_eq!(
            metadata.audio_codec().map(Codec::Audio),
            audio.copied(),
            "{sample}"
        );
        assert!(metadata.encoder().unwrap().starts_with("Lavf"));
        assert_eq!(metadata.width(), video.map(|_| 160.0));
        assert_eq!(metadata.height(), video.map(|_| 90.0));
        assert_eq!(metadata.frame_rate(), video.map(|_| 15.0));
        assert_eq!(metadata.audio_sample_rate().is_some(), audio.is_some());
        assert!(metadata.duration().unwrap() > 0.2);
        assert_eq!(metadata.file_size(), Some(bytes(sample).len() as f64));
    }
}

#[test]
fn b_frames_have_a_composition_time_in_both_forms_of_coded_frames() {
    for sample in ["h264-aac", "hevc-aac"] {
        let tags = read(sample);
        let frames = || tags.iter().filter(|tag| tag.is_video() && tag.is_frame());
        assert!(frames().any(|tag| tag.composition() > 66), "{sample}");
        assert!(frames().any(|tag| tag.composition() == 0), "{sample}");
        let keys = frames().filter(|tag| tag.is_keyframe()).count();
        assert!(
            keys >= 2 && keys < frames().count(),
            "{sample}: {keys} keyframes"
        );
        let configurations = tags
            .iter()
            .filter(|tag| tag.is_video() && tag.is_configuration());
        assert_eq!(
            configurations.filter(|tag| !tag.is_keyframe()).count(),
            1,
            "{sample}"
        );
    }
}

#[test]
fn colour_and_channel_layouts_are_neither_frames_nor_configurations() {
    let hdr = read("hevc-hdr");
    let colour = hdr
        .iter()
        .find(|tag| tag.packet() == Some(Packet::Metadata))
        .unwrap();
    assert!(!colour.is_frame() && !colour.is_configuration() && !colour.is_keyframe());
    let values = amf::decode_all(&colour.body());
    assert_eq!(
        values.first().and_then(amf::Value::as_str),
        Some("colorInfo")
    );
    let info = values.get(1).and_then(amf::Value::as_object).unwrap();
    let config = info
        .get("colorConfig")
        .and_then(amf::Value::as_object)
        .unwrap();
    // SMPTE ST 2084, as the encoder was told.
    assert_eq!(
        config.get("transferCharacteristics"),
        Some(&amf::Value::Number(16.0))
    );

    let surround = read("h264-ac3");
    let layout = surround
        .iter()
        .find(|tag| tag.packet() == Some(Packet::Multichannel))
        .unwrap();
    // Native order, one channel, front centre.
    assert_eq!(layout.body(), &[1, 1, 0, 0, 0, 4][..]);
    assert!(!layout.is_frame() && !layout.is_configuration());
}

#[test]
fn the_legacy_end_of_a_second_track_has_another_codec_than_the_first() {
    let tags = read("multitrack");
    let ends: Vec<_> = tags
        .iter()
        .filter(|tag| tag.is_end() && tag.is_video())
        .map(|tag| match *tag.info() {
            Info::Video(video) => (video.enhanced, video.codec.unwrap(), video.track),
            _ => unreachable!(),
        })
        .collect();
    // It speaks of track 1 and cannot say so. Of HEVC, this encoder tells no end.
    assert_eq!(ends, [(false, VideoCodec::Avc, 0)]);
    assert!(
        !tags
            .iter()
            .any(|tag| tag.ends(0, Codec::Video(VideoCodec::Hevc)))
    );

    let main = read("h264-aac");
    let end = main
        .iter()
        .filter(|tag| tag.ends(0, Codec::Video(VideoCodec::Avc)));
    assert_eq!(end.count(), 1);
}
