//! SIGHUP: what has changed, and what it takes to apply it.

use tracing::{error, info, warn};

use crate::layers::{self, Loaded, Sources};
use crate::settings::{self, Settings};

/// Reads the configuration again. A broken one changes nothing.
pub(crate) fn reload(sources: &Sources, running: &Loaded) {
    let loaded = match layers::load(sources) {
        Ok(loaded) => loaded,
        Err(faults) => {
            let faults = faults.to_string();
            let faults = faults.trim_end();
            return error!(
                faults,
                "the new configuration is broken; the old one stays in force"
            );
        }
    };
    let changed = changed(&running.settings, &loaded.settings);
    if changed.is_empty() {
        info!(
            "configuration read again: no key changed; certificate files are followed by themselves"
        );
    } else {
        let keys = changed.join(", ");
        warn!(
            keys,
            "configuration read again: these keys take effect at the next start"
        );
    }
}

/// The keys that differ.
fn changed(old: &Settings, new: &Settings) -> Vec<String> {
    let (was, is) = (old.table(), new.table());
    let differs = |key: &str| {
        secret_differs(key, &old.node, &new.node)
            || settings::value(&was, key) != settings::value(&is, key)
    };
    Settings::keys()
        .into_iter()
        .map(|key| key.name)
        .filter(|key| differs(key))
        .collect()
}

/// Whether a key holds another secret: masked, two look the same.
fn secret_differs(key: &str, old: &node::Config, new: &node::Config) -> bool {
    match key {
        "auth.static" => old.auth.r#static != new.auth.r#static,
        "auth.admin_key" => old.auth.admin_key != new.auth.admin_key,
        "directory.password" => old.directory.password != new.directory.password,
        "relay.secret" => old.relay.secret != new.relay.secret,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        Settings::read(toml::from_str(text).expect("toml")).expect("settings")
    }

    #[test]
    fn names_the_keys_that_differ() {
        let old = settings("[auth.static]\n'live/*' = 'a'");
        let new = settings("log.level = 'warn'\nplay.wait = 1\n[auth.static]\n'live/*' = 'b'");
        assert_eq!(changed(&old, &old), Vec::<String>::new());
        assert_eq!(
            changed(&old, &new),
            ["play.wait", "auth.static", "log.level"]
        );
    }

    #[test]
    fn another_secret_is_a_change() {
        let secrets = Settings::keys()
            .into_iter()
            .filter(|key| key.kind == "secret");
        let mut count = 0;
        for key in secrets {
            let one = settings(&format!("{} = 'a'", key.name));
            let other = settings(&format!("{} = 'b'", key.name));
            assert_eq!(changed(&one, &one), Vec::<String>::new());
            assert_eq!(changed(&one, &other), [key.name]);
            count += 1;
        }
        assert_eq!(count, 3);
    }

    #[test]
    fn nested_keys_are_looked_at() {
        let old = settings("");
        let new = settings("relay.tls.ca = 'ca.pem'");
        assert_eq!(changed(&old, &new), ["relay.tls.ca"]);
    }
}
