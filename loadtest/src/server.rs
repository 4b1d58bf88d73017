//! The servers under test: started on a core of their own, or found running.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::client::Target;
use crate::system::{self, Urgency};

/// How long a server may take to listen, and to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server as written on a command line: `weir:coalesce=40ms`, `floor:coalesce=0,nagle`, `nginx`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    pub(crate) options: Vec<(String, String)>,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Weir,
    Nginx,
    Floor,
}

impl FromStr for Spec {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, options) = text.split_once(':').unwrap_or((text, ""));
        let kind = match name {
            "weir" => Kind::Weir,
            "nginx" => Kind::Nginx,
            "floor" => Kind::Floor,
            _ => bail!("`weir`, `nginx` or `floor`, not `{name}`"),
        };
        let options = options.split(',').filter(|option| !option.is_empty());
        let options = options.map(|option| {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            (key.to_owned(), value.to_owned())
        });
        Ok(Self {
            kind,
            options: options.collect(),
            text: text.to_owned(),
        })
    }
}

impl std::fmt::Display for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Where things are, and what the floor plays.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) weir: PathBuf,
    pub(crate) nginx: PathBuf,
    pub(crate) core: usize,
    /// Arguments that tell the bare loop which clip to send.
    pub(crate) clip: Vec<String>,
    pub(crate) _urgency: Option<Arc<Urgency>>,
}

/// A server that runs, and ends with this value if we started it.
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) target: Target,
    /// The chunk size of a server without a protocol, which sends the clip by itself.
    pub(crate) raw: Option<usize>,
    /// Where its players ask for FLV by HTTP, if they do.
    pub(crate) flv: Option<String>,
    pub(crate) pid: Option<u32>,
    child: Option<Child>,
    folder: Option<TempDir>,
}

pub(crate) const LOG: &str = "error.log";

/// Chunks of the bare loop, the size of weir's.
pub(crate) const FLOOR_CHUNK: usize = 65_536;

impl Server {
    pub(crate) fn start(spec: &Spec, setup: &Setup) -> Result<Self> {
        match spec.kind {
            Kind::Weir => Self::start_weir(spec, setup),
            Kind::Nginx => Self::start_nginx(spec, setup),
            Kind::Floor => Self::start_floor(spec, setup),
        }
    }

    /// Where its players connect.
    pub(crate) fn players_go_to(&self) -> &str {
        self.flv.as_ref().unwrap_or(&self.target.authority)
    }

    /// A server that somebody else started.
    pub(crate) fn found(url: &str, pid: Option<u32>) -> Result<Self> {
        Ok(Self {
            name: url.to_owned(),
            target: Target::parse(url)?,
            raw: None,
            flv: None,
            pid,
            child: None,
            folder: None,
        })
    }

    /// Runs a command line that serves `url`.
    pub(crate) fn command(line: &str, url: &str, setup: &Setup) -> Result<Self> {
        let mut words = line.split_whitespace();
        let program = words.next().context("an empty command")?;
        let mut command = pinned(Path::new(program), setup.core);
        command.args(words);
        let mut server = Self::found(url, None)?;
        server.name = program.to_owned();
        server.adopt(
            command
                .spawn()
                .with_context(|| format!("cannot start {program}"))?,
        );
        server.wait()
    }

    fn start_weir(spec: &Spec, setup: &Setup) -> Result<Self> {
        Self::start_node(spec, setup, setup.core, &[])
    }

    /// A weir on a core, with these settings over those that all have.
    pub(crate) fn start_node(
        spec: &Spec,
        setup: &Setup,
        core: usize,
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let port = free_port()?;
        let by_flv = spec.options.iter().any(|(key, _)| key == "flv");
        let flv = match by_flv {
            true => Some(format!("127.0.0.1:{}", free_port()?)),
            false => None,
        };
        let folder = tempfile::tempdir()?;
        ensure!(
            setup.weir.exists(),
            "no weir at {}: --weir PATH",
            setup.weir.display()
        );
        let mut command = pinned(&setup.weir, core);
        let mut set = |key: &str, value: &str| {
            command.arg("--set").arg(format!("{key}={value}"));
        };
        set("rtmp.listen", &format!("127.0.0.1:{port}"));
        set("http.listen", flv.as_deref().unwrap_or("\"\""));
        set("node.data_dir", &format!("\"{}\"", folder.path().display()));
        set("limits.connections", "0");
        set("limits.streams", "0");
        set("limits.connections_per_address", "0");
        // A processor that is busy is what is wanted here.
        set("limits.headroom", "1");
        for (key, value) in settings {
            set(key, value);
        }
        for (key, value) in &spec.options {
            match key.as_str() {
                "flv" => {}
                "coalesce" => set("egress.coalesce", value),
                key => set(key, value),
            }
        }
        log(&mut command, folder.path())?;
        let mut server = Self::started(&spec.text, command, port, Some(folder))?;
        server.flv = flv;
        Ok(server)
    }

