//! RTMPS: certificates for the server's end, trust for the client's.
//!
//! The crypto provider is always named (aws-lc), never taken from the process, so a library user
//! has nothing to install first.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// How often, at most, the certificate files are looked at.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The largest certificate or key file that is read.
const MAX_FILE: u64 = 1024 * 1024;

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file holds no PEM certificate, or no PEM private key.
    #[error("{} holds no usable PEM {what}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
    },
    /// Certificate and key do not fit each other, or a root is no certificate.
    #[error("the certificate is not usable")]
    Certificate(#[from] rustls::Error),
}

/// Accepts TLS with the certificate that is in the files *now*.
///
/// The files are looked at when a connection comes in, at most once a second. A changed pair that
/// cannot be used is logged and the one in use is kept, so a renewal caught half-way does no harm.
#[derive(Debug)]
pub struct ReloadingAcceptor {
    certificate: PathBuf,
    key: PathBuf,
    alpn: Vec<Vec<u8>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    config: Arc<ServerConfig>,
    /// What the files looked like when they were last tried.
    tried: Stamp,
    checked: Instant,
}

/// What tells that a file has changed. The file behind a link counts, so a mounted secret that is
/// replaced by switching a link is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp([Option<(SystemTime, u64)>; 2]);

impl ReloadingAcceptor {
    /// Reads a PEM chain and its PEM key.
    ///
    /// # Errors
    /// When the files cannot be read or do not make a pair.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, TlsError> {
        Self::with_alpn(certificate, key, Vec::new())
    }

    /// The same, offering application protocols (RTMPS has none).
    ///
    /// # Errors
    /// When the files cannot be read or do not make a pair.
    pub fn with_alpn(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
        alpn: Vec<Vec<u8>>,
    ) -> Result<Self, TlsError> {
        let (certificate, key) = (certificate.into(), key.into());
        let tried = Stamp::of(&certificate, &key);
        let config = server_config(&certificate, &key, &alpn)?;
        let state = Mutex::new(State {
            config,
            tried,
            checked: Instant::now(),
        });
        Ok(Self {
            certificate,
            key,
            alpn,
            state,
        })
    }

    /// What to accept the next connection with.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config(Instant::now()))
    }

    /// The configuration in use, looked up again when the last look is a second old.
    pub fn config(&self, now: Instant) -> Arc<ServerConfig> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(state.checked) >= CHECK_INTERVAL {
            state.checked = now;
            self.reload(&mut state);
        }
        state.config.clone()
    }

    fn reload(&self, state: &mut State) {
        let stamp = Stamp::of(&self.certificate, &self.key);
        if stamp == state.tried {
            return;
        }
        // The stamp is taken before the files are read: a change in between is seen next time.
        state.tried = stamp;
        match server_config(&self.certificate, &self.key, &self.alpn) {
            Ok(config) => {
                tracing::info!(certificate = %self.certificate.display(), "certificate reloaded");
                state.config = config;
            }
            Err(error) => {
                let certificate = self.certificate.display();
                tracing::warn!(%certificate, %error, "new certificate not usable, keeping the old one");
            }
        }
    }
}

impl Stamp {
    fn of(certificate: &Path, key: &Path) -> Self {
        Self([certificate, key].map(|path| {
            let meta = fs::metadata(path).ok()?;
            Some((meta.modified().ok()?, meta.len()))
        }))
    }
}

fn server_config(
    certificate: &Path,
    key: &Path,
    alpn: &[Vec<u8>],
) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(certificate)?;
    let key_pem = read(key)?;
    let key = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|_| TlsError::Pem {
        path: key.to_owned(),
        what: "private key",
    })?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = alpn.to_vec();
    Ok(Arc::new(config))
}

/// Whom a client trusts.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Trust {
    /// The roots that browsers trust, compiled in.
    #[default]
    WebPki,
    /// The certificates of a PEM file, and nobody else.
    File(PathBuf),
    /// These certificates (DER), and nobody else.
    Roots(Vec<Vec<u8>>),
    /// Anybody: encrypted, but open to a man in the middle. For servers with a certificate of
    /// their own making, in a network that is trusted otherwise.
    Anybody,
}

impl Trust {
    /// A connector that trusts accordingly.
    ///
    /// # Errors
    /// When a root cannot be read.
    pub fn connector(&self) -> Result<TlsConnector, TlsError> {
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
        let builder = match self.roots()? {
            Some(roots) => builder.with_root_certificates(roots),
            None => {
                let verifier = Arc::new(NoVerification(provider));
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(verifier)
            }
        };
        Ok(TlsConnector::from(Arc::new(builder.with_no_client_auth())))
    }

