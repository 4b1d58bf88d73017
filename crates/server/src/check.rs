//! The effective configuration, as TOML that could be read again, except for secrets.

use toml::Value;

use crate::layers::Loaded;
use crate::settings::{self, Settings};

/// Comments begin in this column, where values are shorter.
const COLUMN: usize = 40;

/// What `weir check` prints.
pub(crate) fn show(loaded: &Loaded) -> String {
    let table = loaded.settings.table();
    let mut text = format!("# sources: {}\n", loaded.sources());
    let mut open = "";
    let keys = Settings::keys();
    for key in &keys {
        let Some((section, name)) = key.name.rsplit_once('.') else {
            continue;
        };
        if section != open {
            line(&mut text, format!("\n[{section}]"), "");
            open = section;
        }
        let Some(value) = settings::value(&table, &key.name) else {
            continue;
        };
        match value {
            Value::Table(entries) if !entries.is_empty() => {
                for (entry, value) in entries {
                    let quoted = Value::String(entry.clone());
                    let origin = origin(loaded, &key.name, Some(entry));
                    line(&mut text, format!("{name}.{quoted} = {value}"), &origin);
                }
            }
            value => line(
                &mut text,
                format!("{name} = {value}"),
                &origin(loaded, &key.name, None),
            ),
        }
    }
    for note in notes(&loaded.settings) {
        text.push_str(&format!("\n# note: {note}"));
    }
    text.push('\n');
    text
}

/// What is allowed but may not be meant.
pub(crate) fn notes(settings: &Settings) -> Vec<String> {
    [unused(settings), open(settings)].concat()
}

/// What only counts in a cluster, of a node that is in none.
fn unused(settings: &Settings) -> Vec<String> {
    let node = &settings.node;
    if node.is_clustered() {
        return Vec::new();
    }
    let endpoints = !node.directory.endpoints.is_empty();
    let relay = node.relay != node::Config::default().relay;
    [("directory.endpoints", endpoints), ("relay", relay)]
        .into_iter()
        .filter(|(_, set)| *set)
        .map(|(name, _)| {
            format!(
                "{name} is set but not used: the node is alone as long as directory.kind is embedded"
            )
        })
        .collect()
}

/// What anybody may publish.
fn open(settings: &Settings) -> Vec<String> {
    let auth = &settings.node.auth;
    if auth.rules().next().is_none() {
        return vec!["anybody may publish and play: auth.static is empty".to_owned()];
    }
    let open = auth.rules().filter(|(_, publish, _)| publish.is_none());
    open.map(|(pattern, _, _)| {
        format!("anybody may publish {pattern}: its entry in auth.static has no publish token")
    })
    .collect()
}

fn origin(loaded: &Loaded, key: &str, entry: Option<&str>) -> String {
    loaded
        .origin(key, entry)
        .map_or_else(|| "default".to_owned(), ToString::to_string)
}

fn line(text: &mut String, setting: String, origin: &str) {
    match origin {
        "" => text.push_str(&setting),
        origin => text.push_str(&format!("{setting:COLUMN$} # {origin}")),
    }
    text.push('\n');
}
