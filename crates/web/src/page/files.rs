//! The files of the page, in the binary.

use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};

/// A file, and its form for who takes gzip.
pub(super) struct File {
    pub(super) name: &'static str,
    pub(super) bytes: &'static [u8],
    pub(super) gzip: Option<&'static [u8]>,
}

/// Those that were there when this was built; none, if nobody built the page before.
pub(super) const EMBEDDED: &[File] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// A file by its name.
pub(super) fn find<'a>(files: &'a [File], name: &str) -> Option<&'a File> {
    files.iter().find(|file| file.name == name)
}

impl File {
    pub(super) fn content_type(&self) -> &'static str {
        match self.name.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            Some("txt") => "text/plain; charset=utf-8",
            _ => "application/octet-stream",
        }
    }

    /// What tells this content from any other, the same on every node that has it.
    pub(super) fn tag(&self, is_packed: bool) -> String {
        // Assets have it in their names; the page itself is short.
        let mut tag = match self.name.strip_prefix("assets/") {
            Some(name) => format!("\"{name}"),
            None => hash(self.bytes),
        };
        tag.push_str(if is_packed { ".gz\"" } else { "\"" });
        tag
    }
}

fn hash(bytes: &[u8]) -> String {
    let digest = digest(&SHA256, bytes);
    let mut text = String::from("\"");
    for byte in digest.as_ref().iter().take(12) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
