//! Mutual TLS: both sides show a certificate of the cluster's authority.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::{AuthError, TlsFiles};

/// HTTP/2, by its name in the handshake.
const ALPN: &[u8] = b"h2";

/// What was read from the files.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) client: Arc<ClientConfig>,
    name: Option<String>,
}

impl Loaded {
    pub(super) fn read(files: &TlsFiles) -> Result<Self, AuthError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(&files.ca)? {
            let wrong = |error: rustls::Error| wrong(&files.ca, error.to_string());
            roots.add(authority).map_err(wrong)?;
        }
        let roots = Arc::new(roots);
        let chain = certificates(&files.cert)?;
        let key = PrivateKeyDer::from_pem_file(&files.key)
            .map_err(|error| wrong(&files.key, explain(&error, "private key")))?;
        Ok(Self {
            server: Arc::new(server(Arc::clone(&roots), chain.clone(), key.clone_key())?),
            client: Arc::new(client(roots, chain, key)?),
            name: files.name.clone(),
        })
    }

    /// The name that the certificate of the node at `address` must bear.
    pub(crate) fn name_at(
        &self,
        address: &str,
    ) -> Result<ServerName<'static>, InvalidDnsNameError> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        ServerName::try_from(self.name.as_deref().unwrap_or(host).to_owned())
    }
}

fn server(
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, AuthError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(|error| AuthError::Certificate(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(unusable)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

fn client(
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, AuthError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(unusable)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, AuthError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => Err(wrong(path, "no certificate in it".to_owned())),
        Ok(found) => Ok(found),
        Err(error) => Err(wrong(path, explain(&error, "certificate"))),
    }
}

fn explain(error: &pem::Error, wanted: &str) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => format!("no {wanted} in it"),
        other => format!("no {wanted} in PEM: {other}"),
    }
}

fn wrong(path: &Path, what: String) -> AuthError {
    let path = path.to_owned();
    AuthError::File { path, what }
}

fn unusable(error: rustls::Error) -> AuthError {
    AuthError::Certificate(error.to_string())
}
