//! The effective configuration, as TOML that could be read again, except for secrets.

use std::net::IpAddr;

use node::config::Listen;
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
    [unused(settings), open(settings), api(settings)].concat()
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

/// Who may use the API.
fn api(settings: &Settings) -> Vec<String> {
    if settings.node.auth.admin_key.is_some() {
        return Vec::new();
    }
    let web = &settings.web;
    let listens = match &web.admin.listen {
        Some(listen) => vec![("admin.listen", Some(listen))],
        None => vec![
            ("http.listen", web.http.listen.as_ref()),
            ("https.listen", web.https.listen.as_ref()),
        ],
    };
    let open = listens
        .into_iter()
        .filter_map(|(key, listen)| Some((key, listen?)))
        .filter(|(_, listen)| !is_loopback(listen));
    open.map(|(key, listen)| {
        format!(
            "anybody who reaches {listen} ({key}) may see stream keys and addresses in the API, \
             and may act through a proxy on this machine: auth.admin_key is not set"
        )
    })
    .collect()
}

/// Whether nobody else reaches it, as far as its text tells.
fn is_loopback(listen: &Listen) -> bool {
    let Some(host) = listen.host() else {
        return false;
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn api_notes(text: &str) -> Vec<String> {
        let table = text.parse().expect("TOML");
        api(&Settings::read(table).expect("settings"))
    }

    #[test]
    fn an_api_that_others_reach_without_a_key_is_told_of() {
        let [note] = &api_notes("")[..] else {
            panic!("one note")
        };
        assert!(note.contains("reaches :8080 (http.listen)"), "{note}");
        assert!(note.ends_with("auth.admin_key is not set"), "{note}");
        for open in ["0.0.0.0:80", "[::]:80", "10.0.0.1:80", "node-1:80"] {
            let notes = api_notes(&format!("[http]\nlisten = '{open}'"));
            assert_eq!(notes.len(), 1, "{open}");
        }
        let both = "[tls]\ncert = 'c'\nkey = 'k'\n[https]\nlisten = ':443'";
        let [_, note] = &api_notes(both)[..] else {
            panic!("two notes")
        };
        assert!(note.contains("reaches :443 (https.listen)"), "{note}");
        let moved = api_notes("[admin]\nlisten = ':9090'\n[http]\nlisten = '127.0.0.1:80'");
        assert!(
            moved[0].contains("reaches :9090 (admin.listen)"),
            "{moved:?}"
        );
    }

    #[test]
    fn an_api_with_a_key_or_for_this_machine_is_not() {
        for closed in [
            "[auth]\nadmin_key = 'sesame'",
            "[http]\nlisten = '127.0.0.1:80'",
            "[http]\nlisten = '127.1.2.3:80'",
            "[http]\nlisten = '[::1]:80'",
            "[http]\nlisten = 'localhost:80'",
            "[http]\nlisten = ''",
            "[admin]\nlisten = '127.0.0.1:80'",
        ] {
            assert_eq!(api_notes(closed), [""; 0], "{closed}");
        }
    }
}
