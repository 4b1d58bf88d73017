//! Whether what is wrong is found.

use super::*;

const GOOD: &str = "#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=24.0,HOLD-BACK=12.0,PART-HOLD-BACK=3.3
#EXT-X-PART-INF:PART-TARGET=1.1
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI=\"a.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2025-06-15T15:06:40.000Z
#EXTINF:4.000000,
7.m4s
#EXT-X-PROGRAM-DATE-TIME:2025-06-15T15:06:44.000Z
#EXTINF:4.000000,
8.m4s
#EXT-X-PROGRAM-DATE-TIME:2025-06-15T15:06:48.000Z
#EXT-X-PART:DURATION=1.0,URI=\"9.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=1.0,URI=\"9.1.m4s\"
#EXT-X-PART:DURATION=1.0,URI=\"9.2.m4s\"
#EXT-X-PART:DURATION=1.0,URI=\"9.3.m4s\"
#EXTINF:4.000000,
9.m4s
#EXT-X-PROGRAM-DATE-TIME:2025-06-15T15:06:52.000Z
#EXT-X-PART:DURATION=1.0,URI=\"10.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=1.0,URI=\"10.1.m4s\"
#EXT-X-PART:DURATION=1.0,URI=\"10.2.m4s\"
#EXT-X-PART:DURATION=1.0,URI=\"10.3.m4s\"
#EXTINF:4.000000,
10.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI=\"b.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2025-06-15T15:07:00.000Z
#EXT-X-PART:DURATION=1.0,URI=\"11.0.m4s\",INDEPENDENT=YES
#EXT-X-PART:DURATION=1.0,URI=\"11.1.m4s\"
#EXT-X-PART:DURATION=1.0,URI=\"11.2.m4s\"
#EXT-X-PART:DURATION=0.5,URI=\"11.3.m4s\"
#EXTINF:3.500000,
11.m4s
#EXT-X-PROGRAM-DATE-TIME:2025-06-15T15:07:03.500Z
#EXT-X-PART:DURATION=1.0,URI=\"12.0.m4s\",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"12.1.m4s\"
";

fn changed(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old}");
    GOOD.replacen(old, new, 1)
}

/// Whether one of the findings has this in it.
fn has(findings: &[String], what: &str) -> bool {
    findings.iter().any(|finding| finding.contains(what))
}

#[test]
fn nothing_is_wrong_with_a_good_playlist() {
    assert_eq!(lint(GOOD), [""; 0]);
    assert_eq!(lint_later(GOOD, GOOD), [""; 0]);
    let ended = GOOD.lines().filter(|line| !line.contains("HINT"));
    let ended = ended.collect::<Vec<_>>().join("\n") + "\n#EXT-X-ENDLIST\n";
    assert_eq!(lint(&ended), [""; 0]);
    assert_eq!(lint_later(GOOD, &ended), [""; 0]);
    let (read, _) = MediaPlaylist::parse(GOOD);
    assert_eq!((read.media_sequence, read.next()), (7, (12, 1)));
    let last = read.segments.last().unwrap();
    assert_eq!((last.msn, last.discontinuity), (12, 4));
    assert_eq!(last.map.as_deref(), Some("b.mp4"));
}

