//! What a multivariant playlist must be like.

use super::attributes::{Attributes, integer};

/// Looks at a multivariant playlist. Returns what is wrong with it (RFC 8216bis 4.4.6).
pub fn lint_multivariant(text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let mut variant = false;
    let mut variants = 0;
    for (number, line) in text.lines().enumerate() {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if number == 0 {
            if line != "#EXTM3U" {
                findings.push("the first line is not #EXTM3U".to_owned());
            }
        } else if name == "#EXT-X-VERSION" {
            if integer(value).is_none() {
                findings.push(format!("“{value}” is no version"));
            }
        } else if name == "#EXT-X-STREAM-INF" {
            variant = true;
            lint_variant(value, &mut findings);
        } else if line.starts_with("#EXT") {
            findings.push(format!("{name} is not known in such a playlist"));
        } else if !line.starts_with('#') && !line.is_empty() {
            if !std::mem::take(&mut variant) {
                findings.push(format!("there is no #EXT-X-STREAM-INF before {line}"));
            }
            variants += 1;
        }
    }
    if variant || variants == 0 {
        findings.push("there is no address of a variant".to_owned());
    }
    findings
}

fn lint_variant(value: &str, findings: &mut Vec<String>) {
    let (list, wrong) = Attributes::parse(value);
    findings.extend(
        wrong
            .into_iter()
            .map(|wrong| format!("#EXT-X-STREAM-INF: {wrong}")),
    );
    let Some(peak) = list.integer("BANDWIDTH").filter(|&peak| peak > 0) else {
        findings.push("there is no BANDWIDTH".to_owned());
        return;
    };
    if list.has("AVERAGE-BANDWIDTH") && list.integer("AVERAGE-BANDWIDTH").is_none_or(|it| it > peak)
    {
        findings.push("AVERAGE-BANDWIDTH is higher than BANDWIDTH".to_owned());
    }
    let Some(codecs) = list.quoted("CODECS").filter(|codecs| !codecs.is_empty()) else {
        findings.push("there are no CODECS".to_owned());
        return;
    };
    let of_video = [
        "avc1", "avc3", "hvc1", "hev1", "av01", "vp08", "vp09", "vvc1",
    ];
    let has_video = codecs.split(',').any(|codec| {
        let name = codec.split('.').next().unwrap_or_default();
        of_video.contains(&name)
    });
    let size = list.bare("RESOLUTION").map(|size| {
        let (width, height) = size.split_once('x')?;
        Some((integer(width)?, integer(height)?))
    });
    match (has_video, size) {
        (true, None) => findings.push("there is video and no RESOLUTION".to_owned()),
        (_, Some(None)) => findings.push("RESOLUTION is no width and height".to_owned()),
        (false, Some(_)) => findings.push("there is a RESOLUTION and no video".to_owned()),
        _ => {}
    }
    if let Some(rate) = list.bare("FRAME-RATE") {
        let has_three = rate
            .split_once('.')
            .is_some_and(|(_, decimals)| decimals.len() == 3);
        if !has_three || list.seconds("FRAME-RATE").is_none_or(|rate| rate == 0) {
            findings.push("FRAME-RATE is no number with three decimals".to_owned());
        }
    }
}
