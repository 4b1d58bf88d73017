//! The sentence for a person.

use super::Facts;
use crate::status::{Part, Served, State};

/// An encoder that has sent nothing for so many seconds may be gone.
const SILENT: f64 = 3.0;
/// A node that is so many seconds behind the origin has trouble with the way between them.
const BEHIND: f64 = 2.0;

/// What is the matter with a stream and what to do.
pub(super) fn verdict(facts: &Facts<'_>) -> String {
    let source = facts
        .source()
        .filter(|source| source.stream.epoch.is_some());
    let mut text = match (source, &facts.recorded) {
        (Some(source), _) if source.part == Part::Origin => of_origin(facts, source),
        (Some(source), _) => without_origin(facts, source),
        (None, Some(_)) => of_record(facts),
        (None, None) => unknown(facts),
    };
    if !facts.unreachable.is_empty() {
        let (names, do_not) = match facts.unreachable {
            [one] => (one.clone(), "does"),
            many => (many.join(", "), "do"),
        };
        text += &format!(" {names} {do_not} not answer.");
    }
    if !facts.directory_up && facts.others > 0 {
        text += " The directory is out of reach; what changed in it since is not known here.";
    }
    text
}

fn of_origin(facts: &Facts<'_>, origin: &Served) -> String {
    let (key, node) = (facts.key.as_str(), &origin.node);
    let age = origin.last_tag_age.unwrap_or(0.0);
    let ago = span(age);
    match origin.stream.state {
        State::Ended => {
            return format!("{key} is over: it ended on {node}, and its viewers are being told.");
        }
        State::Waiting => {
            return format!(
                "The encoder of {key} left {node} {ago} ago. Viewers are held for it until \
                 publish.grace is over; start it again."
            );
        }
        State::Live => {}
    }
    if age > SILENT {
        return format!(
            "{key} is live on {node}, but nothing has come from its encoder for {ago}: look at \
             the encoder, and at the network between it and {node}."
        );
    }
    if origin.codecs.is_empty() && origin.stream.video_codec.is_none() {
        let dropped = origin.dropped.keys().cloned().collect::<Vec<_>>();
        let what = match dropped.is_empty() {
            true => "no audio or video has come yet".to_owned(),
            false => format!(
                "nothing that it sends can be played ({}): check what it encodes",
                dropped.join(", ")
            ),
        };
        return format!("{key} is live on {node}, but {what}.");
    }
    let behind = facts.served.iter().filter(|served| {
        let older = served.stream.epoch < origin.stream.epoch;
        let late = served.last_tag_age.is_some_and(|late| late - age > BEHIND);
        served.part == Part::Pulled && (older || late)
    });
    let age_of = |served: &Served| served.last_tag_age.unwrap_or(0.0);
    if let Some(late) = behind.max_by(|a, b| age_of(a).total_cmp(&age_of(b))) {
        let by = span(age_of(late) - age);
        return format!(
            "{key} is live on {node}, but {} is {by} behind: look at the network between the two, \
             and at the clocks of both.",
            late.node
        );
    }
    let mut text = format!("{key} is live on {node}, {}", codecs(origin));
    let pulls = facts.served.iter();
    let pulls = pulls.filter(|served| served.part == Part::Pulled).count();
    match pulls {
        0 => {}
        1 => text += "; 1 node pulls it",
        many => text += &format!("; {many} nodes pull it"),
    }
    text += &format!("; {}.", watched(facts));
    if facts.mine().is_none() && !facts.unreachable.iter().any(|node| node == facts.me) {
        text += &format!(
            " {} does not have it, and pulls it for its first viewer.",
            facts.me
        );
    }
    text
}

/// Edges hold it, and nobody says that it publishes.
fn without_origin(facts: &Facts<'_>, edge: &Served) -> String {
    let (key, node) = (facts.key.as_str(), &edge.node);
    let ago = span(edge.last_tag_age.unwrap_or(0.0));
    let origin = facts.origin().unwrap_or_else(|| "its origin".to_owned());
    match edge.last_tag_age.is_some_and(|age| age <= SILENT) {
        true => format!(
            "{key} reaches {node}, where its last tag is {ago} old; its origin, {origin}, cannot \
             be asked."
        ),
        false => format!(
            "{key} is lost: {origin}, its origin, does not have it any more, and the last tag on \
             {node} is {ago} old. Viewers are held until its encoder comes back to any node."
        ),
    }
}

/// The directory knows it, and nobody has it.
fn of_record(facts: &Facts<'_>) -> String {
    let Some(recorded) = &facts.recorded else {
        return unknown(facts);
    };
    let (key, node) = (facts.key.as_str(), &recorded.node);
    if node == facts.me && facts.unreachable.contains(node) {
        return format!(
            "The directory says that {node} has {key}, and {node} is too busy to say more: ask again."
        );
    }
    if facts.unreachable.contains(node) {
        return format!(
            "The directory says that {node} has {key}, but {node} cannot be asked: see whether it \
             runs, whether relay.advertise of {node} can be reached from {}, and whether \
             relay.secret is the same on both; the log of {} has more.",
            facts.me, facts.me
        );
    }
    if !recorded.is_there {
        return format!(
            "{node}, which had {key}, is gone. Its claim ends with its lease; an encoder that was \
             authenticated can publish to any other node now."
        );
    }
    format!(
        "The directory says that {node} has {key}, and {node} does not have it: its encoder comes \
         or goes at this moment. Ask again."
    )
}

