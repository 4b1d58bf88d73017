//! What is left to chance, so that many do not do the same thing at the same moment.

use std::time::Duration;

/// A number from 0 to 1.
pub(crate) fn number() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness they do it at the same moment, which is no disaster.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

/// Between half of it and all of it.
pub(crate) fn about(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + number() / 2.0)
}
