//! Where the directory is, and how to be let in.

mod forms;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::forms::Secret;
use self::forms::{duration, list, optional, secret};

/// What can be set about the directory: the section `directory` of a node's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What keeps the directory.
    pub kind: DirectoryKind,
    /// The members of etcd: `http://host:2379`, `https://host:2379`, `host:2379`.
    #[serde(with = "list")]
    pub endpoints: Vec<String>,
    /// The name of the cluster; clusters of different names can share an etcd.
    pub cluster: String,
    /// What a node that dies has claimed is free after this.
    #[serde(with = "duration")]
    pub lease_ttl: Duration,
    /// The user of etcd, where it asks for one.
    #[serde(with = "optional")]
    pub user: Option<String>,
    /// The user's password.
    #[serde(with = "secret")]
    pub password: Option<Secret>,
    /// TLS to etcd.
    pub tls: TlsConfig,
}

/// TLS to etcd.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file with the certificate that signed etcd's. Without one there is no TLS.
    #[serde(with = "optional")]
    pub ca: Option<PathBuf>,
    /// PEM file with this node's own certificate, where etcd asks for one.
    #[serde(with = "optional")]
    pub cert: Option<PathBuf>,
    /// PEM file with its private key.
    #[serde(with = "optional")]
    pub key: Option<PathBuf>,
}

/// What keeps the directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DirectoryKind {
    /// The node itself, alone.
    #[default]
    Embedded,
    /// etcd, for any number of nodes.
    Etcd,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            kind: DirectoryKind::Embedded,
            endpoints: Vec::new(),
            cluster: "default".to_owned(),
            lease_ttl: Duration::from_secs(5),
            user: None,
            password: None,
            tls: TlsConfig::default(),
        }
    }
}

/// A key of the configuration, for its reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigKey {
    /// Its name, below `directory`.
    pub name: &'static str,
    /// How its values are written: `choice`, `names`, `text`, `secret`, `duration`, `file`.
    pub kind: &'static str,
    /// What it does.
    pub about: &'static str,
}

/// Something that must be changed before a node can start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The key to change: `directory.endpoints`.
    pub key: &'static str,
    /// What is wrong, and what to write instead.
    pub what: String,
}

impl Config {
    /// The reference of its keys.
    pub const KEYS: &[ConfigKey] = &[
        ConfigKey {
            name: "kind",
            kind: "choice",
            about: "What keeps the directory: `embedded` for a node alone, `etcd` for a cluster.",
        },
        ConfigKey {
            name: "endpoints",
            kind: "names",
            about: "The members of etcd: `http://host:2379`, or `https://` with `directory.tls.ca`.",
        },
        ConfigKey {
            name: "cluster",
            kind: "text",
            about: "The name of the cluster. Clusters of different names can share an etcd.",
        },
        ConfigKey {
            name: "lease_ttl",
            kind: "duration",
            about: "What a node that died has claimed is free after this; whole seconds.",
        },
        ConfigKey {
            name: "user",
            kind: "text",
            about: "The user of etcd, where it asks for one.",
        },
        ConfigKey {
            name: "password",
            kind: "secret",
            about: "The user's password.",
        },
        ConfigKey {
            name: "tls.ca",
            kind: "file",
            about: "PEM file with the certificate that signed etcd's. Read again for each connection.",
        },
        ConfigKey {
            name: "tls.cert",
            kind: "file",
            about: "PEM file with this node's own certificate, where etcd asks for one.",
        },
        ConfigKey {
            name: "tls.key",
            kind: "file",
            about: "PEM file with its private key.",
        },
    ];

    /// All that is wrong with it.
    #[must_use]
    pub fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        let mut found = |key, what: String| problems.push(ConfigProblem { key, what });

        if !is_segment(&self.cluster) {
            let what = "is no name: use 1 to 63 letters, digits, '-', '_' and '.'";
            found("directory.cluster", format!("{:?} {what}", self.cluster));
        }
        if !(2..=600).contains(&self.lease_ttl.as_secs()) || self.lease_ttl.subsec_nanos() > 0 {
            found(
                "directory.lease_ttl",
                "use whole seconds, 2s to 10m".to_owned(),
            );
        }
        if self.kind == DirectoryKind::Etcd && self.endpoints.is_empty() {
            let what = "directory.kind is etcd, so this must be set: [\"http://host:2379\"]";
            found("directory.endpoints", what.to_owned());
        }
        for endpoint in &self.endpoints {
            if let Err(what) = self.check(endpoint) {
                found("directory.endpoints", format!("{endpoint:?} {what}"));
            }
        }
        match (&self.user, &self.password) {
            (Some(_), None) => {
                found(
                    "directory.password",
                    "directory.user is set, so this must be too".to_owned(),
                );
            }
            (None, Some(_)) => {
                found(
                    "directory.user",
                    "directory.password is set, so this must be too".to_owned(),
                );
            }
            _ => {}
        }
        match (&self.tls.cert, &self.tls.key) {
            (Some(_), None) => {
                found(
                    "directory.tls.key",
                    "directory.tls.cert is set, so this must be too".to_owned(),
                );
            }
            (None, Some(_)) => {
                found(
                    "directory.tls.cert",
                    "directory.tls.key is set, so this must be too".to_owned(),
                );
            }
            (Some(_), Some(_)) if self.tls.ca.is_none() => {
                found(
                    "directory.tls.ca",
                    "directory.tls.cert is set, so this must be too".to_owned(),
                );
            }
            _ => {}
        }
        problems
    }

    fn check(&self, endpoint: &str) -> Result<(), &'static str> {
        let (secure, rest) = match endpoint.split_once("://") {
            Some(("http", rest)) => (Some(false), rest),
            Some(("https", rest)) => (Some(true), rest),
            Some(_) => return Err("is neither http nor https"),
            None => (None, endpoint),
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_[]:".contains(c);
        let has_port = rest.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        if !has_port || !rest.chars().all(allowed) {
            return Err("is no address: write http://host:2379");
        }
        match (secure, &self.tls.ca) {
            (Some(true), None) => Err("needs directory.tls.ca"),
            (Some(false), Some(_)) => Err("is not https, but directory.tls.ca is set"),
            _ => Ok(()),
        }
    }
}

