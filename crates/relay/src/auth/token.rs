//! What is proved with a shared secret: `relay.proto` says what goes into it.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::hmac;
use rustix::rand::{GetRandomFlags, getrandom};

/// How far the clocks of two nodes may be apart.
pub(crate) const WINDOW: Duration = Duration::from_secs(30);

pub(crate) const NONCE_LEN: usize = 16;

const CALL: &[u8] = b"weir-relay call";
const ANSWER: &[u8] = b"weir-relay answer";

pub(crate) struct Secret(hmac::Key);

/// What a token vouches for, as it is written in the metadata of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    pub(crate) version: &'a str,
    pub(crate) cluster: &'a str,
    pub(crate) caller: &'a str,
    pub(crate) callee: &'a str,
    pub(crate) method: &'a str,
    pub(crate) time: &'a str,
    pub(crate) nonce: &'a str,
}

impl Secret {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// What a caller proves itself with.
    pub(crate) fn token(&self, fields: &Fields<'_>) -> String {
        hex(hmac::sign(&self.0, &message(CALL, fields)).as_ref())
    }

    /// What the callee proves itself with.
    pub(crate) fn proof(&self, fields: &Fields<'_>) -> String {
        hex(hmac::sign(&self.0, &message(ANSWER, fields)).as_ref())
    }

    pub(crate) fn verify_token(&self, fields: &Fields<'_>, token: &str) -> bool {
        self.verify(&message(CALL, fields), token)
    }

    pub(crate) fn verify_proof(&self, fields: &Fields<'_>, proof: &str) -> bool {
        self.verify(&message(ANSWER, fields), proof)
    }

    /// In a time that does not depend on where the two differ.
    fn verify(&self, message: &[u8], text: &str) -> bool {
        unhex::<32>(text).is_some_and(|tag| hmac::verify(&self.0, message, &tag).is_ok())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(********)")
    }
}

/// Each field with its length in front, so that no two lists of fields make the same message.
fn message(label: &[u8], fields: &Fields<'_>) -> Vec<u8> {
    let fields = [
        fields.version,
        fields.cluster,
        fields.caller,
        fields.callee,
        fields.method,
        fields.time,
        fields.nonce,
    ];
    let len = fields.iter().map(|field| field.len() + 4).sum::<usize>();
    let mut message = Vec::with_capacity(label.len() + len);
    message.extend_from_slice(label);
    for field in fields {
        message.extend_from_slice(&(field.len() as u32).to_be_bytes());
        message.extend_from_slice(field.as_bytes());
    }
    message
}

/// A number that nobody had before; `None` where the system has none to give.
pub(crate) fn fresh_nonce() -> Option<String> {
    let mut nonce = [0; NONCE_LEN];
    // Of the system itself: the library's own source takes 40 ms to be ready, which the first play would wait for.
    let filled = getrandom(&mut nonce, GetRandomFlags::empty()).ok()?;
    if filled < NONCE_LEN {
        return None;
    }
    Some(hex(&nonce))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half & 15)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(*byte)])
        .collect()
}

pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: Fields<'static> = Fields {
        version: "1",
        cluster: "default",
        caller: "edge",
        callee: "origin",
        method: "/weir.relay.v1.Relay/Pull",
        time: "1790000000000",
        nonce: "000102030405060708090a0b0c0d0e0f",
    };

    #[test]
    fn verifies_what_was_signed_with_the_same_secret_and_nothing_else() {
        let (ours, theirs) = (Secret::new(b"ours"), Secret::new(b"theirs"));
        let token = ours.token(&FIELDS);
        assert!(ours.verify_token(&FIELDS, &token));
        assert!(!theirs.verify_token(&FIELDS, &token));
        assert!(!ours.verify_token(&FIELDS, ""));
        assert!(!ours.verify_token(&FIELDS, &token.replace(&token[..1], "x")));
        for changed in [
            Fields {
                version: "2",
                ..FIELDS
            },
            Fields {
                cluster: "other",
                ..FIELDS
            },
            Fields {
                caller: "edge2",
                ..FIELDS
            },
            Fields {
                callee: "origin2",
                ..FIELDS
            },
            Fields {
                method: "/weir.relay.v1.Relay/Act",
                ..FIELDS
            },
            Fields {
                time: "1790000000001",
                ..FIELDS
            },
            Fields {
                nonce: "100102030405060708090a0b0c0d0e0f",
                ..FIELDS
            },
            // The same letters, divided otherwise.
            Fields {
                caller: "edgeo",
                callee: "rigin",
                ..FIELDS
            },
        ] {
            assert!(!ours.verify_token(&changed, &token), "{changed:?}");
        }
    }

    #[test]
    fn a_token_is_no_proof() {
        let secret = Secret::new(b"secret");
        assert!(!secret.verify_proof(&FIELDS, &secret.token(&FIELDS)));
        assert!(secret.verify_proof(&FIELDS, &secret.proof(&FIELDS)));
    }

    #[test]
    fn is_the_hmac_that_the_specification_says() {
        // Computed with another implementation, from the words of relay.proto.
        let token = Secret::new(b"sixteen bytes !!").token(&FIELDS);
        assert_eq!(token, EXPECTED);
    }

    const EXPECTED: &str = "e386d5ff6dea4d75ff3aa1111b332ee561b454694302426a659ec597b9eb430e";

    #[test]
    fn nonces_differ() {
        let (one, other) = (fresh_nonce(), fresh_nonce());
        assert_ne!(one, other);
        assert!(one.is_some_and(|nonce| unhex::<NONCE_LEN>(&nonce).is_some()));
    }
}
