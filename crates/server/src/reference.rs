//! The reference of all keys, `docs/configuration.md`.

use toml::Value;

use crate::settings::{self, Settings};

const HEAD: &str = "\
# Configuration

Defaults < files (TOML, `--config`, later ones win) < environment < flags. Each key below can be set in

- a file: `[rtmp]`, then `listen = \":1935\"`; for `relay.tls.ca`: `[relay.tls]`, then `ca = \"ca.pem\"`;
- the environment: `WEIR_` and the path with `__`, as in `WEIR_RTMP__LISTEN=:1935`, `WEIR_RELAY__TLS__CA=ca.pem`;
- a flag: `--set rtmp.listen=:1935`, or `--rtmp.listen :1935`; `--role` is short for `node.role`.

Values of the environment and of flags are TOML values; bare texts need no quotes. An unknown key is an
error that suggests the nearest one. `weir check` prints the effective value of each key and where it came
from.

| kind | written as |
|---|---|
| address | `\":1935\"` every address of the machine, `\"127.0.0.1:1935\"`, `\"[::1]:1935\"`, `\"localhost:1935\"`; port 0 any free port; `\"\"` off |
| choice | one of the names given |
| coalesce | `\"adaptive\"` or a duration |
| count | a number; 0 is no limit unless it says otherwise |
| duration | `\"500ms\"`, `\"2s\"`, `\"1h30m\"`; a bare number is seconds |
| file, folder | a path; `\"\"` is none |
| filter | levels of log events, also by crate |
| flag | `true`, `false` |
| names | `[\"live\", \"event\"]` |
| secret | a text that is never printed; `\"\"` is none |
| share | `0.95`, `\"95%\"` |
| size | `\"64KiB\"`, `\"4MB\"`; a bare number is bytes |
| text | a text; `\"\"` is none |
| tokens | a table by stream key or pattern |

On SIGHUP the configuration is read again and changes are reported; none of the keys is applied without a
restart yet. The files behind `tls.cert` and `tls.key` are watched, and used when they change.
";

/// The page.
pub(crate) fn page() -> String {
    let defaults = Settings::default().table();
    let mut page = HEAD.to_owned();
    let mut open = String::new();
    for key in Settings::keys() {
        let Some((section, _)) = key.name.split_once('.') else {
            continue;
        };
        if section != open {
            page.push_str(&format!(
                "\n## `[{section}]`\n\n| key | kind | default | |\n|---|---|---|---|\n"
            ));
            section.clone_into(&mut open);
        }
        let default = settings::value(&defaults, &key.name)
            .map(Value::to_string)
            .unwrap_or_default();
        page.push_str(&format!(
            "| `{}` | {} | `{default}` | {} |\n",
            key.name, key.kind, key.about
        ));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_default_in_the_page_and_every_default_a_key() {
        let defaults = Settings::default().table();
        let keys = Settings::keys();
        let mut set = Vec::new();
        leaves("", &defaults, &mut set);
        let mut named: Vec<_> = keys.into_iter().map(|key| key.name).collect();
        named.sort();
        set.sort();
        assert_eq!(named, set);
    }

    /// The paths of all values, where an empty table is one too.
    fn leaves(path: &str, table: &toml::Table, found: &mut Vec<String>) {
        for (name, value) in table {
            let path = format!("{path}{name}");
            match value.as_table() {
                Some(inner) if !inner.is_empty() => leaves(&format!("{path}."), inner, found),
                _ => found.push(path),
            }
        }
    }

    #[test]
    fn every_kind_is_explained() {
        for key in Settings::keys() {
            let explained = HEAD.lines().any(|line| {
                let kinds = line
                    .strip_prefix("| ")
                    .and_then(|line| line.split(" |").next());
                kinds.is_some_and(|kinds| kinds.split(", ").any(|kind| kind == key.kind))
            });
            assert!(explained, "{}: {}", key.name, key.kind);
            assert!(!key.about.is_empty(), "{}", key.name);
        }
    }

    #[test]
    fn the_defaults_written_out_are_the_defaults() {
        let defaults = Settings::default();
        assert_eq!(Settings::read(defaults.table()).expect("reads"), defaults);
    }

    #[test]
    fn the_page_in_docs_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let current = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            current == page(),
            "docs/configuration.md is stale: cargo run -p weir-server -- reference > docs/configuration.md"
        );
    }
}
