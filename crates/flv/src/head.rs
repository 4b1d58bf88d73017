//! Reads the heads of payloads: annex E.4 of the FLV specification, and Enhanced RTMP v2.

use codec::{AudioCodec, FourCc, VideoCodec};

use crate::info::{AudioInfo, DataInfo, Event, FrameType, Multitrack, Packet, VideoInfo};

/// The longest chain of ModEx packets that is followed. Each link says one thing about the
/// packet and the specification knows one such thing.
const MAX_MOD_EX: usize = 16;

const MOD_EX: u8 = 7;
const AUDIO_MULTITRACK: u8 = 5;
const VIDEO_MULTITRACK: u8 = 6;
const TIMESTAMP_OFFSET_NANO: u8 = 0;
const NANOS_PER_MILLI: u32 = 1_000_000;

pub(crate) fn video(payload: &[u8]) -> VideoInfo {
    let mut info = VideoInfo {
        codec: None,
        packet: Packet::Malformed,
        frame: FrameType::Reserved,
        track: 0,
        multitrack: None,
        enhanced: false,
        body: 0,
        composition: 0,
        nano_offset: 0,
    };
    let mut input = Input::new(payload);
    // What was read before the end of a cut-off head stays; its packet is still `Malformed`.
    if let Some(packet) = video_head(&mut input, &mut info) {
        info.packet = packet;
    }
    match u16::try_from(input.at) {
        Ok(body) => info.body = body,
        Err(_) => info.packet = Packet::Malformed,
    }
    info
}

fn video_head(input: &mut Input<'_>, info: &mut VideoInfo) -> Option<Packet> {
    let first = input.u8()?;
    if first & 0x80 == 0 {
        info.frame = FrameType::from_bits(first >> 4);
        return legacy_video(input, info, first & 0x0f);
    }

    info.enhanced = true;
    info.frame = FrameType::from_bits(first >> 4 & 7);
    let (mut number, nano_offset) = mod_ex(input, first & 0x0f)?;
    info.nano_offset = nano_offset;
    let metadata = 4;
    if info.frame == FrameType::Command && number != metadata {
        return Some(Packet::Command);
    }
    if number == VIDEO_MULTITRACK {
        let (layout, inner) = multitrack(input)?;
        if inner == VIDEO_MULTITRACK || inner == MOD_EX {
            return None;
        }
        number = inner;
        info.multitrack = Some(layout);
        // All three layouts have the FourCC before the number of the (first) track.
        info.codec = Some(VideoCodec::from_fourcc(input.fourcc()?));
        info.track = input.u8()?;
        if layout != Multitrack::OneTrack {
            input.u24()?;
        }
    } else {
        info.codec = Some(VideoCodec::from_fourcc(input.fourcc()?));
    }
    let packet = video_packet(number);
    if has_composition(info.codec, number) {
        info.composition = input.i24()?;
    }
    Some(packet)
}

fn legacy_video(input: &mut Input<'_>, info: &mut VideoInfo, codec: u8) -> Option<Packet> {
    info.codec = legacy_video_codec(codec);
    if info.frame == FrameType::Command {
        return Some(Packet::Command);
    }
    if !matches!(info.codec, Some(VideoCodec::Avc | VideoCodec::Hevc)) {
        return Some(Packet::Frame);
    }
    let number = input.u8()?;
    let packet = match number {
        0 => Packet::Configuration,
        1 => Packet::Frame,
        // The composition time has no meaning here, and not every encoder bothers to send it.
        2 => {
            let _ = input.i24();
            return Some(Packet::End);
        }
        unknown => Packet::Unknown(unknown),
    };
    let composition = input.i24()?;
    if packet == Packet::Frame {
        info.composition = composition;
    }
    Some(packet)
}

/// The codec with the number `id` in a legacy video head.
pub(crate) fn legacy_video_codec(id: u8) -> Option<VideoCodec> {
    match id {
        2 => Some(VideoCodec::SorensonH263),
        3 => Some(VideoCodec::ScreenVideo),
        4 => Some(VideoCodec::Vp6),
        5 => Some(VideoCodec::Vp6Alpha),
        6 => Some(VideoCodec::ScreenVideo2),
        7 => Some(VideoCodec::Avc),
        12 => Some(VideoCodec::Hevc),
        _ => None,
    }
}

pub(crate) fn video_packet(number: u8) -> Packet {
    match number {
        0 => Packet::Configuration,
        1 | 3 => Packet::Frame,
        2 => Packet::End,
        4 => Packet::Metadata,
        5 => Packet::TsConfiguration,
        unknown => Packet::Unknown(unknown),
    }
}

/// Whether a composition time stands before the body: CodedFrames of the codecs that reorder and
/// do not say so themselves. CodedFramesX saves those three bytes where it would be 0.
pub(crate) fn has_composition(codec: Option<VideoCodec>, number: u8) -> bool {
    number == 1
        && matches!(
            codec,
            Some(VideoCodec::Avc | VideoCodec::Hevc | VideoCodec::Vvc)
        )
}

pub(crate) fn audio(payload: &[u8]) -> AudioInfo {
    let mut info = AudioInfo {
        codec: None,
        packet: Packet::Malformed,
        track: 0,
        multitrack: None,
        enhanced: false,
        body: 0,
        nano_offset: 0,
        first: 0,
    };
    let mut input = Input::new(payload);
    if let Some(packet) = audio_head(&mut input, &mut info) {
        info.packet = packet;
    }
    match u16::try_from(input.at) {
        Ok(body) => info.body = body,
        Err(_) => info.packet = Packet::Malformed,
    }
    info
}