fn is_segment(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=63).contains(&text.len()) && text.chars().all(allowed) && !matches!(text, "." | "..")
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
        kind = "etcd"
        endpoints = ["https://a:2379", "b:2379"]
        cluster = "stage-1"
        lease_ttl = "10s"
        user = "weir"
        password = "secret"
        [tls]
        ca = "ca.pem"
        cert = "cert.pem"
        key = "key.pem"
    "#;

    #[test]
    fn all_keys_are_read_and_the_secret_is_not_shown() {
        let config = read(FULL).expect("reads");
        assert_eq!(config.kind, DirectoryKind::Etcd);
        assert_eq!(config.endpoints, ["https://a:2379", "b:2379"]);
        assert_eq!(
            (config.cluster.as_str(), config.lease_ttl),
            ("stage-1", Duration::from_secs(10))
        );
        assert_eq!(config.password.as_ref().map(Secret::expose), Some("secret"));
        assert_eq!(config.tls.cert, Some("cert.pem".into()));
        assert_eq!(config.problems(), []);
        let shown = format!("{config:?} {}", toml::to_string(&config).expect("writes"));
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn the_defaults_are_fine_and_written_out_they_are_the_defaults() {
        let default = Config::default();
        assert_eq!(default.problems(), []);
        let written = toml::to_string(&default).expect("writes");
        assert_eq!(read(&written), Ok(default));
        assert_eq!(read(""), Ok(Config::default()));
    }

    #[test]
    fn every_key_is_in_the_reference() {
        let table: toml::Table = toml::to_string(&Config::default())
            .expect("writes")
            .parse()
            .expect("a table");
        let mut names = Vec::new();
        for (name, value) in &table {
            match value.as_table() {
                Some(inner) => names.extend(inner.keys().map(|key| format!("{name}.{key}"))),
                None => names.push(name.clone()),
            }
        }
        names.sort();
        let mut known: Vec<_> = Config::KEYS.iter().map(|key| key.name.to_owned()).collect();
        known.sort();
        assert_eq!(names, known);
    }

    #[test]
    fn what_cannot_work_is_named() {
        assert_eq!(keys("kind = 'etcd'"), ["directory.endpoints"]);
        for wrong in [
            "ftp://a:1",
            "a",
            "http://a",
            ":2379",
            "http://a:0",
            "http://a:1/x",
            "https://a:1",
        ] {
            assert_eq!(
                keys(&format!("endpoints = ['{wrong}']")),
                ["directory.endpoints"],
                "{wrong}"
            );
        }
        assert_eq!(
            keys("endpoints = 'http://[::1]:2379, b:1'"),
            Vec::<&str>::new()
        );
        assert_eq!(
            keys("endpoints = ['http://a:1']\ntls = { ca = 'x' }"),
            ["directory.endpoints"]
        );
        for wrong in ["", "a/b", "a b", ".."] {
            assert_eq!(
                keys(&format!("cluster = '{wrong}'")),
                ["directory.cluster"],
                "{wrong}"
            );
        }
        for wrong in ["'1s'", "'2500ms'", "1", "'11m'"] {
            assert_eq!(
                keys(&format!("lease_ttl = {wrong}")),
                ["directory.lease_ttl"],
                "{wrong}"
            );
        }
        assert_eq!(keys("user = 'u'"), ["directory.password"]);
        assert_eq!(keys("password = 'p'"), ["directory.user"]);
        assert_eq!(
            keys("tls = { ca = 'a', cert = 'c' }"),
            ["directory.tls.key"]
        );
        assert_eq!(
            keys("tls = { ca = 'a', key = 'c' }"),
            ["directory.tls.cert"]
        );
        assert_eq!(
            keys("tls = { cert = 'c', key = 'c' }"),
            ["directory.tls.ca"]
        );
    }

    #[test]
    fn unknown_keys_and_choices_are_refused_and_secrets_not_repeated() {
        assert!(read("kin = 'etcd'").is_err());
        let error = read("kind = 'zookeeper'").expect_err("is unknown");
        assert!(error.contains("`embedded` or `etcd`"), "{error}");
        assert!(read("lease_ttl = 'soon'").is_err());
        let error = read("password = 123456").expect_err("is no text");
        assert!(error.contains("a text in quotes"), "{error}");
    }
}
