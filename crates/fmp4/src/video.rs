//! Sample entries of video.

use bytes::BufMut;
use codec::{VideoCodec, avc, hevc, video_info};

use crate::Unsupported;
use crate::boxes::plain;
use crate::init::SampleEntry;

/// 72 dots per inch in 16.16, as every file says.
const RESOLUTION: u32 = 0x0048_0000;

pub(crate) fn entry(
    codec: VideoCodec,
    record: &[u8],
    width: u32,
    height: u32,
) -> Result<SampleEntry, Unsupported> {
    // Whoever gets a record that cannot be read should not get it from us.
    video_info(codec, record).map_err(Unsupported::record(codec.name()))?;
    // Of the boxes some begin with a version and flags, and some records have these already.
    let (entry, configuration, head): (_, _, &[u8]) = match codec {
        VideoCodec::Avc => (b"avc1", b"avcC", &[]),
        VideoCodec::Hevc => (b"hvc1", b"hvcC", &[]),
        VideoCodec::Vvc => (b"vvc1", b"vvcC", &[0, 0, 0, 0]),
        VideoCodec::Av1 => (b"av01", b"av1C", &[]),
        VideoCodec::Vp8 => (b"vp08", b"vpcC", &[1, 0, 0, 0]),
        VideoCodec::Vp9 => (b"vp09", b"vpcC", &[1, 0, 0, 0]),
        _ => return Err(Unsupported::Codec(codec.name())),
    };
    let aspect = pixel_aspect(codec, record);

    let mut bytes = Vec::new();
    plain(&mut bytes, entry, |out| {
        // ISO 14496-12, 12.1.3.
        out.put_bytes(0, 6);
        out.put_u16(1); // Data reference.
        out.put_bytes(0, 16);
        out.put_u16(u16::try_from(width).unwrap_or(u16::MAX));
        out.put_u16(u16::try_from(height).unwrap_or(u16::MAX));
        out.put_u32(RESOLUTION);
        out.put_u32(RESOLUTION);
        out.put_u32(0);
        out.put_u16(1); // Frames per sample.
        out.put_bytes(0, 32); // Name of the compressor.
        out.put_u16(0x0018); // Depth.
        out.put_i16(-1);
        plain(out, configuration, |out| {
            out.put_slice(head);
            out.put_slice(record.strip_prefix(head).unwrap_or(record));
        });
        if let Some((horizontal, vertical)) = aspect {
            plain(out, b"pasp", |out| {
                out.put_u32(horizontal.into());
                out.put_u32(vertical.into());
            });
        }
    });
    let shown_width = match aspect {
        Some((horizontal, vertical)) => {
            (u64::from(width) << 16) * u64::from(horizontal) / u64::from(vertical).max(1)
        }
        None => u64::from(width) << 16,
    };
    Ok(SampleEntry {
        bytes,
        shown: (
            u32::try_from(shown_width).unwrap_or(u32::MAX),
            u32::try_from(u64::from(height) << 16).unwrap_or(u32::MAX),
        ),
    })
}

/// Width to height of a pixel, where it is known and not a square.
///
/// Decoders find it in the parameter set too, but players lay out the page by the box.
fn pixel_aspect(codec: VideoCodec, record: &[u8]) -> Option<(u16, u16)> {
    let aspect = match codec {
        VideoCodec::Avc => {
            let record = avc::Configuration::parse(record).ok()?;
            avc::Sps::parse(record.sps.first()?).ok()?.pixel_aspect
        }
        VideoCodec::Hevc => {
            let record = hevc::Configuration::parse(record).ok()?;
            hevc::Sps::parse(record.sps.first()?).ok()?.pixel_aspect
        }
        _ => None,
    };
    aspect.filter(|(horizontal, vertical)| horizontal != vertical)
}
