//! The nodes that did not answer, and why.

use std::collections::BTreeMap;

use relay::{Error, NotAdmitted};

/// How a reason begins where one of the two nodes does not believe the other.
pub const REFUSED: &str = "refused: ";

/// So many nodes are named in one place.
const SHOWN: usize = 8;

/// The nodes that did not answer, and why in a few words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Silent(BTreeMap<String, String>);

impl Silent {
    /// What is known already stays.
    pub(crate) fn add(&mut self, node: impl Into<String>, why: impl Into<String>) {
        self.0.entry(node.into()).or_insert_with(|| why.into());
    }

    pub(crate) fn has(&self, node: &str) -> bool {
        self.0.contains_key(node)
    }

    pub(crate) fn why(&self, node: &str) -> Option<&str> {
        self.0.get(node).map(String::as_str)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All but one.
    pub(crate) fn besides(&self, node: &str) -> BTreeMap<String, String> {
        let mut others = self.0.clone();
        others.remove(node);
        others
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    pub(crate) fn reasons(&self) -> BTreeMap<String, String> {
        self.0.clone()
    }
}

/// Those of the same reason together: how many, their names as far as a line has room, and the reason.
#[must_use]
pub fn by_reason(nodes: &BTreeMap<String, String>) -> Vec<(usize, String, &str)> {
    let mut groups = BTreeMap::<&str, Vec<&str>>::new();
    for (node, why) in nodes {
        groups.entry(why).or_default().push(node);
    }
    let groups = groups.into_iter().map(|(why, nodes)| {
        let mut names = nodes[..nodes.len().min(SHOWN)].join(", ");
        if nodes.len() > SHOWN {
            names += &format!(" and {} more", nodes.len() - SHOWN);
        }
        (nodes.len(), names, why)
    });
    groups.collect()
}

/// Why a node has not answered, in a few words that stand behind its name.
pub(crate) fn why_silent(error: &Error) -> String {
    match error {
        Error::NotAdmitted { reason, sentence } => {
            let why = match reason {
                NotAdmitted::Secret => "another relay.secret",
                NotAdmitted::Missing => "it asks for relay.secret, which is not set here",
                NotAdmitted::Clock => "its clock differs by more than half a minute",
                NotAdmitted::Cluster => "it is of another directory.cluster",
                NotAdmitted::Callee => "another node has its address; see relay.advertise of both",
                _ => sentence,
            };
            format!("{REFUSED}{why}")
        }
        Error::Impostor { .. } => {
            format!("{REFUSED}it does not know relay.secret, which is set here")
        }
        Error::Tls { what, .. } => format!("{REFUSED}its certificate, {what}"),
        Error::Connect { address, source } => format!("no connection to {address}, {source}"),
        Error::TimedOut(patience) => format!("nothing within {} s", patience.as_secs_f32()),
        Error::Refused(refusal) => refusal.sentence.clone(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use relay::{Refusal, RefusalCode};

    use super::*;

    #[test]
    fn who_does_not_believe_is_told_from_who_is_not_there() {
        let not_admitted = |reason| Error::NotAdmitted {
            reason,
            sentence: "for that reason".to_owned(),
        };
        for (error, said) in [
            (
                not_admitted(NotAdmitted::Secret),
                "refused: another relay.secret",
            ),
            (
                not_admitted(NotAdmitted::Unknown),
                "refused: for that reason",
            ),
            (
                Error::Connect {
                    address: "o1:7935".to_owned(),
                    source: io::Error::other("nobody there"),
                },
                "no connection to o1:7935, nobody there",
            ),
            (
                Error::TimedOut(Duration::from_secs(1)),
                "nothing within 1 s",
            ),
            (
                Refusal::new(RefusalCode::Busy, "o1 is too busy").into(),
                "o1 is too busy",
            ),
        ] {
            assert_eq!(why_silent(&error), said);
            assert_eq!(error.is_distrust(), said.starts_with(REFUSED), "{error}");
        }
    }

    #[test]
    fn many_of_one_reason_are_told_together() {
        let mut silent = Silent::default();
        for number in 10..20 {
            silent.add(format!("e{number}"), "another secret");
        }
        silent.add("o1", "gone");
        let reasons = silent.besides("e15");
        let groups = by_reason(&reasons);
        assert_eq!(groups[0].0, 9);
        assert!(groups[0].1.starts_with("e10, e11, "), "{groups:?}");
        assert!(groups[0].1.ends_with("e18 and 1 more"), "{groups:?}");
        assert_eq!(groups[1], (1, "o1".to_owned(), "gone"));
    }

    #[test]
    fn the_first_reason_stays() {
        let mut silent = Silent::default();
        silent.add("o2", "busy");
        silent.add("o1", "gone");
        silent.add("o2", "late");
        assert_eq!(silent.names(), ["o1", "o2"]);
        assert_eq!((silent.why("o2"), silent.why("o3")), (Some("busy"), None));
    }
}
