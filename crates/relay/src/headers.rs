//! What is said in the metadata of a call: `relay.proto` says what it means.

/// The versions of the protocol that this release speaks.
pub(crate) const OLDEST: u32 = 1;
pub(crate) const NEWEST: u32 = 1;

pub(crate) const VERSION: &str = "weir-version";
pub(crate) const CLUSTER: &str = "weir-cluster";
pub(crate) const CALLER: &str = "weir-caller";
pub(crate) const CALLEE: &str = "weir-callee";
pub(crate) const TIME: &str = "weir-time";
pub(crate) const NONCE: &str = "weir-nonce";
pub(crate) const TOKEN: &str = "weir-token";

/// In answers: the callee knows the secret too.
pub(crate) const PROOF: &str = "weir-proof";
/// In answers: why the caller is not believed, for its program.
pub(crate) const REFUSED: &str = "weir-refused";

/// The newest version that both speak.
pub(crate) fn agree(oldest: u32, newest: u32) -> Option<u32> {
    // Zero is a field that is missing, and so version 1.
    let version = newest.clamp(1, NEWEST);
    (version >= oldest.max(OLDEST)).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_that_both_speak() {
        assert_eq!(agree(1, 1), Some(1));
        assert_eq!(agree(0, 0), Some(1));
        assert_eq!(agree(1, 2), Some(1));
        assert_eq!(agree(2, 3), None);
    }
}
