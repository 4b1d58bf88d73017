//! What paths of URLs are encoded in.

/// The text that is meant; `None` if it is not encoded as it has to be.
pub(crate) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = behind;
            continue;
        }
        let (digits, behind) = behind.split_first_chunk::<2>()?;
        let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
        let (high, low) = high.zip(low)?;
        bytes.push(u8::try_from(high * 16 + low).ok()?);
        rest = behind;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_digits_are_a_byte() {
        assert_eq!(decoded("a%2fb%C3%bc").as_deref(), Some("a/bü"));
        for wrong in ["%", "%4", "%4x", "%ff"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }
}