#[test]
fn what_is_wrong_with_a_playlist_is_found() {
    let date = "#EXT-X-PROGRAM-DATE-TIME:2025-06-15T15:07:00.000Z\n";
    for (old, new, finding) in [
        ("#EXTM3U\n", "", "first line"),
        ("VERSION:6", "VERSION:7", "version"),
        ("VERSION:6", "VERSION:x", "number"),
        ("#EXT-X-TARGETDURATION:4\n", "", "no target"),
        ("TARGETDURATION:4", "TARGETDURATION:3", "target is 3"),
        (
            "MEDIA-SEQUENCE:7\n",
            "MEDIA-SEQUENCE:7\n#EXT-X-MEDIA-SEQUENCE:7\n",
            "twice",
        ),
        ("HOLD-BACK=12.0", "HOLD-BACK=11.9", "HOLD-BACK"),
        ("CAN-SKIP-UNTIL=24.0", "CAN-SKIP-UNTIL=23", "CAN-SKIP-UNTIL"),
        ("PART-HOLD-BACK=3.3", "PART-HOLD-BACK=3.2", "PART-HOLD-BACK"),
        (",PART-HOLD-BACK=3.3", "", "no PART-HOLD-BACK"),
        (
            "#EXT-X-PART-INF:PART-TARGET=1.1\n",
            "",
            "no #EXT-X-PART-INF",
        ),
        (
            "CAN-BLOCK-RELOAD=YES",
            "CAN-BLOCK-RELOAD=NO",
            "CAN-BLOCK-RELOAD",
        ),
        (
            "#EXTINF:4.000000,\n7",
            "#EXTINF:4.500000,\n7",
            "segment 7 lasts 4.5",
        ),
        ("#EXTINF:4.000000,\n7", "#EXTINF:0.0,\n7", "lasts no time"),
        ("#EXTINF:4.000000,\n7", "#EXTINF:four,\n7", "takes a length"),
        ("#EXTINF:4.000000,\n7", "7", "no #EXTINF"),
        (
            "#EXTINF:4.000000,\n9",
            "#EXTINF:3.900000,\n9",
            "its parts last 4",
        ),
        (
            "DURATION=1.0,URI=\"9.1",
            "DURATION=1.2,URI=\"9.1",
            "too long",
        ),
        (
            "DURATION=1.0,URI=\"9.1",
            "DURATION=0.9,URI=\"9.1",
            "too short",
        ),
        ("\"9.1.m4s\"", "\"9.0.m4s\"", "9.0.m4s is there twice"),
        ("\n8.m4s", "\n7.m4s", "7.m4s is there twice"),
        ("12.1.m4s", "12.0.m4s", "12.0.m4s is there twice"),
        (
            "#EXT-X-MAP:URI=\"a.mp4\"\n",
            "",
            "segment 7 has no #EXT-X-MAP",
        ),
        (
            "#EXT-X-MAP:URI=\"b.mp4\"\n",
            "",
            "discontinuity and no #EXT-X-MAP",
        ),
        (
            "#EXT-X-DISCONTINUITY\n",
            "",
            "another map and no discontinuity",
        ),
        (date, "", "discontinuity and no date"),
        ("15:06:40.000Z", "15:06:40Z", "no date and time"),
        ("15:06:44.000Z", "15:06:43.900Z", "dated before"),
        ("15:07:00.000Z", "15:06:54.000Z", "dated before"),
        (
            "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"12.1.m4s\"\n",
            "",
            "no hint",
        ),
        ("TYPE=PART", "TYPE=MAP", "no hint"),
        (
            "#EXT-X-PRELOAD",
            "#EXT-X-ENDLIST\n#EXT-X-PRELOAD",
            "hint in a playlist that",
        ),
        (
            "9.0.m4s\",INDEPENDENT=YES",
            "9.0.m4s\"",
            "said to be independent",
        ),
        (
            "\"9.0.m4s\",INDE",
            "\"9.0.m4s\",GAP=YES,INDE",
            "gap to begin with",
        ),
        (
            "URI=\"9.0.m4s\",",
            "URI=\"9.0.m4s\",URI=\"x\",",
            "URI is there twice",
        ),
        ("URI=\"9.0.m4s\",", "", "lacks its URI"),
        (
            "#EXTINF:4.000000,\n8",
            "#EXT-X-FOO\n#EXTINF:4.000000,\n8",
            "not known",
        ),
        ("12.1.m4s\"\n", "12.1.m4s\"", "does not end"),
        ("8.m4s\n", "8.m4s\r\n", "control"),
        (
            "#EXTINF:4.000000,\n10",
            "#EXT-X-DISCONTINUITY\n#EXTINF:4.0,\n10",
            "behind the first part",
        ),
        (
            "#EXT-X-MAP:URI=\"a",
            "#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXT-X-MAP:URI=\"a",
            "not old enough",
        ),
    ] {
        let findings = lint(&changed(old, new));
        assert!(has(&findings, finding), "{old} → {new}: {findings:?}");
    }
    let far = "#EXT-X-PART:DURATION=1.0,URI=\"7.0.m4s\",INDEPENDENT=YES\n#EXTINF:1.000000,\n7";
    let findings = lint(&changed("#EXTINF:4.000000,\n7", far));
    assert!(has(&findings, "so far from the end"), "{findings:?}");
    let parts = GOOD.lines().filter(|line| !line.contains("URI=\"10."));
    let findings = lint(&(parts.collect::<Vec<_>>().join("\n") + "\n"));
    assert!(has(&findings, "so near to the end"), "{findings:?}");
}

