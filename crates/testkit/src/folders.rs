//! Where things are in this project and its build.

use std::path::{Path, PathBuf};

/// The build folder that this test runs from, `target` if it was not set to another place.
///
/// # Panics
/// When this is no test, nor anything else in a build folder.
pub fn target() -> PathBuf {
    try_target().expect("a test stands in the folder of its build")
}

/// The same, for programs that may stand anywhere.
pub fn try_target() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    // target/<profile>/deps/<test>, or target/<profile>/<binary>.
    let mut folders = program.ancestors();
    let profile = folders.find(|folder| folder.join(".fingerprint").is_dir());
    profile?.parent().map(Path::to_owned)
}

/// The recorded sessions.
pub fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../rtmp/tests/captures")
}
