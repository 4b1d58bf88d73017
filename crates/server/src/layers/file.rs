//! A file in TOML.

use std::fs;
use std::ops::Range;
use std::path::Path;

use node::config::Key;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::{Fault, Origin, Place, Setting, is_table, unknown, wrong_toml};
use crate::settings::is_section;

/// Reads one.
pub(super) fn read(path: &Path, keys: &[Key]) -> Vec<Result<Setting, Fault>> {
    match fs::read_to_string(path) {
        Ok(text) => File {
            path,
            text: &text,
            keys,
        }
        .settings(),
        Err(error) => {
            vec![Err(Fault::new(
                None,
                "",
                format!("{}: cannot be read: {error}", path.display()),
            ))]
        }
    }
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
    keys: &'a [Key],
}

impl File<'_> {
    fn settings(&self) -> Vec<Result<Setting, Fault>> {
        let (spans, errors) = DeTable::parse_recoverable(self.text);
        // The message alone: the text around it may hold a secret.
        let faults = errors.into_iter().map(|error| {
            let span = error.span().unwrap_or_default();
            Err(wrong_toml::fault(
                self.text,
                self.keys,
                &span,
                self.origin(&span),
                error.message(),
            ))
        });
        let faults: Vec<_> = faults.collect();
        if !faults.is_empty() {
            return faults;
        }
        let values = match toml::from_str::<Table>(self.text) {
            Ok(values) => values,
            Err(error) => {
                let origin = self.origin(&error.span().unwrap_or_default());
                return vec![Err(Fault::new(
                    Some(origin),
                    "",
                    error.message().to_owned(),
                ))];
            }
        };
        let mut settings = Vec::new();
        for (section, span, inner) in entries(&values, spans.get_ref()) {
            match (inner, &values[section]) {
                (Some(inner), Value::Table(values)) => {
                    self.section(section, values, inner, &mut settings);
                }
                _ => settings.push(Err(self.unknown(section, &span))),
            }
        }
        settings
    }

    /// The keys below `section`, and those of the sections in it.
    fn section(
        &self,
        section: &str,
        values: &Table,
        spans: &DeTable<'_>,
        settings: &mut Vec<Result<Setting, Fault>>,
    ) {
        // Nothing is set, but its name may be misspelt.
        if values.is_empty() && !is_section(section, self.keys) {
            settings.push(Err(self.unknown(section, &(0..0))));
        }
        for (name, span, inner) in entries(values, spans) {
            let path = format!("{section}.{name}");
            let origin = self.origin(&span);
            let Some(key) = self.keys.iter().find(|key| key.name == path) else {
                match (&values[name], inner) {
                    (Value::Table(values), Some(inner)) if is_section(&path, self.keys) => {
                        self.section(&path, values, inner, settings);
                    }
                    _ => settings.push(Err(self.unknown(&path, &span))),
                }
                continue;
            };
            match (&values[name], inner) {
                (Value::Table(tokens), Some(inner)) if is_table(key) => {
                    for (entry, span, _) in entries(tokens, inner) {
                        settings.push(Ok(Setting {
                            place: Place::entry(key, entry),
                            value: tokens[entry].clone(),
                            origin: self.origin(&span),
                        }));
                    }
                }
                (value, _) => settings.push(Ok(Setting {
                    place: Place::key(key),
                    value: value.clone(),
                    origin,
                })),
            }
        }
    }

    /// What is at `path` and is no key.
    fn unknown(&self, path: &str, span: &Range<usize>) -> Fault {
        let what = match is_section(path, self.keys) {
            true => format!("is a section; write [{path}] and its keys below"),
            false => unknown(path, self.keys),
        };
        Fault::new(Some(self.origin(span)), path, what)
    }

    fn origin(&self, span: &Range<usize>) -> Origin {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        Origin::File {
            path: self.path.to_owned(),
            line,
        }
    }
}

/// The keys of a table in the order of the file, where each is, and the table that it holds.
fn entries<'a, 'i>(
    values: &'a Table,
    spans: &'a DeTable<'i>,
) -> Vec<(&'a str, Range<usize>, Option<&'a DeTable<'i>>)> {
    let mut entries: Vec<_> = values
        .keys()
        .filter_map(|name| {
            let (key, value) = spans.iter().find(|(key, _)| key.get_ref() == name)?;
            Some((name.as_str(), Spanned::span(key), table(value.get_ref())))
        })
        .collect();
    entries.sort_by_key(|(_, span, _)| span.start);
    entries
}

fn table<'a, 'i>(value: &'a DeValue<'i>) -> Option<&'a DeTable<'i>> {
    match value {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}
