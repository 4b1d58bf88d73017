//! What is said of what is found.

use media::StreamKey;

use super::*;
use crate::status::{Recorded, Silent, Stream, Why, explain};

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
    silent: &'a [(&'a str, &'a str)],
    others: usize,
    up: bool,
    similar: &'a [&'a str],
}

const NOTHING: Case<'_> = Case {
    served: &[],
    recorded: None,
    silent: &[],
    others: 2,
    up: true,
    similar: &[],
};

fn why(case: &Case<'_>) -> Why {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let mut silent = Silent::default();
    for (node, why) in case.silent {
        silent.add(*node, *why);
    }
    explain(&Facts {
        key: &StreamKey::parse("live/cam").expect("a key"),
        me: "e2",
        others: case.others,
        directory_up: case.up,
        recorded: case.recorded.clone(),
        served: case.served,
        silent: &silent,
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
fn encoders_that_stand_by() {
    let stands_by = |node| Served {
        standby: Some("10.0.0.7:50000".to_owned()),
        ..told(node, Part::Pulled, 0.03)
    };
    let served = [told("o1", Part::Origin, 0.02), stands_by("o2")];
    let case = Case {
        served: &served,
        ..NOTHING
    };
    let words = "A second encoder stands by at o2.";
    says(&case, &["live/cam is live on o1", words]);
    let standby = why(&case).nodes[1].standby.clone();
    assert_eq!(standby.as_deref(), Some("10.0.0.7:50000"));
    let served = [stands_by("o2"), stands_by("o3")];
    let case = Case {
        served: &served,
        ..case
    };
    says(&case, &["Other encoders stand by at o2, o3."]);
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
        silent: &[("o1", "no connection")],
        ..NOTHING
    };
    says(
        &case,
        &["live/cam is lost", "o1 does not answer (no connection)."],
    );
    let case = Case {
        recorded: recorded(true),
        silent: &[("o1", "no connection")],
        ..NOTHING
    };
    says(
        &case,
        &["o1 cannot be asked (no connection)", "relay.advertise"],
    );
    let refused = Case {
        silent: &[("o1", "refused: another relay.secret"), ("e1", "too busy")],
        ..case
    };
    says(
        &refused,
        &[
            "o1 cannot be asked (refused: another relay.secret)",
            "o1 and e2 do not believe each other",
            "e1 does not answer (too busy).",
        ],
    );
    assert!(!why(&refused).verdict.contains("relay.advertise"));
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
        silent: &[("e2", "too busy")],
        ..NOTHING
    };
    says(&busy, &["is not known: e2 is too busy. Ask again."]);
    assert!(!why(&busy).verdict.contains("does not answer"));
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
        silent: &[("e2", "too busy")],
        ..NOTHING
    };
    says(
        &case,
        &["live/cam is live on o1", "e2 does not answer (too busy)."],
    );
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
        silent: &[("o1", "no connection")],
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
