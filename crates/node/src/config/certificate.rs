//! Whether the certificate files can be used, which only reading them tells.

use std::error::Error;
use std::path::Path;

use rtmp::tls::{ReloadingAcceptor, TlsError};

use super::{Config, Problem};

impl Config {
    /// What is wrong with the files behind `tls.cert` and `tls.key`, which are read for it.
    #[must_use]
    pub fn certificate_problem(&self) -> Option<Problem> {
        let (cert, key) = (self.tls.cert.as_ref()?, self.tls.key.as_ref()?);
        let error = ReloadingAcceptor::new(cert, key).err()?;
        Some(explain(&error, cert, key))
    }
}

/// Which of the two it is, and what to do about it.
pub(crate) fn explain(error: &TlsError, cert: &Path, key: &Path) -> Problem {
    let about = |path: &Path| if path == key { "tls.key" } else { "tls.cert" };
    let (name, what) = match error {
        TlsError::Read { path, source } => (
            about(path),
            format!("{} cannot be read: {source}", path.display()),
        ),
        // Its text names the file.
        TlsError::Pem { path, .. } => (about(path), error.to_string()),
        TlsError::Certificate(rustls::Error::InconsistentKeys(_)) => (
            "tls.key",
            format!(
                "{} is not the key of the certificate {}",
                key.display(),
                cert.display()
            ),
        ),
        other => {
            let cause = other.source().map(ToString::to_string);
            let what = format!(
                "{} and {} cannot be used: {}",
                cert.display(),
                key.display(),
                cause.unwrap_or_else(|| other.to_string())
            );
            ("tls.cert", what)
        }
    };
    Problem {
        key: name,
        entry: None,
        what,
    }
}
