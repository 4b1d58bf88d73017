//! What the next version of a media playlist must be like.

use super::parse::{MediaPlaylist, PlaylistSegment};
use super::{ROUNDED, SECOND};

/// Looks at a version of a media playlist and at a later one, both whole. Returns what is wrong
/// with the step from the one to the other (RFC 8216bis 6.2.1 and 6.2.2).
///
/// A list that has nothing in common with the one before, and higher numbers, is that of a publish
/// after a crash: it begins anew. The target duration may grow where a segment has begun
/// without a keyframe: keyframes are farther apart than it held.
pub fn lint_later(before: &str, after: &str) -> Vec<String> {
    let (before, _) = MediaPlaylist::parse(before);
    let (after, _) = MediaPlaylist::parse(after);
    let mut findings = Vec::new();
    if before.skipped > 0 || after.skipped > 0 {
        findings.push("delta updates are not compared with what went before".to_owned());
        return findings;
    }
    if after.media_sequence < before.media_sequence {
        findings.push("the media sequence number went back".to_owned());
    }
    if after.discontinuity_sequence < before.discontinuity_sequence {
        findings.push("the discontinuity sequence number went back".to_owned());
    }
    if before.ended {
        if before.lines != after.lines {
            findings.push("there is a change behind the end".to_owned());
        }
        return findings;
    }
    let common: Vec<_> = common(&before, &after).collect();
    if common.is_empty() {
        begins_anew(&before, &after, &mut findings);
        return findings;
    }
    if after.target < before.target || after.target > before.target && after.independent {
        findings.push("the target duration changed".to_owned());
    }
    if after.part_target != before.part_target {
        findings.push("the part target changed".to_owned());
    }
    if after.next() < before.next() {
        findings.push("something is gone from the end".to_owned());
    }
    for (old, new) in common {
        same_segment(old, new, after.target > before.target, &mut findings);
    }
    removal(&before, &after, &mut findings);
    reuse(&before, &after, &mut findings);
    findings
}

fn common<'a>(
    before: &'a MediaPlaylist,
    after: &'a MediaPlaylist,
) -> impl Iterator<Item = (&'a PlaylistSegment, &'a PlaylistSegment)> {
    before.segments.iter().filter_map(|old| {
        let new = after.segments.iter().find(|new| new.msn == old.msn)?;
        Some((old, new))
    })
}

/// What was listed is still what it was.
///
/// Where the target duration grew, parts are listed again that are near enough to the end now.
fn same_segment(
    old: &PlaylistSegment,
    new: &PlaylistSegment,
    target_grew: bool,
    findings: &mut Vec<String>,
) {
    let msn = old.msn;
    let mut must = |holds: bool, what: &str| {
        if !holds {
            findings.push(format!("{what} of segment {msn} changed"));
        }
    };
    must(
        old.discontinuity == new.discontinuity,
        "the discontinuity sequence number",
    );
    // Of what there is nothing to load it does not matter.
    must(old.map == new.map || new.gap, "the map");
    must(old.date_time == new.date_time, "the date and time");
    if old.uri.is_some() {
        must(old.uri == new.uri, "the address");
        must(old.duration == new.duration, "the length");
        must(old.gap == new.gap, "the gap");
    }
    // Parts are added at the end, and go all at once.
    if !new.parts.is_empty() {
        let kept = new.parts.get(..old.parts.len());
        must(kept == Some(&old.parts), "a part");
        let grows = old.uri.is_none() || new.parts.len() == old.parts.len();
        must(grows || old.parts.is_empty(), "the number of parts");
        must(
            !old.parts.is_empty() || old.uri.is_none() || target_grew,
            "the list of parts",
        );
    }
}

/// 6.2.2: nothing is removed from a list that is then too short.
fn removal(before: &MediaPlaylist, after: &MediaPlaylist, findings: &mut Vec<String>) {
    let least = i64::try_from(after.target).unwrap_or(0) * 3 * SECOND;
    let is_removed = after.media_sequence > before.media_sequence;
    let duration: i64 = after.complete().map(|segment| segment.duration).sum();
    if is_removed && !after.ended && duration + ROUNDED < least {
        findings.push("a segment was removed from a list that is now too short".to_owned());
    }
}

/// No address is used for something new.
fn reuse(before: &MediaPlaylist, after: &MediaPlaylist, findings: &mut Vec<String>) {
    for new in &after.segments {
        let other = before.segments.iter().filter(|old| old.msn != new.msn);
        for old in other {
            if new.uri.is_some() && new.uri == old.uri {
                let (msn, old) = (new.msn, old.msn);
                findings.push(format!(
                    "segment {msn} has the address that segment {old} had"
                ));
            }
        }
    }
}

fn begins_anew(before: &MediaPlaylist, after: &MediaPlaylist, findings: &mut Vec<String>) {
    let highest = before.segments.last();
    if highest.is_some_and(|last| after.media_sequence <= last.msn) {
        findings.push("a list that begins anew has numbers that there were".to_owned());
    }
    if highest.is_some_and(|last| after.discontinuity_sequence <= last.discontinuity) {
        findings.push("a list that begins anew has no new discontinuity number".to_owned());
    }
    let uris = |playlist: &MediaPlaylist| {
        let segments = playlist.complete().filter_map(|it| it.uri.clone());
        segments.collect::<Vec<_>>()
    };
    let old = uris(before);
    if uris(after).iter().any(|uri| old.contains(uri)) {
        findings.push("a list that begins anew has an address that there was".to_owned());
    }
}
