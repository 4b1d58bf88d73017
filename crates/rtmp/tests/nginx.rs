//! nginx-rtmp as upstream and as downstream of our client, ffmpeg at the other end.
//!
//! Needs `nginx` with its RTMP module and `ffmpeg`; `make test` installs both. A test that could
//! not run must not look like one that passed, so it fails without them.

use std::fs;
use std::io::BufReader;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flv::{Kind, Tag};
use rtmp::Url;
use rtmp::client::Event;
use rtmp::net::{Client, Puller};
use weir_rtmp as rtmp;

/// Ends its process, however the test ends.
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_owned();
        let child = command.stdin(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|error| panic!("{name:?} has to be installed: {error}")))
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    fn succeeds(mut self) {
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// nginx with its RTMP module, alone on a port of its own.
struct Nginx {
    address: SocketAddr,
    folder: tempfile::TempDir,
    _process: Process,
}

impl Nginx {
    fn start(options: &str) -> Self {
        // Somebody else may take the port between our look and its start.
        (0..5)
            .find_map(|_| Self::try_start(options))
            .expect("nginx starts: see its output above")
    }

    fn try_start(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let (log, pid, config) = (
            folder.path().join("log"),
            folder.path().join("pid"),
            folder.path().join("conf"),
        );
        // One process in the foreground: it ends when it is killed, and leaves nobody behind.
        let text = format!(
            "load_module modules/ngx_rtmp_module.so;\n\
             daemon off; master_process off; worker_processes 1;\n\
             pid {}; error_log {} info;\n\
             events {{ worker_connections 64; }}\n\
             rtmp {{ server {{ listen {address}; {options}\n\
             application live {{ live on; }} }} }}\n",
            pid.display(),
            log.display(),
        );
        fs::write(&config, text).unwrap();
        let mut process = Process::start(
            Command::new("nginx")
                .arg("-e")
                .arg(&log)
                .arg("-c")
                .arg(&config),
        );
        wait(|| {
            if process.has_ended() {
                return Some(None);
            }
            TcpStream::connect(address).ok().map(Some)
        })?;
        Some(Self {
            address,
            folder,
            _process: process,
        })
    }

    fn url(&self, name: &str) -> String {
        format!("rtmp://{}/live/{name}", self.address)
    }

    /// Waits until nginx says it.
    async fn says(&self, text: &str) {
        let log = self.folder.path().join("log");
        tokio::task::block_in_place(|| {
            wait(|| {
                fs::read_to_string(&log)
                    .unwrap_or_default()
                    .contains(text)
                    .then_some(())
            });
        });
    }
}

/// Looks again and again, for what cannot tell us.
fn wait<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-loglevel", "error"]);
    command
}

/// Three seconds of H.264 with B-frames and AAC.
fn clip(folder: &Path) -> PathBuf {
    let file = folder.join("clip.flv");
    let picture = "testsrc2=size=320x180:rate=15";
    let mut command = ffmpeg();
    command.args([
        "-f",
        "lavfi",
        "-i",
        picture,
        "-f",
        "lavfi",
        "-i",
        "sine=440:sample_rate=48000",
    ]);
    command.args([
        "-t", "3", "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "15",
    ]);
    command.args(["-threads", "1", "-c:a", "aac", "-ac", "2", "-f", "flv"]);
    Process::start(command.arg(&file)).succeeds();
    file
}

fn read(file: &Path) -> Vec<Tag> {
    let file = fs::File::open(file).unwrap();
    flv::file::Tags::new(BufReader::new(file))
        .collect::<Result<_, _>>()
        .unwrap()
}

/// Time and body of each frame of a kind; times count from the first.
fn frames(tags: &[Tag], kind: Kind) -> Vec<(u32, Vec<u8>)> {
    let frames = tags
        .iter()
        .filter(|tag| tag.kind == kind && tag.is_frame() && !tag.body().is_empty());
    let first = frames.clone().next().map_or(0, |tag| tag.dts);
    frames
        .map(|tag| (tag.dts.wrapping_sub(first), tag.body().to_vec()))
        .collect()
}

