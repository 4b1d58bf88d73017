//! What can be set about the relay: the section `relay` of a node's configuration.

mod forms;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Auth, AuthError, TlsFiles};
pub use forms::Secret;
use forms::{optional, secret};

/// Where other nodes find a node's streams, and what they prove themselves with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where other nodes call: `:7935`, `10.0.0.1:7935`, `[::]:7935`.
    #[serde(with = "optional")]
    pub listen: Option<String>,
    /// Where they are told to call, `host:port`; derived from `listen` if it is not set.
    #[serde(with = "optional")]
    pub advertise: Option<String>,
    /// What all nodes of the cluster know, and nobody else.
    #[serde(with = "secret")]
    pub secret: Option<Secret>,
    /// Mutual TLS.
    pub tls: TlsConfig,
}

/// Mutual TLS between nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file with the authority that signs the nodes' certificates.
    #[serde(with = "optional")]
    pub ca: Option<PathBuf>,
    /// PEM file with the certificate of this node.
    #[serde(with = "optional")]
    pub cert: Option<PathBuf>,
    /// PEM file with its private key.
    #[serde(with = "optional")]
    pub key: Option<PathBuf>,
    /// The name that all nodes' certificates bear.
    #[serde(with = "optional")]
    pub name: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Some(":7935".to_owned()),
            advertise: None,
            secret: None,
            tls: TlsConfig::default(),
        }
    }
}

/// A key of the configuration, for its reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigKey {
    /// Its name, below `relay`.
    pub name: &'static str,
    /// How its values are written: `address`, `text`, `secret`, `file`.
    pub kind: &'static str,
    /// What it does.
    pub about: &'static str,
}

/// Something that must be changed before a node of a cluster can start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The key to change: `relay.secret`.
    pub key: &'static str,
    /// What is wrong, and what to write instead.
    pub what: String,
}

const fn key(name: &'static str, kind: &'static str, about: &'static str) -> ConfigKey {
    ConfigKey { name, kind, about }
}

impl Config {
    /// The reference of its keys.
    pub const KEYS: &[ConfigKey] = &[
        key(
            "listen",
            "address",
            "Where other nodes call for streams (gRPC). Only with `directory.kind = \"etcd\"`.",
        ),
        key(
            "advertise",
            "text",
            "Where other nodes are told to call, `host:port`. Derived from `relay.listen` unless set.",
        ),
        key(
            "secret",
            "secret",
            "What all nodes of the cluster know and nobody else, at least 16 bytes. It is never sent, and encrypts nothing. This or `relay.tls` is required. Who publishes is in the directory as a hash that is keyed with it: with `relay.tls` alone, anybody who can read the directory can try tokens against it.",
        ),
        key(
            "tls.ca",
            "file",
            "PEM file with the authority that signs the nodes' certificates, and nothing else. With it nodes speak TLS and look at each other's certificate.",
        ),
        key(
            "tls.cert",
            "file",
            "PEM file with the certificate of this node, for servers and clients.",
        ),
        key("tls.key", "file", "PEM file with its private key."),
        key(
            "tls.name",
            "text",
            "The name that all nodes' certificates bear. Without it, each bears the host of its `relay.advertise`.",
        ),
    ];

    /// All that is wrong with it, for a node of a cluster. A node alone has no relay and needs none of it.
    #[must_use]
    pub fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        let mut found = |key, what: String| problems.push(ConfigProblem { key, what });
        if self.listen.is_none() {
            found(
                "relay.listen",
                "other nodes must be able to call: write :7935".to_owned(),
            );
        }
        if let Some(advertise) = &self.advertise
            && !is_address(advertise)
        {
            let what = format!("{advertise:?} is no address to call: write host:7935");
            found("relay.advertise", what);
        }
        match &self.secret {
            Some(secret) if secret.expose().len() < Auth::MIN_SECRET => {
                let what = format!("too short, at least {} bytes", Auth::MIN_SECRET);
                found("relay.secret", what);
            }
            None if self.tls == TlsConfig::default() => {
                let what = "nodes must know each other: set this on all of them, or relay.tls";
                found("relay.secret", what.to_owned());
            }
            _ => {}
        }
        let (ca, cert, key) = (&self.tls.ca, &self.tls.cert, &self.tls.key);
        if self.tls != TlsConfig::default() {
            for (name, file) in [
                ("relay.tls.ca", ca),
                ("relay.tls.cert", cert),
                ("relay.tls.key", key),
            ] {
                if file.is_none() {
                    found(name, "TLS needs relay.tls.ca, .cert and .key".to_owned());
                }
            }
        }
        problems
    }

    /// What it lets a node prove itself with; `None` if that is nothing, as [`problems`](Self::problems) says.
    ///
    /// # Errors
    ///
    /// A secret or files that cannot be used.
    pub fn auth(&self) -> Result<Option<Auth>, AuthError> {
        let secret = self.secret.as_ref().map(Secret::expose);
        let tls = &self.tls;
        let files = match (&tls.ca, &tls.cert, &tls.key) {
            (Some(ca), Some(cert), Some(key)) => Some(TlsFiles {
                ca: ca.clone(),
                cert: cert.clone(),
                key: key.clone(),
                name: tls.name.clone(),
            }),
            _ => None,
        };
        match (secret, files) {
            (None, None) => Ok(None),
            (Some(secret), None) => Auth::secret(secret).map(Some),
            (None, Some(files)) => Auth::tls(files).map(Some),
            (Some(secret), Some(files)) => Auth::secret_and_tls(secret, files).map(Some),
        }
    }
}

