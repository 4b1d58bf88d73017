/// Why a configuration record could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The record ends before a field that must be there.
    #[error("configuration record is cut off")]
    Truncated,
    /// A field has a value that its specification forbids.
    #[error("{0} is out of range")]
    Invalid(&'static str),
    /// The codec has no configuration record, or none that is read here.
    #[error("no configuration record is read for {0}")]
    Unsupported(&'static str),
}
