//! H.264 and H.265 with start codes (annex B of each) in place of lengths.

use bytes::BufMut;
use codec::{Error, avc, hevc};

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// How the access units of a track are written.
#[derive(Debug)]
pub(crate) struct AnnexB {
    syntax: Syntax,
    nal_length_size: usize,
    /// The parameter sets of the record, with start codes.
    parameter_sets: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Syntax {
    Avc,
    Hevc,
}

impl AnnexB {
    pub(crate) fn avc(record: &[u8]) -> Result<Self, Error> {
        let record = avc::Configuration::parse(record)?;
        Ok(Self {
            syntax: Syntax::Avc,
            nal_length_size: record.nal_length_size.into(),
            parameter_sets: with_start_codes(record.sps.iter().chain(&record.pps)),
        })
    }

    pub(crate) fn hevc(record: &[u8]) -> Result<Self, Error> {
        let record = hevc::Configuration::parse(record)?;
        let sets = record.vps.iter().chain(&record.sps).chain(&record.pps);
        Ok(Self {
            syntax: Syntax::Hevc,
            nal_length_size: record.nal_length_size.into(),
            parameter_sets: with_start_codes(sets),
        })
    }

    /// Whether there is anything in the frame to decode.
    pub(crate) fn has_nals(&self, data: &[u8]) -> bool {
        self.nals(data).any(|nal| !self.syntax.is_delimiter(nal))
    }

    /// Writes an access unit: a delimiter, parameter sets before a keyframe that does not bring
    /// its own, and what is in `data`.
    pub(crate) fn write(&self, out: &mut Vec<u8>, keyframe: bool, data: &[u8]) {
        let mut nals = self.nals(data).peekable();
        let own = nals.next_if(|nal| self.syntax.is_delimiter(nal));
        write_nal(out, own.unwrap_or(self.syntax.delimiter()));
        if keyframe && !self.has_parameter_sets(data) {
            out.put_slice(&self.parameter_sets);
        }
        // A delimiter further on would begin another access unit.
        for nal in nals.filter(|nal| !self.syntax.is_delimiter(nal)) {
            write_nal(out, nal);
        }
    }

    /// Whether the frame has parameter sets of each kind. Where one is missing, all of the
    /// record's are written, since the others refer to each other.
    fn has_parameter_sets(&self, data: &[u8]) -> bool {
        let mut missing = self.syntax.parameter_sets().to_vec();
        for nal in self.nals(data) {
            missing.retain(|&kind| Some(kind) != self.syntax.kind(nal));
        }
        missing.is_empty()
    }

    /// The NAL units of a frame, up to one that says it is longer than what there is.
    fn nals<'a>(&self, data: &'a [u8]) -> Nals<'a> {
        Nals {
            rest: data,
            length_size: self.nal_length_size,
        }
    }
}

impl Syntax {
    fn kind(self, nal: &[u8]) -> Option<u8> {
        let first = nal.first()?;
        Some(match self {
            Self::Avc => first & 0x1f,
            Self::Hevc => first >> 1 & 0x3f,
        })
    }

    fn is_delimiter(self, nal: &[u8]) -> bool {
        self.kind(nal) == self.kind(self.delimiter())
    }

    /// An access unit delimiter (H.264 7.3.2.4, H.265 7.3.2.5) that allows any picture to follow.
    fn delimiter(self) -> &'static [u8] {
        match self {
            Self::Avc => &[9, 0xf0],
            Self::Hevc => &[35 << 1, 1, 0x50],
        }
    }

    fn parameter_sets(self) -> &'static [u8] {
        match self {
            Self::Avc => &[7, 8],
            Self::Hevc => &[32, 33, 34],
        }
    }
}

struct Nals<'a> {
    rest: &'a [u8],
    length_size: usize,
}

impl<'a> Iterator for Nals<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let (length, rest) = self.rest.split_at_checked(self.length_size)?;
            let length = length
                .iter()
                .fold(0usize, |length, &byte| length << 8 | usize::from(byte));
            let (nal, rest) = rest.split_at_checked(length)?;
            self.rest = rest;
            // One of no length would make two start codes in a row, which some readers mind.
            if !nal.is_empty() {
                return Some(nal);
            }
        }
    }
}

fn with_start_codes<'a>(nals: impl Iterator<Item = &'a &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for nal in nals.filter(|nal| !nal.is_empty()) {
        write_nal(&mut out, nal);
    }
    out
}

fn write_nal(out: &mut Vec<u8>, nal: &[u8]) {
    out.put_slice(&START_CODE);
    out.put_slice(nal);
}
