use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use codec::{AudioCodec, VideoCodec};

use super::*;

/// The size of the main video track and the version it is from.
fn known(ring: &Ring) -> (u32, u32, u32) {
    let configuration = ring.configuration();
    let track = configuration.main_video().expect("a track");
    let info = track.info.as_ref();
    let (width, height) = info.map_or((0, 0), |info| (info.width, info.height));
    (width, height, configuration.version)
}

/// What an encoder sent, up to its second keyframe.
fn sample(name: &str) -> Vec<Tag> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flv/tests/data");
    let file = File::open(folder.join(name)).expect("a sample");
    let tags: Result<Vec<_>, _> = flv::file::Tags::new(BufReader::new(file)).collect();
    tags.expect("whole tags")
}

#[test]
fn the_size_of_vp9_is_that_of_its_keyframes() {
    let (ring, mut publisher) = begin();
    let tags = sample("vp9-opus.flv");
    let keyframe = tags.iter().position(Tag::is_keyframe).expect("a keyframe");
    push(&mut publisher, tags[..keyframe].iter().cloned());
    assert_eq!(known(&ring).0, 0, "the record does not tell");
    push(&mut publisher, tags[keyframe..].iter().cloned());
    let (width, height, version) = known(&ring);
    assert_eq!((width, height), (160, 90));
    let configuration = join(&ring).configuration;
    let info = configuration
        .main_video()
        .and_then(|track| track.info.clone());
    let info = info.expect("the record can be read");
    assert_eq!((info.width, info.height), (160, 90), "a joiner's too");
    assert!(info.codec_string.starts_with("vp09.00."), "{info:?}");
    // The record is kept for joiners.
    assert!(
        configuration
            .tags
            .iter()
            .any(|tag| tag.tag.is_configuration() && tag.tag.is_video())
    );

    // Once more the same, at later times: nothing new.
    let later = tags.iter().filter(|tag| tag.is_frame());
    push(
        &mut publisher,
        later.map(|tag| tag.clone().with_dts(tag.dts + 5000)),
    );
    assert_eq!(known(&ring), (160, 90, version));
}

/// A VP8 keyframe in Enhanced RTMP.
fn vp8(dts: u32, width: u16, height: u16) -> Tag {
    let mut payload = b"\x91vp08\x10\x02\x00\x9d\x01\x2a".to_vec();
    payload.extend(width.to_le_bytes());
    payload.extend(height.to_le_bytes());
    tag(Kind::Video, dts, &payload)
}

#[test]
fn the_size_of_vp8_is_known_without_a_record_and_changes_with_a_keyframe() {
    let (ring, mut publisher) = begin();
    push(&mut publisher, [vp8(0, 640, 360)]);
    let (width, height, version) = known(&ring);
    assert_eq!((width, height), (640, 360));
    let configuration = ring.configuration();
    let track = configuration.main_video().expect("a track");
    assert_eq!(track.codec, Some(VideoCodec::Vp8));
    assert_eq!(track.info.as_ref().expect("its size").codec_string, "vp08");
    // Pictures that others depend on are not looked at, nor are other tracks changed.
    let inter = tag(
        Kind::Video,
        40,
        b"\xa1vp08\x11\x02\x00\x9d\x01\x2a\x01\x00\x01\x00",
    );
    push(&mut publisher, [inter, vp8(80, 640, 360)]);
    assert_eq!(known(&ring), (640, 360, version));
    push(&mut publisher, [vp8(120, 1280, 720)]);
    assert_eq!(known(&ring), (1280, 720, version + 1));
    let size = join(&ring).configuration;
    assert_eq!(size.video, ring.configuration().video);
}

/// A keyframe of VP8 tracks 0 and 3, of 16 and of 32 pixels.
fn many_tracks() -> Tag {
    let mut payload = b"\x96\x11vp08".to_vec();
    for (track, side) in [(0, 16), (3, 32)] {
        payload.extend([track, 0, 0, 10]);
        payload.extend([0x10, 2, 0, 0x9d, 1, 0x2a, side, 0, side, 0]);
    }
    tag(Kind::Video, 0, &payload)
}

