use std::fmt;

/// Four characters that name a codec in Enhanced RTMP and in ISO media files.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FourCc(pub [u8; 4]);

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A peer chose these bytes and they end in logs: escape what is not printable.
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FourCc({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_text_and_escapes_control_bytes() {
        assert_eq!(FourCc(*b"av01").to_string(), "av01");
        assert_eq!(FourCc(*b"a\n\x00\xff").to_string(), "a\\n\\x00\\xff");
    }
}
