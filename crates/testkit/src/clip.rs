//! Short streams to publish.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use flv::Tag;
use flv::file::Tags;

use crate::folders::target;
use crate::{Ffmpeg, Packets};

/// How a clip is made: what ffmpeg encodes a test picture and a tone to.
#[derive(Debug, Clone, Copy)]
pub struct Recipe {
    /// What the file is called.
    pub name: &'static str,
    /// Who makes it; FLV of newer codecs takes a newer ffmpeg.
    pub by: Ffmpeg,
    /// The picture, as ffmpeg's `testsrc2` understands it; `None` is a clip without.
    pub picture: Option<&'static str>,
    /// Options of the video encoder.
    pub video: &'static str,
    /// Options of the audio encoder; `None` is a clip without sound.
    pub audio: Option<&'static str>,
    /// Seconds.
    pub seconds: u32,
}

const AAC: &str = "-c:a aac -b:a 48k -ac 2";
const OPUS: &str = "-c:a libopus -b:a 48k -ac 2";
const X264: &str = "-c:v libx264 -preset veryfast -bf 2 -g 25 -b:v 150k -pix_fmt yuv420p";

impl Recipe {
    /// H.264 with B-frames and AAC, 25 pictures and one keyframe a second.
    pub const H264_AAC: Self = Self {
        name: "h264-aac",
        by: Ffmpeg::Installed,
        picture: Some("size=320x180:rate=25"),
        video: X264,
        audio: Some(AAC),
        seconds: 3,
    };
    /// AAC alone.
    pub const AUDIO: Self = Self {
        name: "aac",
        picture: None,
        ..Self::H264_AAC
    };
    /// H.264 alone.
    pub const VIDEO: Self = Self {
        name: "h264",
        audio: None,
        ..Self::H264_AAC
    };
    /// H.264 and AAC in another size.
    pub const LARGER: Self = Self {
        name: "h264-aac-larger",
        picture: Some("size=640x360:rate=25"),
        ..Self::H264_AAC
    };
    /// H.264 as the least of decoders take it, and AAC.
    pub const BASELINE: Self = Self {
        name: "h264-baseline-aac",
        video: "-c:v libx264 -preset veryfast -profile:v baseline -g 25 -b:v 150k -pix_fmt yuv420p",
        ..Self::H264_AAC
    };
    /// HEVC and AAC.
    pub const HEVC_AAC: Self = Self {
        name: "hevc-aac",
        by: Ffmpeg::Nine,
        video: "-c:v libx265 -preset ultrafast -x265-params log-level=none:pools=1 -g 25 -b:v 150k -pix_fmt yuv420p",
        ..Self::H264_AAC
    };
    /// AV1 and AAC.
    pub const AV1_AAC: Self = Self {
        name: "av1-aac",
        by: Ffmpeg::Nine,
        video: "-c:v libaom-av1 -cpu-used 8 -usage realtime -g 25 -b:v 150k -pix_fmt yuv420p",
        ..Self::H264_AAC
    };
    /// AV1 and Opus.
    pub const AV1_OPUS: Self = Self {
        name: "av1-opus",
        audio: Some(OPUS),
        ..Self::AV1_AAC
    };
    /// VP9 and Opus.
    pub const VP9_OPUS: Self = Self {
        name: "vp9-opus",
        by: Ffmpeg::Nine,
        video: "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25 -b:v 150k -pix_fmt yuv420p",
        audio: Some(OPUS),
        ..Self::H264_AAC
    };
    /// H.264 and Opus.
    pub const H264_OPUS: Self = Self {
        name: "h264-opus",
        by: Ffmpeg::Nine,
        audio: Some(OPUS),
        ..Self::H264_AAC
    };
    /// H.264 and AAC with frames of tens of kilobytes.
    pub const HEAVY: Self = Self {
        name: "h264-aac-heavy",
        picture: Some("size=1280x720:rate=25"),
        video: "-c:v libx264 -preset ultrafast -bf 2 -g 25 -qp 10 -pix_fmt yuv420p",
        seconds: 5,
        ..Self::H264_AAC
    };
    /// H.264 and AAC at 1 Mbit/s, long enough to fall behind.
    pub const LONG: Self = Self {
        name: "h264-aac-long",
        picture: Some("size=640x360:rate=25"),
        video: "-c:v libx264 -preset veryfast -tune zerolatency -g 25 -b:v 1M -minrate 1M -maxrate 1M -bufsize 200k -x264-params nal-hrd=cbr -pix_fmt yuv420p",
        seconds: 30,
        ..Self::H264_AAC
    };

