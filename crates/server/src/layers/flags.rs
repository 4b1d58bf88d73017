//! `--role all`, `--set rtmp.listen=:1935`.

use node::config::Key;
use toml::Value;

use super::{Fault, Origin, Place, Setting, Sources, is_table, unknown, value};

/// Reads all flags.
pub(super) fn read(sources: &Sources, keys: &[Key]) -> Vec<Result<Setting, Fault>> {
    let mut settings = Vec::new();
    for pair in &sources.set {
        set(pair, keys, &mut settings);
    }
    if let (Some(role), Some(key)) = (
        &sources.role,
        keys.iter().find(|key| key.name == "node.role"),
    ) {
        let (place, value) = (Place::key(key), Value::String(role.clone()));
        settings.push(Ok(Setting {
            place,
            value,
            origin: Origin::Flag("--role"),
        }));
    }
    settings
}

fn set(pair: &str, keys: &[Key], settings: &mut Vec<Result<Setting, Fault>>) {
    let origin = Origin::Flag("--set");
    let Some((name, text)) = split(pair) else {
        let what =
            "expected KEY=VALUE, such as rtmp.listen=:1935, and KEY= for an empty value".to_owned();
        return settings.push(Err(Fault::new(Some(origin), pair.trim(), what)));
    };
    // An entry of a table: auth.static."live/cam"=token, quotes optional.
    let entry = keys.iter().filter(|key| is_table(key)).find_map(|key| {
        let entry = name.strip_prefix(key.name.as_str())?.strip_prefix('.')?;
        Some((key, entry.trim_matches(['"', '\''])))
    });
    if let Some((key, entry)) = entry {
        let (place, value) = (Place::entry(key, entry), value::read(key, text));
        return settings.push(Ok(Setting {
            place,
            value,
            origin,
        }));
    }
    let Some(key) = keys.iter().find(|key| key.name == name) else {
        return settings.push(Err(Fault::new(Some(origin), name, unknown(name, keys))));
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

/// Name and value around the first `=` that is not in quotes.
fn split(pair: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    let at = pair.char_indices().find_map(|(at, c)| {
        match (quote, c) {
            (None, '=') => return Some(at),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        None
    })?;
    let (name, text) = pair.split_at_checked(at)?;
    Some((name.trim(), text.strip_prefix('=')?))
}