fn is_address(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_[]:".contains(c);
    text.chars().all(allowed)
        && text.rsplit_once(':').is_some_and(|(host, port)| {
            let is_host = !host.is_empty() && (!host.contains(':') || host.starts_with('['));
            is_host && port.parse::<u16>().is_ok_and(|port| port > 0)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    fn keys(text: &str) -> Vec<&'static str> {
        let problems = read(text).expect("reads").problems();
        problems.into_iter().map(|problem| problem.key).collect()
    }

    const FULL: &str = r#"
        listen = "10.0.0.1:7935"
        advertise = "weir-1.internal:7935"
        secret = "sixteen bytes !!"
        [tls]
        ca = "ca.pem"
        cert = "cert.pem"
        key = "key.pem"
        name = "node.weir.internal"
    "#;

    #[test]
    fn all_keys_are_read_and_the_secret_is_not_shown() {
        let config = read(FULL).expect("reads");
        assert_eq!(
            config.secret.as_ref().map(Secret::expose),
            Some("sixteen bytes !!")
        );
        assert_eq!(config.tls.key, Some("key.pem".into()));
        assert_eq!(config.problems(), []);
        let shown = format!("{config:?} {}", toml::to_string(&config).expect("writes"));
        assert!(!shown.contains("sixteen"), "{shown}");
        assert!(read("sekret = 'x'").is_err());
        let error = read("secret = 31337").expect_err("is no text");
        assert!(error.contains("a text in quotes"), "{error}");
    }

    #[test]
    fn the_defaults_written_out_are_the_defaults() {
        let written = toml::to_string(&Config::default()).expect("writes");
        assert_eq!(read(&written), Ok(Config::default()));
        assert_eq!(read(""), Ok(Config::default()));
    }

    #[test]
    fn every_key_is_in_the_reference() {
        let written = toml::to_string(&Config::default()).expect("writes");
        let table: toml::Table = written.parse().expect("a table");
        let names = table
            .iter()
            .flat_map(|(name, value)| match value.as_table() {
                Some(inner) => inner.keys().map(|key| format!("{name}.{key}")).collect(),
                None => vec![name.clone()],
            });
        let mut known: Vec<_> = Config::KEYS.iter().map(|key| key.name.to_owned()).collect();
        known.sort();
        assert_eq!(names.collect::<Vec<_>>(), known);
    }

    #[test]
    fn a_node_that_nobody_could_believe_is_told_so() {
        assert_eq!(keys(""), ["relay.secret"]);
        assert_eq!(keys("secret = 'short'"), ["relay.secret"]);
        assert_eq!(keys("secret = 'sixteen bytes !!'"), Vec::<&str>::new());
        assert_eq!(keys("[tls]\nca = 'a'"), ["relay.tls.cert", "relay.tls.key"]);
        assert_eq!(
            keys("[tls]\nname = 'a'"),
            ["relay.tls.ca", "relay.tls.cert", "relay.tls.key"]
        );
        assert_eq!(
            keys("[tls]\nca = 'a'\ncert = 'b'\nkey = 'c'"),
            Vec::<&str>::new()
        );
        assert!(Config::default().auth().expect("nothing to read").is_none());
        assert!(
            read("secret = 'sixteen bytes !!'")
                .expect("reads")
                .auth()
                .is_ok_and(|auth| auth.is_some())
        );
    }

    #[test]
    fn what_nobody_could_call_is_named() {
        let keys = |text: &str| keys(&format!("secret = 'sixteen bytes !!'\n{text}"));
        assert_eq!(keys("listen = ''"), ["relay.listen"]);
        for wrong in [
            "host",
            ":7935",
            "host:0",
            "host:x",
            "http://host:1",
            "::1:1",
        ] {
            assert_eq!(
                keys(&format!("advertise = '{wrong}'")),
                ["relay.advertise"],
                "{wrong}"
            );
        }
        for fine in ["host:7935", "10.0.0.1:1", "[::1]:7935"] {
            assert_eq!(
                keys(&format!("advertise = '{fine}'")),
                Vec::<&str>::new(),
                "{fine}"
            );
        }
    }
}
