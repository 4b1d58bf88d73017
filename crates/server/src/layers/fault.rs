//! What is wrong with a configuration.

use std::fmt;

use super::Origin;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    origin: Option<Origin>,
    /// Empty where it is about no key.
    key: String,
    what: String,
}

/// All that is wrong, a line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) struct Faults(pub(crate) Vec<Fault>);

impl Fault {
    pub(crate) fn new(origin: Option<Origin>, key: impl Into<String>, what: String) -> Self {
        Self {
            origin,
            key: key.into(),
            what,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.0 {
            // Some errors of values take several lines.
            writeln!(f, "{}", fault.to_string().replace('\n', " "))?;
        }
        Ok(())
    }
}
