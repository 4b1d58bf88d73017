//! The program under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where `weir` is: `WEIR_BIN`, else beside the command `weir-cluster`, else this workspace's, built
/// as this test was.
///
/// # Panics
/// When it cannot be built.
pub fn weir() -> &'static Path {
    static WEIR: OnceLock<Option<PathBuf>> = OnceLock::new();
    let weir = WEIR.get_or_init(|| match std::env::var_os("WEIR_BIN") {
        Some(path) => Some(path.into()),
        None => beside().or_else(build),
    });
    weir.as_deref().expect("weir can be built: see above")
}

/// Whoever runs the command has built both, or has installed both.
fn beside() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let weir = own.with_file_name("weir");
    (own.file_name()? == "weir-cluster" && weir.is_file()).then_some(weir)
}

/// Cargo builds a program only for tests of its own package, so that is asked for here.
fn build() -> Option<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let mut command = Command::new(cargo);
    command
        .args([
            "build",
            "--package",
            "weir-server",
            "--quiet",
            "--target-dir",
        ])
        .arg(testkit::target())
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let profile = if cfg!(debug_assertions) {
        "debug"
    } else {
        command.arg("--release");
        "release"
    };
    let built = command.status().expect("cargo can be run").success();
    built.then(|| testkit::target().join(profile).join("weir"))
}
