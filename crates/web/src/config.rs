//! Where HTTP is served.

use std::time::Duration;

use node::config::forms::{address, count, duration, names};
use node::config::{Key, Listen, Problem, Section};
use serde::{Deserialize, Serialize};

use crate::cors;

/// Everything that can be set about HTTP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What the world sees.
    pub http: HttpConfig,
    /// What only operators see.
    pub admin: AdminConfig,
}

node::section! {
    /// HTTP.
    HttpConfig: "http" {
        /// Where HTTP is served: players (`/app/name.flv`), `/health`, `/ready`, `/metrics`, `/api`.
        listen: Option<Listen> = Some(Listen::any(8080)), "address";
        /// Connections at a time, here and at `admin.listen` each; further ones wait. 0 is no limit. Those
        /// of FLV players count in `limits.connections` instead.
        connections: usize = 1024, "count";
        /// A request's head must be there within this, the next one on the same connection too.
        header_timeout: Duration = Duration::from_secs(30), "duration";
        /// Web pages of these origins (`https://example.org`) may play; `*` is any.
        allow_origins: Vec<String> = vec!["*".to_owned()], "names";
    }
}

node::section! {
    /// HTTP for operators.
    AdminConfig: "admin" {
        /// When set, `/metrics` and `/api` are served here, and no longer at `http.listen`.
        listen: Option<Listen> = None, "address";
    }
}

impl Config {
    /// The reference of all keys.
    #[must_use]
    pub fn keys() -> Vec<Key> {
        [HttpConfig::keys(), AdminConfig::keys()].concat()
    }

    /// What must be changed before it can be served.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let origins = self.http.allow_origins.iter();
        let wrong = origins.filter(|origin| !cors::is_origin(origin));
        let problem = |origin: &String| Problem {
            key: "http.allow_origins",
            entry: None,
            what: format!("{origin:?} is no origin: write it as https://example.org:8443, or *"),
        };
        wrong.map(problem).collect()
    }
}
