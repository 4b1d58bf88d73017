//! Every input kept in `corpus/` and `regressions/`, through the harness of its folder.

use std::fs;
use std::path::{Path, PathBuf};

use weir_fuzz::TARGETS;

/// The files below a folder of a target; none if there is no such folder.
fn inputs(kind: &str, target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(kind)
        .join(target);
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn replay(kind: &str, least: usize) {
    for (target, harness) in TARGETS {
        let files = inputs(kind, target);
        assert!(files.len() >= least, "{kind}/{target} is empty");
        for file in files {
            // Shown when the harness panics.
            println!("{kind}/{target}/{}", file.file_name().unwrap().display());
            harness(&fs::read(file).unwrap());
        }
    }
}

#[test]
fn the_corpus_breaks_no_promise() {
    replay("corpus", 1);
}

#[test]
fn what_was_found_and_mended_stays_mended() {
    replay("regressions", 0);
}

#[test]
fn every_folder_has_a_target() {
    for kind in ["corpus", "regressions"] {
        let Ok(entries) = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(kind)) else {
            continue;
        };
        for entry in entries {
            let name = entry.unwrap().file_name();
            assert!(
                TARGETS.iter().any(|(target, _)| *target == name),
                "{name:?}"
            );
        }
    }
}
