//! Records whatever is published, each stream in a file of its own.
//!
//! ```text
//! cargo run -p weir-rtmp --example flv_recorder -- 127.0.0.1:1935 recordings
//! ffmpeg -re -i clip.flv -c copy -f flv rtmp://127.0.0.1/live/cam     # recordings/cam.flv
//! ```

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::Context;
use flv::file::{Header, Writer};
use flv::{Metadata, Tag};
use rtmp::handler::{Chain, Delivery, Handler, Logging, PublishDecision};
use rtmp::net::{Publication, Server};
use tokio::net::TcpListener;
use weir_rtmp as rtmp;

/// How many tags may wait for the disk.
const QUEUE: usize = 4096;

/// A thread per recording writes; callbacks only hand over.
struct Recorder {
    folder: PathBuf,
    recordings: Mutex<HashMap<(u64, u32), SyncSender<Tag>>>,
}

impl Recorder {
    fn recordings(&self) -> MutexGuard<'_, HashMap<(u64, u32), SyncSender<Tag>>> {
        self.recordings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handler for Recorder {
    fn delivery(&self) -> Delivery {
        Delivery::Raw
    }

    async fn on_publish(&self, publication: &Publication) -> PublishDecision {
        let file = match create(&self.folder, publication.name()) {
            Ok(file) => file,
            Err(error) => {
                tracing::error!(%error, stream = %publication, "cannot create the file");
                return PublishDecision::bad_name(
                    "The recorder cannot create a file for this stream.",
                );
            }
        };
        let (sender, tags) = sync_channel(QUEUE);
        self.recordings().insert(id(publication), sender);
        thread::spawn(move || {
            if let Err(error) = record(file, &tags) {
                tracing::error!(%error, "recording failed");
            }
        });
        PublishDecision::Accept
    }

    fn on_unpublish(&self, publication: &Publication) {
        // With its sender gone, the thread finishes the file.
        self.recordings().remove(&id(publication));
    }

    fn on_media_tag(&self, publication: &Publication, tag: &Tag) -> bool {
        let sent = self
            .recordings()
            .get(&id(publication))
            .map(|sender| sender.try_send(tag.clone()));
        if let Some(Err(_)) = sent {
            publication.end("The recorder cannot keep up with this stream.");
        }
        true
    }
}

fn id(publication: &Publication) -> (u64, u32) {
    (publication.peer().id(), publication.stream_id())
}

/// A new file for `name`; an older recording stays.
fn create(folder: &Path, name: &str) -> io::Result<File> {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_~.".contains(c) {
            c
        } else {
            '_'
        }
    };
    let name: String = name.chars().take(100).map(plain).collect();
    let name = name.trim_start_matches('.');
    let mut path = folder.join(format!("{name}.flv"));
    for number in 2.. {
        match File::create_new(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                path = folder.join(format!("{name}-{number}.flv"));
            }
            result => return result,
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn record(file: File, tags: &Receiver<Tag>) -> io::Result<()> {
    let mut metadata = Metadata::default();
    let mut seen = Header {
        audio: false,
        video: false,
    };
    let mut writer: Option<Writer<BufWriter<File>>> = None;
    let mut file = Some(BufWriter::new(file));
    for tag in tags {
        if let Some(values) = Metadata::from_tag(&tag) {
            metadata = values;
            continue;
        }
        seen.audio |= tag.is_audio();
        seen.video |= tag.is_video();
        if let Some(file) = file.take() {
            writer = Some(Writer::with_metadata(
                file,
                Header {
                    audio: true,
                    video: true,
                },
                &metadata,
            )?);
        }
        if let Some(writer) = &mut writer {
            writer.write(&tag)?;
        }
    }
    let Some(writer) = writer else { return Ok(()) };
    let mut file = writer.finish()?;
    // Players wait for what the header promises, so it promises what there was.
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&seen.to_bytes())?;
    file.flush()
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt::init();
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(folder)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: flv_recorder ADDRESS FOLDER");
    };
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {folder}"))?;
    let recorder = Recorder {
        folder: folder.into(),
        recordings: Mutex::default(),
    };

    let listener = TcpListener::bind(&address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    let interrupted = async { drop(tokio::signal::ctrl_c().await) };
    Server::new(Chain(Logging, recorder))
        .serve(listener, interrupted)
        .await;
    Ok(())
}
