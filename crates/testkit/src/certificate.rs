//! A certificate of our own making.

use std::fs;
use std::path::{Path, PathBuf};

/// The PEM files of a certificate and its key.
#[derive(Debug, Clone)]
pub struct Files {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Makes a new certificate for `name` and writes it to `folder`, over any that is there. Each is renamed into place, as
/// those do who renew certificates.
///
/// # Panics
/// When the folder cannot be written.
pub fn write(folder: &Path, name: &str) -> Files {
    let made =
        rcgen::generate_simple_self_signed([name.to_owned()]).expect("a name makes a certificate");
    let files = Files {
        certificate: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    };
    for (file, text) in [
        (&files.key, made.signing_key.serialize_pem()),
        (&files.certificate, made.cert.pem()),
    ] {
        let new = file.with_extension("new");
        fs::write(&new, text).expect("the folder can be written");
        fs::rename(&new, file).expect("a file can be renamed");
    }
    files
}
