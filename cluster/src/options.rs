//! How a node is started.

use std::path::PathBuf;

use crate::{Network, Node, Place};

/// How a node is started: settings as in `--set`, and where.
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) name: String,
    pub(crate) settings: Vec<String>,
    pub(crate) place: Option<Place>,
    pub(crate) data: Option<PathBuf>,
    pub(crate) admin_key: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        let settings = [
            "log.format=json",
            "log.level=info,weir_node=debug",
            // Many tests share these processors: nobody is to be refused for what the others do.
            "limits.headroom=1",
        ];
        Self {
            name: "node".to_owned(),
            settings: settings.map(str::to_owned).into(),
            place: None,
            data: None,
            admin_key: None,
        }
    }
}

impl Options {
    /// Those of a node of this name.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// With `key=value`, over what was set before.
    #[must_use]
    pub fn set(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// At a place of a network instead of at 127.0.0.1.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// With a folder for what it keeps, which others may know or have known.
    #[must_use]
    pub fn data(mut self, folder: PathBuf) -> Self {
        self.data = Some(folder);
        self
    }

    /// With a key for its API.
    #[must_use]
    pub fn admin_key(mut self, key: &str) -> Self {
        self.admin_key = Some(key.to_owned());
        self.set(&format!("auth.admin_key={key}"))
    }

    /// Starts a node and waits until it serves.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(&self) -> Node {
        Node::launch(self.clone()).await
    }

    pub(crate) fn place(&self) -> Place {
        let here = || Network::loopback().here();
        self.place.clone().unwrap_or_else(here)
    }
}
