//! Defaults < files < environment < flags, and where each value came from.

mod environment;
mod fault;
mod file;
mod flags;
mod value;
mod wrong_toml;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use node::config::Key;
use toml::{Table, Value};

use crate::settings::{Settings, is_section};
use crate::suggest;
pub(crate) use fault::{Fault, Faults};

/// Where a configuration comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    /// TOML files; later ones win.
    pub(crate) files: Vec<PathBuf>,
    /// Names and values.
    pub(crate) environment: Vec<(String, String)>,
    /// `key=value`.
    pub(crate) set: Vec<String>,
    /// `--role`.
    pub(crate) role: Option<String>,
}

/// A configuration that a node can start with.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    origins: BTreeMap<Place, Origin>,
}

/// A key, or an entry of one that is a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    key: String,
    entry: Option<String>,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    File { path: PathBuf, line: usize },
    Environment(String),
    Flag(&'static str),
}

/// A value that a layer sets.
#[derive(Debug, Clone, PartialEq)]
struct Setting {
    place: Place,
    value: Value,
    origin: Origin,
}

/// The sections that are named in the documentation and not built yet.
const COMING: [&str; 9] = [
    "forward", "hooks", "metrics", "otel", "record", "rule", "srt", "storage", "webrtc",
];

/// Reads all layers; every fault in them is reported, not just the first.
pub(crate) fn load(sources: &Sources) -> Result<Loaded, Faults> {
    let keys = Settings::keys();
    let mut faults = Vec::new();
    let mut layers = Vec::new();
    for path in &sources.files {
        layers.push(file::read(path, &keys));
    }
    layers.push(environment::read(&sources.environment, &keys));
    layers.push(flags::read(sources, &keys));

    let mut merged = BTreeMap::new();
    for setting in layers.into_iter().flatten() {
        match setting.and_then(checked) {
            Ok(setting) => drop(merged.insert(setting.place.clone(), setting)),
            Err(fault) => faults.push(fault),
        }
    }
    if !faults.is_empty() {
        return Err(Faults(faults));
    }

    let mut table = Table::new();
    let mut origins = BTreeMap::new();
    for Setting {
        place,
        value,
        origin,
    } in merged.into_values()
    {
        put(&mut table, &place, value);
        origins.insert(place, origin);
    }
    let settings = Settings::read(table)
        .map_err(|error| Faults(vec![Fault::new(None, "", error.message().to_owned())]))?;
    let loaded = Loaded { settings, origins };
    let mut problems = loaded.settings.problems();
    if problems.is_empty() {
        problems.extend(loaded.settings.file_problems());
    }
    if problems.is_empty() {
        return Ok(loaded);
    }
    let fault = |problem: node::config::Problem| {
        let origin = loaded
            .origin(problem.key, problem.entry.as_deref())
            .cloned();
        Fault::new(origin, problem.key, problem.what)
    };
    Err(Faults(problems.into_iter().map(fault).collect()))
}

/// A value that its key can have.
fn checked(setting: Setting) -> Result<Setting, Fault> {
    let mut alone = Table::new();
    put(&mut alone, &setting.place, setting.value.clone());
    match Settings::read(alone) {
        Ok(_) => Ok(setting),
        Err(error) => {
            let key = setting.place.to_string();
            Err(Fault::new(
                Some(setting.origin),
                key,
                error.message().trim().to_owned(),
            ))
        }
    }
}

fn put(table: &mut Table, place: &Place, value: Value) {
    let path = place.key.split('.').chain(place.entry.as_deref());
    let mut path: Vec<_> = path.collect();
    let Some(last) = path.pop() else { return };
    let mut table = table;
    for name in path {
        let inner = table
            .entry(name)
            .or_insert_with(|| Value::Table(Table::new()));
        // A setting of the whole table came first; this one adds to it.
        let Value::Table(inner) = inner else { return };
        table = inner;
    }
    table.insert(last.to_owned(), value);
}

/// Why there is no such key, and which one may be meant.
fn unknown(written: &str, keys: &[Key]) -> String {
    let section = written.split('.').next().unwrap_or_default();
    if COMING.contains(&section) {
        return format!("[{section}] is not built yet");
    }
    let names = keys.iter().map(|key| key.name.as_str());
    if is_section(written, keys) {
        let mut below = names.filter(|name| name.starts_with(written));
        let first = below.next().unwrap_or_default();
        return format!("is a section; set its keys, such as {first}");
    }
    // A section within one may be what is misspelt.
    let sections = names
        .clone()
        .filter_map(|name| name.rsplit_once('.'))
        .map(|(section, _)| section)
        .filter(|section| section.contains('.'));
    match suggest::nearest(written, names.chain(sections)) {
        Some(name) => format!("unknown key; did you mean {name}?"),
        None => "unknown key; docs/configuration.md lists those there are".to_owned(),
    }
}

/// Whether a key holds a table, whose entries are set one by one.
fn is_table(key: &Key) -> bool {
    key.kind == "tokens"
}

impl Loaded {
    /// Where a value came from; `None` is the default.
    pub(crate) fn origin(&self, key: &str, entry: Option<&str>) -> Option<&Origin> {
        let place = Place {
            key: key.to_owned(),
            entry: entry.map(str::to_owned),
        };
        self.origins.get(&place)
    }

    /// What contributed to it, for people.
    pub(crate) fn sources(&self) -> String {
        let mut names = vec!["defaults".to_owned()];
        let mut origins: Vec<_> = self.origins.values().collect();
        origins.sort_by_key(|origin| origin.layer());
        for origin in origins {
            let name = match origin {
                Origin::File { path, .. } => path.display().to_string(),
                Origin::Environment(_) => "environment".to_owned(),
                Origin::Flag(_) => "flags".to_owned(),
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.join(", ")
    }
}

impl Origin {
    fn layer(&self) -> usize {
        match self {
            Self::File { .. } => 0,
            Self::Environment(_) => 1,
            Self::Flag(_) => 2,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

impl Place {
    fn key(key: &Key) -> Self {
        Self {
            key: key.name.clone(),
            entry: None,
        }
    }

    fn entry(key: &Key, entry: &str) -> Self {
        Self {
            key: key.name.clone(),
            entry: Some(entry.to_owned()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.entry {
            Some(entry) => write!(f, "{}.{entry:?}", self.key),
            None => f.write_str(&self.key),
        }
    }
}

#[cfg(test)]
mod tests;
