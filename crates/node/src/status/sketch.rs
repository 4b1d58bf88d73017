//! Who watches over HLS, as nodes tell each other.

use hls::Sketch;

/// No sketch is longer.
const LONGEST: usize = 2 * 4096;

/// In hexadecimal; nothing for nobody.
pub(super) fn written(sketch: &Sketch) -> String {
    let bytes = sketch.to_bytes().into_iter();
    let halves = bytes.flat_map(|byte| [byte >> 4, byte & 15]);
    halves
        .filter_map(|half| char::from_digit(half.into(), 16))
        .collect()
}

/// As it was [written](written) by any node; `None` if it is none.
pub(crate) fn read(text: &str) -> Option<Sketch> {
    if text.is_empty() || text.len() > LONGEST {
        return None;
    }
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| {
        let byte = digit(*high)? * 16 + digit(*low)?;
        u8::try_from(byte).ok()
    };
    let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
    Sketch::from_bytes(&bytes.filter(|_| rest.is_empty())?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_was_written_and_nonsense_is_nobody() {
        for viewers in [1, 1000, 100_000] {
            let mut sketch = Sketch::default();
            (0..viewers).for_each(|viewer| sketch.add(viewer));
            assert_eq!(read(&written(&sketch)), Some(sketch));
        }
        assert_eq!(written(&Sketch::default()), "");
        for text in [
            "",
            "0",
            "00",
            "0000000",
            "0000000x",
            "+0+0+0+0",
            "\u{e9}\u{e9}\u{e9}\u{e9}",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read(&"0".repeat(LONGEST + 2)), None);
    }
}
