//! SIGHUP: what has changed, and what it takes to apply it.

use toml::Table;
use tracing::{error, info, warn};

use crate::layers::{self, Loaded, Sources};
use crate::settings::Settings;

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
    let value = |table: &Table, section: &str, name: &str| table.get(section)?.get(name).cloned();
    let differs = |key: &str| {
        // Masked, two tokens look the same.
        let tokens = key == "auth.static" && old.node.auth != new.node.auth;
        let parts = key.split_once('.');
        tokens
            || parts.is_some_and(|(section, name)| {
                value(&was, section, name) != value(&is, section, name)
            })
    };
    Settings::keys()
        .into_iter()
        .map(|key| key.name)
        .filter(|key| differs(key))
        .collect()
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
}