    fn arguments(&self, seconds: &str) -> Vec<String> {
        let mut arguments: Vec<String> = ["-hide_banner", "-nostdin", "-v", "error"]
            .map(str::to_owned)
            .into();
        let mut add = |more: &[&str]| arguments.extend(more.iter().map(|&more| more.to_owned()));
        if let Some(picture) = self.picture {
            add(&["-f", "lavfi", "-i", &format!("testsrc2={picture}")]);
        }
        if self.audio.is_some() {
            add(&["-f", "lavfi", "-i", "sine=440:sample_rate=48000"]);
        }
        // More threads make other frames, and the same ones must come out everywhere.
        add(&[
            "-threads",
            "1",
            "-flags",
            "+bitexact",
            "-fflags",
            "+bitexact",
        ]);
        if self.picture.is_some() {
            add(&self.video.split(' ').collect::<Vec<_>>());
        }
        if let Some(audio) = self.audio {
            add(&audio.split(' ').collect::<Vec<_>>());
        }
        add(&["-t", seconds, "-f", "flv", "-y"]);
        arguments
    }
}

/// A short stream, in a file and in memory.
#[derive(Debug)]
pub struct Clip {
    /// The FLV file.
    pub file: PathBuf,
    /// Its tags.
    pub tags: Vec<Tag>,
}

impl Clip {
    /// The clip of a recipe, made if it is not there yet.
    ///
    /// # Panics
    /// When ffmpeg cannot make it.
    pub fn of(recipe: Recipe) -> Self {
        let folder = target().join("testkit-cache");
        fs::create_dir_all(&folder).expect("the build folder can be written");
        Self::made_in(&folder, recipe)
    }

    /// The clip of a recipe in a folder, made if it is not there yet.
    ///
    /// # Panics
    /// When ffmpeg cannot make it.
    pub fn made_in(folder: &Path, recipe: Recipe) -> Self {
        let arguments = recipe.arguments(&recipe.seconds.to_string());
        let file = folder.join(format!(
            "{}-{:08x}.flv",
            recipe.name,
            hash(&arguments) >> 32
        ));
        if !file.exists() {
            make(recipe.by, &arguments, &file);
        }
        let tags = read(&file);
        Self { file, tags }
    }

    /// How long it plays, in milliseconds.
    pub fn millis(&self) -> u32 {
        let times = self
            .tags
            .iter()
            .filter(|tag| tag.is_frame())
            .map(|tag| tag.dts);
        times.clone().max().unwrap_or(0) - times.min().unwrap_or(0)
    }

    /// The same stream as `by` publishes it with these options: it may write other headers than
    /// those it read.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn rewritten(&self, by: Ffmpeg, options: &[&str]) -> Self {
        let file = self
            .file
            .with_extension(format!("{:08x}.flv", hash(&(by.path(), options)) >> 32));
        if !file.exists() {
            let unique = file.with_extension(format!("{}-{}", process::id(), number()));
            let (from, to) = (self.file.to_str(), unique.to_str());
            let (from, to) = (
                from.expect("our paths are texts"),
                to.expect("our paths are texts"),
            );
            let input = ["-i", from, "-map", "0", "-c", "copy"];
            by.run(&[&input, options, &["-f", "flv", "-y", to]].concat())
                .succeeded()
                .await;
            fs::rename(unique, &file).expect("a file can be renamed");
        }
        let tags = read(&file);
        Self { file, tags }
    }

    /// Its packets, as ffmpeg reads them.
    pub async fn packets(&self, by: Ffmpeg) -> Packets {
        let file = self.file.to_str().expect("our paths are texts");
        let list = by.run(&["-i", file, "-map", "0", "-c", "copy", "-f", "framemd5", "-"]);
        Packets::parse(&list.succeeded().await)
    }

    /// The positions of keyframes among its pictures.
    pub fn keyframes(&self) -> Vec<usize> {
        let pictures = self
            .tags
            .iter()
            .filter(|tag| tag.is_video() && tag.is_frame());
        pictures
            .enumerate()
            .filter(|(_, tag)| tag.is_keyframe())
            .map(|(at, _)| at)
            .collect()
    }
}

/// The tags of an FLV file; of one that is still being written, those that are whole.
///
/// # Panics
/// When it is not an FLV file.
pub(crate) fn read(file: &Path) -> Vec<Tag> {
    let bytes = File::open(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let tags = Tags::new(std::io::BufReader::new(bytes)).collect::<Result<_, _>>();
    tags.unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// Another one each time.
fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn make(by: Ffmpeg, arguments: &[String], file: &Path) {
    // Several tests may make the same clip at a time, and each renames a whole one into place.
    let whole = file.with_extension(format!("{}-{}", process::id(), number()));
    let status = process::Command::new(by.path())
        .args(arguments)
        .arg(&whole)
        .status();
    let status =
        status.unwrap_or_else(|error| panic!("{:?} has to be installed: {error}", by.path()));
    assert!(status.success(), "ffmpeg makes {}", file.display());
    fs::rename(whole, file).expect("a file can be renamed");
}
