//! The playlist that players follow.

use std::sync::Arc;

use super::date::DateTime;
use super::{Playlist, SKIP_VERSION, Seconds, VERSION};
use crate::segment::{Part, Segment, total};
use crate::window::{Listed, Version, Window};

/// RFC 8216bis 4.4.3.8: the distance from the end to play at, in target durations, and the same
/// in part targets; and how old a segment is, in target durations, for clients to be thought to
/// know it. All at their least.
const HOLD_BACK: i64 = 3;
const PART_HOLD_BACK: i64 = 3;
const SKIP_BOUNDARY: i64 = 6;

/// RFC 8216bis 6.2.2: parts so far from the end, in target durations, are not listed any more.
const PARTS_LISTED: i64 = 3;

impl Playlist {
    /// The version `version` of the media playlist: the same text on every node and at any time,
    /// if it [can be told exactly](Window::is_exact). `None` if its last part is not there.
    ///
    /// With `skip` what clients have long known is left out (RFC 8216bis, 6.2.5.1), if there is
    /// anything of the kind.
    pub fn media(window: &Window, version: Version, skip: bool) -> Option<Self> {
        let listed = window.listed(version)?;
        let last = *listed.segments.last()?;
        let target = nanoseconds(listed.target());
        let lengths = Lengths::of(&listed);
        let skipped = match skip && !listed.ended {
            true => lengths.beyond(target.saturating_mul(SKIP_BOUNDARY)),
            false => 0,
        };
        let mut playlist = Self::default();
        playlist.head(&listed, last, skipped);
        let first_with_parts = lengths.beyond(target.saturating_mul(PARTS_LISTED));
        let mut before: Option<&Segment> = None;
        for (at, segment) in listed.segments.iter().copied().enumerate() {
            if at >= skipped {
                playlist.begin_segment(segment, before);
                let is_last = at + 1 == listed.segments.len();
                if segment.has_parts() && at >= first_with_parts {
                    let parts = if is_last {
                        listed.parts
                    } else {
                        &segment.parts
                    };
                    playlist.parts(segment, parts);
                }
                // At the end parts alone would be of no segment.
                if !is_last || listed.whole || listed.ended {
                    playlist.end_segment(segment);
                }
            }
            before = Some(segment);
        }
        playlist.tail(&listed, last);
        Some(playlist)
    }

    fn head(&mut self, listed: &Listed<'_>, last: &Segment, skipped: usize) {
        let version = if skipped > 0 { SKIP_VERSION } else { VERSION };
        let target = listed.target().as_secs();
        let times = |count: i64| i64::try_from(target).unwrap_or(0).saturating_mul(count);
        let part_target = last.mark.part_target.filter(|_| last.has_parts());
        self.line(format_args!("#EXTM3U"));
        self.line(format_args!("#EXT-X-VERSION:{version}"));
        self.line(format_args!("#EXT-X-TARGETDURATION:{target}"));
        self.put(format_args!("#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES"));
        self.put(format_args!(",CAN-SKIP-UNTIL={}.0", times(SKIP_BOUNDARY)));
        self.put(format_args!(",HOLD-BACK={}.0", times(HOLD_BACK)));
        if let Some(part) = part_target {
            let part = nanoseconds(part);
            let hold_back = Seconds(part.saturating_mul(PART_HOLD_BACK));
            self.line(format_args!(",PART-HOLD-BACK={hold_back}"));
            self.line(format_args!(
                "#EXT-X-PART-INF:PART-TARGET={}",
                Seconds(part)
            ));
        } else {
            self.line(format_args!(""));
        }
        let first = listed.segments.first().copied().unwrap_or(last);
        self.line(format_args!("#EXT-X-MEDIA-SEQUENCE:{}", first.msn));
        let discontinuity = first.mark.discontinuity;
        self.line(format_args!(
            "#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity}"
        ));
        if listed
            .segments
            .iter()
            .all(|segment| segment.is_independent())
        {
            self.line(format_args!("#EXT-X-INDEPENDENT-SEGMENTS"));
        }
        if skipped > 0 {
            self.line(format_args!("#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}"));
        }
    }

    /// What stands before the first part of a segment.
    fn begin_segment(&mut self, segment: &Segment, before: Option<&Segment>) {
        let discontinuity = is_discontinuity(segment, before);
        if discontinuity {
            self.line(format_args!("#EXT-X-DISCONTINUITY"));
        }
        if let Some(init) = segment.init()
            && (discontinuity || before.and_then(Segment::init).is_none_or(|it| it != init))
        {
            self.uri(format_args!("#EXT-X-MAP:URI=\""), init.name(), "\"");
        }
        let date_time = DateTime(segment.mark.date_time);
        self.line(format_args!("#EXT-X-PROGRAM-DATE-TIME:{date_time}"));
    }

    fn parts(&mut self, segment: &Segment, parts: &[Arc<Part>]) {
        for (number, part) in (0..).zip(parts) {
            let duration = Seconds(part.duration);
            let attribute = match (part.body(), part.independent) {
                (None, _) => "\",GAP=YES",
                (Some(_), true) => "\",INDEPENDENT=YES",
                (Some(_), false) => "\"",
            };
            let before = format_args!("#EXT-X-PART:DURATION={duration},URI=\"");
            self.uri(before, segment.part_name(number), attribute);
        }
    }

    fn end_segment(&mut self, segment: &Segment) {
        if segment.body().is_none() {
            self.line(format_args!("#EXT-X-GAP"));
        }
        self.line(format_args!("#EXTINF:{},", Seconds(segment.length())));
        self.uri(format_args!(""), segment.name(), "");
    }

    fn tail(&mut self, listed: &Listed<'_>, last: &Segment) {
        if listed.ended {
            self.line(format_args!("#EXT-X-ENDLIST"));
            return;
        }
        if !last.has_parts() {
            return;
        }
        let name = match listed.next {
            // Parts of another kind are not for this playlist.
            Some(next) if !next.has_parts() => return,
            Some(next) => {
                if let Some(init) = next.init().filter(|init| last.init() != Some(init)) {
                    let before = format_args!("#EXT-X-PRELOAD-HINT:TYPE=MAP,URI=\"");
                    self.uri(before, init.name(), "\"");
                }
                next.part_name(0)
            }
            None => last.part_name(u32::try_from(listed.parts.len()).unwrap_or(u32::MAX)),
        };
        let before = format_args!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"");
        self.uri(before, name, "\"");
    }
}

fn is_discontinuity(segment: &Segment, before: Option<&Segment>) -> bool {
    before.is_some_and(|before| before.mark.discontinuity != segment.mark.discontinuity)
}

/// How far from the end of the playlist each of its segments ends, in nanoseconds.
struct Lengths(Vec<i64>);

impl Lengths {
    fn of(listed: &Listed<'_>) -> Self {
        let mut distance = if listed.whole { 0 } else { total(listed.parts) };
        let whole = listed.segments.len() - usize::from(!listed.whole);
        let mut distances = vec![0; whole];
        let segments = listed.segments.iter().take(whole);
        for (place, segment) in distances.iter_mut().rev().zip(segments.rev()) {
            *place = distance;
            distance = distance.saturating_add(segment.length());
        }
        Self(distances)
    }

    /// How many segments, of the first, end farther from the end than this.
    fn beyond(&self, distance: i64) -> usize {
        self.0.iter().take_while(|it| **it > distance).count()
    }
}

fn nanoseconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
