//! The two ffmpegs of the tests: the one that distributions have, and a new one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::Program;
use crate::folders::target;

/// An ffmpeg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ffmpeg {
    /// The one in the path, 5.1 or later: RTMP as it was.
    Installed,
    /// Version 9, for Enhanced RTMP: `WEIR_FFMPEG9`, else the one that the Python package
    /// `imageio-ffmpeg` brings, installed in a virtual environment in `target/venv`.
    Nine,
}

impl Ffmpeg {
    /// Where it is.
    ///
    /// # Panics
    /// When there is none.
    pub fn path(self) -> &'static Path {
        static NINE: OnceLock<PathBuf> = OnceLock::new();
        match self {
            Self::Installed => Path::new("ffmpeg"),
            Self::Nine => NINE.get_or_init(|| {
                find_nine().unwrap_or_else(|| {
                    panic!("ffmpeg 9 is needed: `scripts/setup` installs it, or set WEIR_FFMPEG9")
                })
            }),
        }
    }

    /// Runs it with these arguments. It reports errors only, and any error ends it.
    pub fn run(self, arguments: &[&str]) -> Program {
        let common = ["-hide_banner", "-nostdin", "-v", "error", "-xerror"];
        Program::start(self.path(), common.iter().chain(arguments))
    }

    /// Publishes a file as it is to `url`, `rate` times as fast as it plays.
    pub fn publish(self, file: &Path, rate: f64, url: &str) -> Program {
        self.publish_with(file, rate, &[], url)
    }

    /// The same, with further options for the output.
    pub fn publish_with(self, file: &Path, rate: f64, options: &[&str], url: &str) -> Program {
        let rate = rate.to_string();
        let file = file.to_str().expect("our paths are texts");
        let input = ["-readrate", &rate, "-i", file, "-map", "0", "-c", "copy"];
        self.run(&[&input, options, &["-f", "flv", url]].concat())
    }
}

fn find_nine() -> Option<PathBuf> {
    // Empty is as good as not set: make has found none.
    if let Some(path) = std::env::var_os("WEIR_FFMPEG9").filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    // target/venv/lib/python3.11/site-packages/imageio_ffmpeg/binaries/ffmpeg-linux-x86_64-v9.0.2
    let library = target().join("venv/lib");
    let versions = fs::read_dir(library).ok()?.flatten();
    versions
        .filter_map(|version| {
            fs::read_dir(version.path().join("site-packages/imageio_ffmpeg/binaries")).ok()
        })
        .flat_map(|binaries| binaries.flatten())
        .map(|binary| binary.path())
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("ffmpeg-"))
        })
}
