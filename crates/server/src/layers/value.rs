//! Values of the environment and of flags: TOML, or bare text.

use node::config::Key;
use toml::Value;

/// The kinds for which a text that looks like a number is still a text.
const TEXTS: [&str; 8] = [
    "text", "secret", "tokens", "file", "folder", "choice", "filter", "names",
];

/// What `text` means as a value of `key`.
pub(super) fn read(key: &Key, text: &str) -> Value {
    match text.trim().parse::<Value>() {
        Ok(value @ (Value::String(_) | Value::Table(_) | Value::Array(_))) => value,
        Ok(value) if !TEXTS.contains(&key.kind) => value,
        _ => Value::String(text.to_owned()),
    }
}
