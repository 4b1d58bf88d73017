//! What one media playlist must be like.

use std::collections::HashSet;

use super::parse::{MediaPlaylist, PlaylistSegment};
use super::{ROUNDED, SECOND, seconds};

/// Looks at one media playlist. Returns what is wrong with it.
pub fn lint(text: &str) -> Vec<String> {
    let (playlist, mut findings) = MediaPlaylist::parse(text);
    for rule in [
        version,
        target,
        control,
        live,
        lengths,
        parts,
        listed_parts,
        maps,
        dates,
        addresses,
        hints,
        independence,
        skip,
    ] {
        rule(&playlist, &mut findings);
    }
    findings
}

type Findings = Vec<String>;

/// RFC 8216bis 8: as high as needed, and 6.2.1: no higher.
fn version(playlist: &MediaPlaylist, findings: &mut Findings) {
    // Target durations that hold rounded lengths, and initialisations; what is skipped.
    let needed = if playlist.skipped > 0 { 9 } else { 6 };
    if playlist.version != needed {
        let version = playlist.version;
        findings.push(format!(
            "the version is {version}, {needed} is what the tags need"
        ));
    }
}

/// 4.4.3.1: the target duration holds all segments, once rounded.
fn target(playlist: &MediaPlaylist, findings: &mut Findings) {
    if playlist.target == 0 {
        findings.push("there is no target duration".to_owned());
    }
    let target = i64::try_from(playlist.target).unwrap_or(0);
    for segment in playlist.complete() {
        let rounded = (segment.duration + SECOND / 2) / SECOND;
        if rounded > target {
            let (msn, length) = (segment.msn, seconds(segment.duration));
            findings.push(format!(
                "segment {msn} lasts {length}, the target is {target}"
            ));
        }
        if segment.duration <= 0 {
            findings.push(format!("segment {} lasts no time", segment.msn));
        }
    }
}

/// 4.4.3.8: what the server says it can do.
fn control(playlist: &MediaPlaylist, findings: &mut Findings) {
    let Some(control) = &playlist.control else {
        findings.push("there is no #EXT-X-SERVER-CONTROL".to_owned());
        return;
    };
    let target = i64::try_from(playlist.target).unwrap_or(0) * SECOND;
    let mut at_least = |name: &str, least: i64, of: &str| {
        if control.has(name) && control.seconds(name).is_none_or(|value| value < least) {
            findings.push(format!("{name} is less than {of}"));
        }
    };
    at_least("HOLD-BACK", target * 3, "three target durations");
    at_least("CAN-SKIP-UNTIL", target * 6, "six target durations");
    let part = playlist.part_target.unwrap_or(0);
    // Two are a must, and three are what it should be.
    at_least("PART-HOLD-BACK", part * 3, "three part targets");
    if control.has("CAN-BLOCK-RELOAD") && !control.says_yes("CAN-BLOCK-RELOAD") {
        findings.push("CAN-BLOCK-RELOAD is something else than YES".to_owned());
    }
    if playlist.part_inf && !control.has("PART-HOLD-BACK") {
        findings.push("there is a part target, and no PART-HOLD-BACK".to_owned());
    }
    let has_parts = playlist.segments.iter().any(|it| !it.parts.is_empty());
    if has_parts && !playlist.part_inf {
        findings.push("there are parts, and no #EXT-X-PART-INF".to_owned());
    }
}

/// What live playlists have.
fn live(playlist: &MediaPlaylist, findings: &mut Findings) {
    if playlist.segments.is_empty() && playlist.skipped == 0 {
        findings.push("there is nothing in it".to_owned());
    }
    let unfinished = playlist
        .segments
        .iter()
        .rev()
        .skip(1)
        .find(|it| it.uri.is_none());
    if let Some(segment) = unfinished {
        findings.push(format!("segment {} has no address", segment.msn));
    }
}

