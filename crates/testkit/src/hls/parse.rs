//! Reads media playlists.

use super::attributes::{Attributes, decimal, integer};
use super::date::date_time;

/// A media playlist as it was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MediaPlaylist {
    /// `EXT-X-VERSION`; 1 if it is not there.
    pub version: u64,
    /// `EXT-X-TARGETDURATION`, in seconds; 0 if it is not there.
    pub target: u64,
    /// `PART-TARGET`, in nanoseconds.
    pub part_target: Option<i64>,
    /// `EXT-X-MEDIA-SEQUENCE`.
    pub media_sequence: u64,
    /// `EXT-X-DISCONTINUITY-SEQUENCE`.
    pub discontinuity_sequence: u64,
    /// Whether segments are said to be independent.
    pub independent: bool,
    /// `SKIPPED-SEGMENTS`; 0 if the playlist is no delta update.
    pub skipped: u64,
    /// The segments, of which the last may have parts alone, and no address yet.
    pub segments: Vec<PlaylistSegment>,
    /// Whether the stream has ended.
    pub ended: bool,
    /// The address of the part that is hinted at.
    pub part_hint: Option<String>,
    /// The address of the initialisation that is hinted at.
    pub map_hint: Option<String>,
    pub(super) control: Option<Attributes>,
    pub(super) part_inf: bool,
    pub(super) hints: usize,
    /// The lines, for those who compare them.
    pub(super) lines: Vec<String>,
}

/// A segment of a playlist.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlaylistSegment {
    /// Its media sequence number.
    pub msn: u64,
    /// Its discontinuity sequence number.
    pub discontinuity: u64,
    /// The address of the initialisation that holds for it.
    pub map: Option<String>,
    /// `EXT-X-PROGRAM-DATE-TIME`, in milliseconds of unix time.
    pub date_time: Option<i64>,
    /// The parts that are listed.
    pub parts: Vec<PlaylistPart>,
    /// Whether there is nothing to load.
    pub gap: bool,
    /// In nanoseconds; of one that is not complete, so far.
    pub duration: i64,
    /// `None` while it is not complete.
    pub uri: Option<String>,
    /// Whether these tags stand in front of it.
    pub(super) has_discontinuity: bool,
    pub(super) has_map: bool,
    has_extinf: bool,
    /// Whether any tag of it was read.
    is_begun: bool,
}

/// A part of a segment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlaylistPart {
    /// Its address.
    pub uri: String,
    /// In nanoseconds.
    pub duration: i64,
    /// Whether it contains a frame to begin with.
    pub independent: bool,
    /// Whether there is nothing to load.
    pub gap: bool,
}

/// Those that are there once at most, and stand before the first segment.
const HEAD: [&str; 8] = [
    "EXT-X-VERSION",
    "EXT-X-TARGETDURATION",
    "EXT-X-SERVER-CONTROL",
    "EXT-X-PART-INF",
    "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-INDEPENDENT-SEGMENTS",
    "EXT-X-SKIP",
];

impl MediaPlaylist {
    /// Reads a playlist; what is wrong with its syntax comes beside it.
    pub fn parse(text: &str) -> (Self, Vec<String>) {
        let mut reader = Reader::default();
        reader.playlist.version = 1;
        reader.text(text);
        let mut playlist = reader.playlist;
        playlist.number();
        (playlist, reader.findings)
    }

    /// The segments that are complete.
    pub fn complete(&self) -> impl DoubleEndedIterator<Item = &PlaylistSegment> {
        self.segments.iter().filter(|segment| segment.uri.is_some())
    }

    /// How long all that is listed is, in nanoseconds.
    pub fn duration(&self) -> i64 {
        self.segments.iter().map(|segment| segment.duration).sum()
    }

    /// The media sequence number and the number of the part that a client asks for next.
    pub fn next(&self) -> (u64, u32) {
        let behind = self.media_sequence + self.skipped + self.segments.len() as u64;
        match self.segments.last().filter(|last| last.uri.is_none()) {
            Some(open) => (behind - 1, u32::try_from(open.parts.len()).unwrap_or(0)),
            None => (behind, 0),
        }
    }