fn audio_head(input: &mut Input<'_>, info: &mut AudioInfo) -> Option<Packet> {
    let first = input.u8()?;
    info.first = first;
    let format = first >> 4;
    let ex_header = 9;
    if format != ex_header {
        return legacy_audio(input, info, format);
    }

    info.enhanced = true;
    let (mut number, nano_offset) = mod_ex(input, first & 0x0f)?;
    info.nano_offset = nano_offset;
    if number == AUDIO_MULTITRACK {
        let (layout, inner) = multitrack(input)?;
        if inner == AUDIO_MULTITRACK || inner == MOD_EX {
            return None;
        }
        number = inner;
        info.multitrack = Some(layout);
        info.codec = Some(AudioCodec::from_fourcc(input.fourcc()?));
        info.track = input.u8()?;
        if layout != Multitrack::OneTrack {
            input.u24()?;
        }
    } else {
        info.codec = Some(AudioCodec::from_fourcc(input.fourcc()?));
    }
    Some(audio_packet(number))
}

fn legacy_audio(input: &mut Input<'_>, info: &mut AudioInfo, format: u8) -> Option<Packet> {
    info.codec = legacy_audio_codec(format);
    if info.codec != Some(AudioCodec::Aac) {
        return Some(Packet::Frame);
    }
    Some(match input.u8()? {
        0 => Packet::Configuration,
        1 => Packet::Frame,
        unknown => Packet::Unknown(unknown),
    })
}

/// The codec with the number `id` in a legacy audio head.
pub(crate) fn legacy_audio_codec(id: u8) -> Option<AudioCodec> {
    match id {
        0 => Some(AudioCodec::Pcm),
        1 => Some(AudioCodec::Adpcm),
        2 | 14 => Some(AudioCodec::Mp3),
        3 => Some(AudioCodec::PcmLe),
        4..=6 => Some(AudioCodec::Nellymoser),
        7 => Some(AudioCodec::G711A),
        8 => Some(AudioCodec::G711Mu),
        10 => Some(AudioCodec::Aac),
        11 => Some(AudioCodec::Speex),
        _ => None,
    }
}

pub(crate) fn audio_packet(number: u8) -> Packet {
    match number {
        0 => Packet::Configuration,
        1 => Packet::Frame,
        2 => Packet::End,
        4 => Packet::Multichannel,
        unknown => Packet::Unknown(unknown),
    }
}

/// Follows a chain of ModEx; the packet type behind it, and the nanoseconds it told.
fn mod_ex(input: &mut Input<'_>, mut number: u8) -> Option<(u8, u32)> {
    let mut nano_offset = 0;
    for _ in 0..MAX_MOD_EX {
        if number != MOD_EX {
            return Some((number, nano_offset));
        }
        let mut size = usize::from(input.u8()?) + 1;
        if size == 256 {
            size = usize::from(input.u16()?) + 1;
        }
        let data = input.take(size)?;
        let next = input.u8()?;
        number = next & 0x0f;
        if next >> 4 == TIMESTAMP_OFFSET_NANO
            && let Some(nanos) = Input::new(data).u24()
            && nanos < NANOS_PER_MILLI
        {
            nano_offset = nanos;
        }
    }
    None
}

/// The layout of a multitrack packet, and the packet type of all its tracks.
fn multitrack(input: &mut Input<'_>) -> Option<(Multitrack, u8)> {
    let byte = input.u8()?;
    let layout = match byte >> 4 {
        0 => Multitrack::OneTrack,
        1 => Multitrack::ManyTracks,
        2 => Multitrack::ManyTracksManyCodecs,
        // Where its tracks begin, nobody knows.
        _ => return None,
    };
    Some((layout, byte & 0x0f))
}

/// Reads the head of a multitrack packet up to behind the byte of the layout.
pub(crate) fn layout(input: &mut Input<'_>, video: bool) -> Option<(Multitrack, u8)> {
    let first = input.u8()?;
    let (number, _) = mod_ex(input, first & 0x0f)?;
    let expected = if video {
        VIDEO_MULTITRACK
    } else {
        AUDIO_MULTITRACK
    };
    if number == expected {
        multitrack(input)
    } else {
        None
    }
}

pub(crate) fn data(payload: &[u8]) -> DataInfo {
    let mut input = Input::new(payload);
    let mut name = input.string();
    let wrapped = name == Some(b"@setDataFrame");
    if wrapped {
        name = input.string();
    }
    let event = match name {
        Some(b"onMetaData") => Event::Metadata,
        Some(b"@clearDataFrame") => Event::ClearMetadata,
        _ => Event::Other,
    };
    // A name too long for the offset is none of ours; the body is then the whole payload.
    DataInfo {
        event,
        wrapped,
        body: u16::try_from(input.at).unwrap_or(0),
    }
}

/// The bytes of a head, and how far they are read.
pub(crate) struct Input<'a> {
    bytes: &'a [u8],
    pub(crate) at: usize,
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..)?.get(..len)?;
        self.at += len;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let array = *self.bytes.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        Some(array)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u24(&mut self) -> Option<u32> {
        self.array()
            .map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    pub(crate) fn i24(&mut self) -> Option<i32> {
        self.array()
            .map(|[a, b, c]| i32::from_be_bytes([a, b, c, 0]) >> 8)
    }

    pub(crate) fn fourcc(&mut self) -> Option<FourCc> {
        self.array().map(FourCc)
    }

    /// An AMF0 string; stays where it is if there is none.
    fn string(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        let found = (|| {
            let string_marker = 2;
            if self.u8()? != string_marker {
                return None;
            }
            let len = usize::from(self.u16()?);
            self.take(len)
        })();
        if found.is_none() {
            self.at = start;
        }
        found
    }
}
