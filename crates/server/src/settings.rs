//! The configuration of all crates together.

use node::config::{Key, Problem, Section};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::log::LogConfig;

/// Everything that can be set.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Settings {
    pub(crate) node: node::Config,
    pub(crate) web: web::Config,
    pub(crate) own: OwnConfig,
}

/// What the binary itself can be told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OwnConfig {
    pub(crate) log: LogConfig,
}

impl Settings {
    /// The reference of all keys.
    pub(crate) fn keys() -> Vec<Key> {
        [node::Config::keys(), web::Config::keys(), LogConfig::keys()].concat()
    }

    /// Reads what is set; the rest is default.
    pub(crate) fn read(mut table: Table) -> Result<Self, toml::de::Error> {
        let mut take = |sections: &[&str]| -> Table {
            let taken = sections
                .iter()
                .filter_map(|section| table.remove_entry(*section));
            taken.collect()
        };
        let web = take(&["http", "https", "admin"]);
        let own = take(&["log"]);
        let node: node::Config = table.try_into()?;
        let mut web: web::Config = web.try_into()?;
        web.tls = node.tls.clone();
        let own = own.try_into()?;
        Ok(Self { node, web, own })
    }

    /// All values, secrets masked.
    pub(crate) fn table(&self) -> Table {
        let parts = [
            Table::try_from(&self.node),
            Table::try_from(&self.web),
            Table::try_from(&self.own),
        ];
        // Each value has a form in TOML, as the reference's test shows.
        parts.into_iter().flatten().flatten().collect()
    }

    /// What must be changed before a node can start with it.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = self.node.problems();
        problems.extend(self.web.problems());
        problems.extend(self.same_addresses());
        problems
    }

    /// What is wrong with the files that it names, which are read for it.
    pub(crate) fn file_problems(&self) -> Vec<Problem> {
        let node = &self.node;
        [node.certificate_problem(), node.relay_problem()]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Keys that want an address which another key has.
    fn same_addresses(&self) -> Vec<Problem> {
        let relay = self.node.relay_listen();
        let listens = [
            ("rtmp.listen", &self.node.rtmp.listen),
            ("rtmps.listen", &self.node.rtmps.listen),
            ("relay.listen", &relay),
            ("http.listen", &self.web.http.listen),
            ("https.listen", &self.web.https.listen),
            ("admin.listen", &self.web.admin.listen),
        ];
        let mut problems = Vec::new();
        for (index, (key, listen)) in listens.iter().enumerate() {
            let Some(listen) = listen else { continue };
            let earlier = listens
                .iter()
                .take(index)
                .find(|(_, other)| other.as_ref().is_some_and(|other| other.collides(listen)));
            if let Some((other, _)) = earlier {
                let what = format!("{listen} is the address of {other} too; choose another port");
                problems.push(Problem {
                    key,
                    entry: None,
                    what,
                });
            }
        }
        problems
    }
}

/// The value of a key, `relay.tls.ca`, in a table of all values.
pub(crate) fn value<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    let mut names = key.split('.');
    let first = table.get(names.next()?)?;
    names.try_fold(first, |value, name| value.get(name))
}

/// Whether keys are below this: `relay`, `relay.tls`.
pub(crate) fn is_section(name: &str, keys: &[Key]) -> bool {
    let below = |key: &Key| {
        key.name
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    keys.iter().any(below)
}
