//! What a delta update must be like.

use super::parse::MediaPlaylist;
use super::{ROUNDED, alone};

/// Looks at a delta update and at the same version of the playlist in full. Returns what is wrong
/// with it: it is the full one without the segments that are old enough (RFC 8216bis, 6.2.5.1).
pub fn lint_delta(full: &str, delta: &str) -> Vec<String> {
    let mut findings = alone::lint(delta);
    let (full, _) = MediaPlaylist::parse(full);
    let (delta, _) = MediaPlaylist::parse(delta);
    let skipped = usize::try_from(delta.skipped).unwrap_or(usize::MAX);
    if full.segments.len().saturating_sub(skipped) != delta.segments.len() {
        findings
            .push("the segments that are skipped and those that are not are not all".to_owned());
    }
    let expected: Vec<&String> = kept(&full, skipped).collect();
    let found: Vec<&String> = rest(&delta).collect();
    if expected != found {
        findings.push("the delta update is not the end of the playlist".to_owned());
    }
    let is_same = full.media_sequence == delta.media_sequence
        && full.discontinuity_sequence == delta.discontinuity_sequence
        && (full.target, full.part_target) == (delta.target, delta.part_target)
        && (full.independent, &full.control) == (delta.independent, &delta.control);
    if !is_same {
        findings.push("the delta update says something else of the playlist".to_owned());
    }
    // All that are old enough.
    let boundary = full
        .control
        .as_ref()
        .and_then(|it| it.seconds("CAN-SKIP-UNTIL"));
    let mut distance = full.duration();
    let is_old = full.segments.iter().take_while(|segment| {
        distance -= segment.duration;
        boundary.is_some_and(|boundary| distance > boundary + ROUNDED)
    });
    let old = is_old.count();
    if !full.ended && skipped < old {
        findings.push(format!("{old} segments could be skipped, {skipped} are"));
    }
    findings
}

/// The lines from the segment behind those skipped on.
fn kept(full: &MediaPlaylist, skipped: usize) -> impl Iterator<Item = &String> {
    let mut addresses = 0;
    rest(full).skip_while(move |line| {
        let is_skipped = addresses < skipped;
        addresses += usize::from(!line.starts_with('#'));
        is_skipped
    })
}

/// The lines behind the head.
fn rest(playlist: &MediaPlaylist) -> impl Iterator<Item = &String> {
    const HEAD: [&str; 8] = [
        "#EXTM3U",
        "#EXT-X-VERSION",
        "#EXT-X-TARGETDURATION",
        "#EXT-X-SERVER-CONTROL",
        "#EXT-X-PART-INF",
        "#EXT-X-MEDIA-SEQUENCE",
        "#EXT-X-DISCONTINUITY-SEQUENCE",
        "#EXT-X-INDEPENDENT-SEGMENTS",
    ];
    let is_head = |line: &&String| {
        let name = line.split(':').next().unwrap_or_default();
        HEAD.contains(&name) || name == "#EXT-X-SKIP"
    };
    playlist.lines.iter().skip_while(is_head)
}
