//! What playlists look like, and what is answered to who asks for them.

mod support;

use media::EndReason;
use support::nodes::Node;
use support::packaged::*;
use support::*;
use testkit::hls::{MediaPlaylist, lint, lint_delta};
use weir_hls::{
    Answer, Config, Container, Mode, Name, Numbering, Playlist, Query, Version, Window,
};

#[test]
fn a_low_latency_playlist_looks_like_this() {
    let node = packaged(&config(Mode::LowLatency), stream(2.9));
    let window = node.packager.window();
    let (a, b) = (FIRST, FIRST + 1);
    let part = |msn: u64, number: u32, more: &str| {
        format!("#EXT-X-PART:DURATION=0.200000,URI=\"1.1-{msn}.{number}.m4s\"{more}\n")
    };
    let first: String = (1..10).map(|number| part(a, number, "")).collect();
    let second: String = (1..4).map(|number| part(b, number, "")).collect();
    let independent = ",INDEPENDENT=YES";
    let expected = format!(
        "#EXTM3U\n\
        #EXT-X-VERSION:6\n\
        #EXT-X-TARGETDURATION:2\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0,\
        PART-HOLD-BACK=0.630000\n\
        #EXT-X-PART-INF:PART-TARGET=0.210000\n\
        #EXT-X-MEDIA-SEQUENCE:{a}\n\
        #EXT-X-DISCONTINUITY-SEQUENCE:{DISCONTINUITY}\n\
        #EXT-X-INDEPENDENT-SEGMENTS\n\
        #EXT-X-MAP:URI=\"1.1-4-init.mp4\"\n\
        #EXT-X-PROGRAM-DATE-TIME:2025-06-15T15:06:40.000Z\n\
        {}{first}\
        #EXTINF:2.000000,\n\
        1.1-{a}.m4s\n\
        #EXT-X-PROGRAM-DATE-TIME:2025-06-15T15:06:42.000Z\n\
        {}{second}\
        #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"1.1-{b}.4.m4s\"\n",
        part(a, 0, independent),
        part(b, 0, independent),
    );
    assert_eq!(playlist(window, newest(window)), expected);

    let query = Query::new("token=x").unwrap();
    let text = Playlist::media(window, newest(window), false).unwrap();
    let carried = text.with(&query);
    assert_eq!(lint(&carried), [""; 0]);
    assert_eq!(carried.matches("?token=x").count(), 14 + 1 + 1 + 1);
    assert_eq!(carried.replace("?token=x", ""), expected);
}

#[test]
fn playlists_of_whole_segments_look_like_this() {
    for (mode, map, suffix) in [
        (Mode::Fmp4, "#EXT-X-MAP:URI=\"1.1-4-init.mp4\"\n", "m4s"),
        (Mode::Ts, "", "ts"),
    ] {
        let node = packaged(&config(mode), stream(4.9));
        node.ring.end(EndReason::Ended);
        let mut node = node;
        node.package(|_, _| {});
        let window = node.packager.window();
        let (a, b, c) = (FIRST, FIRST + 1, FIRST + 2);
        let expected = format!(
            "#EXTM3U\n\
            #EXT-X-VERSION:6\n\
            #EXT-X-TARGETDURATION:2\n\
            #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0\n\
            #EXT-X-MEDIA-SEQUENCE:{a}\n\
            #EXT-X-DISCONTINUITY-SEQUENCE:{DISCONTINUITY}\n\
            #EXT-X-INDEPENDENT-SEGMENTS\n\
            {map}\
            #EXT-X-PROGRAM-DATE-TIME:2025-06-15T15:06:40.000Z\n\
            #EXTINF:2.000000,\n1.1-{a}.{suffix}\n\
            #EXT-X-PROGRAM-DATE-TIME:2025-06-15T15:06:42.000Z\n\
            #EXTINF:2.000000,\n1.1-{b}.{suffix}\n\
            #EXT-X-PROGRAM-DATE-TIME:2025-06-15T15:06:44.000Z\n\
            #EXTINF:0.880000,\n1.1-{c}.{suffix}\n\
            #EXT-X-ENDLIST\n",
        );
        assert_eq!(playlist(window, newest(window)), expected);
    }
}