fn assert_same(ours: &[Tag], theirs: &[Tag]) {
    for kind in [Kind::Video, Kind::Audio] {
        let (ours, theirs) = (frames(ours, kind), frames(theirs, kind));
        assert!(theirs.len() > 40, "{kind:?}: there is something to compare");
        assert_eq!(ours.len(), theirs.len(), "{kind:?}");
        for (index, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            assert_eq!(ours, theirs, "{kind:?} {index}");
        }
    }
}

async fn until_the_end(mut puller: Puller) -> Vec<Tag> {
    let mut tags = Vec::new();
    loop {
        match puller
            .next()
            .await
            .unwrap()
            .expect("not closed before the end")
        {
            Event::Tag(tag) => tags.push(tag),
            Event::StreamEnded => return tags,
            _ => {}
        }
    }
}

async fn publish(url: &str, tags: &[Tag]) {
    let publisher = Client::default()
        .publish(&Url::parse(url).unwrap())
        .await
        .unwrap();
    let (start, first) = (tokio::time::Instant::now(), tags[0].dts);
    for tag in tags {
        // Four times as fast as the clock: nginx has short queues.
        let due = Duration::from_millis(u64::from(tag.dts.wrapping_sub(first)) / 4);
        tokio::time::sleep_until(start + due).await;
        publisher.send(tag.clone()).await.unwrap();
    }
    publisher.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pulls_from_nginx_what_ffmpeg_publishes_there() {
    for options in [
        "",
        "chunk_size 128; ack_window 20000; ping 100ms; ping_timeout 1s;",
    ] {
        let nginx = Nginx::start(options);
        let clip = clip(nginx.folder.path());
        let url = nginx.url("up");
        let puller = Client::default()
            .pull(&Url::parse(&url).unwrap())
            .await
            .unwrap();
        let tags = tokio::spawn(until_the_end(puller));
        nginx.says("play: name='up'").await;
        let mut command = ffmpeg();
        command
            .args(["-re", "-i"])
            .arg(&clip)
            .args(["-c", "copy", "-f", "flv", &url]);
        let publisher = Process::start(&mut command);
        let tags = tags.await.unwrap();
        publisher.succeeds();
        assert!(tags.iter().any(Tag::is_metadata));
        assert_same(&tags, &read(&clip));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishes_to_nginx_what_ffmpeg_plays_there() {
    // ffmpeg 5 does not take the end of a stream for the end, unless it is also told in words.
    let nginx = Nginx::start("publish_notify on;");
    let (clip, played) = (
        clip(nginx.folder.path()),
        nginx.folder.path().join("played.flv"),
    );
    let url = nginx.url("down");
    let mut command = ffmpeg();
    command
        .args(["-i", &url, "-c", "copy", "-f", "flv"])
        .arg(&played);
    let player = Process::start(&mut command);
    nginx.says("play: name='down'").await;
    let tags = read(&clip);
    publish(&url, &tags).await;
    player.succeeds();
    assert_same(&read(&played), &tags);

    let mut decoder = ffmpeg();
    let decoded = decoder
        .args(["-i"])
        .arg(&played)
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&decoded.stderr);
    assert!(
        decoded.status.success() && complaints.is_empty(),
        "{complaints}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crosses_the_24_bit_boundary_through_nginx() {
    let nginx = Nginx::start("chunk_size 128;");
    let url = nginx.url("cross");
    let puller = Client::default()
        .pull(&Url::parse(&url).unwrap())
        .await
        .unwrap();
    let received = tokio::spawn(until_the_end(puller));
    nginx.says("play: name='cross'").await;
    let tags: Vec<_> = (0..200_u32)
        .flat_map(|index| {
            let dts = 16_777_215 - 1000 + index * 10;
            let mut picture = vec![0; 700 + index as usize * 30];
            picture[..5].copy_from_slice(&[if index % 20 == 0 { 0x17 } else { 0x27 }, 1, 0, 0, 0]);
            let audio = vec![0xaf, 1, index as u8, 0x21];
            [
                Tag::new(Kind::Video, dts, picture.into()),
                Tag::new(Kind::Audio, dts + 3, audio.into()),
            ]
        })
        .collect();
    publish(&url, &tags).await;
    assert_same(&received.await.unwrap(), &tags);
}
