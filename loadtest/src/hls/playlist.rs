//! A media playlist, as far as a load needs it; no code shared with the server.

use anyhow::{Context, Result, ensure};

/// What a media playlist lists.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Playlist {
    pub(crate) segments: Vec<Segment>,
    /// Parts that are listed of the segment that is still being made.
    pub(crate) open_parts: u32,
    /// Whether a reload may wait for what comes next.
    pub(crate) blocks: bool,
    pub(crate) has_parts: bool,
    pub(crate) ended: bool,
    /// Initialisations, in the order they are first named.
    pub(crate) maps: Vec<String>,
    /// The number of the first segment.
    first: u64,
}

/// A whole segment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) seconds: f64,
    pub(crate) uri: String,
    /// As far as they are listed.
    pub(crate) parts: u32,
}

/// A version of a playlist: `_HLS_msn`, and `_HLS_part` where there are parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) segment: u64,
    pub(crate) part: Option<u32>,
}

impl Playlist {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        ensure!(text.starts_with("#EXTM3U"), "no playlist: {:.40?}", text);
        let mut playlist = Self::default();
        let (mut seconds, mut parts) = (0.0, 0);
        for line in text.lines().map(str::trim) {
            if let Some(number) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
                playlist.first = number.parse().context("a media sequence of no number")?;
            } else if let Some(rest) = line.strip_prefix("#EXTINF:") {
                let number = rest.split(',').next().unwrap_or_default();
                seconds = number.parse().context("a duration of no number")?;
            } else if line.starts_with("#EXT-X-PART:") {
                parts += 1;
            } else if line.starts_with("#EXT-X-PART-INF:") {
                playlist.has_parts = true;
            } else if line.starts_with("#EXT-X-SERVER-CONTROL:") {
                playlist.blocks = line.contains("CAN-BLOCK-RELOAD=YES");
            } else if let Some(rest) = line.strip_prefix("#EXT-X-MAP:") {
                playlist.maps.extend(quoted(rest));
            } else if line == "#EXT-X-ENDLIST" {
                playlist.ended = true;
            } else if !line.is_empty() && !line.starts_with('#') {
                playlist.segments.push(Segment {
                    number: playlist.first + playlist.segments.len() as u64,
                    seconds,
                    uri: line.to_owned(),
                    parts: std::mem::take(&mut parts),
                });
            }
        }
        playlist.open_parts = parts;
        playlist.maps.dedup();
        Ok(playlist)
    }

    pub(crate) fn newest(&self) -> Option<&Segment> {
        self.segments.last()
    }

    /// The version that is so many parts ahead, at least one; without parts the next segment.
    pub(crate) fn ahead(&self, parts: u32) -> Version {
        let segment = self.first + self.segments.len() as u64;
        if !self.has_parts {
            let part = None;
            return Version { segment, part };
        }
        let next = self.open_parts + parts.max(1) - 1;
        // Segments to come have as many as the last one; of a part behind that it is not known where it will be.
        let per_segment = self.newest().map_or(0, |newest| newest.parts);
        let (segments, part) = match per_segment {
            0 => (0, next),
            per_segment => (next / per_segment, next % per_segment),
        };
        Version {
            segment: segment + u64::from(segments),
            part: Some(part),
        }
    }

    /// The segments' length as far as it is known, in seconds.
    pub(crate) fn segment_seconds(&self) -> Option<f64> {
        let sum: f64 = self.segments.iter().map(|segment| segment.seconds).sum();
        (sum > 0.0).then(|| sum / self.segments.len() as f64)
    }
}

impl Version {
    /// The path of this version of the playlist at `path`.
    pub(crate) fn of(&self, path: &str) -> String {
        let mark = if path.contains('?') { '&' } else { '?' };
        let part = self.part.map(|part| format!("&_HLS_part={part}"));
        let part = part.unwrap_or_default();
        format!("{path}{mark}_HLS_msn={}{part}", self.segment)
    }
}

/// Where `uri` leads from the playlist at `path`.
pub(crate) fn resolve(path: &str, uri: &str) -> String {
    if uri.starts_with('/') {
        return uri.to_owned();
    }
    let before = path.split('?').next().unwrap_or_default();
    let folder = before.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/{uri}")
}

fn quoted(attributes: &str) -> Option<String> {
    let (_, rest) = attributes.split_once("URI=\"")?;
    Some(rest.split('"').next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) const LOW_LATENCY: &str = "#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.6
#EXT-X-PART-INF:PART-TARGET=0.2
#EXT-X-MEDIA-SEQUENCE:70
#EXT-X-MAP:URI=\"1.1-1-init.mp4\"
#EXTINF:2.000000,
1.1-70.m4s
#EXT-X-PROGRAM-DATE-TIME:2025-06-15T15:06:40.000Z
#EXT-X-PART:DURATION=1.0,URI=\"1.1-71.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=1.0,URI=\"1.1-71.1.m4s\"
#EXT-X-PART:DURATION=1.0,URI=\"1.1-71.2.m4s\"
#EXTINF:3.000000,
1.1-71.m4s
#EXT-X-PART:DURATION=1.0,URI=\"1.1-72.0.m4s\",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"1.1-72.1.m4s\"
";

    #[test]
    fn segments_have_numbers_and_parts() {
        let playlist = Playlist::parse(LOW_LATENCY).unwrap();
        let newest = playlist.newest().unwrap();
        assert_eq!((newest.number, newest.parts, newest.seconds), (71, 3, 3.0));
        assert_eq!(newest.uri, "1.1-71.m4s");
        assert_eq!(playlist.maps, ["1.1-1-init.mp4"]);
        assert_eq!((playlist.segments.len(), playlist.open_parts), (2, 1));
        assert!(playlist.blocks && playlist.has_parts && !playlist.ended);
        assert_eq!(playlist.segment_seconds(), Some(2.5));
        assert!(Playlist::parse("<html>").is_err());
    }

    #[test]
    fn versions_to_come_are_counted_in_parts() {
        let playlist = Playlist::parse(LOW_LATENCY).unwrap();
        let ahead = |parts| playlist.ahead(parts).of("/a/media.m3u8");
        assert_eq!(ahead(1), "/a/media.m3u8?_HLS_msn=72&_HLS_part=1");
        assert_eq!(ahead(2), "/a/media.m3u8?_HLS_msn=72&_HLS_part=2");
        assert_eq!(ahead(3), "/a/media.m3u8?_HLS_msn=73&_HLS_part=0");
        let plain = Playlist::parse("#EXTM3U\n#EXTINF:1,\na.ts\n").unwrap();
        assert_eq!(plain.ahead(5).of("/m?t=1"), "/m?t=1&_HLS_msn=1");
    }

    #[test]
    fn names_are_seen_from_the_playlist() {
        assert_eq!(resolve("/live/a/media.m3u8?t=1", "x.ts"), "/live/a/x.ts");
        assert_eq!(resolve("/live/a/media.m3u8", "/x.ts"), "/x.ts");
    }
}
