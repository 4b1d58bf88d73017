//! ffmpeg, started again whenever it ends.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::process::{Process, demand};
use crate::{Log, Place};

/// An encoder of many: ffmpeg in a loop, as people run it. It is killed when this is dropped.
#[derive(Debug)]
pub struct FfmpegEncoder {
    /// What it complains about.
    pub log: Log,
    current: Arc<Mutex<Current>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Current {
    starts: usize,
    pid: Option<u32>,
}

impl FfmpegEncoder {
    /// Publishes a file at `place`, as it is and over and over, to the first of some URLs; to the
    /// next when that ends, `pause` later, and so on.
    ///
    /// # Panics
    /// When ffmpeg is not installed, or there is no URL.
    pub fn start(place: &Place, file: &Path, urls: &[&str], pause: Duration) -> Self {
        demand("ffmpeg");
        assert!(!urls.is_empty(), "an encoder needs a URL");
        let log = Log::default();
        let current = Arc::new(Mutex::new(Current::default()));
        let urls = urls.iter().map(|&url| url.to_owned()).collect();
        let task = tokio::spawn(run(
            place.clone(),
            file.to_owned(),
            urls,
            pause,
            log.clone(),
            current.clone(),
        ));
        Self { log, current, task }
    }

    /// How often it was started.
    pub fn starts(&self) -> usize {
        self.current().starts
    }

    /// The process of the moment, if there is one.
    pub fn pid(&self) -> Option<u32> {
        self.current().pid
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FfmpegEncoder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    place: Place,
    file: PathBuf,
    urls: Vec<String>,
    pause: Duration,
    log: Log,
    current: Arc<Mutex<Current>>,
) {
    let note = |pid: Option<u32>| {
        let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
        current.starts += usize::from(pid.is_some());
        current.pid = pid;
    };
    for url in urls.iter().cycle() {
        let mut command = place.command("ffmpeg");
        command.args(["-hide_banner", "-nostdin", "-v", "error", "-re"]);
        command.args(["-stream_loop", "-1", "-i"]).arg(&file);
        command.args(["-map", "0", "-c", "copy", "-f", "flv", url]);
        let process = Process::start(command, &log);
        note(Some(process.pid()));
        process.ended().await;
        note(None);
        sleep(pause).await;
    }
}
