//! nginx, as a server of RTMP and of files.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use tempfile::TempDir;

use crate::server::{self, LOG, Server, Setup, Spec};

impl Server {
    pub(crate) fn start_nginx(spec: &Spec, setup: &Setup) -> Result<Self> {
        let port = server::free_port()?;
        let mut more = String::new();
        for (key, value) in &spec.options {
            writeln!(more, "    {key} {value};")?;
        }
        let rtmp = format!(
            "rtmp {{\n  access_log off;\n  server {{\n    listen 127.0.0.1:{port};\n{more}    \
             application live {{ live on; }}\n  }}\n}}\n"
        );
        let module = "load_module modules/ngx_rtmp_module.so;\n";
        run(&spec.to_string(), setup, port, module, &rtmp)
    }

    /// One that serves the files of a folder over HTTP, and neither writes nor counts anything.
    pub(crate) fn start_files(spec: &Spec, setup: &Setup, root: &Path) -> Result<Self> {
        let port = server::free_port()?;
        let root = root.canonicalize()?;
        let root = root.display();
        let mut more = String::new();
        for (key, value) in &spec.options {
            writeln!(more, "  {key} {value};")?;
        }
        let http = format!(
            "http {{\n  access_log off;\n  sendfile on;\n  tcp_nopush on;\n  \
             keepalive_requests 1000000000;\n  types {{\n    \
             application/vnd.apple.mpegurl m3u8;\n    video/mp4 m4s mp4;\n    video/mp2t ts;\n  }}\n\
             {more}  server {{ listen 127.0.0.1:{port}; root \"{root}\"; }}\n}}\n"
        );
        run(&spec.to_string(), setup, port, "", &http)
    }
}

/// One worker on the server's core.
fn run(name: &str, setup: &Setup, port: u16, first: &str, block: &str) -> Result<Server> {
    let folder: TempDir = tempfile::tempdir()?;
    let path = folder.path().display();
    let configuration = format!(
        "{first}user root;\ndaemon off;\nworker_processes 1;\nworker_rlimit_nofile 20000;\n\
         pid {path}/pid;\nerror_log {path}/{LOG} error;\n\
         events {{ worker_connections 20000; }}\n{block}"
    );
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, configuration)?;
    let mut command = server::pinned(&setup.nginx, setup.core);
    command
        .arg("-c")
        .arg(&file)
        .arg("-e")
        .arg(folder.path().join(LOG));
    Server::started(name, command, port, Some(folder))
}
