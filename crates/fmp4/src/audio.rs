//! Sample entries of audio.

use bytes::BufMut;
use codec::{AudioCodec, Error, audio_info, flac, opus};

use crate::boxes::{full, plain};
use crate::init::SampleEntry;
use crate::{Unsupported, dolby};

/// `objectTypeIndication` (ISO 14496-1, table 5): MPEG-4 audio, which an AudioSpecificConfig
/// describes, and MP3 of MPEG-2's low rates and of MPEG-1, which nothing needs to describe.
const MPEG4_AUDIO: u8 = 0x40;
const MPEG2_LAYER3: u8 = 0x69;
const MPEG1_LAYER3: u8 = 0x6b;

/// The lowest rate of MPEG-1.
const MPEG1_LOWEST_RATE: u32 = 32_000;

/// Length of the stream information, the one block that a decoder of FLAC needs.
const STREAM_INFORMATION: usize = 34;

pub(crate) fn entry(
    codec: AudioCodec,
    record: &[u8],
    channels: u32,
    sample_rate: u32,
) -> Result<SampleEntry, Unsupported> {
    let unusable = Unsupported::record(codec.name());
    let common = |entry| Entry {
        kind: entry,
        channels,
        sample_rate,
        sample_size: 16,
    };
    let bytes = match codec {
        AudioCodec::Aac => {
            audio_info(codec, record).map_err(unusable)?;
            common(b"mp4a").write(|out| elementary_stream(out, MPEG4_AUDIO, record))
        }
        AudioCodec::Mp3 => {
            let object_type = if sample_rate < MPEG1_LOWEST_RATE {
                MPEG2_LAYER3
            } else {
                MPEG1_LAYER3
            };
            common(b"mp4a").write(|out| elementary_stream(out, object_type, &[]))
        }
        AudioCodec::Opus => {
            let configuration = opus_configuration(record, channels).map_err(unusable)?;
            let entry = Entry {
                sample_rate: opus::SAMPLE_RATE,
                ..common(b"Opus")
            };
            entry.write(|out| plain(out, b"dOps", |out| out.put_slice(&configuration)))
        }
        AudioCodec::Flac => {
            let information = flac::Configuration::parse(record).map_err(&unusable)?;
            let block = stream_information(record).map_err(unusable)?;
            let entry = Entry {
                sample_size: information.bits_per_sample.into(),
                ..common(b"fLaC")
            };
            entry.write(|out| {
                full(out, b"dfLa", 0, 0, |out| {
                    const LAST: u8 = 0x80;
                    out.put_slice(&[LAST, 0, 0, STREAM_INFORMATION as u8]);
                    out.put_slice(block);
                });
            })
        }
        AudioCodec::Ac3 => {
            let description = dolby::ac3(record).map_err(unusable)?;
            common(b"ac-3").write(|out| plain(out, b"dac3", |out| out.put_slice(&description)))
        }
        AudioCodec::Eac3 => {
            let description = dolby::eac3(record).map_err(unusable)?;
            common(b"ec-3").write(|out| plain(out, b"dec3", |out| out.put_slice(&description)))
        }
        _ => return Err(Unsupported::Codec(codec.name())),
    };
    let shown = (0, 0);
    Ok(SampleEntry { bytes, shown })
}

/// What all sample entries of audio have in common (ISO 14496-12, 12.2.3).
struct Entry {
    kind: &'static [u8; 4],
    channels: u32,
    sample_rate: u32,
    /// In bits.
    sample_size: u16,
}

impl Entry {
    fn write(&self, configuration: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        plain(&mut bytes, self.kind, |out| {
            out.put_bytes(0, 6);
            out.put_u16(1); // Data reference.
            out.put_bytes(0, 8);
            out.put_u16(u16::try_from(self.channels).unwrap_or(u16::MAX));
            out.put_u16(self.sample_size);
            out.put_u32(0);
            out.put_u32(fixed(self.sample_rate));
            configuration(out);
        });
        bytes
    }
}

/// A rate in 16.16. One that does not fit is halved until it does, as FLAC's binding wants it;
/// players read the real one in the configuration.
fn fixed(mut rate: u32) -> u32 {
    while rate > u16::MAX.into() {
        rate /= 2;
    }
    rate << 16
}

/// An `esds` (ISO 14496-1, 7.2.6): descriptors within descriptors.
fn elementary_stream(out: &mut Vec<u8>, object_type: u8, specific: &[u8]) {
    full(out, b"esds", 0, 0, |out| {
        descriptor(out, 0x03, |out| {
            out.put_u16(0); // ES_ID: the track says it.
            out.put_u8(0);
            descriptor(out, 0x04, |out| {
                const AUDIO_STREAM: u8 = 0x05 << 2 | 1;
                out.put_u8(object_type);
                out.put_u8(AUDIO_STREAM);
                out.put_bytes(0, 3 + 4 + 4); // Buffer size and bit rates are not known.
                if !specific.is_empty() {
                    descriptor(out, 0x05, |out| out.put_slice(specific));
                }
            });
            const PREDEFINED_FOR_MP4: u8 = 2;
            descriptor(out, 0x06, |out| out.put_u8(PREDEFINED_FOR_MP4));
        });
    });
}

fn descriptor(out: &mut Vec<u8>, tag: u8, contents: impl FnOnce(&mut Vec<u8>)) {
    let mut body = Vec::new();
    contents(&mut body);
    out.put_u8(tag);
    // Seven bits a byte, all but the last marked.
    let groups = (1..4).rev().filter(|group| body.len() >> (7 * group) > 0);
    for group in groups {
        out.put_u8(0x80 | (body.len() >> (7 * group) & 0x7f) as u8);
    }
    out.put_u8((body.len() & 0x7f) as u8);
    out.put_slice(&body);
}

/// The body of a dOps. Without a record it is that of mono or stereo with nothing to skip.
fn opus_configuration(record: &[u8], channels: u32) -> Result<Vec<u8>, Error> {
    let plain_channels = match channels {
        1 => 1,
        _ => 2,
    };
    let assumed = [0, plain_channels, 0, 0, 0, 0, 0xbb, 0x80, 0, 0, 0];
    let record = if record.is_empty() { &assumed } else { record };
    let configuration = opus::Configuration::parse(record)?;
    let mut body = Vec::new();
    body.put_u8(0); // Version.
    body.put_u8(configuration.channels);
    body.put_u16(configuration.pre_skip);
    body.put_u32(configuration.input_rate);
    body.put_i16(configuration.gain);
    body.put_u8(configuration.mapping_family);
    body.put_slice(configuration.mapping);
    Ok(body)
}

/// The stream information without the marker and header that may stand before it.
fn stream_information(record: &[u8]) -> Result<&[u8], Error> {
    let block = match record.strip_prefix(b"fLaC") {
        Some(block) => block.get(4..),
        None => Some(record),
    };
    block
        .and_then(|block| block.get(..STREAM_INFORMATION))
        .ok_or(Error::Truncated)
}
