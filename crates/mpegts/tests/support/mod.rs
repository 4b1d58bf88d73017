//! A small reader of transport streams, which minds every rule that it knows.
#![allow(dead_code, reason = "each test uses some of it")]

pub(crate) mod clips;

use std::collections::BTreeMap;

use bytes::Bytes;
use codec::{AudioCodec, VideoCodec};
use weir_mpegts::{Frame, Media, Track};

/// What was in a stream.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// By PID: stream type and descriptors.
    pub(crate) tracks: BTreeMap<u16, (u8, Vec<u8>)>,
    pub(crate) clock_pid: u16,
    /// What the clock showed, in 1/90,000 s.
    pub(crate) clocks: Vec<u64>,
    pub(crate) envelopes: Vec<Envelope>,
    /// The counter of the last packet with payload, by PID.
    pub(crate) counters: BTreeMap<u16, u8>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) pid: u16,
    pub(crate) stream_id: u8,
    pub(crate) random_access: bool,
    pub(crate) pts: u64,
    pub(crate) dts: u64,
    pub(crate) data: Vec<u8>,
    /// As it says itself; 0 where it does not.
    length: usize,
    /// The times came with it, and it began where it should.
    bytes: Vec<u8>,
}

/// Reads segments, one behind the other as a player does, or panics at what is wrong with them.
pub(crate) fn read(segments: &[Bytes]) -> Read {
    let mut read = Read::default();
    for segment in segments {
        assert_eq!(segment.len() % 188, 0, "whole packets");
        for (at, packet) in segment.chunks(188).enumerate() {
            let pid = u16::from_be_bytes([packet[1], packet[2]]) & 0x1fff;
            // RFC 8216bis, 3.1.1: the tables come first.
            match at {
                0 => assert_eq!(pid, 0),
                1 => assert_eq!(pid, 0x1000),
                _ => {}
            }
            read.packet(pid, packet);
        }
    }
    for envelope in &mut read.envelopes {
        envelope.open();
    }
    read
}

impl Read {
    fn packet(&mut self, pid: u16, packet: &[u8]) {
        assert_eq!(packet[0], 0x47);
        assert_eq!(packet[1] & 0xa0, 0, "no error, no priority");
        let starts = packet[1] & 0x40 != 0;
        assert_eq!(packet[3] & 0xc0, 0, "not scrambled");
        let (has_field, has_payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        let counter = packet[3] & 0x0f;
        let mut rest = &packet[4..];
        let mut random_access = false;
        if has_field {
            let length = usize::from(rest[0]);
            let field = &rest[1..=length];
            assert!(if has_payload {
                length <= 182
            } else {
                length == 183
            });
            rest = &rest[1 + length..];
            if let Some((&flags, field)) = field.split_first() {
                assert_eq!(flags & 0xaf, 0, "no flags but two");
                random_access = flags & 0x40 != 0;
                let mut stuffing = field;
                if flags & 0x10 != 0 {
                    self.clock(pid, &field[..6]);
                    stuffing = &field[6..];
                }
                assert!(stuffing.iter().all(|&byte| byte == 0xff));
            }
        }
        assert_eq!(has_payload, !rest.is_empty());
        if pid == 0 || pid == 0x1000 {
            assert!(starts && !has_field);
            let last = self.counters.insert(pid, counter);
            assert!(
                last.is_none_or(|last| (last + 1) & 0x0f == counter),
                "counter of {pid}"
            );
            return self.table(pid, rest);
        }
        let expected = match self.counters.get(&pid) {
            Some(last) if has_payload => (last + 1) & 0x0f,
            Some(&last) => last,
            None if has_payload => 0,
            None => 15,
        };
        assert_eq!(counter, expected, "counter of {pid}");
        if has_payload {
            self.counters.insert(pid, counter);
        }
        assert!(self.tracks.contains_key(&pid), "{pid} is in the table");
        if starts {
            assert!(has_payload);
            self.envelopes.push(Envelope {
                pid,
                random_access,
                ..Envelope::default()
            });
        } else {
            assert!(!random_access);
        }
        if has_payload {
            let mut envelopes = self.envelopes.iter_mut().rev();
            let envelope = envelopes.find(|envelope| envelope.pid == pid);
            envelope
                .expect("it has begun")
                .bytes
                .extend_from_slice(rest);
        }
    }

    fn clock(&mut self, pid: u16, bytes: &[u8]) {
        assert_eq!(pid, self.clock_pid);
        let base = bytes[..5]
            .iter()
            .fold(0, |base, &byte| base << 8 | u64::from(byte));
        assert_eq!((bytes[4] & 0x7f, bytes[5]), (0x7e, 0), "no finer clock");
        self.clocks.push(base >> 7);
    }

    fn table(&mut self, pid: u16, payload: &[u8]) {
        assert_eq!(payload[0], 0, "it begins at once");
        let length = 3 + (usize::from(payload[2] & 0x0f) << 8 | usize::from(payload[3]));
        let (section, stuffing) = payload[1..].split_at(length);
        assert_eq!(checksum(section), 0);
        assert!(stuffing.iter().all(|&byte| byte == 0xff));
        if pid == 0 {
            assert_eq!(section[8..12], [0, 1, 0xf0, 0]);
            return;
        }
        self.clock_pid = u16::from_be_bytes([section[8] & 0x1f, section[9]]);
        self.tracks.clear();
        let mut rest = &section[12..length - 4];
        while let [kind, pid_high, pid_low, _, more, behind @ ..] = rest {
            let (descriptors, behind) = behind.split_at(usize::from(*more));
            let pid = u16::from_be_bytes([pid_high & 0x1f, *pid_low]);
            self.tracks.insert(pid, (*kind, descriptors.to_vec()));
            rest = behind;
        }
        assert!(rest.is_empty());
    }

    /// What came on a PID.
    pub(crate) fn of(&self, pid: u16) -> Vec<&Envelope> {
        self.envelopes
            .iter()
            .filter(|envelope| envelope.pid == pid)
            .collect()
    }
}

impl Envelope {
    fn open(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        assert_eq!(bytes[..3], [0, 0, 1]);
        self.stream_id = bytes[3];
        self.length = usize::from(bytes[4]) << 8 | usize::from(bytes[5]);
        assert!(self.length == bytes.len() - 6 || self.length == 0 && self.stream_id == 0xe0);
        assert_eq!(bytes[6], 0x84);
        let (head, data) = bytes[9..].split_at(bytes[8].into());
        let (times, stuffing) = match bytes[7] {
            0x80 => head.split_at(5),
            0xc0 => head.split_at(10),
            flags => panic!("flags {flags:x}"),
        };
        let alone = times.len() == 5;
        self.pts = time(&times[..5], if alone { 2 } else { 3 });
        self.dts = if alone {
            self.pts
        } else {
            time(&times[5..], 1)
        };
        assert!(stuffing.iter().all(|&byte| byte == 0xff));
        self.data = data.to_vec();
    }

