//! The sections of the crates that a cluster is made of, and what a cluster needs.

use directory::DirectoryKind;
use relay::AuthError;

use super::{Config, Key, Listen, Problem, Role};

/// The reference of the section `directory`.
pub(super) fn directory_keys() -> Vec<Key> {
    let keys = directory::Config::KEYS.iter();
    keys.map(|key| Key::new("directory", key.name, key.kind, &[key.about]))
        .collect()
}

/// The reference of the section `relay`.
pub(super) fn relay_keys() -> Vec<Key> {
    let keys = relay::Config::KEYS.iter();
    keys.map(|key| Key::new("relay", key.name, key.kind, &[key.about]))
        .collect()
}

impl Config {
    /// Whether it is a node of a cluster, and not alone.
    #[must_use]
    pub fn is_clustered(&self) -> bool {
        self.directory.kind == DirectoryKind::Etcd
    }

    /// Where other nodes call; `None` for a node alone, which listens for none.
    #[must_use]
    pub fn relay_listen(&self) -> Option<Listen> {
        let text = self.relay.listen.as_deref();
        // One that is no address is among the problems, and does not start.
        text.filter(|_| self.is_clustered())?.parse().ok()
    }

    /// What is wrong with what a cluster is made of.
    pub(super) fn cluster_problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut found = |key, what| {
            problems.push(Problem {
                key,
                entry: None,
                what,
            })
        };
        for problem in self.directory.problems() {
            found(problem.key, problem.what);
        }
        if let Some(listen) = &self.relay.listen
            && let Err(what) = listen.parse::<Listen>()
        {
            found("relay.listen", what);
        }
        if self.is_clustered() {
            for problem in self.relay.problems() {
                found(problem.key, problem.what);
            }
        } else if self.node.role == Role::Edge {
            let what = "an edge pulls from the origins of a cluster: set directory.kind = \"etcd\" and directory.endpoints, or use all";
            found("node.role", what.to_owned());
        }
        problems
    }

    /// What is wrong with the files behind `relay.tls`, which are read for it.
    #[must_use]
    pub fn relay_problem(&self) -> Option<Problem> {
        if !self.is_clustered() {
            return None;
        }
        let error = self.relay.auth().err()?;
        let tls = &self.relay.tls;
        let key = match &error {
            AuthError::ShortSecret(_) => "relay.secret",
            AuthError::File { path, .. } if tls.key.as_ref() == Some(path) => "relay.tls.key",
            AuthError::File { path, .. } if tls.ca.as_ref() == Some(path) => "relay.tls.ca",
            _ => "relay.tls.cert",
        };
        Some(Problem {
            key,
            entry: None,
            what: error.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node that could join a cluster, but for this.
    fn keys(change: impl FnOnce(&mut Config)) -> Vec<&'static str> {
        let mut config = Config::default();
        config.directory.kind = DirectoryKind::Etcd;
        config.directory.endpoints = vec!["http://127.0.0.1:2379".to_owned()];
        config.relay.secret = Some(relay::Secret::new("sixteen bytes !!".to_owned()));
        change(&mut config);
        let problems = config.problems();
        problems.into_iter().map(|problem| problem.key).collect()
    }

    const NOTHING: [&str; 0] = [];

    #[test]
    fn a_cluster_needs_endpoints_an_address_and_proof() {
        assert_eq!(keys(|_| ()), NOTHING);
        assert_eq!(keys(|c| c.node.role = Role::Edge), NOTHING);
        assert_eq!(
            keys(|c| c.directory.endpoints.clear()),
            ["directory.endpoints"]
        );
        assert_eq!(keys(|c| c.relay.listen = None), ["relay.listen"]);
        assert_eq!(keys(|c| c.relay.secret = None), ["relay.secret"]);
        assert_eq!(
            keys(|c| c.relay.listen = Some("7935".to_owned())),
            ["relay.listen"]
        );
        assert_eq!(
            keys(|c| c.relay.advertise = Some("host".to_owned())),
            ["relay.advertise"]
        );
    }

    #[test]
    fn a_node_alone_needs_no_relay_and_is_no_edge() {
        let alone = |change: &dyn Fn(&mut Config)| {
            keys(|c| {
                *c = Config::default();
                change(c);
            })
        };
        assert_eq!(alone(&|_| ()), NOTHING);
        assert_eq!(alone(&|c| c.relay.listen = None), NOTHING);
        assert_eq!(alone(&|c| c.node.role = Role::Edge), ["node.role"]);
        assert_eq!(
            alone(&|c| c.relay.listen = Some("7935".to_owned())),
            ["relay.listen"]
        );
    }

    #[test]
    fn the_relay_listens_only_in_a_cluster() {
        let mut config = Config::default();
        assert_eq!(config.relay_listen(), None);
        config.directory.kind = DirectoryKind::Etcd;
        assert_eq!(config.relay_listen(), Some(Listen::any(7935)));
        config.relay.listen = None;
        assert_eq!(config.relay_listen(), None);
    }

    #[test]
    fn files_that_cannot_be_used_are_named_by_their_key() {
        let mut config = Config::default();
        config.directory.kind = DirectoryKind::Etcd;
        config.relay.tls.ca = Some("/nowhere/ca.pem".into());
        config.relay.tls.cert = Some("/nowhere/cert.pem".into());
        config.relay.tls.key = Some("/nowhere/key.pem".into());
        let problem = config.relay_problem().expect("there are no such files");
        assert!(problem.key.starts_with("relay.tls."), "{problem}");
        assert!(problem.what.contains("/nowhere/"), "{problem}");
        config.directory.kind = DirectoryKind::Embedded;
        assert_eq!(config.relay_problem(), None);
    }
}
