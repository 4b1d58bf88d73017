//! The name of a node that was given none: made up once, and kept in its data folder.
//!
//! The file that keeps it is locked while the node runs, so that two nodes which were given the same
//! folder by mistake do not go by the same name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};

/// The file that keeps a name, locked as long as this lives.
#[derive(Debug)]
pub(crate) struct Identity {
    path: PathBuf,
    file: File,
}

impl Identity {
    /// Locks the file in `data_dir`, which is made if it is not there; `None` if another node has it.
    pub(crate) fn lock(data_dir: &Path) -> anyhow::Result<Option<Self>> {
        let path = data_dir.join("node-id");
        let open = || -> io::Result<Option<File>> {
            fs::create_dir_all(data_dir)?;
            let mut options = OpenOptions::new();
            options.read(true);
            let file = options.clone().write(true).create(true).open(&path);
            // What was made for the node by others may be read-only, and has its name.
            let file = file.or_else(|error| options.open(&path).map_err(|_| error))?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => Ok(Some(file)),
                Err(error) if error == rustix::io::Errno::WOULDBLOCK => Ok(None),
                Err(error) => Err(error.into()),
            }
        };
        let file = open().with_context(|| format!("cannot use {}", path.display()))?;
        Ok(file.map(|file| Self { path, file }))
    }

    /// The name that is kept, if there is one.
    pub(crate) fn kept(&mut self) -> anyhow::Result<Option<String>> {
        let mut text = String::new();
        self.file
            .read_to_string(&mut text)
            .with_context(|| format!("cannot read {}", self.path.display()))?;
        let name = text.trim();
        Ok((!name.is_empty()).then(|| name.to_owned()))
    }

    /// Keeps `id`, where none is kept yet.
    pub(crate) fn keep(&mut self, id: &str) -> anyhow::Result<()> {
        writeln!(self.file, "{id}").with_context(|| format!("cannot write {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("a/b");
        let lock = || Identity::lock(&data).expect("can be used");
        let mut first = lock().expect("nobody has it");
        assert_eq!(first.kept().expect("reads"), None);
        first.keep("weir-1").expect("writes");
        assert!(lock().is_none(), "two have one name");
        drop(first);
        let kept = lock().expect("it was let go").kept().expect("reads");
        assert_eq!(kept.as_deref(), Some("weir-1"));
    }
}