    /// Its NAL units.
    pub(crate) fn nals(&self) -> Vec<&[u8]> {
        let mut nals = Vec::new();
        let starts: Vec<usize> = (0..self.data.len())
            .filter(|&at| self.data[at..].starts_with(&[0, 0, 0, 1]))
            .collect();
        for (number, &start) in starts.iter().enumerate() {
            let end = starts.get(number + 1).copied().unwrap_or(self.data.len());
            nals.push(&self.data[start + 4..end]);
        }
        nals
    }

    /// Its frames of AAC, each with its header.
    pub(crate) fn adts(&self) -> Vec<(&[u8], &[u8])> {
        let mut frames = Vec::new();
        let mut rest = &self.data[..];
        while !rest.is_empty() {
            assert_eq!(rest[..2], [0xff, 0xf1]);
            let length = usize::from(rest[3] & 3) << 11
                | usize::from(rest[4]) << 3
                | usize::from(rest[5]) >> 5;
            let (frame, behind) = rest.split_at(length);
            frames.push(frame.split_at(7));
            rest = behind;
        }
        frames
    }
}

fn time(bytes: &[u8], which: u8) -> u64 {
    assert_eq!(bytes[0] >> 4, which);
    assert!(bytes[0] & bytes[2] & bytes[4] & 1 == 1, "markers");
    let part = |at: usize| u64::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]) >> 1);
    u64::from(bytes[0] >> 1 & 7) << 30 | part(1) << 15 | part(3)
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for bit in bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1))
    {
        let carry = (sum >> 31) as u8 ^ bit;
        sum = sum << 1 ^ if carry == 1 { 0x04c1_1db7 } else { 0 };
    }
    sum
}

pub(crate) const VIDEO: u32 = 1;
pub(crate) const AUDIO: u32 = 2;
pub(crate) const FIRST_PID: u16 = 0x100;

/// An avcC with parameter sets that are none, and lengths of so many bytes.
pub(crate) fn avcc(length_size: u8) -> Bytes {
    let lengths = 0xfc | (length_size - 1);
    vec![
        1, 0x64, 0, 0x1f, lengths, 0xe1, 0, 4, 0x67, 0x64, 0, 0x1f, 1, 0, 2, 0x68, 0xee,
    ]
    .into()
}

/// An hvcC likewise.
pub(crate) fn hvcc() -> Bytes {
    let mut record = vec![0; 23];
    record[0] = 1;
    record[21] = 0x03;
    record[22] = 3;
    for (kind, nal) in [(32, [0x40, 1]), (33, [0x42, 1]), (34, [0x44, 1])] {
        record.extend([kind, 0, 1, 0, 2]);
        record.extend(nal);
    }
    record.into()
}

pub(crate) fn video(codec: VideoCodec, record: Bytes) -> Track {
    Track {
        id: VIDEO,
        media: Media::Video { codec, record },
    }
}

pub(crate) fn audio(codec: AudioCodec, record: &'static [u8]) -> Track {
    let record = Bytes::from_static(record);
    Track {
        id: AUDIO,
        media: Media::Audio { codec, record },
    }
}

/// AAC-LC at 48,000 Hz in stereo.
pub(crate) const AAC_48: &[u8] = &[0x11, 0x90];

pub(crate) fn picture(time: u64, keyframe: bool, data: impl Into<Bytes>) -> Frame {
    Frame {
        track: VIDEO,
        dts: time,
        pts: time,
        keyframe,
        data: data.into(),
    }
}

pub(crate) fn sound(time: u64, data: impl Into<Bytes>) -> Frame {
    Frame {
        track: AUDIO,
        dts: time,
        pts: time,
        keyframe: true,
        data: data.into(),
    }
}

/// NAL units with their lengths.
pub(crate) fn with_lengths(length_size: usize, nals: &[&[u8]]) -> Vec<u8> {
    let mut data = Vec::new();
    for nal in nals {
        data.extend(&nal.len().to_be_bytes()[8 - length_size..]);
        data.extend(*nal);
    }
    data
}