#[test]
fn a_version_is_told_the_same_at_any_time() {
    let ring = ring();
    let config = config(Mode::LowLatency);
    let numbering = Numbering::after_crash(None, NOW);
    let mut publisher = begin(&ring, 1, &config, &numbering);
    let mut node = Node::new(&ring, config.mode);
    let mut told = Vec::new();
    for tag in stream(14.0) {
        push(&mut publisher, [tag]);
        node.package(|version, window| {
            if window.is_playable() {
                told.push((version, playlist(window, version)));
            }
        });
    }
    assert!(told.len() > 55, "{}", told.len());
    let window = node.packager.window();
    for (version, text) in told {
        assert_eq!(
            window.version(version.msn, version.part),
            Answer::There(version)
        );
        assert_eq!(playlist(window, version), text);
    }
}

#[test]
fn what_is_to_come_is_waited_for_and_no_longer_than_a_target_duration() {
    let node = packaged(&config(Mode::LowLatency), stream(4.5));
    let window = node.packager.window();
    let open = FIRST + 2;
    let there = |msn, part| {
        Answer::There(Version {
            msn,
            part: Some(part),
        })
    };
    // Parts of 200 ms: two are complete, and three seconds may be asked for.
    assert_eq!(
        newest(window),
        Version {
            msn: open,
            part: Some(1)
        }
    );
    for (msn, part, answer) in [
        (open, Some(1), there(open, 1)),
        (open, Some(0), there(open, 0)),
        (open, Some(2), Answer::Wait),
        (open, Some(16), Answer::Wait),
        (open, Some(17), Answer::TooFar),
        (open, Some(u32::MAX), Answer::TooFar),
        (open, None, Answer::Wait),
        (open + 1, None, Answer::Wait),
        (open + 1, Some(14), Answer::Wait),
        (open + 1, Some(15), Answer::TooFar),
        (open + 2, None, Answer::Wait),
        (open + 2, Some(4), Answer::Wait),
        (open + 2, Some(5), Answer::TooFar),
        (open + 3, None, Answer::TooFar),
        (u64::MAX, Some(0), Answer::TooFar),
        // The end of a segment is with its last part, and behind it comes the next.
        (open - 1, None, there(open - 1, 9)),
        (open - 1, Some(9), there(open - 1, 9)),
        (open - 1, Some(10), there(open, 0)),
        (open - 1, Some(u32::MAX), there(open, 0)),
        (FIRST - 1, None, Answer::Gone),
        (0, Some(0), Answer::Gone),
    ] {
        assert_eq!(window.version(msn, part), answer, "{msn} {part:?}");
    }
    let is = |name: &str| match window.find(&Name::parse(name).expect("a name")) {
        Answer::There(_) => "there",
        Answer::Wait => "wait",
        Answer::TooFar => "too far",
        Answer::Gone => "gone",
    };
    let before = open - 1;
    let next = open + 1;
    let second = open + 2;
    let third = open + 3;
    for (name, answer) in [
        (format!("1.1-{before}.m4s"), "there"),
        (format!("1.1-{before}.9.m4s"), "there"),
        (format!("1.1-{before}.10.m4s"), "gone"),
        (format!("1.1-{before}.ts"), "gone"),
        (format!("1.1-{open}.m4s"), "wait"),
        (format!("1.1-{open}.1.m4s"), "there"),
        (format!("1.1-{open}.2.m4s"), "wait"),
        (format!("1.1-{open}.17.m4s"), "too far"),
        (format!("1.1-{next}.0.m4s"), "wait"),
        (format!("1.1-{second}.m4s"), "wait"),
        (format!("1.1-{third}.m4s"), "too far"),
        (format!("1.1-{}.m4s", FIRST - 1), "gone"),
        // Of a later publish anything may be true by now, of one before nothing.
        (format!("2.1-{third}.m4s"), "wait"),
        (format!("2.1-{before}.m4s"), "wait"),
        (format!("1.0-{next}.m4s"), "gone"),
        ("1.1-4-init.mp4".to_owned(), "there"),
        ("1.1-3-init.mp4".to_owned(), "gone"),
        ("1.1-5-init.mp4".to_owned(), "wait"),
        ("1.1-9999-init.mp4".to_owned(), "too far"),
        ("2.1-1-init.mp4".to_owned(), "wait"),
        ("0.1-9-init.mp4".to_owned(), "gone"),
    ] {
        assert_eq!(is(&name), answer, "{name}");
    }

    let empty = Window::default();
    assert_eq!(empty.newest(), None);
    assert_eq!(empty.version(7, Some(0)), Answer::Wait);
    assert_eq!(empty.find(&Name::parse("1.1-7.m4s").unwrap()), Answer::Wait);
}

