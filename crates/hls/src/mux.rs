//! Frames in a container.

use bytes::Bytes;

use crate::names::Container;
use crate::segment::Body;
use crate::timing::{Frame, Run, ticks, until};
use crate::tracks::{Audio, Tracks, VIDEO_TIMESCALE, Video};

/// The numbers of the tracks: the same in all that we write.
const VIDEO: u32 = 1;
const AUDIO: u32 = 2;

/// What is added to the times of transport streams: their clock runs ahead of the frames, and
/// must not begin below 0.
const TRANSPORT_START: i64 = 10 * VIDEO_TIMESCALE as i64;

/// What a part, or a segment without parts, is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contents<'a> {
    pub(crate) tracks: &'a Tracks,
    pub(crate) video: &'a [Frame],
    pub(crate) audio: &'a [Frame],
    /// Grows from one to the next within an epoch; in transport streams by one.
    pub(crate) sequence: u32,
    /// When it is over, in nanoseconds of the time of its epoch.
    pub(crate) end: i64,
}

/// Whether `container` can carry a video track.
pub(crate) fn carries_video(container: Container, video: &Video) -> bool {
    match container {
        Container::Fmp4 => fmp4::init(&[fmp4_video(video)]).is_ok(),
        Container::Ts => mpegts::Writer::new(&[ts_video(video)]).is_ok(),
    }
}

/// Whether `container` can carry an audio track.
pub(crate) fn carries_audio(container: Container, audio: &Audio) -> bool {
    let is_carried = match container {
        Container::Fmp4 => fmp4::init(&[fmp4_audio(audio)]).is_ok(),
        Container::Ts => mpegts::Writer::new(&[ts_audio(audio)]).is_ok(),
    };
    is_carried && audio.timescale() > 0
}

/// What players need before segments of these tracks; `None` where they need nothing, and if
/// there is no track.
pub(crate) fn init(container: Container, tracks: &Tracks) -> Option<Bytes> {
    if container == Container::Ts || (tracks.video.is_none() && tracks.audio.is_none()) {
        return None;
    }
    let video = tracks.video.as_ref().map(fmp4_video);
    let audio = tracks.audio.as_ref().map(fmp4_audio);
    let tracks: Vec<_> = video.into_iter().chain(audio).collect();
    fmp4::init(&tracks).ok()
}

/// The bytes of all that; `None` if that is no frame at all.
pub(crate) fn body(container: Container, contents: &Contents<'_>) -> Option<Body> {
    if contents.video.is_empty() && contents.audio.is_empty() {
        return None;
    }
    match container {
        Container::Fmp4 => Some(fragment(contents)),
        Container::Ts => transport(contents),
    }
}

fn fragment(contents: &Contents<'_>) -> Body {
    let video = video_run(contents);
    let audio = audio_run(contents);
    let runs = [
        fmp4::Run {
            track: VIDEO,
            decode_time: video.decode_time,
            samples: &video.samples,
        },
        fmp4::Run {
            track: AUDIO,
            decode_time: audio.decode_time,
            samples: &audio.samples,
        },
    ];
    let head = fmp4::fragment(contents.sequence, &runs);
    let frames = contents.video.iter().chain(contents.audio);
    let slices = [head]
        .into_iter()
        .chain(frames.map(|frame| frame.body.clone()));
    Body::new(slices.collect::<Vec<_>>())
}

/// The last picture lasts until the part is over.
fn video_run(contents: &Contents<'_>) -> Run {
    Run::new(contents.video, VIDEO_TIMESCALE, |_, at, _| {
        until(contents.end, at, VIDEO_TIMESCALE)
    })
}

/// The last frame of sound lasts as long as its samples.
fn audio_run(contents: &Contents<'_>) -> Run {
    let Some(audio) = &contents.tracks.audio else {
        return Run::default();
    };
    let timescale = audio.timescale();
    Run::new(contents.audio, timescale, |frame, at, before| {
        let length = audio.frame_length(&frame.body).or(before);
        length.unwrap_or_else(|| until(contents.end, at, timescale))
    })
}

fn transport(contents: &Contents<'_>) -> Option<Body> {
    let video = contents.tracks.video.as_ref().map(ts_video);
    let audio = contents.tracks.audio.as_ref().map(ts_audio);
    let tracks: Vec<_> = video.into_iter().chain(audio).collect();
    let writer = mpegts::Writer::new(&tracks).ok()?;
    let mut frames = Vec::with_capacity(contents.video.len() + contents.audio.len());
    for (track, of_track) in [(VIDEO, contents.video), (AUDIO, contents.audio)] {
        let mut before = i64::MIN;
        for frame in of_track {
            // No two frames of a track are decoded at the same time.
            let dts = ticks(frame.time.max(0), VIDEO_TIMESCALE).max(before.saturating_add(1));
            let pts = ticks(
                frame.time.saturating_add(frame.composition),
                VIDEO_TIMESCALE,
            );
            before = dts;
            frames.push(mpegts::Frame {
                track,
                dts: transport_time(dts),
                pts: transport_time(pts),
                keyframe: frame.sync,
                data: frame.body.clone(),
            });
        }
    }
    frames.sort_by_key(|frame| frame.dts);
    Some(Body::new([
        writer.segment(contents.sequence.into(), &frames)
    ]))
}

fn transport_time(ticks: i64) -> u64 {
    u64::try_from(ticks.saturating_add(TRANSPORT_START)).unwrap_or(0)
}

fn fmp4_video(video: &Video) -> fmp4::Track {
    let size = video.info.as_ref().map(|info| (info.width, info.height));
    let (width, height) = size.unwrap_or_default();
    fmp4::Track {
        id: VIDEO,
        timescale: VIDEO_TIMESCALE,
        media: fmp4::Media::Video {
            codec: video.codec,
            record: video.record.clone(),
            width,
            height,
        },
    }
}

fn fmp4_audio(audio: &Audio) -> fmp4::Track {
    fmp4::Track {
        id: AUDIO,
        timescale: audio.timescale(),
        media: fmp4::Media::Audio {
            codec: audio.codec,
            record: audio.record.clone(),
            channels: audio.channels(),
            sample_rate: audio.timescale(),
        },
    }
}

fn ts_video(video: &Video) -> mpegts::Track {
    mpegts::Track {
        id: VIDEO,
        media: mpegts::Media::Video {
            codec: video.codec,
            record: video.record.clone(),
        },
    }
}

fn ts_audio(audio: &Audio) -> mpegts::Track {
    mpegts::Track {
        id: AUDIO,
        media: mpegts::Media::Audio {
            codec: audio.codec,
            record: audio.record.clone(),
        },
    }
}
