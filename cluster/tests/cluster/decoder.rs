//! A real player, which decodes what it gets.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// ffmpeg, which ends at the first error of a demuxer or a decoder. It is killed when this is dropped.
pub(crate) struct Decoder {
    child: Child,
    /// When decoded pictures are to be shown, in milliseconds.
    pictures: watch::Receiver<Vec<i64>>,
    complaints: JoinHandle<String>,
}

impl Decoder {
    /// Plays a URL.
    pub(crate) fn play(url: &str) -> Self {
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-nostdin", "-v", "error", "-xerror"]);
        command.args(["-i", url, "-map", "0:a", "-f", "null", "-"]);
        // Pictures as they come, none made up for a gap, and each told at once.
        command.args(["-map", "0:v", "-fps_mode", "passthrough"]);
        command.args(["-enc_time_base", "1:1000", "-flush_packets", "1"]);
        command.args(["-f", "framecrc", "pipe:1"]);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("ffmpeg is installed");
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (tell, pictures) = watch::channel(Vec::new());
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout.expect("a pipe")).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                tell.send_modify(|pictures| pictures.extend(shown(&line)));
            }
        });
        let complaints = tokio::spawn(async move {
            let mut text = String::new();
            // What is no text shows as a complaint that is missing its end.
            let _ = stderr.expect("a pipe").read_to_string(&mut text).await;
            text
        });
        Self {
            child,
            pictures,
            complaints,
        }
    }

    /// Waits until it has decoded so many more pictures than now.
    pub(crate) async fn goes_on(&mut self, pictures: usize, limit: Duration) {
        let wanted = self.pictures.borrow().len() + pictures;
        let comes = self.pictures.wait_for(|shown| shown.len() >= wanted);
        if !matches!(timeout(limit, comes).await, Ok(Ok(_))) {
            let count = self.pictures.borrow().len();
            self.child.start_kill().expect("our own child");
            let complaints = (&mut self.complaints).await;
            panic!("{count} of {wanted} pictures were decoded: {complaints:?}");
        }
    }

    /// Ends it as a person does; it had nothing to complain about, and its pictures came one after the other.
    pub(crate) async fn was_content(mut self) {
        let pid = self.child.id().expect("it still runs");
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("the number of a process"), Signal::INT).expect("our own child");
        let ended = timeout(Duration::from_secs(20), self.child.wait()).await;
        ended.expect("it ends").expect("our own child");
        let complaints = self.complaints.await.expect("no panic");
        assert_eq!(complaints, "", "ffmpeg complains");
        let shown = self.pictures.borrow();
        let back = shown.windows(2).find(|pair| pair[1] <= pair[0]);
        assert_eq!(back, None, "pictures are shown in their order");
    }
}

/// When the picture of a line is shown: `0, 40, 80, 40, 86400, 0x12345678`.
fn shown(line: &str) -> Option<i64> {
    let mut fields = line.split(',').map(str::trim);
    fields.next()?.parse::<u32>().ok()?;
    fields.nth(1)?.parse().ok()
}