    /// An etcd of one member, which has no streams.
    pub(crate) fn start_etcd(program: &Path, setup: &Setup) -> Result<Self> {
        let port = free_port()?;
        let (client, peer) = (url(port), url(free_port()?));
        let folder = tempfile::tempdir()?;
        let mut command = pinned(program, setup.core);
        command.arg("--data-dir").arg(folder.path().join("data"));
        for (name, value) in [
            ("--listen-client-urls", client.as_str()),
            ("--advertise-client-urls", &client),
            ("--listen-peer-urls", &peer),
            ("--initial-advertise-peer-urls", &peer),
            ("--initial-cluster", &format!("default={peer}")),
            // Whoever is alone need not wait for long before it leads.
            ("--heartbeat-interval", "20"),
            ("--election-timeout", "200"),
        ] {
            command.args([name, value]);
        }
        log(&mut command, folder.path())?;
        Self::started("etcd", command, port, Some(folder))
    }

    fn start_floor(spec: &Spec, setup: &Setup) -> Result<Self> {
        let mut command = pinned(&std::env::current_exe()?, setup.core);
        command.arg("floor-server").args(&setup.clip);
        command.arg("--chunk-size").arg(FLOOR_CHUNK.to_string());
        for (key, value) in &spec.options {
            command.arg(format!("--{key}"));
            if !value.is_empty() {
                command.arg(value);
            }
        }
        let mut server = Self::start_bare(command)?;
        server.raw = Some(FLOOR_CHUNK);
        server.name = spec.to_string();
        Ok(server)
    }

    /// A bare loop of ours, on a core, that says where it listens.
    pub(crate) fn start_bare(mut command: Command) -> Result<Self> {
        command.stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start the bare loop")?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let port = line
            .trim()
            .strip_prefix("listening ")
            .context("the bare loop does not listen")?;
        let mut server = Self::found(&format!("rtmp://127.0.0.1:{port}/live/bench"), None)?;
        server.adopt(child);
        Ok(server)
    }

    pub(crate) fn started(
        name: &str,
        mut command: Command,
        port: u16,
        folder: Option<TempDir>,
    ) -> Result<Self> {
        let mut server = Self::found(&format!("rtmp://127.0.0.1:{port}/live/bench"), None)?;
        server.name = name.to_owned();
        server.folder = folder;
        server.adopt(
            command
                .spawn()
                .with_context(|| format!("cannot start {name}"))?,
        );
        server.wait()
    }

    fn adopt(&mut self, child: Child) {
        self.pid = Some(child.id());
        self.child = Some(child);
    }

    /// Waits until it accepts connections.
    fn wait(self) -> Result<Self> {
        let address = crate::net::resolve(&self.target.authority)?;
        self.until("listen", || {
            TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
        })
    }

    /// Waits until it does something.
    pub(crate) fn until(mut self, what: &str, it_does: impl Fn() -> bool) -> Result<Self> {
        let begin = Instant::now();
        while !it_does() {
            if let Some(status) = self
                .child
                .as_mut()
                .and_then(|child| child.try_wait().ok().flatten())
            {
                let log = self.folder.as_ref().map(|folder| folder.path().join(LOG));
                let log = log.and_then(|path| std::fs::read_to_string(path).ok());
                bail!("{} ended: {status}\n{}", self.name, log.unwrap_or_default());
            }
            ensure!(begin.elapsed() < PATIENCE, "{} does not {what}", self.name);
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(self)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(child) = self.child.as_mut() else {
            return;
        };
        system::terminate(child.id());
        let begin = Instant::now();
        while matches!(child.try_wait(), Ok(None)) {
            if begin.elapsed() > PATIENCE {
                let _ = child.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A command that runs on one core, and ends when we do, however we end.
///
/// Both helpers become the program, so its process id is the one we are given.
pub(crate) fn pinned(program: &Path, core: usize) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "taskset", "-c", &core.to_string()]);
    command.arg(program).stdin(Stdio::null());
    command
}

/// What a program says goes there, for when it does not start.
pub(crate) fn log(command: &mut Command, folder: &Path) -> Result<()> {
    let log = std::fs::File::create(folder.join(LOG))?;
    command.stdout(log.try_clone()?).stderr(log);
    Ok(())
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?
        .local_addr()?
        .port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_is_a_name_and_options() {
        let spec: Spec = "floor:coalesce=40ms,nagle".parse().unwrap();
        assert_eq!(spec.kind, Kind::Floor);
        let options = [("coalesce", "40ms"), ("nagle", "")];
        assert_eq!(
            spec.options,
            options.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
        assert_eq!(spec.to_string(), "floor:coalesce=40ms,nagle");
        assert!("apache".parse::<Spec>().is_err());
    }
}
