//! Streams of real encoders.

use bytes::Bytes;
use flv::{Info, Tag};
use weir_mpegts::{Frame, Media, Track};

use super::{AUDIO, VIDEO};

/// The tracks and frames of a stream, whose times begin at `start`.
pub(crate) fn stream(tags: &[Tag], start: u64) -> (Vec<Track>, Vec<Frame>) {
    let tracks = [tags.iter().find_map(video), tags.iter().find_map(audio)];
    let frames = tags
        .iter()
        .filter(|tag| tag.is_frame())
        .map(|tag| frame(tag, start));
    (tracks.into_iter().flatten().collect(), frames.collect())
}

/// Frames in segments, which begin with keyframes where there are any.
pub(crate) fn segments(frames: &[Frame]) -> Vec<&[Frame]> {
    let has_video = frames.iter().any(|frame| frame.track == VIDEO);
    let is_start = |at: usize, frame: &Frame| {
        if has_video {
            frame.track == VIDEO && frame.keyframe
        } else {
            at.is_multiple_of(40)
        }
    };
    let starts = frames
        .iter()
        .enumerate()
        .filter(|&(at, frame)| is_start(at, frame));
    // Sound that comes before the first picture is in its segment.
    let mut bounds: Vec<usize> = starts.map(|(at, _)| at).skip(1).collect();
    bounds.insert(0, 0);
    bounds.push(frames.len());
    bounds
        .windows(2)
        .map(|pair| &frames[pair[0]..pair[1]])
        .collect()
}

fn frame(tag: &Tag, start: u64) -> Frame {
    let dts = start + u64::from(tag.dts) * 90;
    let is_video = tag.is_video();
    Frame {
        track: if is_video { VIDEO } else { AUDIO },
        dts,
        pts: dts.saturating_add_signed(i64::from(tag.composition()) * 90),
        keyframe: !is_video || tag.is_keyframe(),
        data: tag.body(),
    }
}

fn video(tag: &Tag) -> Option<Track> {
    let Info::Video(info) = tag.info() else {
        return None;
    };
    let codec = info.codec.filter(|_| tag.is_configuration())?;
    let media = Media::Video {
        codec,
        record: tag.body(),
    };
    Some(Track { id: VIDEO, media })
}

fn audio(tag: &Tag) -> Option<Track> {
    let Info::Audio(info) = tag.info() else {
        return None;
    };
    let codec = info.codec?;
    let record = if tag.is_configuration() {
        tag.body()
    } else {
        Bytes::new()
    };
    Some(Track {
        id: AUDIO,
        media: Media::Audio { codec, record },
    })
}