/// A segment is as long as its parts.
fn lengths(playlist: &MediaPlaylist, findings: &mut Findings) {
    for segment in playlist.complete().filter(|it| !it.parts.is_empty()) {
        let parts: i64 = segment.parts.iter().map(|part| part.duration).sum();
        if (parts - segment.duration).abs() > ROUNDED {
            let (msn, length) = (segment.msn, seconds(segment.duration));
            let parts = seconds(parts);
            findings.push(format!(
                "segment {msn} lasts {length}, its parts last {parts}"
            ));
        }
    }
}

/// 4.4.4.9: no part is longer than the target, and few are shorter than 85 % of it.
fn parts(playlist: &MediaPlaylist, findings: &mut Findings) {
    let Some(target) = playlist.part_target else {
        return;
    };
    for segment in &playlist.segments {
        let msn = segment.msn;
        for (number, part) in segment.parts.iter().enumerate() {
            let length = seconds(part.duration);
            if part.duration > target {
                findings.push(format!(
                    "part {msn}.{number} lasts {length}, which is too long"
                ));
            }
            if part.duration <= 0 {
                findings.push(format!("part {msn}.{number} lasts no time"));
            }
            let next = segment.parts.get(number + 1);
            let is_last = next.is_none() && segment.uri.is_some();
            let may_be_short =
                part.independent || part.gap || is_last || next.is_some_and(|next| next.gap);
            if !may_be_short && part.duration * 100 < target * 85 {
                findings.push(format!(
                    "part {msn}.{number} lasts {length}, which is too short"
                ));
            }
            if part.gap && part.independent {
                findings.push(format!("part {msn}.{number} is a gap to begin with"));
            }
        }
    }
}

/// 6.2.2: parts are listed near the end, and not elsewhere.
fn listed_parts(playlist: &MediaPlaylist, findings: &mut Findings) {
    if playlist.part_target.is_none() {
        return;
    }
    let near = i64::try_from(playlist.target).unwrap_or(0) * 3 * SECOND;
    let mut distance = 0;
    for segment in playlist.segments.iter().rev() {
        let (msn, has_parts) = (segment.msn, !segment.parts.is_empty());
        // What lies right at the border may do as it likes.
        if has_parts && distance > near + ROUNDED {
            findings.push(format!("segment {msn} lists its parts so far from the end"));
        }
        if !has_parts && distance < near - ROUNDED {
            findings.push(format!(
                "segment {msn} does not list its parts so near to the end"
            ));
        }
        distance += segment.duration;
    }
}

/// Which segments need an initialisation, and where it stands.
fn maps(playlist: &MediaPlaylist, findings: &mut Findings) {
    // In a delta update it may stand in what is skipped.
    let mut is_known = playlist.skipped > 0;
    for segment in &playlist.segments {
        let msn = segment.msn;
        is_known |= segment.has_map;
        let is_transport = segment.uri.as_deref().is_some_and(is_transport_stream);
        if is_transport && segment.map.is_some() {
            findings.push(format!(
                "segment {msn} is a transport stream with a #EXT-X-MAP"
            ));
        }
        if !is_known && !is_transport && !is_gap(segment) {
            findings.push(format!("segment {msn} has no #EXT-X-MAP"));
        }
        if segment.has_discontinuity && !segment.has_map && !is_transport && !is_gap(segment) {
            findings.push(format!(
                "segment {msn} has a discontinuity and no #EXT-X-MAP"
            ));
        }
    }
    for pair in playlist.segments.windows(2) {
        let [before, after] = pair else { continue };
        if after.has_map && after.map != before.map && !after.has_discontinuity {
            let known = before.map.is_some() && !is_gap(before);
            if known {
                let msn = after.msn;
                findings.push(format!(
                    "segment {msn} has another map and no discontinuity"
                ));
            }
        }
    }
}

fn is_transport_stream(uri: &str) -> bool {
    uri.split('?')
        .next()
        .is_some_and(|path| path.ends_with(".ts"))
}