#[test]
fn what_is_wrong_with_a_step_is_found() {
    // The first two leave, which leaves less than three target durations.
    let first = GOOD
        .find("#EXT-X-PROGRAM-DATE-TIME:2025-06-15T15:06:48")
        .unwrap();
    let head = GOOD.find("#EXT-X-PROGRAM").unwrap();
    let shorter = format!("{}{}", &GOOD[..head], &GOOD[first..]);
    let shorter = shorter.replace("SEQUENCE:7", "SEQUENCE:9");
    assert_eq!(lint(&shorter), [""; 0]);
    for (after, finding) in [
        (changed("MEDIA-SEQUENCE:7", "MEDIA-SEQUENCE:6"), "went back"),
        (
            changed("DISCONTINUITY-SEQUENCE:3", "DISCONTINUITY-SEQUENCE:2"),
            "went back",
        ),
        (
            changed("DISCONTINUITY-SEQUENCE:3", "DISCONTINUITY-SEQUENCE:4"),
            "segment 7 changed",
        ),
        (
            changed("TARGETDURATION:4", "TARGETDURATION:5"),
            "target duration changed",
        ),
        (
            changed("PART-TARGET=1.1", "PART-TARGET=1.15"),
            "part target changed",
        ),
        (changed("a.mp4", "c.mp4"), "map of segment 7"),
        (
            changed("15:06:44.000Z", "15:06:44.001Z"),
            "date and time of segment 8",
        ),
        (changed("\n8.m4s", "\n8b.m4s"), "address of segment 8"),
        (
            changed("#EXTINF:4.000000,\n8", "#EXTINF:3.900000,\n8"),
            "length of segment 8",
        ),
        (
            changed("\"9.2.m4s\"", "\"9.2b.m4s\""),
            "a part of segment 9",
        ),
        (
            changed("\"12.0.m4s\"", "\"12.0b.m4s\""),
            "a part of segment 12",
        ),
        (shorter, "too short"),
    ] {
        let findings = lint_later(GOOD, &after);
        assert!(has(&findings, finding), "{finding}: {findings:?}");
    }
    let back = lint_later(&changed("12.0.m4s\"", "12.0.m4s\",GAP=YES"), GOOD);
    assert!(has(&back, "a part of segment 12"), "{back:?}");
    // A list that begins anew.
    let anew = GOOD.replace("SEQUENCE:7", "SEQUENCE:100");
    let anew = anew.replace("SEQUENCE:3", "SEQUENCE:100");
    let findings = lint_later(GOOD, &anew);
    assert!(has(&findings, "an address that there was"), "{findings:?}");
    let anew = anew.replace(".m4s", "n.m4s");
    assert_eq!(lint_later(GOOD, &anew), [""; 0]);
    let findings = lint_later(GOOD, &anew.replace("Y-SEQUENCE:100", "Y-SEQUENCE:4"));
    assert!(
        has(&findings, "no new discontinuity number"),
        "{findings:?}"
    );
}

#[test]
fn what_is_wrong_with_a_delta_update_is_found() {
    // Of 40 seconds the first four segments end earlier than 24 before the end.
    let segment = |msn: usize| {
        let second = 4 * msn;
        format!(
            "#EXT-X-PROGRAM-DATE-TIME:2025-06-15T15:06:{second:02}.000Z\n#EXTINF:4.0,\n{msn}.ts\n"
        )
    };
    let head = |version: u32, skip: &str| {
        format!(
            "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:4\n\
             #EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=24\n#EXT-X-MEDIA-SEQUENCE:0\n{skip}"
        )
    };
    let list = |range: std::ops::Range<usize>| range.map(segment).collect::<String>();
    let full = head(6, "") + &list(0..10);
    assert_eq!(lint(&full), [""; 0]);
    let delta = |skipped: usize, from: usize| {
        head(9, &format!("#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}\n")) + &list(from..10)
    };
    assert_eq!(lint_delta(&full, &delta(3, 3)), [""; 0]);
    for (delta, finding) in [
        (delta(2, 2), "3 segments could be skipped"),
        (delta(3, 4), "not all"),
        (delta(5, 5), "not old enough"),
        (delta(3, 3).replace("VERSION:9", "VERSION:6"), "9 is what"),
        (delta(3, 3).replace("6.ts", "x.ts"), "not the end"),
        (
            delta(3, 3).replace("SEQUENCE:0", "SEQUENCE:1"),
            "something else",
        ),
    ] {
        let findings = lint_delta(&full, &delta);
        assert!(has(&findings, finding), "{finding}: {findings:?}\n{delta}");
    }
}

#[test]
fn what_is_wrong_with_a_multivariant_playlist_is_found() {
    let good = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-STREAM-INF:BANDWIDTH=2000,AVERAGE-BANDWIDTH=1000,\
        CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=29.970\nmedia.m3u8\n";
    assert_eq!(lint_multivariant(good), [""; 0]);
    for (old, new, finding) in [
        ("#EXTM3U\n", "", "first line"),
        (":BANDWIDTH=2000,", ":", "no BANDWIDTH"),
        ("=1000", "=3000", "higher than"),
        ("CODECS=\"avc1.64001f,mp4a.40.2\",", "", "no CODECS"),
        ("RESOLUTION=1280x720,", "", "no RESOLUTION"),
        ("1280x720", "1280", "no width and height"),
        ("avc1.64001f,", "", "no video"),
        ("29.970", "29.97", "three decimals"),
        ("media.m3u8\n", "", "no address"),
        ("#EXT-X-VERSION:6", "#EXTINF:4,", "not known"),
    ] {
        let findings = lint_multivariant(&good.replacen(old, new, 1));
        assert!(has(&findings, finding), "{old} → {new}: {findings:?}");
    }
}
