//! Real players, each leaving behind what it received.

use std::path::{Path, PathBuf};

use flv::Tag;
use tokio::process::Command;

use crate::{Ffmpeg, Packets, Program};

/// The user "nobody": VLC does not run as root.
const NOBODY: &str = "65534";

/// A program that plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ffmpeg: keeps a list of packets, and decodes them all.
    Ffmpeg(Ffmpeg),
    /// rtmpdump, a client of librtmp.
    Rtmpdump,
    /// GStreamer's `rtmp2src`.
    Gstreamer,
    /// GStreamer's `souphttpsrc`, for HTTP.
    Soup,
    /// curl, for HTTP.
    Curl,
    /// VLC.
    Vlc,
}

/// A running player.
#[derive(Debug)]
pub struct Player {
    kind: Kind,
    program: Program,
    file: PathBuf,
}

/// What a player received.
#[derive(Debug)]
pub enum Received {
    /// What its demuxer made of it, and its decoders did not complain about.
    Packets(Packets),
    /// What it got from the wire.
    Tags(Vec<Tag>),
}

impl Kind {
    /// A name for messages and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ffmpeg(Ffmpeg::Installed) => "ffmpeg",
            Self::Ffmpeg(Ffmpeg::Nine) => "ffmpeg9",
            Self::Rtmpdump => "rtmpdump",
            Self::Gstreamer => "rtmp2src",
            Self::Soup => "souphttpsrc",
            Self::Curl => "curl",
            Self::Vlc => "vlc",
        }
    }

    /// Starts to play `url`; its file goes to `folder`, where anybody may write.
    pub fn play(self, url: &str, folder: &Path) -> Player {
        let file = folder.join(self.name());
        let path = file.to_str().expect("our paths are texts");
        let program = match self {
            Self::Ffmpeg(ffmpeg) => {
                let packets = ["-map", "0", "-c", "copy", "-f", "framemd5", "-y", path];
                // In milliseconds, as they come: a guessed frame rate would round two times to one.
                let times = ["-fps_mode", "passthrough", "-enc_time_base:v", "1/1000"];
                let pictures = ["-f", "null", "-"];
                let all = ["-map", "0"];
                // Version 9 takes the last of all chunks for an error, unless it may go on behind it.
                let input: &[&str] = match url.starts_with("http:") {
                    true => &["-multiple_requests", "1", "-i", url],
                    false => &["-i", url],
                };
                ffmpeg.run(&[input, &packets, &all, &times, &pictures].concat())
            }
            Self::Rtmpdump => {
                Program::start("rtmpdump", ["--quiet", "--live", "-r", url, "-o", path])
            }
            Self::Gstreamer | Self::Soup => {
                let location = format!("location={url}");
                let sink = format!("location={path}");
                let pipeline = ["-q", self.name(), &location, "!", "filesink", &sink];
                Program::start("gst-launch-1.0", pipeline)
            }
            Self::Curl => Program::start("curl", ["-sSf", "--no-buffer", "-o", path, url]),
            Self::Vlc => vlc(
                &["-q", "--demux", "dump", "--demuxdump-file", path, url],
                folder,
            ),
        };
        Player {
            kind: self,
            program,
            file,
        }
    }
}

/// VLC without a face, which ends when its input does. It writes settings into `home`.
pub fn vlc(arguments: &[&str], home: &Path) -> Program {
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", NOBODY, "--clear-groups", "cvlc"]);
        command
    } else {
        Command::new("cvlc")
    };
    command
        .env("HOME", home)
        .args(["-I", "dummy", "--no-color"])
        .args(arguments);
    command.arg("vlc://quit");
    Program::spawn(command)
}

/// GStreamer, decoding a stream in H.264 and AAC; complaints go to its standard error.
pub fn gstreamer_decodes(url: &str) -> Program {
    let location = format!("location={url}");
    let source: &[&str] = match url.split_once(':') {
        Some(("http", _)) => &["souphttpsrc"],
        // Whose certificates in tests are of our own making.
        Some(("https", _)) => &["souphttpsrc", "ssl-strict=false"],
        _ => &["rtmp2src"],
    };
    let source = [source, &[&location, "!", "flvdemux", "name=flv"]].concat();
    let video = [
        "flv.video",
        "!",
        "queue",
        "!",
        "h264parse",
        "!",
        "openh264dec",
        "!",
        "fakesink",
    ];
    let audio = [
        "flv.audio",
        "!",
        "queue",
        "!",
        "aacparse",
        "!",
        "faad",
        "!",
        "fakesink",
    ];
    Program::start(
        "gst-launch-1.0",
        [&["-q"], &source[..], &video, &audio].concat(),
    )
}

/// Processes belong to who started them.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

impl Player {
    /// A name for messages.
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// How many bytes it has kept so far.
    pub fn kept(&self) -> u64 {
        std::fs::metadata(&self.file).map_or(0, |file| file.len())
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.program.is_running()
    }

    /// Waits until it ends, without a complaint, and looks at what it received.
    ///
    /// # Panics
    /// When it complains, or does not end.
    pub async fn received(self) -> Received {
        match self.kind {
            Kind::Ffmpeg(_) => {
                self.program.succeeded().await;
                let list = std::fs::read_to_string(&self.file).expect("ffmpeg has left a list");
                Received::Packets(Packets::parse(&list))
            }
            // VLC talks about the sound server that is not there.
            Kind::Vlc => {
                let output = self.program.ended().await;
                assert!(
                    output.status.success(),
                    "vlc ended with {}: {}",
                    output.status,
                    output.stderr
                );
                Received::Tags(crate::clip::read(&self.file))
            }
            Kind::Rtmpdump | Kind::Gstreamer | Kind::Soup | Kind::Curl => {
                self.program.succeeded().await;
                Received::Tags(crate::clip::read(&self.file))
            }
        }
    }
}
