//! Where HTTP is served.

use std::time::Duration;

use node::config::forms::{address, count, duration, names, size};
use node::config::{Key, Listen, Problem, Section, TlsConfig};
use serde::{Deserialize, Serialize};

use crate::cors;

/// Everything that can be set about HTTP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What the world sees.
    pub http: HttpConfig,
    /// The same through TLS.
    pub https: HttpsConfig,
    /// What only operators see.
    pub admin: AdminConfig,
    /// The certificate for it, which has a section of its own among those of the node.
    #[serde(skip)]
    pub tls: TlsConfig,
}

node::section! {
    /// HTTP.
    HttpConfig: "http" {
        /// Where HTTP is served: players (HLS, `/app/name.flv`), `/health`, `/ready`, `/metrics`, `/api`.
        listen: Option<Listen> = Some(Listen::any(8080)), "address";
        /// Connections at a time, here and at `https.listen` together, and as many at `admin.listen`. For one
        /// more, the one leaves on which nothing was under way for longest; where an address has more than 8,
        /// the one of the address that has most. Where all are in use, further ones are told so, and get answers to `/health` and `/ready` alone. Those of
        /// FLV players count in `limits.connections` instead. Three quarters of the descriptors that the system
        /// allows is the most there can be; 0 is that.
        connections: usize = 50_000, "count";
        /// Of these, so many from one address. For one more, one of its own leaves, and where all are in
        /// use it is refused. Viewers behind one balancer or one NAT have one address, so there is no limit
        /// unless set.
        connections_per_address: usize = 0, "count";
        /// Requests of HLS players that wait for what is to come, at a time; further ones are refused. 0 is no limit. One
        /// address may have four times as many as are left for others: where all have the same, as behind a balancer that
        /// hides theirs, four fifths. Of IPv6 the first 64 bits count as one address, here and in the keys above.
        waiting: usize = 50_000, "count";
        /// A request's head must be whole within this from its first byte on. The first byte of the first one must come
        /// within this, too.
        header_timeout: Duration = Duration::from_secs(30), "duration";
        /// A connection is closed when nothing was under way on it for so long. Let balancers give up theirs sooner.
        idle_timeout: Duration = Duration::from_secs(75), "duration";
        /// Who takes nothing of an answer for so long does not get the rest: by HTTP/1.1 the connection is closed, by
        /// HTTP/2 that one stream is reset.
        write_timeout: Duration = Duration::from_secs(30), "duration";
        /// Nor does who takes less than this in a second for longer than that: what has been asked for is held until
        /// it has been taken. 0 asks for nothing but some byte within `http.write_timeout`.
        least_rate: usize = 64 << 10, "size";
        /// Web pages of these origins (`https://example.org`) may play; `*` is any.
        allow_origins: Vec<String> = vec!["*".to_owned()], "names";
    }
}

node::section! {
    /// HTTP through TLS.
    HttpsConfig: "https" {
        /// Where the same is served through TLS, by HTTP/2 and HTTP/1.1; needs `tls.cert` and `tls.key`.
        listen: Option<Listen> = None, "address";
        /// The TLS handshake must end within this.
        handshake_timeout: Duration = Duration::from_secs(10), "duration";
        /// Handshakes under way at a time; further ones wait for a turn. For who comes from an address that has fewer under
        /// way than another, the oldest of that other is broken off, and for anybody one that takes longer than half of
        /// `https.handshake_timeout`.
        handshakes: usize = 1000, "count";
        /// Requests at a time on one connection of HTTP/2.
        streams: usize = 128, "count";
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
        [HttpConfig::keys(), HttpsConfig::keys(), AdminConfig::keys()].concat()
    }

    /// What must be changed before it can be served.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let problem = |key, what: String| Problem {
            key,
            entry: None,
            what,
        };
        let origins = self.http.allow_origins.iter();
        let wrong = origins.filter(|origin| !cors::is_origin(origin));
        let mut problems: Vec<_> = wrong
            .map(|origin| {
                let what =
                    format!("{origin:?} is no origin: write it as https://example.org:8443, or *");
                problem("http.allow_origins", what)
            })
            .collect();
        for (key, value) in [
            ("http.header_timeout", self.http.header_timeout),
            ("http.idle_timeout", self.http.idle_timeout),
            ("http.write_timeout", self.http.write_timeout),
            ("https.handshake_timeout", self.https.handshake_timeout),
        ] {
            if value.is_zero() {
                let what = "0 would cut every peer; use a duration such as 30s";
                problems.push(problem(key, what.to_owned()));
            }
        }
        if self.https.listen.is_some() && self.tls.cert.is_none() && self.tls.key.is_none() {
            problems.push(problem(
                "https.listen",
                "needs tls.cert and tls.key".to_owned(),
            ));
        }
        problems
    }
}