    /// Gives the segments what they have by their place.
    fn number(&mut self) {
        let mut map = None;
        let mut discontinuity = self.discontinuity_sequence;
        for (msn, segment) in (self.media_sequence + self.skipped..).zip(&mut self.segments) {
            segment.msn = msn;
            discontinuity += u64::from(segment.has_discontinuity);
            segment.discontinuity = discontinuity;
            if segment.has_map {
                map.clone_from(&segment.map);
            }
            segment.map.clone_from(&map);
            if segment.uri.is_none() {
                segment.duration = segment.parts.iter().map(|part| part.duration).sum();
            }
        }
    }
}

#[derive(Default)]
struct Reader {
    playlist: MediaPlaylist,
    findings: Vec<String>,
    seen: Vec<String>,
    /// The segment whose tags are being read.
    segment: PlaylistSegment,
}

impl Reader {
    fn find(&mut self, finding: impl Into<String>) {
        self.findings.push(finding.into());
    }

    fn text(&mut self, text: &str) {
        if !text.ends_with('\n') {
            self.find("the last line does not end");
        }
        if text.chars().any(|c| c.is_control() && c != '\n') {
            self.find("there is a control character");
        }
        for (number, line) in text.lines().enumerate() {
            self.playlist.lines.push(line.to_owned());
            match line.strip_prefix('#') {
                _ if number == 0 => {
                    if line != "#EXTM3U" {
                        self.find("the first line is not #EXTM3U");
                    }
                }
                Some(tag) if tag.starts_with("EXT") => self.tag(tag),
                Some(_) => {}
                None if line.is_empty() => {}
                None => self.uri(line),
            }
        }
        let open = std::mem::take(&mut self.segment);
        if open.has_extinf {
            self.find("there is no address behind the last #EXTINF");
        }
        if open.is_begun {
            if open.parts.is_empty() {
                self.find("there are tags behind the last segment that belong to none");
            }
            self.playlist.segments.push(open);
        }
    }

    fn uri(&mut self, uri: &str) {
        let segment = std::mem::take(&mut self.segment);
        if !segment.has_extinf {
            self.find(format!("there is no #EXTINF before {uri}"));
        }
        self.playlist.segments.push(PlaylistSegment {
            uri: Some(uri.to_owned()),
            ..segment
        });
    }

    fn tag(&mut self, tag: &str) {
        let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
        if HEAD.contains(&name) {
            if self.seen.iter().any(|seen| seen == name) {
                self.find(format!("#{name} is there twice"));
            }
            if self.segment.is_begun || !self.playlist.segments.is_empty() {
                self.find(format!("#{name} stands behind a segment"));
            }
            self.seen.push(name.to_owned());
            self.head(name, value);
        } else if name == "EXT-X-ENDLIST" {
            self.playlist.ended = true;
        } else if name == "EXT-X-PRELOAD-HINT" {
            self.hint(value);
        } else {
            self.segment.is_begun = true;
            self.media(name, value);
        }
    }

    fn head(&mut self, name: &str, value: &str) {
        let number = integer(value);
        let playlist = &mut self.playlist;
        let takes_number = match name {
            "EXT-X-VERSION" => number.map(|number| playlist.version = number),
            "EXT-X-TARGETDURATION" => number.map(|number| playlist.target = number),
            "EXT-X-MEDIA-SEQUENCE" => number.map(|number| playlist.media_sequence = number),
            "EXT-X-DISCONTINUITY-SEQUENCE" => {
                number.map(|number| playlist.discontinuity_sequence = number)
            }
            "EXT-X-INDEPENDENT-SEGMENTS" => {
                playlist.independent = true;
                Some(())
            }
            _ => {
                self.head_list(name, value);
                Some(())
            }
        };
        if takes_number.is_none() {
            self.find(format!("#{name} takes a number, not “{value}”"));
        }
    }

