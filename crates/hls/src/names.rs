//! The names of what playlists point to.

use std::fmt;

use media::Epoch;

/// The name of the multivariant playlist.
pub const INDEX: &str = "index.m3u8";
/// The name of the media playlist.
pub const MEDIA: &str = "media.m3u8";

/// What a segment is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Container {
    /// Fragmented MP4.
    Fmp4,
    /// A transport stream.
    Ts,
}

/// What a name stands for. Names hold the epoch, so none ever comes to mean something else.
///
/// | what | name |
/// |---|---|
/// | segment 7 of epoch `1750000000000.2a` | `1750000000000.2a-7.m4s`, `1750000000000.2a-7.ts` |
/// | its first part | `1750000000000.2a-7.0.m4s` |
/// | an initialisation | `1750000000000.2a-3-init.mp4` |
///
/// [`parse`](Self::parse) takes what [`Display`](fmt::Display) writes and nothing else, so each
/// thing has one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// A whole segment.
    Segment {
        /// The publish it belongs to.
        epoch: Epoch,
        /// Its media sequence number.
        msn: u64,
        /// What it is made of.
        container: Container,
    },
    /// A part of a segment.
    Part {
        /// The publish it belongs to.
        epoch: Epoch,
        /// The media sequence number of its segment.
        msn: u64,
        /// Its number within the segment, from 0.
        part: u32,
    },
    /// An initialisation.
    Init {
        /// The publish it belongs to.
        epoch: Epoch,
        /// The version of the configuration it is made of.
        version: u32,
    },
}

/// No name is longer: two numbers of 20 digits, one of 16, one of 10, and what is between.
const LONGEST: usize = 80;

impl Name {
    /// What `name`, the last segment of a path, stands for.
    pub fn parse(name: &str) -> Option<Self> {
        if name.len() > LONGEST {
            return None;
        }
        let (epoch, rest) = name.split_once('-')?;
        let epoch = parse_epoch(epoch)?;
        if let Some(version) = rest.strip_suffix("-init.mp4") {
            let version = u32::try_from(decimal(version)?).ok()?;
            return Some(Self::Init { epoch, version });
        }
        let container = if rest.ends_with(Container::Ts.suffix()) {
            Container::Ts
        } else {
            Container::Fmp4
        };
        let numbers = rest.strip_suffix(container.suffix())?;
        match (numbers.split_once('.'), container) {
            (None, container) => Some(Self::Segment {
                epoch,
                msn: decimal(numbers)?,
                container,
            }),
            (Some((msn, part)), Container::Fmp4) => Some(Self::Part {
                epoch,
                msn: decimal(msn)?,
                part: u32::try_from(decimal(part)?).ok()?,
            }),
            (Some(_), Container::Ts) => None,
        }
    }

    /// The epoch it belongs to.
    pub fn epoch(&self) -> Epoch {
        match *self {
            Self::Segment { epoch, .. } | Self::Part { epoch, .. } | Self::Init { epoch, .. } => {
                epoch
            }
        }
    }

    /// The media type of what it stands for (RFC 8216bis, 10: that of its format).
    pub fn media_type(&self) -> &'static str {
        match self {
            Self::Segment {
                container: Container::Ts,
                ..
            } => "video/mp2t",
            _ => "video/mp4",
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-", self.epoch())?;
        match self {
            Self::Segment { msn, container, .. } => write!(f, "{msn}{}", container.suffix()),
            Self::Part { msn, part, .. } => write!(f, "{msn}.{part}{}", Container::Fmp4.suffix()),
            Self::Init { version, .. } => write!(f, "{version}-init.mp4"),
        }
    }
}

impl Container {
    fn suffix(self) -> &'static str {
        match self {
            Self::Fmp4 => ".m4s",
            Self::Ts => ".ts",
        }
    }
}

/// As [`Epoch`] prints itself.
fn parse_epoch(text: &str) -> Option<Epoch> {
    let (number, node) = text.split_once('.')?;
    let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    let is_plain = node.bytes().all(is_digit) && !has_leading_zero(node);
    let node = u64::from_str_radix(node, 16).ok().filter(|_| is_plain)?;
    Some(Epoch::new(decimal(number)?, node))
}

/// A number as we write it: digits, and no zero in front.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|digit| digit.is_ascii_digit()) && !has_leading_zero(text);
    text.parse().ok().filter(|_| is_plain)
}

fn has_leading_zero(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_as_documented() {
        let epoch = Epoch::new(1_750_000_000_000, 0x2a);
        let segment = |container| Name::Segment {
            epoch,
            msn: 7,
            container,
        };
        let part = Name::Part {
            epoch,
            msn: 7,
            part: 0,
        };
        let init = Name::Init { epoch, version: 3 };
        for (name, text) in [
            (segment(Container::Fmp4), "1750000000000.2a-7.m4s"),
            (segment(Container::Ts), "1750000000000.2a-7.ts"),
            (part, "1750000000000.2a-7.0.m4s"),
            (init, "1750000000000.2a-3-init.mp4"),
        ] {
            assert_eq!(name.to_string(), text);
            assert_eq!(Name::parse(text), Some(name));
        }
    }

    #[test]
    fn the_longest_names_are_not_too_long() {
        let epoch = Epoch::new(u64::MAX, u64::MAX);
        let (msn, part) = (u64::MAX, u32::MAX);
        let name = Name::Part { epoch, msn, part };
        assert_eq!(Name::parse(&name.to_string()), Some(name));
    }

    #[test]
    fn what_we_do_not_write_is_no_name() {
        for text in [
            "",
            "1.1-7",
            "1.1-7.mp4",
            "1.1-07.m4s",
            "01.1-7.m4s",
            "1.01-7.m4s",
            "1.A-7.m4s",
            "1.+a-7.m4s",
            "1.-7.m4s",
            ".1-7.m4s",
            "+1.1-7.m4s",
            "1.1-+7.m4s",
            "1.1--7.m4s",
            "1.1-7.1.ts",
            "1.1-7.1.2.m4s",
            "1.1-7..m4s",
            "1.1-.m4s",
            "1.1-7.m4s ",
            "1.1-7.m4s?x",
            "1.1-3-init.m4s",
            "1.1--init.mp4",
            "1.1-4294967296-init.mp4",
            "1.1-7.4294967296.m4s",
            "1.1-18446744073709551616.m4s",
            "1.1-\u{663}.m4s",
            "../1.1-7.m4s",
        ] {
            assert_eq!(Name::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_a_name_is_written_as_it_was_read(
            text in "[0-9a-f]{0,3}\\.[0-9a-f]{0,3}-[0-9.]{0,4}(\\.m4s|\\.ts|-init\\.mp4)",
        ) {
            if let Some(name) = Name::parse(&text) {
                prop_assert_eq!(name.to_string(), text);
            }
        }

        #[test]
        fn no_text_is_too_strange(text in ".*") {
            if let Some(name) = Name::parse(&text) {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }
}
