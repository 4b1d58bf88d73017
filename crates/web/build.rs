//! Puts the page that plays streams into the binary, if it was built: `make page`.
//!
//! Nothing here needs npm or a network, so a fresh clone builds with cargo alone, without the page.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = |name| env::var_os(name).map(PathBuf::from).unwrap_or_default();
    let built = folder("CARGO_MANIFEST_DIR").join("page/dist");
    // The folder is always there, for cargo runs this each time where it is not.
    println!("cargo::rerun-if-changed={}", built.display());
    let mut list = String::from("&[");
    if built.join("index.html").is_file() {
        add(&built, "index.html", &mut list);
        for file in assets(&built.join("assets"))? {
            add(&built, &format!("assets/{file}"), &mut list);
        }
    }
    list.push(']');
    fs::write(folder("OUT_DIR").join("page.rs"), list)
}

/// The names of the files, sorted, without their packed forms.
fn assets(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.ends_with(".gz") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn add(built: &Path, name: &str, list: &mut String) {
    let file = built.join(name);
    let packed = built.join(format!("{name}.gz"));
    let gzip = match packed.is_file() {
        true => format!("Some(include_bytes!({packed:?}))"),
        false => "None".to_owned(),
    };
    let _ = writeln!(
        list,
        "File {{ name: {name:?}, bytes: include_bytes!({file:?}), gzip: {gzip} }},"
    );
}
