//! `WEIR_RTMP__LISTEN=:1935`.

use node::config::Key;
use toml::Value;

use super::{Fault, Origin, Place, Setting, is_table, unknown, value};

/// Reads all variables that are about a key.
///
/// Those without a double underscore belong to others: tools, and the service links of Kubernetes.
pub(super) fn read(variables: &[(String, String)], keys: &[Key]) -> Vec<Result<Setting, Fault>> {
    let mut variables: Vec<_> = variables.iter().collect();
    variables.sort();
    let mut settings = Vec::new();
    for (name, text) in variables {
        let Some(rest) = name.strip_prefix("WEIR_") else {
            continue;
        };
        let origin = Origin::Environment(name.clone());
        if !rest.contains("__") {
            if let Some(key) = keys
                .iter()
                .find(|key| same_but_underscores(&key.name, rest))
            {
                let what = format!("not read; did you mean {}?", variable(&key.name));
                settings.push(Err(Fault::new(Some(origin), key.name.clone(), what)));
            }
            continue;
        }
        let path = rest.to_ascii_lowercase().replace("__", ".");
        let in_table = |key: &&Key| {
            is_table(key)
                && path
                    .strip_prefix(&key.name)
                    .is_some_and(|entry| entry.starts_with('.'))
        };
        if let Some(key) = keys.iter().find(in_table) {
            let what = format!(
                "entries are set together, as in {}='{{ \"live/cam\" = \"TOKEN\" }}'",
                variable(&key.name)
            );
            settings.push(Err(Fault::new(Some(origin), key.name.clone(), what)));
            continue;
        }
        let Some(key) = keys.iter().find(|key| key.name == path) else {
            settings.push(Err(Fault::new(
                Some(origin),
                path.clone(),
                unknown(&path, keys),
            )));
            continue;
        };
        match value::read(key, text) {
            Value::Table(entries) if is_table(key) => {
                for (entry, value) in entries {
                    let place = Place::entry(key, &entry);
                    settings.push(Ok(Setting {
                        place,
                        value,
                        origin: origin.clone(),
                    }));
                }
            }
            value => settings.push(Ok(Setting {
                place: Place::key(key),
                value,
                origin,
            })),
        }
    }
    settings
}

/// The variable of a key.
pub(crate) fn variable(key: &str) -> String {
    format!("WEIR_{}", key.to_ascii_uppercase().replace('.', "__"))
}

fn same_but_underscores(key: &str, rest: &str) -> bool {
    key.replace('.', "_").eq_ignore_ascii_case(rest)
}
