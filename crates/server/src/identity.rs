//! The name of a node that was given none: made up once, and kept in its data folder.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// The name kept in `data_dir`, if there is one.
pub(crate) fn kept(data_dir: &Path) -> anyhow::Result<Option<String>> {
    let path = file(data_dir);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Keeps `id` in `data_dir`, where none is kept yet.
pub(crate) fn keep(data_dir: &Path, id: &str) -> anyhow::Result<()> {
    let path = file(data_dir);
    let write = || -> io::Result<()> {
        fs::create_dir_all(data_dir)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)?;
        writeln!(file, "{id}")
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("node-id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("a/b");
        assert_eq!(kept(&data).expect("reads"), None);
        keep(&data, "weir-1").expect("writes");
        assert_eq!(kept(&data).expect("reads").as_deref(), Some("weir-1"));
        assert!(keep(&data, "weir-2").is_err());
        assert_eq!(kept(&data).expect("reads").as_deref(), Some("weir-1"));
    }
}
