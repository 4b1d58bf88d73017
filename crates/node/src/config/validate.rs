//! What no single value can tell: ranges, and values that do not go together.

use super::{Config, Listen, OnConflict};

/// Something that must be changed before the node can start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {what}")]
pub struct Problem {
    /// The key to change.
    pub key: &'static str,
    /// Which entry, of a key that is a table.
    pub entry: Option<String>,
    /// What is wrong, and what to write instead.
    pub what: String,
}

/// Names that no app can have: the web serves, or will serve, paths that begin with them.
pub const RESERVED_APPS: [&str; 13] = [
    "api", "assets", "debug", "health", "hls", "login", "logout", "metrics", "ready", "static",
    "stats", "vod", "watch",
];

impl Config {
    /// All that is wrong with it.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut found = |key, what: String| {
            problems.push(Problem {
                key,
                entry: None,
                what,
            })
        };

        if let Some(id) = &self.node.id
            && !is_identifier(id)
        {
            found(
                "node.id",
                format!("{id:?} is no name: use 1 to 63 letters, digits, '-', '_' and '.'"),
            );
        }
        if self.rtmp.listen.is_none() && self.rtmps.listen.is_none() {
            found(
                "rtmp.listen",
                "nothing listens: set rtmp.listen or rtmps.listen".to_owned(),
            );
        }
        if !(128..=0xFF_FFFF).contains(&self.rtmp.chunk_size) {
            found(
                "rtmp.chunk_size",
                format!("{} is out of range, 128 to 16777215", self.rtmp.chunk_size),
            );
        }
        if self.rtmp.window_ack_size < 4096 {
            found(
                "rtmp.window_ack_size",
                "too small, at least 4KiB".to_owned(),
            );
        }
        for app in &self.rtmp.apps {
            if RESERVED_APPS.contains(&app.as_str()) {
                found("rtmp.apps", reserved(app));
            } else if !is_segment(app) {
                found(
                    "rtmp.apps",
                    format!("{app:?} is no application: use letters, digits and . _ ~ -"),
                );
            }
        }
        if let Some(url) = &self.rtmp.public_url
            && !is_rtmp_url(url)
        {
            let what = format!(
                "{url:?} is not how RTMP is reached: write rtmp://host:1935, without an app"
            );
            found("rtmp.public_url", what);
        }
        match (&self.tls.cert, &self.tls.key) {
            (Some(_), None) => found("tls.key", "tls.cert is set, so this must be too".to_owned()),
            (None, Some(_)) => found("tls.cert", "tls.key is set, so this must be too".to_owned()),
            (None, None) if self.rtmps.listen.is_some() => {
                found("rtmps.listen", "needs tls.cert and tls.key".to_owned());
            }
            _ => {}
        }
        let looks_at_silence = matches!(
            self.publish.on_conflict,
            OnConflict::SameIdentityOrStale | OnConflict::Backup
        );
        if looks_at_silence && self.publish.silence.is_zero() {
            let what = "0 would make every publisher count as silent; use publish.on_conflict = \"always\" for that";
            found("publish.silence", what.to_owned());
        }
        if self.ring.max_bytes < 1 << 20 {
            found("ring.max_bytes", "too small, at least 1MiB".to_owned());
        }
        if self.ring.max_gop_bytes < 1 << 20 {
            found("ring.max_gop_bytes", "too small, at least 1MiB".to_owned());
        }
        if self.ring.max_duration.as_secs() < 1 {
            found("ring.max_duration", "too short, at least 1s".to_owned());
        }
        if let super::Coalesce::Fixed(gather) = self.egress.coalesce
            && gather.as_secs() >= 5
        {
            found("egress.coalesce", "too long, less than 5s".to_owned());
        }
        if self.egress.max_lag.is_zero() {
            found(
                "egress.max_lag",
                "0 would drop all video; use a duration such as 2s".to_owned(),
            );
        }
        if self.egress.drop_after < self.egress.max_lag {
            found(
                "egress.drop_after",
                "shorter than egress.max_lag, so video would never be left out".to_owned(),
            );
        }
        if self.egress.kernel_buffer < 4096 {
            found(
                "egress.kernel_buffer",
                "too small, at least 4KiB".to_owned(),
            );
        }
        let limits = &self.limits;
        for (key, value) in [
            ("limits.handshake_timeout", limits.handshake_timeout),
            ("limits.connect_timeout", limits.connect_timeout),
            ("limits.idle_timeout", limits.idle_timeout),
            ("limits.ping_interval", limits.ping_interval),
            ("limits.ping_timeout", limits.ping_timeout),
        ] {
            if value.is_zero() {
                found(
                    key,
                    "0 would cut every peer; use a duration such as 60s".to_owned(),
                );
            }
        }
        if limits.message_size < 64 << 10 {
            found(
                "limits.message_size",
                "too small for a video frame, at least 64KiB".to_owned(),
            );
        }
        if limits.headroom <= 0.0 {
            let what = "0 would refuse every player; use a share such as 0.95";
            found("limits.headroom", what.to_owned());
        }
        if let Some((key, what)) = self.hls.problem() {
            found(key, what);
        }
        problems.extend(self.cluster_problems());
        for (pattern, _, _) in self.auth.rules() {
            if let Err(what) = check_pattern(pattern) {
                let entry = Some(pattern.to_owned());
                problems.push(Problem {
                    key: "auth.static",
                    entry,
                    what,
                });
            }
        }
        problems
    }
}

fn is_identifier(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=63).contains(&text.len()) && text.chars().all(allowed)
}

fn is_segment(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._~-".contains(c);
    (1..=255).contains(&text.len()) && text.chars().all(allowed) && text != "." && text != ".."
}

