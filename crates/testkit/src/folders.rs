//! Where things are in this project and its build.

use std::path::{Path, PathBuf};

/// The build folder that this test runs from, `target` if it was not set to another place.
pub fn target() -> PathBuf {
    let program = std::env::current_exe().expect("a test has a path");
    // target/<profile>/deps/<test>, or target/<profile>/<binary>.
    let profile = program
        .ancestors()
        .find(|folder| folder.join(".fingerprint").is_dir());
    let profile = profile.expect("a test stands in the folder of its build");
    profile
        .parent()
        .expect("a profile has its folder in the build's")
        .to_owned()
}

/// The recorded sessions.
pub fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../rtmp/tests/captures")
}
