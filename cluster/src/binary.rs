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
    try_weir().unwrap_or_else(|error| panic!("{error}"))
}

/// The same, for who would rather be told.
///
/// # Errors
/// Why there is none.
pub fn try_weir() -> Result<&'static Path, &'static str> {
    static WEIR: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let weir = WEIR.get_or_init(|| match std::env::var_os("WEIR_BIN") {
        Some(path) => named(path.into()),
        None => beside().map_or_else(build, Ok),
    });
    weir.as_deref().map_err(String::as_str)
}

fn named(path: PathBuf) -> Result<PathBuf, String> {
    match path.is_file() {
        true => Ok(path),
        false => Err(format!("WEIR_BIN is {}, and there is none", path.display())),
    }
}

/// Whoever runs the command has built both, or has installed both.
fn beside() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let weir = own.with_file_name("weir");
    (own.file_name()? == "weir-cluster" && weir.is_file()).then_some(weir)
}

/// Cargo builds a program only for tests of its own package, so that is asked for here.
fn build() -> Result<PathBuf, String> {
    let Some(target) = testkit::try_target() else {
        let what =
            "there is no weir beside this program: put it there, or say where it is with WEIR_BIN";
        return Err(what.to_owned());
    };
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
        .arg(&target)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let profile = if cfg!(debug_assertions) {
        "debug"
    } else {
        command.arg("--release");
        "release"
    };
    match command.status() {
        Ok(status) if status.success() => Ok(target.join(profile).join("weir")),
        Ok(_) => Err("weir cannot be built: see above".to_owned()),
        Err(error) => Err(format!(
            "weir cannot be built, cargo cannot be run: {error}"
        )),
    }
}
