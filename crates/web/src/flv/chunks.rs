//! What is in the chunks of HTTP/1.1, by which a stream that ended is told from one that broke off.

use bytes::{Buf, Bytes};

/// Takes chunks apart.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    part: Part,
    /// How long the next one is, as far as that has been read.
    length: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Before a chunk: the line that says how long it is.
    #[default]
    Length,
    /// In one, with so many bytes left.
    Within(usize),
    /// Behind one, with so many bytes to pass.
    Behind(usize),
    /// Behind the last.
    Over,
}

/// What are no chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no chunks")]
pub(super) struct Broken;

impl Chunks {
    /// Takes the next bytes that are in chunks off the front of `input`; `None` where it has no more.
    pub(super) fn next(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, Broken> {
        while let Some(&byte) = input.first() {
            self.part = match self.part {
                Part::Length => {
                    input.advance(1);
                    self.read(byte)?
                }
                Part::Within(left) => {
                    let taken = input.split_to(left.min(input.len()));
                    self.part = match left - taken.len() {
                        0 => Part::Behind(2),
                        left => Part::Within(left),
                    };
                    return Ok(Some(taken));
                }
                Part::Behind(left) => {
                    input.advance(1);
                    match left {
                        0 | 1 => Part::Length,
                        left => Part::Behind(left - 1),
                    }
                }
                Part::Over => return Ok(None),
            };
        }
        Ok(None)
    }

    /// Whether the last has been read.
    pub(super) fn are_over(&self) -> bool {
        self.part == Part::Over
    }

    fn read(&mut self, byte: u8) -> Result<Part, Broken> {
        match (byte, char::from(byte).to_digit(16)) {
            (b'\r', _) => Ok(Part::Length),
            (b'\n', _) => Ok(match std::mem::take(&mut self.length) {
                0 => Part::Over,
                length => Part::Within(length),
            }),
            (_, Some(digit)) => {
                let longer = self.length.checked_mul(16);
                self.length = longer
                    .and_then(|it| it.checked_add(digit as usize))
                    .ok_or(Broken)?;
                Ok(Part::Length)
            }
            _ => Err(Broken),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is in these chunks, which come in pieces of that size, and whether that is all.
    fn read(text: &str, size: usize) -> Result<(String, bool), Broken> {
        let (mut chunks, mut all) = (Chunks::default(), Vec::new());
        for piece in text.as_bytes().chunks(size) {
            let mut piece = Bytes::copy_from_slice(piece);
            while let Some(bytes) = chunks.next(&mut piece)? {
                all.extend(bytes);
            }
        }
        let all = String::from_utf8(all).expect("a text");
        Ok((all, chunks.are_over()))
    }

    #[test]
    fn chunks_are_taken_apart_wherever_they_are_cut() {
        let text = "3\r\nabc\r\nF\r\n0123456789\r\ndef\r\n1\r\nx\r\n";
        let within = "abc0123456789\r\ndefx".to_owned();
        let whole = format!("{text}0\r\n\r\n");
        for size in 1..whole.len() {
            assert_eq!(read(text, size), Ok((within.clone(), false)), "{size}");
            assert_eq!(read(&whole, size), Ok((within.clone(), true)), "{size}");
        }
        for broken in ["x\r\n", "fffffffffffffffff\r\n"] {
            assert_eq!(read(broken, 1), Err(Broken));
        }
    }
}
