//! What to say of a file that is not TOML.

use std::ops::Range;

use node::config::Key;

use super::{Fault, Origin};

/// What is wrong at `span`, and in which key, where that can be told.
///
/// Nothing of the file is shown but the name of a key that there is: the rest may be a secret.
pub(super) fn fault(
    text: &str,
    keys: &[Key],
    span: &Range<usize>,
    origin: Origin,
    message: &str,
) -> Fault {
    let hint = match message.contains("duplicate key") {
        true => String::new(),
        false => "this must be TOML, in which texts are in quotes, such as listen = \":1935\": "
            .to_owned(),
    };
    let key = key_at(text, keys, span.start).unwrap_or_default();
    Fault::new(Some(origin), key, format!("{hint}{message}"))
}

/// The key that is set in the line at `at`.
fn key_at(text: &str, keys: &[Key], at: usize) -> Option<String> {
    let start = text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
    let line = text.get(start..)?.lines().next()?;
    let name = line.split(['=', ':']).next()?.trim();
    let section = text.get(..start)?.lines().rev().find_map(|line| {
        let section = line.trim().strip_prefix('[')?.split(']').next()?;
        Some(section.trim())
    });
    let path = match section {
        Some(section) => format!("{section}.{name}"),
        None => name.to_owned(),
    };
    let known = keys.iter().find(|key| {
        let below = section.is_some_and(|section| section == key.name);
        key.name == path || below
    });
    known.map(|key| key.name.clone())
}