/// Nobody has heard of it.
fn unknown(facts: &Facts<'_>) -> String {
    let key = facts.key.as_str();
    if facts.unreachable.iter().any(|node| node == facts.me) {
        let me = facts.me;
        return format!(
            "Whether anybody publishes {key} is not known: {me} is too busy. Ask again."
        );
    }
    if facts.others == 0 && !facts.directory_up {
        return format!(
            "Whether anybody publishes {key} is not known: {} has not reached the directory, and \
             knows of no other node. See directory.endpoints.",
            facts.me
        );
    }
    let place = match facts.others {
        0 => format!(
            "on {}, which is alone: there is no other node to ask",
            facts.me
        ),
        others => format!(
            "in the cluster: it is neither in the directory nor on any of the {} nodes that were \
             asked",
            others + 1 - facts.unreachable.len().min(others)
        ),
    };
    let mut text = format!("Nobody publishes {key} {place}.");
    if !facts.similar.is_empty() {
        let similar = facts.similar.join(", ");
        text += &format!(" There is {similar}; case counts in stream keys.");
    }
    let waiting: u64 = facts.served.iter().map(|it| it.stream.viewers).sum();
    match waiting {
        0 => {}
        1 => text += " 1 viewer waits for it.",
        many => text += &format!(" {many} viewers wait for it."),
    }
    text + " Compare the key with the encoder's, and see that the encoder runs; if it was refused, \
            the log of the node that it connects to says why."
}

fn codecs(served: &Served) -> String {
    match served.codecs.as_slice() {
        [] => served.stream.video_codec.clone().unwrap_or_default(),
        codecs => codecs.join(" and "),
    }
}

fn watched(facts: &Facts<'_>) -> String {
    match facts.served.iter().map(|it| it.stream.viewers).sum() {
        0u64 => "nobody watches".to_owned(),
        1 => "1 viewer watches".to_owned(),
        many => format!("{many} viewers watch"),
    }
}

