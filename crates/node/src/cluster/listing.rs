//! What one node says that it has many of: as much as fits into an answer, and how much there is.

use serde::{Deserialize, Serialize};

use crate::status::{Served, Subscriber};

/// More streams, or viewers of one, than that are counted, and not listed.
pub(super) const LISTED: usize = 10_000;

/// What one node has.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Told<T>")]
pub(super) struct Listing<T> {
    pub(super) listed: Vec<T>,
    /// How many there are.
    pub(super) total: usize,
    /// The node itself, where parts of it did not answer: what they know is missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) unreachable: Vec<String>,
}

/// What came from another node.
#[derive(Deserialize)]
#[serde(untagged)]
enum Told<T> {
    Counted {
        listed: Vec<T>,
        total: usize,
        #[serde(default)]
        unreachable: Vec<String>,
    },
    /// Of a release that counted nothing.
    Plain(Vec<T>),
}

impl<T> From<Told<T>> for Listing<T> {
    fn from(told: Told<T>) -> Self {
        let (listed, total, unreachable) = match told {
            Told::Counted {
                listed,
                total,
                unreachable,
            } => (listed, total, unreachable),
            Told::Plain(listed) => (listed, 0, Vec::new()),
        };
        Self {
            listed,
            total,
            unreachable,
        }
    }
}

impl Listing<Served> {
    /// By key, so that all nodes list the same ones. Where nobody publishes there is no stream to count.
    pub(super) fn streams(mut served: Vec<Served>) -> Self {
        served.sort_by(|a, b| a.stream.stream_key.cmp(&b.stream.stream_key));
        let published = served.iter().filter(|it| it.stream.epoch.is_some());
        Self {
            total: published.count(),
            listed: first(served),
            unreachable: Vec::new(),
        }
    }
}

impl Listing<Subscriber> {
    /// In the order of their coming.
    pub(super) fn subscribers(mut subscribers: Vec<Subscriber>) -> Self {
        subscribers.sort_by(|a, b| (a.started_at, &a.id).cmp(&(b.started_at, &b.id)));
        Self {
            total: subscribers.len(),
            listed: first(subscribers),
            unreachable: Vec::new(),
        }
    }
}

/// As many as are listed.
pub(super) fn first<T>(mut all: Vec<T>) -> Vec<T> {
    all.truncate(LISTED);
    all
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{from_str, from_value, json, to_string};

    use super::*;
    use crate::status::{Stream, Timestamp};

    pub(in crate::cluster) fn served(key: &str, epoch: Option<u64>) -> Served {
        Served {
            stream: Stream {
                stream_key: key.to_owned(),
                epoch,
                ..Stream::default()
            },
            ..Served::default()
        }
    }

    pub(in crate::cluster) fn viewer(node: &str, number: i64) -> Subscriber {
        Subscriber {
            id: format!("{node}.{number}"),
            node: node.to_owned(),
            started_at: Some(Timestamp::from_millis(number)),
            ..Subscriber::default()
        }
    }

    #[test]
    fn of_many_streams_the_first_keys_are_listed_and_all_are_counted() {
        let keys = (0..LISTED + 2).rev().map(|it| format!("live/{it:05}"));
        let mut all: Vec<_> = keys.map(|key| served(&key, Some(1))).collect();
        all.push(served("live/awaited", None));
        let listing = Listing::streams(all);
        assert_eq!((listing.listed.len(), listing.total), (LISTED, LISTED + 2));
        assert_eq!(listing.listed[0].stream.stream_key, "live/00000");
        let last = listing.listed.last().map(|it| &*it.stream.stream_key);
        assert_eq!(last, Some("live/09999"));
    }

    #[test]
    fn of_many_viewers_the_first_that_came_are_listed_and_all_are_counted() {
        let all = (0..LISTED as i64 + 3).rev().map(|it| viewer("a", it));
        let listing = Listing::subscribers(all.collect());
        assert_eq!((listing.listed.len(), listing.total), (LISTED, LISTED + 3));
        assert_eq!(listing.listed[0].id, "a.0");
    }

    #[test]
    fn what_is_told_is_what_is_read() {
        let mut listing = Listing::streams(vec![served("live/cam", Some(7))]);
        listing.unreachable.push("a".to_owned());
        let text = to_string(&listing).expect("JSON");
        assert_eq!(from_str::<Listing<Served>>(&text).expect("ours"), listing);
        let listing = Listing::subscribers(vec![viewer("a", 7)]);
        let text = to_string(&listing).expect("JSON");
        assert!(!text.contains("unreachable"), "{text}");
        let read: Listing<Subscriber> = from_str(&text).expect("ours");
        assert_eq!(read, listing);
    }

    #[test]
    fn a_node_of_the_release_before_sends_a_plain_list() {
        let plain = json!([{ "id": "a.7", "node": "a", "news": 1 }]);
        let read: Listing<Subscriber> = from_value(plain).expect("a list");
        assert_eq!((read.listed[0].id.as_str(), read.total), ("a.7", 0));
        let plain = json!([{ "streamKey": "live/cam", "epoch": 7, "part": "origin" }]);
        let read: Listing<Served> = from_value(plain).expect("a list");
        assert_eq!(read.listed[0].stream.stream_key, "live/cam");
        assert!(from_value::<Listing<Served>>(json!("no list")).is_err());
    }
}