/// `rtmp://host`, `rtmps://host:1935`.
fn is_rtmp_url(text: &str) -> bool {
    let address = text
        .strip_prefix("rtmp://")
        .or_else(|| text.strip_prefix("rtmps://"));
    // A port is what all addresses to listen at have; here there may be none.
    let is_address = |text: &str| {
        text.parse::<Listen>()
            .is_ok_and(|address| address.host().is_some() && address.port() > 0)
    };
    address.is_some_and(|address| is_address(address) || is_address(&format!("{address}:1935")))
}

/// A pattern is a stream key in which `*` may stand for anything.
fn check_pattern(pattern: &str) -> Result<(), String> {
    let is_key = pattern == "*"
        || pattern.contains('/')
            && pattern
                .split('/')
                .all(|part| is_segment(&part.replace('*', "x")));
    match is_key {
        true => Ok(()),
        false => Err(format!(
            "{pattern:?} is no pattern: write app/name, such as \"live/cam\" or \"live/*\""
        )),
    }?;
    match pattern.split('/').next() {
        Some(app) if RESERVED_APPS.contains(&app) => Err(reserved(app)),
        _ => Ok(()),
    }
}

fn reserved(app: &str) -> String {
    format!("the app {app:?} is reserved, nobody can publish to it; use another, such as live")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Coalesce, Secret, StaticToken};
    use super::*;

    fn keys(change: impl FnOnce(&mut Config)) -> Vec<&'static str> {
        let mut config = Config::default();
        change(&mut config);
        config
            .problems()
            .into_iter()
            .map(|problem| problem.key)
            .collect()
    }

    #[test]
    fn the_defaults_are_fine() {
        assert_eq!(keys(|_| ()), Vec::<&str>::new());
    }

    #[test]
    fn rtmps_needs_both_files() {
        assert_eq!(
            keys(|c| c.rtmps.listen = ":1936".parse().ok()),
            ["rtmps.listen"]
        );
        assert_eq!(keys(|c| c.tls.cert = Some("c.pem".into())), ["tls.key"]);
        assert_eq!(keys(|c| c.tls.key = Some("k.pem".into())), ["tls.cert"]);
    }

    #[test]
    fn values_that_cannot_work_are_named() {
        assert_eq!(keys(|c| c.node.id = Some("a b".to_owned())), ["node.id"]);
        assert_eq!(keys(|c| c.rtmp.listen = None), ["rtmp.listen"]);
        assert_eq!(keys(|c| c.rtmp.chunk_size = 16 << 20), ["rtmp.chunk_size"]);
        assert_eq!(
            keys(|c| c.rtmp.apps = vec!["live".to_owned(), "api".to_owned()]),
            ["rtmp.apps"]
        );
        for app in RESERVED_APPS {
            assert_eq!(
                keys(|c| c.rtmp.apps = vec![app.to_owned()]),
                ["rtmp.apps"],
                "{app}"
            );
        }
        assert_eq!(
            keys(|c| c.rtmp.apps = vec!["a/b".to_owned()]),
            ["rtmp.apps"]
        );
        assert_eq!(
            keys(|c| c.egress.drop_after = Duration::from_secs(1)),
            ["egress.drop_after"]
        );
        assert_eq!(
            keys(|c| c.egress.coalesce = Coalesce::Fixed(Duration::from_secs(9))),
            ["egress.coalesce"]
        );
        assert_eq!(
            keys(|c| c.limits.ping_interval = Duration::ZERO),
            ["limits.ping_interval"]
        );
        assert_eq!(keys(|c| c.limits.headroom = 0.0), ["limits.headroom"]);
        assert_eq!(keys(|c| c.hls.segment = Duration::ZERO), ["hls.segment"]);
        assert_eq!(keys(|c| c.hls.part = Duration::from_secs(2)), ["hls.part"]);
        assert_eq!(keys(|c| c.hls.window = 2), ["hls.window"]);
        for on_conflict in [OnConflict::SameIdentityOrStale, OnConflict::Backup] {
            assert_eq!(
                keys(|c| {
                    c.publish.on_conflict = on_conflict;
                    c.publish.silence = Duration::ZERO;
                }),
                ["publish.silence"]
            );
        }
    }

    #[test]
    fn a_public_url_leads_to_rtmp_alone() {
        for (url, fine) in [
            ("rtmp://host", true),
            ("rtmp://host:1935", true),
            ("rtmps://10.0.0.1:443", true),
            ("rtmp://[2001:db8::1]:1935", true),
            ("rtmp://[2001:db8::1]", true),
            ("rtmp://", false),
            ("rtmp://:1935", false),
            ("rtmp://host:0", false),
            ("rtmp://host:x", false),
            ("rtmp://host/live", false),
            ("rtmp://user@host", false),
            ("http://host", false),
            ("host:1935", false),
        ] {
            let found = keys(|c| c.rtmp.public_url = Some(url.to_owned()));
            assert_eq!(found.is_empty(), fine, "{url}");
        }
    }

    #[test]
    fn patterns_are_keys_with_stars() {
        for (pattern, fine) in [
            ("live/cam", true),
            ("live/*", true),
            ("*/cam", true),
            ("*", true),
            ("live/a/*", true),
            ("cam", false),
            ("live/", false),
            ("live/a b", false),
            ("live/..", false),
            ("vod/*", false),
            ("vo*/cam", true),
            ("", false),
        ] {
            let token = StaticToken::Both(Secret::new("t".to_owned()));
            let found = keys(|c| drop(c.auth.r#static.0.insert(pattern.to_owned(), token)));
            assert_eq!(found.is_empty(), fine, "{pattern}");
        }
    }
}
