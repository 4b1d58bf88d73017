//! How nodes of one cluster know each other: by a shared secret, by certificates, or by both.

mod files;
mod nonces;
mod tls;
mod token;

use std::path::PathBuf;
use std::sync::Arc;

use files::Followed;
pub(crate) use nonces::{Nonces, Rejected};
pub(crate) use tls::Loaded;
pub(crate) use token::{Fields, NONCE_LEN, Secret, WINDOW, fresh_nonce, unhex};

/// What a node proves itself with, and asks of others. There is no way without.
#[derive(Clone, Debug)]
pub struct Auth(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    secret: Option<Secret>,
    tls: Option<Followed>,
}

/// The PEM files of mutual TLS. Connections that are made once they have changed are made with what is in them by then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authority that signs the nodes' certificates, and nothing else: whoever has a certificate of it is a
    /// node.
    pub ca: PathBuf,
    /// The certificate of this node, and those that lead to the authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The name that all nodes' certificates bear; without it, each must bear the host it is reached at.
    pub name: Option<String>,
}

/// Why there is nothing to authenticate with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The secret could be guessed.
    #[error("the relay's secret has {0} bytes, at least {min} are needed", min = Auth::MIN_SECRET)]
    ShortSecret(usize),
    /// A file could not be read or makes no sense.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The certificate and the key do not make a configuration.
    #[error("the relay's certificate cannot be used: {0}")]
    Certificate(String),
}

impl Auth {
    /// How many bytes a secret must have. Whoever can listen to one call can try guesses at leisure.
    pub const MIN_SECRET: usize = 16;

    /// Proof by a secret that all nodes share. It is never sent, and encrypts nothing.
    ///
    /// # Errors
    ///
    /// A secret that is too short.
    pub fn secret(secret: &str) -> Result<Self, AuthError> {
        Ok(Self(Arc::new(Inner {
            secret: Some(long_enough(secret)?),
            tls: None,
        })))
    }

    /// Proof by certificates, and encryption.
    ///
    /// # Errors
    ///
    /// Files that cannot be read or used.
    pub fn tls(files: TlsFiles) -> Result<Self, AuthError> {
        Ok(Self(Arc::new(Inner {
            secret: None,
            tls: Some(Followed::read(files)?),
        })))
    }

    /// Proof by both.
    ///
    /// # Errors
    ///
    /// As of both.
    pub fn secret_and_tls(secret: &str, files: TlsFiles) -> Result<Self, AuthError> {
        Ok(Self(Arc::new(Inner {
            secret: Some(long_enough(secret)?),
            tls: Some(Followed::read(files)?),
        })))
    }

    pub(crate) fn key(&self) -> Option<&Secret> {
        self.0.secret.as_ref()
    }

    /// For a connection that is made now.
    pub(crate) fn certificates(&self) -> Option<Arc<Loaded>> {
        self.0.tls.as_ref().map(Followed::now)
    }
}

fn long_enough(secret: &str) -> Result<Secret, AuthError> {
    match secret.len() {
        len if len < Auth::MIN_SECRET => Err(AuthError::ShortSecret(len)),
        _ => Ok(Secret::new(secret.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_could_be_guessed_is_refused() {
        assert!(matches!(
            Auth::secret("fifteen bytes !"),
            Err(AuthError::ShortSecret(15))
        ));
        assert!(Auth::secret("sixteen bytes !!").is_ok());
    }

    #[test]
    fn a_secret_is_not_printed() {
        let auth = Auth::secret("sixteen bytes !!").expect("long enough");
        assert!(!format!("{auth:?}").contains("sixteen"), "{auth:?}");
    }
}
