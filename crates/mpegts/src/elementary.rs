//! How each codec is announced and written.

use bytes::{BufMut, Bytes};
use codec::{AudioCodec, VideoCodec};

use crate::adts::Adts;
use crate::annex_b::AnnexB;
use crate::{Frame, Media, Track, Unsupported, opus};

/// The first track's; the others follow.
const FIRST_PID: u16 = 0x100;

/// More than any codec of sound makes, and less than what a PES can tell the length of.
const LONGEST_SOUND: usize = 60_000;

/// Stream ids (ISO 13818-1, table 2-22).
const VIDEO: u8 = 0xe0;
const AUDIO: u8 = 0xc0;
const PRIVATE: u8 = 0xbd;

/// The PID of the track at this position. There is no table of more tracks than PIDs.
pub(crate) fn pid(position: usize) -> u16 {
    FIRST_PID.saturating_add(position as u16)
}

/// A track as it is written.
#[derive(Debug)]
pub(crate) struct Elementary {
    pub(crate) id: u32,
    pub(crate) pid: u16,
    pub(crate) stream_id: u8,
    /// ISO 13818-1, table 2-34, and what HLS adds.
    pub(crate) stream_type: u8,
    pub(crate) descriptors: Vec<u8>,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Nals(AnnexB),
    Aac(Adts),
    Opus,
    /// As it comes.
    Plain,
}

impl Elementary {
    pub(crate) fn new(position: usize, track: &Track) -> Result<Self, Unsupported> {
        let (stream_id, stream_type, descriptors, form) = match track.media {
            Media::Video { codec, ref record } => video(codec, record)?,
            Media::Audio { codec, ref record } => audio(codec, record)?,
        };
        Ok(Self {
            id: track.id,
            pid: pid(position),
            stream_id,
            stream_type,
            descriptors,
            form,
        })
    }

    pub(crate) fn is_video(&self) -> bool {
        self.stream_id == VIDEO
    }

    /// Whether the frame can be written: there are encoders that send empty ones.
    pub(crate) fn takes(&self, data: &[u8]) -> bool {
        match &self.form {
            Form::Nals(annex_b) => annex_b.has_nals(data),
            Form::Aac(_) => Adts::fits(data),
            Form::Opus | Form::Plain => (1..=LONGEST_SOUND).contains(&data.len()),
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>, frame: &Frame) {
        match &self.form {
            Form::Nals(annex_b) => annex_b.write(out, frame.keyframe, &frame.data),
            Form::Aac(adts) => adts.write(out, &frame.data),
            Form::Opus => opus::write(out, &frame.data),
            Form::Plain => out.put_slice(&frame.data),
        }
    }

    /// How long so many frames last, in 1/90,000 s, where the frames tell where they end, so that
    /// several may stand in a row.
    pub(crate) fn row(&self, frames: usize) -> Option<u64> {
        match &self.form {
            Form::Aac(adts) => Some(adts.duration(frames)),
            _ => None,
        }
    }
}

type Written = (u8, u8, Vec<u8>, Form);

fn video(codec: VideoCodec, record: &Bytes) -> Result<Written, Unsupported> {
    let unusable = Unsupported::record(codec.name());
    match codec {
        VideoCodec::Avc => {
            let form = Form::Nals(AnnexB::avc(record).map_err(unusable)?);
            Ok((VIDEO, 0x1b, Vec::new(), form))
        }
        VideoCodec::Hevc => {
            let form = Form::Nals(AnnexB::hevc(record).map_err(unusable)?);
            Ok((VIDEO, 0x24, registration(b"HEVC"), form))
        }
        _ => Err(Unsupported::Codec(codec.name())),
    }
}

fn audio(codec: AudioCodec, record: &Bytes) -> Result<Written, Unsupported> {
    match codec {
        AudioCodec::Aac => Ok((AUDIO, 0x0f, Vec::new(), Form::Aac(Adts::new(record)?))),
        AudioCodec::Mp3 => Ok((AUDIO, 0x03, Vec::new(), Form::Plain)),
        AudioCodec::Ac3 => Ok((PRIVATE, 0x81, registration(b"AC-3"), Form::Plain)),
        AudioCodec::Eac3 => Ok((PRIVATE, 0x87, registration(b"EAC3"), Form::Plain)),
        AudioCodec::Opus => {
            let mut descriptors = registration(b"Opus");
            const EXTENSION: u8 = 0x7f;
            const PROVISIONAL: u8 = 0x80;
            descriptors.put_slice(&[EXTENSION, 2, PROVISIONAL, opus::channel_code(record)?]);
            Ok((PRIVATE, 0x06, descriptors, Form::Opus))
        }
        _ => Err(Unsupported::Codec(codec.name())),
    }
}

/// ISO 13818-1, 2.6.8.
fn registration(format: &[u8; 4]) -> Vec<u8> {
    let mut descriptor = vec![5, 4];
    descriptor.put_slice(format);
    descriptor
}