fn sizes(ring: &Ring) -> Vec<(u8, u32, u32)> {
    let configuration = ring.configuration();
    let size = |track: &crate::VideoTrack| {
        let info = track.info.as_ref().expect("its size");
        (track.track, info.width, info.height)
    };
    configuration.video.iter().map(size).collect()
}

#[test]
fn each_of_many_tracks_has_its_own_size() {
    let (ring, mut publisher) = begin();
    push(&mut publisher, [many_tracks()]);
    assert_eq!(sizes(&ring), [(0, 16, 16), (3, 32, 32)]);
}

#[test]
fn a_track_that_is_refused_changes_nothing() {
    let limits = Limits {
        max_tracks: 1,
        ..Limits::default()
    };
    let ring = Ring::new(limits);
    let mut publisher = ring.begin(Epoch::new(1, 1), 0);
    push(&mut publisher, [vp8(0, 16, 16), many_tracks()]);
    let version = ring.configuration().version;
    push(&mut publisher, [many_tracks()]);
    assert_eq!(sizes(&ring), [(0, 16, 16)]);
    assert_eq!(ring.configuration().version, version);
}

#[test]
fn a_picture_that_is_refused_has_no_say_about_its_track() {
    let (ring, mut publisher) = begin();
    // Track 1 is AVC, of a size that the record does not tell.
    let record = b"\x96\0avc1\x01\x01\x64\0\x1f\xff";
    push(&mut publisher, [tag(Kind::Video, 0, &record[..])]);
    let av1 = sample("av1-opus.flv");
    let is_keyframe = |tag: &&Tag| tag.is_video() && tag.is_frame() && tag.is_keyframe();
    let picture = av1.iter().find(is_keyframe).expect("a keyframe").body();
    // Beside VP8 of track 0, AV1 claims it, whose record never came.
    let mut payload = b"\x96\x21".to_vec();
    payload.extend(b"vp08\0\0\0\x0a\x10\x02\0\x9d\x01\x2a\x10\0\x10\0");
    payload.extend(b"av01\x01");
    payload.extend(&(picture.len() as u32).to_be_bytes()[1..]);
    payload.extend(&picture);
    push(&mut publisher, [tag(Kind::Video, 0, &payload)]);
    let configuration = ring.configuration();
    assert_eq!(configuration.video.len(), 2);
    let second = &configuration.video[1];
    let size = second.info.as_ref().map(|info| (info.width, info.height));
    assert_ne!(size, Some((160, 90)), "{second:?}");
}

#[test]
fn av1_without_a_sequence_header_in_its_record_tells_with_its_keyframe() {
    let (ring, mut publisher) = begin();
    let is_record = |tag: &Tag| tag.is_video() && tag.is_configuration();
    let head = 5;
    // The encoder begins with an empty one, which is refused.
    let tags = sample("av1-opus.flv").into_iter();
    let tags = tags.filter(|tag| !is_record(tag) || tag.payload.len() > head);
    let shortened = tags.map(|tag| match is_record(&tag) {
        true => Tag::new(tag.kind, tag.dts, tag.payload.slice(..head + 4)),
        false => tag,
    });
    push(&mut publisher, shortened);
    let (width, height, _) = known(&ring);
    assert_eq!((width, height), (160, 90));
}

#[test]
fn mp3_needs_no_record_to_be_described() {
    let (ring, mut publisher) = begin();
    push(&mut publisher, sample("mp3.flv"));
    let configuration = ring.configuration();
    let track = configuration.main_audio().expect("a track");
    assert_eq!(track.codec, Some(AudioCodec::Mp3));
    let info = track.info.as_ref().expect("what its first frame says");
    assert_eq!(
        (info.sample_rate, info.samples_per_frame),
        (44_100, Some(1152))
    );
    assert_eq!(info.channels, 1);
}

#[test]
fn ac3_has_a_name_whatever_it_begins_with() {
    for begins in [&b"\x90ac-3"[..], b"\x91ac-3\x0b\x77"] {
        let (ring, mut publisher) = begin();
        push(&mut publisher, [tag(Kind::Audio, 0, begins)]);
        let configuration = ring.configuration();
        let info = configuration
            .main_audio()
            .and_then(|track| track.info.clone());
        assert_eq!(info.expect("its name").codec_string, "ac-3");
    }
}
