//! Bits taken off the front of a slice.

use crate::Error;

/// A reader that never reads past its end and never loops for longer than its input.
#[derive(Clone)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// In bits.
    position: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Error> {
        let byte = self.bytes.get(self.position / 8).ok_or(Error::Truncated)?;
        let flag = byte >> (7 - self.position % 8) & 1;
        self.position += 1;
        Ok(flag != 0)
    }

    /// A number of up to 32 bits.
    pub(crate) fn bits(&mut self, count: u32) -> Result<u32, Error> {
        debug_assert!(count <= 32);
        let mut number = 0;
        for _ in 0..count {
            number = number << 1 | u32::from(self.flag()?);
        }
        Ok(number)
    }

    /// A number of up to 8 bits.
    pub(crate) fn byte(&mut self, count: u32) -> Result<u8, Error> {
        debug_assert!(count <= 8);
        Ok(self.bits(count)? as u8)
    }

    pub(crate) fn skip(&mut self, count: usize) -> Result<(), Error> {
        let position = self.position.saturating_add(count);
        if position > self.bytes.len().saturating_mul(8) {
            return Err(Error::Truncated);
        }
        self.position = position;
        Ok(())
    }

    /// Goes on at the next whole byte.
    pub(crate) fn align(&mut self) {
        self.position = self.position.next_multiple_of(8);
    }

    /// Unsigned Exp-Golomb (H.264 9.1), which AV1 calls uvlc.
    pub(crate) fn ue(&mut self) -> Result<u32, Error> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return Err(Error::Invalid("exp-golomb code"));
            }
        }
        Ok((1 << zeros) - 1 + self.bits(zeros)?)
    }

    /// Unsigned Exp-Golomb that must not exceed `max`.
    pub(crate) fn ue_max(&mut self, max: u32, what: &'static str) -> Result<u32, Error> {
        let number = self.ue()?;
        if number > max {
            Err(Error::Invalid(what))
        } else {
            Ok(number)
        }
    }

    /// Signed Exp-Golomb (H.264 9.1.1).
    pub(crate) fn se(&mut self) -> Result<i32, Error> {
        let number = self.ue()?;
        let half = number.div_ceil(2).cast_signed();
        Ok(if number % 2 == 0 { -half } else { half })
    }
}

/// Whole bytes taken off the front of a slice.
pub(crate) struct ByteReader<'a>(pub(crate) &'a [u8]);

impl<'a> ByteReader<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Error::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.take(N)?.first_chunk().copied().ok_or(Error::Truncated)
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_exp_golomb_codes() {
        // 1 010 011 00100 00101, padded.
        let mut reader = BitReader::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let numbers: Vec<_> = (0..5).map(|_| reader.ue().unwrap()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        let mut reader = BitReader::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let numbers: Vec<_> = (0..5).map(|_| reader.se().unwrap()).collect();
        assert_eq!(numbers, [0, 1, -1, 2, -2]);
    }

    #[test]
    fn refuses_exp_golomb_codes_of_more_than_32_bits() {
        let longest = [0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(BitReader::new(&longest).ue(), Ok(u32::MAX - 1));
        assert_eq!(BitReader::new(&longest).se(), Ok(-i32::MAX));
        let longer = [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(
            BitReader::new(&longer).ue(),
            Err(Error::Invalid("exp-golomb code"))
        );
        assert_eq!(BitReader::new(&[0]).ue(), Err(Error::Truncated));
    }

    #[test]
    fn reads_nothing_past_the_end() {
        let mut reader = BitReader::new(&[0xff]);
        assert_eq!(reader.skip(9), Err(Error::Truncated));
        assert_eq!(reader.skip(usize::MAX), Err(Error::Truncated));
        assert_eq!(reader.bits(8), Ok(0xff));
        assert_eq!(reader.flag(), Err(Error::Truncated));
    }
}
