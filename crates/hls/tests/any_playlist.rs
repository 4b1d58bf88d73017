//! What holds of the playlists and the bytes made of any stream.

mod support;

use media::EndReason;
use proptest::prelude::*;
use support::nodes::{Edge, Node, Served, everything};
use support::streams::{Make, Stream, configs, streams};
use support::*;
use testkit::hls::{lint, lint_delta, lint_later};
use weir_hls::{Answer, Config, LastKnown, Numbering, Playlist, Version, Window};

/// A publish, and what was before it.
#[derive(Clone, Debug)]
struct Publish {
    stream: Stream,
    /// Whether its numbers go on, with the window; else its origin has crashed.
    carries_on: bool,
    /// Milliseconds for which nobody published.
    absent: u32,
}

/// Publishes that last up to so many seconds each.
fn publishes(longest: u32) -> impl Strategy<Value = Vec<Publish>> {
    let publish = (streams(longest), any::<bool>(), 0..20_000_u32);
    let publish = publish.prop_map(|(stream, carries_on, absent)| Publish {
        stream,
        carries_on,
        absent,
    });
    prop::collection::vec(publish, 1..4)
}

/// Looks at each version as it comes.
struct Critic {
    before: Option<String>,
    seen: usize,
}

impl Critic {
    fn look(&mut self, version: Version, window: &Window) {
        let full = Playlist::media(window, version, false).expect("it is there");
        let full = full.text();
        let none: Vec<String> = Vec::new();
        if !full.contains("#EXTINF") {
            assert_eq!(window.version(version.msn, version.part), Answer::Gone);
            return;
        }
        assert_eq!(lint(full), none, "{full}");
        let before = self.before.replace(full.to_owned()).unwrap_or_default();
        if !before.is_empty() {
            assert_eq!(lint_later(&before, full), none, "{before}\n{full}");
        }
        if self.seen.is_multiple_of(7) {
            let delta = Playlist::media(window, version, true).expect("it is there");
            let delta = delta.text();
            assert_eq!(lint_delta(full, delta), none, "{full}\n{delta}");
        }
        // It is what its client asks for.
        assert!(window.is_exact(version), "{version:?}");
        assert_eq!(
            window.version(version.msn, version.part),
            Answer::There(version)
        );
        let too_far = window.version(version.msn + 1000, version.part);
        assert_eq!(too_far, Answer::TooFar);
        self.seen += 1;
    }
}

/// Where numbers go on that nothing is known of but that they are higher.
fn numbering(publish: &Publish, origin: &media::Ring, config: &Config, now: i64) -> Numbering {
    match origin.newest_segment() {
        Some(newest) if publish.carries_on => Numbering::carry_on(&newest, config),
        newest => {
            let last = newest.map(|it| LastKnown {
                msn: it.msn,
                discontinuity: it.segment.discontinuity,
            });
            Numbering::after_crash(last, now)
        }
    }
}

fn check_all(publishes: &[Publish], config: &Config, joins: &[f64]) {
    let origin = ring();
    let mut first = Node::new(&origin, config.mode);
    let mut edges: Vec<Edge> = Vec::new();
    let mut served = Served::default();
    let mut critic = Critic {
        before: None,
        seen: 0,
    };
    let mut now = NOW;
    for (number, publish) in (1..).zip(publishes) {
        now += i64::from(publish.absent) * MS;
        let numbering = numbering(publish, &origin, config, now);
        let mut publisher = begin(&origin, number, config, &numbering);
        let tags = publish.stream.tags(&Make::REAL);
        let joins: Vec<_> = joins
            .iter()
            .map(|at| (at * tags.len() as f64) as usize)
            .collect();
        let begun = now;
        for (n, (at, tag)) in tags.iter().enumerate() {
            now = begun + i64::from(*at) * MS;
            publisher.push(tag.clone(), now).unwrap();
            first.package(|version, window| critic.look(version, window));
            if joins.contains(&n) && edges.len() < 4 {
                served.note(first.packager.window());
                edges.push(Edge::new(&origin, config.mode));
                served.compare(edges.last().unwrap().node.packager.window());
            }
            if n.is_multiple_of(997) {
                served.note(first.packager.window());
                for edge in &mut edges {
                    edge.pull(|_, _| {});
                    served.compare(edge.node.packager.window());
                }
            }
        }
    }
    served.note(first.packager.window());
    origin.end(EndReason::Ended);
    first.package(|_, _| {});
    served.note(first.packager.window());
    for edge in &mut edges {
        edge.pull(|_, _| {});
        let window = edge.node.packager.window();
        served.compare(window);
        assert_eq!(window.newest(), first.packager.window().newest());
        let newest = window.newest().map(|newest| window.is_exact(newest));
        let own = first.packager.window();
        assert_eq!(newest, own.newest().map(|newest| own.is_exact(newest)));
    }
    end(first.packager.window(), &mut critic);

    // The same tags again, all at once: the same bytes.
    let mut again = Node::new(&origin, config.mode);
    again.package(|_, _| {});
    served.compare(again.packager.window());
}

/// At the end there is a playlist that says so, whatever one asks for.
fn end(window: &Window, critic: &mut Critic) {
    let Some(newest) = window.newest() else {
        assert_eq!(everything(window), []);
        return;
    };
    let playlist = Playlist::media(window, newest, false).expect("it is there");
    let none: Vec<String> = Vec::new();
    assert_eq!(lint(playlist.text()), none);
    let is_last = playlist.text().ends_with("#EXT-X-ENDLIST\n");
    assert!(is_last, "{}", playlist.text());
    if let Some(before) = &critic.before {
        assert_eq!(lint_later(before, playlist.text()), none);
    }
    let asked = window.version(newest.msn + 1, Some(0));
    let expected = match window.is_exact(newest) {
        true => Answer::There(newest),
        false => Answer::Gone,
    };
    assert_eq!(asked, expected);
    critic.seen += 1;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_stream_makes_good_playlists_and_the_same_bytes_wherever_one_begins(
        publishes in publishes(20),
        config in configs(),
        joins in prop::collection::vec(0.0..1.0_f64, 2),
    ) {
        check_all(&publishes, &config, &joins);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    #[ignore = "takes minutes"]
    fn any_long_stream_makes_good_playlists_and_the_same_bytes_wherever_one_begins(
        publishes in publishes(60),
        config in configs(),
        joins in prop::collection::vec(0.0..1.0_f64, 2),
    ) {
        check_all(&publishes, &config, &joins);
    }
}
