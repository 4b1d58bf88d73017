//! Segments that are kept as files, for a server of files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::playlist::{self, Playlist};

/// The playlist that listed them.
pub(crate) const PLAYLIST: &str = "media.m3u8";

/// A folder with a playlist and the segments it lists.
pub(crate) struct Shelf {
    folder: PathBuf,
    playlist: Playlist,
}

impl Shelf {
    /// Fetches the playlist at `path`, and all whole segments that it lists.
    pub(crate) fn fill(
        folder: &Path,
        path: &str,
        fetch: &mut dyn FnMut(&str) -> Result<Vec<u8>>,
    ) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let text = fetch(path)?;
        let playlist = Playlist::parse(&String::from_utf8_lossy(&text))?;
        for segment in &playlist.segments {
            let body = fetch(&playlist::resolve(path, &segment.uri))?;
            std::fs::write(folder.join(name(&segment.uri)?), body)?;
        }
        std::fs::write(folder.join(PLAYLIST), text)?;
        // Workers of a server may have another user.
        open_to_all(folder)?;
        Self::open(folder)
    }

    /// What was filled before.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let file = folder.join(PLAYLIST);
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("there are no segments in {}", folder.display()))?;
        let shelf = Self {
            folder: folder.to_owned(),
            playlist: Playlist::parse(&text)?,
        };
        ensure!(
            shelf.playlist.segment_seconds().is_some(),
            "{} lists no segment",
            file.display()
        );
        for name in shelf.names() {
            ensure!(folder.join(name).is_file(), "{name} is missing");
        }
        Ok(shelf)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let segments = self.playlist.segments.iter();
        segments.filter_map(|segment| name(&segment.uri).ok())
    }

    /// How long its segments are.
    pub(crate) fn every(&self) -> Duration {
        Duration::from_secs_f64(self.playlist.segment_seconds().unwrap_or(1.0))
    }
}

/// The name of the file that a URI stands for.
fn name(uri: &str) -> Result<&str> {
    let path = uri.split('?').next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    ensure!(
        !name.is_empty() && name != "." && name != "..",
        "{uri:?} names no file"
    );
    Ok(name)
}

fn open_to_all(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let list = "#EXTM3U\n#EXTINF:2.0,\na-1.ts?t=1\n#EXTINF:1.0,\n/live/x/a-2.ts\n";
        let mut asked = Vec::new();
        let mut fetch = |path: &str| {
            asked.push(path.to_owned());
            Ok(match path {
                "/live/x/media.m3u8" => list.into(),
                path => path.as_bytes().to_vec(),
            })
        };
        let shelf = Shelf::fill(folder.path(), "/live/x/media.m3u8", &mut fetch).unwrap();
        assert_eq!(asked[1..], ["/live/x/a-1.ts?t=1", "/live/x/a-2.ts"]);
        assert_eq!(shelf.names().collect::<Vec<_>>(), ["a-1.ts", "a-2.ts"]);
        assert_eq!(shelf.every(), Duration::from_millis(1500));
        let kept = std::fs::read(folder.path().join("a-2.ts")).unwrap();
        assert_eq!(kept, b"/live/x/a-2.ts");
        std::fs::remove_file(folder.path().join("a-1.ts")).unwrap();
        assert!(Shelf::open(folder.path()).is_err());
        assert!(name("..").is_err() && name("a/").is_err());
    }
}
