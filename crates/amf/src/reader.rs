//! Bytes taken off the front, and an account of what they cost.

use crate::Error;

/// What one call may decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How deep values may nest. Recursion follows them, so keep it far below the stack.
    pub depth: usize,
    /// How many bytes of memory the decoded values may take, estimated.
    pub size: usize,
}

impl Default for Limits {
    /// 64 deep, and 8 MiB: enough for the keyframe index of a recording of days.
    fn default() -> Self {
        Self {
            depth: 64,
            size: 8 << 20,
        }
    }
}

/// What may be decoded per byte of input. Values that are spelled out stay below it (the worst
/// is a nameless null in an object, 3 bytes); references followed again and again do not. It
/// keeps the work linear for a caller that decodes a message value by value.
const SIZE_PER_BYTE: usize = 128;

/// What may be decoded beyond that, so that small messages can use references.
const SIZE_GRACE: usize = 4096;

/// A place in the input that a reference leads to.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) start: usize,
    /// Whether the value ended; until then a reference to it would never end.
    pub(crate) complete: bool,
}

pub(crate) struct Reader<'a> {
    input: &'a [u8],
    position: usize,
    /// The furthest `position` was; following a reference moves back.
    furthest: usize,
    depth: usize,
    size: usize,
    limits: Limits,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(input: &'a [u8], limits: Limits) -> Self {
        Self {
            input,
            position: 0,
            furthest: 0,
            depth: 0,
            size: 0,
            limits,
        }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Moves to a place already passed, and yields where it was.
    pub(crate) fn jump(&mut self, position: usize) -> usize {
        std::mem::replace(&mut self.position, position)
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.input.get(self.position..).unwrap_or_default()
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let taken = self.rest().get(..length).ok_or(Error::Truncated)?;
        self.position += length;
        self.furthest = self.furthest.max(self.position);
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let taken = self.take(N)?;
        taken.first_chunk().copied().ok_or(Error::Truncated)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn f64(&mut self) -> Result<f64, Error> {
        Ok(f64::from_be_bytes(self.array()?))
    }

    /// Text of that many bytes. Old encoders send their local character set: what is no UTF-8
    /// is replaced, for a garbled title is better than a refused stream.
    pub(crate) fn string(&mut self, length: usize) -> Result<String, Error> {
        let string = String::from_utf8_lossy(self.take(length)?);
        self.charge(string.len())?;
        Ok(string.into_owned())
    }

    /// Counts memory that decoding takes.
    pub(crate) fn charge(&mut self, size: usize) -> Result<(), Error> {
        self.size = self.size.saturating_add(size);
        let earned = self
            .furthest
            .saturating_mul(SIZE_PER_BYTE)
            .saturating_add(SIZE_GRACE);
        if self.size > self.limits.size.min(earned) {
            Err(Error::TooLarge)
        } else {
            Ok(())
        }
    }

    /// Goes one level down; [`leave`](Self::leave) comes back.
    pub(crate) fn enter(&mut self) -> Result<(), Error> {
        if self.depth >= self.limits.depth {
            return Err(Error::TooDeep);
        }
        self.depth += 1;
        Ok(())
    }

    pub(crate) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }
}