/// A length of time, for a person.
fn span(seconds: f64) -> String {
    match seconds.max(0.0) {
        seconds if seconds < 10.0 => format!("{seconds:.1} s"),
        seconds if seconds < 120.0 => format!("{seconds:.0} s"),
        seconds if seconds < 7200.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.0} h", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use media::StreamKey;

    use super::*;
    use crate::status::{Recorded, Stream, Why, explain};

    fn told(node: &str, part: Part, age: f64) -> Served {
        Served {
            stream: Stream {
                stream_key: "live/cam".to_owned(),
                state: State::Live,
                epoch: Some(7),
                origin: Some("o1".to_owned()),
                viewers: 2,
                ..Stream::default()
            },
            node: node.to_owned(),
            part,
            path: match part {
                Part::Pulled => vec!["o1".to_owned(), "e1".to_owned()],
                Part::Origin | Part::Waiting => Vec::new(),
            },
            last_tag_age: Some(age),
            codecs: vec!["avc1.64001f".to_owned(), "mp4a.40.2".to_owned()],
            ..Served::default()
        }
    }

    struct Case<'a> {
        served: &'a [Served],
        recorded: Option<Recorded>,
        unreachable: &'a [&'a str],
        others: usize,
        up: bool,
        similar: &'a [&'a str],
    }

    const NOTHING: Case<'_> = Case {
        served: &[],
        recorded: None,
        unreachable: &[],
        others: 2,
        up: true,
        similar: &[],
    };

    fn why(case: &Case<'_>) -> Why {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let unreachable: Vec<String> = owned(case.unreachable);
        explain(&Facts {
            key: &StreamKey::parse("live/cam").expect("a key"),
            me: "e2",
            others: case.others,
            directory_up: case.up,
            recorded: case.recorded.clone(),
            served: case.served,
            unreachable: &unreachable,
            similar: owned(case.similar),
        })
    }

    /// The verdict holds all these words.
    #[track_caller]
    fn says(case: &Case<'_>, words: &[&str]) {
        let verdict = why(case).verdict;
        for word in words {
            assert!(verdict.contains(word), "{word:?} in {verdict:?}");
        }
        assert!(verdict.ends_with('.'), "{verdict:?}");
    }

    fn recorded(is_there: bool) -> Option<Recorded> {
        Some(Recorded {
            node: "o1".to_owned(),
            epoch: 7,
            state: State::Live,
            is_there,
        })
    }

    #[test]
    fn a_stream_that_flows() {
        let served = [
            told("o1", Part::Origin, 0.02),
            told("e2", Part::Pulled, 0.03),
        ];
        let case = Case {
            served: &served,
            ..NOTHING
        };
        says(
            &case,
            &[
                "live/cam is live on o1",
                "avc1.64001f and mp4a.40.2",
                "1 node pulls it",
                "4 viewers watch",
            ],
        );
        let why = why(&case);
        assert_eq!(why.path, ["e2", "e1", "o1"]);
        assert_eq!((why.epoch, why.last_tag_age), (Some(7), Some(0.02)));
        assert_eq!((why.viewers, why.nodes.len()), (4, 2));
    }

    #[test]
    fn a_node_that_does_not_have_it_pulls_it_when_somebody_watches() {
        let served = [told("o1", Part::Origin, 0.02)];
        let case = Case {
            served: &served,
            ..NOTHING
        };
        says(&case, &["e2 does not have it, and pulls it"]);
        assert_eq!(why(&case).path, ["o1"]);
    }

    #[test]
    fn troubles_of_the_encoder() {
        let silent = [told("o1", Part::Origin, 75.0)];
        let case = Case {
            served: &silent,
            ..NOTHING
        };
        says(&case, &["nothing has come from its encoder for 75 s"]);
        let mut left = silent.clone();
        left[0].stream.state = State::Waiting;
        let case = Case {
            served: &left,
            ..NOTHING
        };
        says(&case, &["The encoder of live/cam left o1", "publish.grace"]);
        let mut useless = [told("o1", Part::Origin, 0.0)];
        useless[0].codecs.clear();
        useless[0].dropped.insert("unconfigured".to_owned(), 9);
        let case = Case {
            served: &useless,
            ..NOTHING
        };
        says(
            &case,
            &["nothing that it sends can be played (unconfigured)"],
        );
    }

    #[test]
    fn troubles_between_nodes() {
        let late = [told("o1", Part::Origin, 0.1), told("e1", Part::Pulled, 5.1)];
        let case = Case {
            served: &late,
            ..NOTHING
        };
        says(&case, &["e1 is 5.0 s behind", "network"]);
        let lost = [told("e1", Part::Pulled, 20.0)];
        let case = Case {
            served: &lost,
            unreachable: &["o1"],
            ..NOTHING
        };
        says(&case, &["live/cam is lost", "o1 does not answer."]);
        let case = Case {
            recorded: recorded(true),
            unreachable: &["o1"],
            ..NOTHING
        };
        says(
            &case,
            &["o1 cannot be asked", "relay.advertise", "relay.secret"],
        );
        let case = Case {
            recorded: recorded(false),
            ..NOTHING
        };
        says(&case, &["o1, which had live/cam, is gone", "lease"]);
        let why = why(&case);
        assert_eq!((why.state, why.epoch), (Some(State::Live), Some(7)));
        assert_eq!(why.origin.as_deref(), Some("o1"));
    }

    #[test]
    fn a_node_that_is_too_busy_says_so_of_itself() {
        let busy = Case {
            unreachable: &["e2"],
            ..NOTHING
        };
        says(&busy, &["is not known: e2 is too busy. Ask again."]);
        let mine = Recorded {
            node: "e2".to_owned(),
            ..recorded(true).expect("one")
        };
        let case = Case {
            recorded: Some(mine),
            ..busy
        };
        says(&case, &["e2 has live/cam, and e2 is too busy to say more"]);
        let served = [told("o1", Part::Origin, 0.02)];
        let case = Case {
            served: &served,
            unreachable: &["e2"],
            ..NOTHING
        };
        says(&case, &["live/cam is live on o1", "e2 does not answer."]);
        assert!(!why(&case).verdict.contains("does not have it"));
    }

    #[test]
    fn a_key_that_nobody_knows() {
        says(
            &NOTHING,
            &[
                "Nobody publishes live/cam in the cluster",
                "any of the 3 nodes",
                "Compare the key",
            ],
        );
        let case = Case {
            others: 0,
            similar: &["live/Cam"],
            ..NOTHING
        };
        says(&case, &["on e2, which is alone", "There is live/Cam"]);
        let case = Case {
            others: 0,
            up: false,
            ..NOTHING
        };
        says(&case, &["e2 has not reached the directory"]);
        let mut waits = [told("e2", Part::Waiting, 0.0)];
        waits[0].stream.epoch = None;
        let case = Case {
            served: &waits,
            unreachable: &["o1"],
            up: false,
            ..NOTHING
        };
        says(
            &case,
            &[
                "any of the 2 nodes",
                "2 viewers wait for it",
                "o1 does not answer",
                "The directory is out of reach",
            ],
        );
        assert_eq!(why(&case).state, None);
    }

    #[test]
    fn spans_are_said_as_people_say_them() {
        for (seconds, text) in [
            (0.04, "0.0 s"),
            (9.94, "9.9 s"),
            (75.4, "75 s"),
            (130.0, "2 min"),
            (9000.0, "2 h"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
