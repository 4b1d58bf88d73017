//! Who publishes, recognisable without saying who.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The fingerprint of an authenticated subject (a token, credentials, the subject of a JWT): equal
/// for the same subject on every node, and no way back to the subject without the cluster's secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 16]);

/// The text is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 32 hexadecimal digits")]
pub struct FingerprintError;

impl Fingerprint {
    /// The fingerprint of `subject`. The `secret` is one that all nodes of the cluster share (that of
    /// the relay): without it, whoever reads the directory could try out subjects.
    #[must_use]
    pub fn of(secret: &[u8], subject: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let mut context = hmac::Context::with_key(&key);
        context.update(b"weir identity\0");
        context.update(subject);
        let mut short = [0; 16];
        for (to, from) in short.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        Self(short)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let mut bytes = [0; 16];
        // A sign would be taken for a part of the number.
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(FingerprintError);
        }
        for (i, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(2 * i..2 * i + 2).ok_or(FingerprintError)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| FingerprintError)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_subjects_and_clusters_apart() {
        let print = Fingerprint::of(b"secret", b"token");
        assert_eq!(print, Fingerprint::of(b"secret", b"token"));
        assert_ne!(print, Fingerprint::of(b"secret", b"Token"));
        assert_ne!(print, Fingerprint::of(b"Secret", b"token"));
        assert!(!print.to_string().contains("token"));
    }

    #[test]
    fn is_the_same_in_every_release() {
        let print = Fingerprint::of(b"secret", b"token").to_string();
        assert_eq!(print, "d6fb3adf7b950d0c3f28d956c78ebcef");
    }

    #[test]
    fn survives_its_text() {
        let print = Fingerprint::of(b"a", b"b");
        assert_eq!(print.to_string().parse(), Ok(print));
        for wrong in [
            "",
            "00",
            "+0000000000000000000000000000000",
            &"g".repeat(32),
        ] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(FingerprintError));
        }
    }
}