    fn head_list(&mut self, name: &str, value: &str) {
        let list = self.list(name, value);
        match name {
            "EXT-X-SERVER-CONTROL" => self.playlist.control = Some(list),
            "EXT-X-PART-INF" => {
                self.playlist.part_inf = true;
                self.playlist.part_target = list.seconds("PART-TARGET");
                if self.playlist.part_target.is_none() {
                    self.find("#EXT-X-PART-INF has no PART-TARGET");
                }
            }
            _ => match list.integer("SKIPPED-SEGMENTS") {
                Some(skipped @ 1..) => self.playlist.skipped = skipped,
                _ => self.find("#EXT-X-SKIP does not say how many segments are skipped"),
            },
        }
    }

    fn hint(&mut self, value: &str) {
        let list = self.list("EXT-X-PRELOAD-HINT", value);
        self.playlist.hints += 1;
        let uri = list.quoted("URI").map(str::to_owned);
        if uri.is_none() {
            self.find("#EXT-X-PRELOAD-HINT has no URI");
        }
        let place = match list.bare("TYPE") {
            Some("PART") => &mut self.playlist.part_hint,
            Some("MAP") => &mut self.playlist.map_hint,
            _ => return self.find("#EXT-X-PRELOAD-HINT has no TYPE that is known"),
        };
        if std::mem::replace(place, uri).is_some() {
            self.find("there are two #EXT-X-PRELOAD-HINT of a type");
        }
    }

    fn media(&mut self, name: &str, value: &str) {
        let is_behind_parts = !self.segment.parts.is_empty();
        let before_parts = [
            "EXT-X-DISCONTINUITY",
            "EXT-X-MAP",
            "EXT-X-PROGRAM-DATE-TIME",
        ];
        if is_behind_parts && before_parts.contains(&name) {
            self.find(format!(
                "#{name} stands behind the first part of its segment"
            ));
        }
        match name {
            "EXTINF" => {
                let (duration, _) = value.split_once(',').unwrap_or((value, ""));
                if !value.contains(',') || self.segment.has_extinf {
                    self.find(format!("#EXTINF:{value} is no #EXTINF, or a second one"));
                }
                self.segment.has_extinf = true;
                match decimal(duration) {
                    Some(duration) => self.segment.duration = duration,
                    None => self.find(format!("#EXTINF takes a length, not “{duration}”")),
                }
            }
            "EXT-X-DISCONTINUITY" => self.segment.has_discontinuity = true,
            "EXT-X-GAP" => self.segment.gap = true,
            "EXT-X-MAP" => {
                let list = self.list(name, value);
                self.segment.has_map = true;
                self.segment.map = list.quoted("URI").map(str::to_owned);
                if self.segment.map.is_none() {
                    self.find("#EXT-X-MAP has no URI");
                }
            }
            "EXT-X-PROGRAM-DATE-TIME" => {
                self.segment.date_time = date_time(value);
                if self.segment.date_time.is_none() {
                    self.find(format!(
                        "“{value}” is no date and time with a zone, to the millisecond"
                    ));
                }
            }
            "EXT-X-PART" => self.part(value),
            _ => self.find(format!("#{name} is not known")),
        }
    }

    fn part(&mut self, value: &str) {
        let list = self.list("EXT-X-PART", value);
        let (uri, duration) = (list.quoted("URI"), list.seconds("DURATION"));
        if uri.is_none() || duration.is_none() {
            self.find(format!("#EXT-X-PART:{value} lacks its URI or its DURATION"));
        }
        self.segment.parts.push(PlaylistPart {
            uri: uri.unwrap_or_default().to_owned(),
            duration: duration.unwrap_or(0),
            independent: list.says_yes("INDEPENDENT"),
            gap: list.says_yes("GAP"),
        });
    }

    fn list(&mut self, name: &str, value: &str) -> Attributes {
        let (list, findings) = Attributes::parse(value);
        for finding in findings {
            self.find(format!("#{name}: {finding}"));
        }
        list
    }
}