#[test]
fn where_segments_are_not_cut_each_is_a_version() {
    for mode in [Mode::Fmp4, Mode::Ts] {
        let node = packaged(&config(mode), stream(4.5));
        let window = node.packager.window();
        let there = |msn| Answer::There(Version { msn, part: None });
        assert_eq!(window.version(FIRST + 1, None), there(FIRST + 1));
        // Nobody has parts, so nobody can ask for one.
        assert_eq!(window.version(FIRST + 1, Some(3)), there(FIRST + 1));
        assert_eq!(window.version(FIRST + 2, None), Answer::Wait);
        assert_eq!(window.version(FIRST + 3, None), Answer::Wait);
        assert_eq!(window.version(FIRST + 5, None), Answer::TooFar);
        let part = Name::parse(&format!("1.1-{FIRST}.0.m4s")).unwrap();
        assert_eq!(window.find(&part), Answer::Gone);
        let container = mode.container();
        let other = match container {
            Container::Fmp4 => "ts",
            Container::Ts => "m4s",
        };
        let other = Name::parse(&format!("1.1-{FIRST}.{other}")).unwrap();
        assert_eq!(window.find(&other), Answer::Gone);
    }
}

#[test]
fn what_leaves_the_playlist_stays_for_three_target_durations() {
    let node = packaged(&config(Mode::LowLatency), stream(60.0));
    let window = node.packager.window();
    let listed = parsed(window);
    // Ten, and the one that is being made; before them six seconds, and as much as is between
    // two looks.
    let held = window.segments().next().unwrap().msn();
    let late = listed.media_sequence - held;
    assert_eq!(listed.complete().count(), 10);
    assert!((3..=4).contains(&late), "{late}");
    assert!(bytes(window, &format!("1.1-{held}.m4s")).is_some());
    assert!(bytes(window, &format!("1.1-{held}.3.m4s")).is_some());
    assert!(bytes(window, &format!("1.1-{}.m4s", held - 1)).is_none());
    // Versions that listed what is gone cannot be told any more.
    assert_eq!(window.version(held + 9, None), Answer::Gone);
    let oldest = held + 10;
    assert!(matches!(window.version(oldest, None), Answer::There(_)));
}

#[test]
fn what_clients_know_of_a_long_window_is_skipped() {
    let config = Config {
        window: 30,
        ..config(Mode::LowLatency)
    };
    let node = packaged(&config, stream(61.0));
    let window = node.packager.window();
    let full = playlist(window, newest(window));
    let delta = Playlist::media(window, newest(window), true).unwrap();
    let delta = delta.text();
    assert_eq!(lint_delta(&full, delta), [""; 0], "{delta}");
    let (read, _) = MediaPlaylist::parse(delta);
    // 60 seconds and 0.8 in parts; 12 are not skipped, and the segment in which that is.
    assert_eq!((read.skipped, read.version), (24, 9));
    assert!(!delta.contains("#EXT-X-MAP"), "{delta}");
    let carried = Playlist::media(window, newest(window), true).unwrap();
    let carried = carried.with(&Query::new("a=b").unwrap());
    assert_eq!(lint_delta(&full, &carried.replace("?a=b", "")), [""; 0]);
}

#[test]
fn there_is_no_playlist_of_parts_alone_for_players_that_refuse_it() {
    let node = packaged(&config(Mode::LowLatency), stream(1.5));
    assert!(!node.packager.window().is_playable());
    assert!(parsed(node.packager.window()).complete().next().is_none());
    let node = packaged(&config(Mode::LowLatency), stream(2.2));
    assert!(node.packager.window().is_playable());
}
