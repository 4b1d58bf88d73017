//! Goes through the versions of a playlist, and all that they list, at several edges at a time.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures::future::join_all;
use testkit::hls::{MediaPlaylist, lint, lint_delta, lint_later};
use tokio::time::{Instant, sleep};
use weir_cluster::{Loaded, Node, load};

/// More than a version is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// The same stream at some edges. Panics as soon as they differ.
pub(super) struct Walk {
    edges: Vec<Edge>,
    /// The playlist looked at last.
    text: String,
    playlist: MediaPlaylist,
    /// What was loaded, by its name.
    files: HashMap<String, Vec<u8>>,
}

#[derive(Clone)]
struct Edge {
    name: String,
    http: SocketAddr,
    /// It has come just now, and everything listed is to be compared with what the others gave.
    is_new: bool,
}

impl Walk {
    /// Begins with what the edges list now.
    pub(super) async fn begin(nodes: &[&Node]) -> Self {
        let edges: Vec<_> = nodes.iter().map(|node| Edge::of(node)).collect();
        let first = edges.first().expect("an edge");
        let index = first.get("index.m3u8").await;
        assert!(index.contains("\nmedia.m3u8\n"), "{index}");
        let text = first.get("media.m3u8").await;
        let playlist = linted(&text);
        Self {
            edges,
            text,
            playlist,
            files: HashMap::new(),
        }
    }

    /// Another edge is asked from now on.
    pub(super) fn join(&mut self, node: &Node) {
        self.edges.push(Edge::of(node));
    }

    /// An edge is not asked any more.
    pub(super) fn leave(&mut self, node: &Node) {
        self.edges.retain(|edge| edge.name != node.name());
    }

    /// The next versions, as many as `count`, and all that they list.
    pub(super) async fn versions(&mut self, count: usize) {
        for _ in 0..count {
            let (msn, part) = self.playlist.next();
            let version = match self.playlist.part_target {
                Some(_) => format!("_HLS_msn={msn}&_HLS_part={part}"),
                None => format!("_HLS_msn={msn}"),
            };
            let text = self.same_text(&format!("media.m3u8?{version}")).await;
            let findings = lint_later(&self.text, &text);
            assert_eq!(findings, Vec::<String>::new(), "{}\n{text}", self.text);
            let playlist = linted(&text);
            assert_ne!(text, self.text, "a version that is asked for twice");
            let delta = self
                .same_text(&format!("media.m3u8?{version}&_HLS_skip=YES"))
                .await;
            assert_eq!(lint_delta(&text, &delta), Vec::<String>::new(), "{delta}");
            (self.text, self.playlist) = (text, playlist);
            self.load().await;
        }
    }

    /// Waits for a list that has nothing in common with the one before.
    pub(super) async fn begins_anew(&mut self) {
        let end = Instant::now() + PATIENCE;
        let first = self.edges.first().expect("an edge").clone();
        loop {
            let loaded = first.ask("media.m3u8").await;
            let text = loaded.text();
            if loaded.status == 200 {
                let playlist = linted(&text);
                let is_other = playlist.media_sequence > self.playlist.next().0;
                if is_other {
                    let findings = lint_later(&self.text, &text);
                    assert_eq!(findings, Vec::<String>::new(), "{}\n{text}", self.text);
                    (self.text, self.playlist) = (text, playlist);
                    return self.files.clear();
                }
            }
            assert!(Instant::now() < end, "{}\n{text}", loaded.head);
            sleep(Duration::from_millis(100)).await;
        }
    }

    pub(super) fn media_sequence(&self) -> u64 {
        self.playlist.media_sequence
    }

    /// How many there are in the list.
    pub(super) fn discontinuities(&self) -> usize {
        self.text.matches("#EXT-X-DISCONTINUITY\n").count()
    }

    /// Loads what is listed and was not loaded before.
    async fn load(&mut self) {
        for name in names(&self.playlist) {
            let known = self.files.get(&name);
            let asked: Vec<_> = match known {
                Some(_) => self.edges.iter().filter(|edge| edge.is_new).collect(),
                None => self.edges.iter().collect(),
            };
            let answers = join_all(asked.iter().map(|edge| edge.load(&name))).await;
            let mut answers = answers.into_iter();
            let expected = match known {
                Some(known) => known.clone(),
                None => answers.next().expect("an edge"),
            };
            assert!(!expected.is_empty(), "{name} has no byte");
            for (edge, answer) in asked.iter().skip(usize::from(known.is_none())).zip(answers) {
                let same = answer == expected;
                assert!(same, "{name} is another at {}", edge.name);
            }
            self.files.insert(name, expected);
        }
        let listed: Vec<_> = names(&self.playlist);
        self.files.retain(|name, _| listed.contains(name));
        for edge in &mut self.edges {
            edge.is_new = false;
        }
    }

    /// What all edges say at `path`.
    async fn same_text(&self, path: &str) -> String {
        let answers = join_all(self.edges.iter().map(|edge| edge.get(path))).await;
        let first = answers.first().expect("an edge");
        for (edge, answer) in self.edges.iter().zip(&answers) {
            let first_name = &self.edges[0].name;
            assert_eq!(answer, first, "{path} at {} and {first_name}", edge.name);
        }
        first.clone()
    }
}

impl Edge {
    fn of(node: &Node) -> Self {
        Self {
            name: node.name().to_owned(),
            http: node.http,
            is_new: true,
        }
    }

    async fn get(&self, path: &str) -> String {
        String::from_utf8(self.load(path).await).expect("a text")
    }

    async fn load(&self, path: &str) -> Vec<u8> {
        let loaded = self.ask(path).await;
        let (name, head) = (&self.name, &loaded.head);
        let text = || loaded.text();
        assert_eq!(loaded.status, 200, "{path} at {name}: {head}\n{}", text());
        loaded.body
    }

    async fn ask(&self, path: &str) -> Loaded {
        let loaded = load(self.http, &format!("/live/cam/{path}"), PATIENCE).await;
        loaded.unwrap_or_else(|error| panic!("{path} at {}: {error}", self.name))
    }
}

/// Everything that is listed.
fn names(playlist: &MediaPlaylist) -> Vec<String> {
    let mut names = Vec::new();
    for segment in &playlist.segments {
        names.extend(segment.map.clone());
        names.extend(segment.parts.iter().map(|part| part.uri.clone()));
        names.extend(segment.uri.clone());
    }
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

fn linted(text: &str) -> MediaPlaylist {
    assert_eq!(lint(text), Vec::<String>::new(), "{text}");
    MediaPlaylist::parse(text).0
}
