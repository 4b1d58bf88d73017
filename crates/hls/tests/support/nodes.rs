//! Nodes that package, and what they serve.

use std::collections::BTreeMap;

use bytes::Bytes;
use media::{ReadError, Relayed, Replica, Ring, Start};
use weir_hls::{Answer, Feed, Found, Mode, Name, Packager, Playlist, Version, Window};

use super::ring;

/// A node with a ring, or an edge of another's.
pub(crate) struct Node {
    pub(crate) ring: Ring,
    feed: Feed,
    pub(crate) packager: Packager,
}

impl Node {
    pub(crate) fn new(ring: &Ring, mode: Mode) -> Self {
        Self {
            ring: ring.clone(),
            feed: Feed::new(ring),
            packager: Packager::new(mode),
        }
    }

    /// Packages what has come. Calls `seen` for each new version of the playlist, and with what
    /// there is by then.
    pub(crate) fn package(&mut self, mut seen: impl FnMut(Version, &Window)) {
        let mut newest = self.packager.window().newest();
        loop {
            match self.feed.read(&mut self.packager, 1) {
                Ok((0, _)) => return,
                Ok((_, is_news)) => {
                    let now = self.packager.window().newest();
                    assert!(is_news || now == newest, "what is new is told");
                    if now != newest {
                        newest = now;
                        // There is nothing to list where a publish came after long and has no
                        // segment yet.
                        if let Some(newest) = newest {
                            seen(newest, self.packager.window());
                        }
                    }
                }
                Err(ReadError::Ended(_)) => return self.packager.end(),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// A node that pulls from another.
pub(crate) struct Edge {
    pub(crate) node: Node,
    replica: Replica,
    from: Ring,
    cursor: media::Cursor,
    epoch: Option<media::Epoch>,
}

impl Edge {
    /// Begins to pull: the window first.
    pub(crate) fn new(origin: &Ring, mode: Mode) -> Self {
        let ring = ring();
        let mut replica = ring.replica();
        let (cursor, join) = origin.cursor(Start::Window);
        let description = join.describe(true);
        let epoch = description.as_ref().map(|it| it.epoch);
        if let Some(description) = description {
            replica.describe(description).expect("the only one");
        }
        let mut edge = Self {
            node: Node::new(&ring, mode),
            replica,
            from: origin.clone(),
            cursor,
            epoch,
        };
        edge.pull(|_, _| {});
        edge.replica.caught_up().expect("the only one");
        edge
    }

    /// Pulls and packages what has come.
    pub(crate) fn pull(&mut self, seen: impl FnMut(Version, &Window)) {
        loop {
            let batch = match self.cursor.read() {
                Ok(batch) if batch.is_empty() => break,
                Ok(batch) => batch,
                Err(ReadError::Ended(reason)) => {
                    self.node.ring.end(reason);
                    break;
                }
                Err(error) => panic!("{error}"),
            };
            for tag in batch {
                if self.epoch.replace(tag.epoch) != Some(tag.epoch) {
                    let (_, join) = self.from.cursor(Start::At(tag.seq));
                    let description = join.describe(true).expect("somebody writes");
                    self.replica.describe(description).expect("the only one");
                }
                self.replica.push(Relayed::from(tag)).expect("in order");
            }
        }
        self.node.package(seen);
    }
}

/// All that a node has ever served, by name.
#[derive(Default)]
pub(crate) struct Served(pub(crate) BTreeMap<String, Bytes>);

impl Served {
    /// Notes what `window` has; what was there before must be the same.
    pub(crate) fn note(&mut self, window: &Window) {
        for (name, bytes) in everything(window) {
            let old = self.0.entry(name.clone()).or_insert_with(|| bytes.clone());
            assert_eq!(*old, bytes, "{name} has changed");
        }
    }

    /// Checks that `window` has what was served here, as far as it has it.
    pub(crate) fn compare(&self, window: &Window) -> usize {
        let all = everything(window);
        for (name, bytes) in &all {
            let own = self
                .0
                .get(name)
                .unwrap_or_else(|| panic!("{name} is nowhere else"));
            assert_eq!(own, bytes, "{name} is another elsewhere");
        }
        all.len()
    }
}

/// All that can be asked of a window: files, and versions of the playlist that are exact.
pub(crate) fn everything(window: &Window) -> Vec<(String, Bytes)> {
    let mut all = Vec::new();
    let mut file = |name: Name| {
        let bytes = match window.find(&name) {
            Answer::There(Found::Init(init)) => init.body.clone(),
            Answer::There(Found::Media(body)) => body.to_bytes(),
            _ => return,
        };
        let name = name.to_string();
        assert_eq!(
            Name::parse(&name).map(|it| it.to_string()),
            Some(name.clone())
        );
        all.push((name, bytes));
    };
    for segment in window.segments() {
        segment
            .init()
            .into_iter()
            .for_each(|init| file(init.name()));
        file(segment.name());
        (0..)
            .zip(segment.parts())
            .for_each(|(part, _)| file(segment.part_name(part)));
    }
    for version in versions(window).filter(|version| window.is_exact(*version)) {
        for skip in [false, true] {
            let playlist = Playlist::media(window, version, skip).expect("it is there");
            let name = format!("{} {:?} {skip}", version.msn, version.part);
            all.push((name, playlist.text().to_owned().into()));
        }
    }
    all
}

/// The versions of the playlist that end with what is there.
pub(crate) fn versions(window: &Window) -> impl Iterator<Item = Version> {
    window.segments().flat_map(|segment| {
        let msn = segment.msn();
        let parts = (0..).zip(segment.parts());
        parts.map(move |(part, _)| Version {
            msn,
            part: segment.has_parts().then_some(part),
        })
    })
}