/// Whether there is nothing of it to load.
fn is_gap(segment: &PlaylistSegment) -> bool {
    segment.gap || (segment.uri.is_none() && segment.parts.iter().all(|part| part.gap))
}

/// 6.2.1 and appendix B.1: dates, on each segment behind a discontinuity, and none that is two.
fn dates(playlist: &MediaPlaylist, findings: &mut Findings) {
    if let Some(first) = playlist.segments.first()
        && first.date_time.is_none()
    {
        findings.push("the first segment has no date and time".to_owned());
    }
    for pair in playlist.segments.windows(2) {
        let [before, after] = pair else { continue };
        let msn = after.msn;
        let Some(date) = after.date_time else {
            if after.has_discontinuity {
                findings.push(format!(
                    "segment {msn} has a discontinuity and no date and time"
                ));
            }
            continue;
        };
        let Some(old) = before.date_time else {
            continue;
        };
        let end = old + before.duration / 1_000_000;
        // Dates are in whole milliseconds, and small overlaps of what two clocks told are allowed.
        let overlap = if after.has_discontinuity { 1000 } else { 2 };
        if date + overlap < end {
            findings.push(format!(
                "segment {msn} is dated before the end of the one before"
            ));
        }
    }
}

/// No address is there twice.
fn addresses(playlist: &MediaPlaylist, findings: &mut Findings) {
    let mut seen = HashSet::new();
    let segments = || playlist.segments.iter();
    let of_segments = segments().filter_map(|segment| segment.uri.as_deref());
    let of_parts = segments().flat_map(|segment| &segment.parts);
    let of_parts = of_parts.map(|part| part.uri.as_str());
    let hints = playlist.part_hint.as_deref();
    for uri in of_segments.chain(of_parts).chain(hints) {
        if !seen.insert(uri) {
            findings.push(format!("{uri} is there twice"));
        }
        if uri.is_empty() || uri.contains([' ', '"']) {
            findings.push(format!("“{uri}” is no address"));
        }
    }
}

/// Appendix B.1 and 4.4.5.3: what comes next is hinted at, until the end.
fn hints(playlist: &MediaPlaylist, findings: &mut Findings) {
    if playlist.ended {
        if playlist.hints > 0 {
            findings.push("there is a hint in a playlist that has ended".to_owned());
        }
        return;
    }
    let has_parts = playlist.segments.iter().any(|it| !it.parts.is_empty());
    if has_parts && playlist.part_hint.is_none() {
        findings.push("there are parts, and no hint at the next".to_owned());
    }
    let map = playlist.segments.last().and_then(|last| last.map.as_ref());
    if playlist.map_hint.is_some() && playlist.map_hint.as_ref() == map {
        findings.push("there is a hint at the map that is known".to_owned());
    }
}

/// 4.4.2.1: what is said of all segments holds for each.
fn independence(playlist: &MediaPlaylist, findings: &mut Findings) {
    if !playlist.independent {
        return;
    }
    for segment in &playlist.segments {
        if segment.parts.first().is_some_and(|part| !part.independent) {
            let msn = segment.msn;
            findings.push(format!(
                "segment {msn} is said to be independent and does not begin so"
            ));
        }
    }
}

/// 4.4.3.8 and 6.2.5.1: what is skipped, clients know.
fn skip(playlist: &MediaPlaylist, findings: &mut Findings) {
    if playlist.skipped == 0 {
        return;
    }
    let boundary = playlist
        .control
        .as_ref()
        .and_then(|it| it.seconds("CAN-SKIP-UNTIL"));
    match boundary {
        None => {
            findings.push("segments are skipped, and nobody said that they could be".to_owned())
        }
        Some(boundary) if playlist.duration() + ROUNDED < boundary => {
            findings.push("segments are skipped that are not old enough".to_owned());
        }
        Some(_) => {}
    }
    if playlist.ended {
        findings.push("segments are skipped in a playlist that has ended".to_owned());
    }
}