    fn roots(&self) -> Result<Option<RootCertStore>, TlsError> {
        let mut store = RootCertStore::empty();
        match self {
            Self::WebPki => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Self::File(path) => {
                for root in certificates(path)? {
                    store.add(root)?;
                }
            }
            Self::Roots(roots) => {
                for root in roots {
                    store.add(CertificateDer::from(root.clone()))?;
                }
            }
            Self::Anybody => return Ok(None),
        }
        Ok(Some(store))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unusable = || TlsError::Pem {
        path: path.to_owned(),
        what: "certificate",
    };
    let pem = read(path)?;
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| unusable())?;
    if chain.is_empty() {
        Err(unusable())
    } else {
        Ok(chain)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read {
        path: path.to_owned(),
        source,
    };
    let length = fs::metadata(path).map_err(failed)?.len();
    if length > MAX_FILE {
        return Err(failed(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "larger than 1 MiB",
        )));
    }
    fs::read(path).map_err(failed)
}

/// Accepts any certificate, but still insists that the peer holds its key.
#[derive(Debug)]
struct NoVerification(Arc<CryptoProvider>);

impl ServerCertVerifier for NoVerification {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files {
        dir: tempfile::TempDir,
    }

    impl Files {
        fn new() -> Self {
            let files = Self {
                dir: tempfile::tempdir().unwrap(),
            };
            files.renew();
            files
        }

        fn certificate(&self) -> PathBuf {
            self.dir.path().join("cert.pem")
        }

        fn key(&self) -> PathBuf {
            self.dir.path().join("key.pem")
        }

        fn renew(&self) {
            let pair = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
            fs::write(self.certificate(), pair.cert.pem()).unwrap();
            fs::write(self.key(), pair.signing_key.serialize_pem()).unwrap();
        }
    }

    /// What a file system's clock cannot blur: another time for sure.
    fn touch(path: &Path, seconds: u64) {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
            .unwrap();
    }

    #[test]
    fn reads_changed_files_on_the_next_look() {
        let files = Files::new();
        let acceptor = ReloadingAcceptor::new(files.certificate(), files.key()).unwrap();
        let start = Instant::now();
        let first = acceptor.config(start);
        files.renew();
        touch(&files.certificate(), 1);
        assert!(
            Arc::ptr_eq(&first, &acceptor.config(start)),
            "not looked at within a second"
        );
        let second = acceptor.config(start + 2 * CHECK_INTERVAL);
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(
            Arc::ptr_eq(&second, &acceptor.config(start + 4 * CHECK_INTERVAL)),
            "unchanged"
        );
    }

    #[test]
    fn keeps_the_old_certificate_when_the_new_one_is_bad() {
        let files = Files::new();
        let acceptor = ReloadingAcceptor::new(files.certificate(), files.key()).unwrap();
        let start = Instant::now();
        let first = acceptor.config(start);

        fs::write(files.certificate(), "not a certificate").unwrap();
        touch(&files.certificate(), 1);
        assert!(Arc::ptr_eq(
            &first,
            &acceptor.config(start + 2 * CHECK_INTERVAL)
        ));

        // A certificate without its key is a renewal caught half-way.
        let other = Files::new();
        fs::copy(other.certificate(), files.certificate()).unwrap();
        touch(&files.certificate(), 2);
        assert!(Arc::ptr_eq(
            &first,
            &acceptor.config(start + 4 * CHECK_INTERVAL)
        ));

        fs::copy(other.key(), files.key()).unwrap();
        touch(&files.key(), 3);
        assert!(!Arc::ptr_eq(
            &first,
            &acceptor.config(start + 6 * CHECK_INTERVAL)
        ));
    }

    #[test]
    fn names_the_file_that_is_missing() {
        let files = Files::new();
        fs::remove_file(files.key()).unwrap();
        let error = ReloadingAcceptor::new(files.certificate(), files.key()).unwrap_err();
        assert!(error.to_string().contains("key.pem"), "{error}");
    }

    #[test]
    fn builds_a_connector_for_each_kind_of_trust() {
        let files = Files::new();
        let pem = fs::read(files.certificate()).unwrap();
        let der = CertificateDer::from_pem_slice(&pem).unwrap().to_vec();
        for trust in [
            Trust::WebPki,
            Trust::File(files.certificate()),
            Trust::Roots(vec![der]),
            Trust::Anybody,
        ] {
            trust.connector().unwrap();
        }
        assert!(
            Trust::Roots(vec![b"nonsense".to_vec()])
                .connector()
                .is_err()
        );
    }
}
