//! The configuration of all crates together.

use node::config::{Key, Problem, Section};
use serde::{Deserialize, Serialize};
use toml::Table;

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
        let web = take(&["http", "admin"]);
        let own = take(&["log"]);
        Ok(Self {
            node: table.try_into()?,
            web: web.try_into()?,
            own: own.try_into()?,
        })
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
        self.node.problems()
    }
}
