//! Players that come with a wish, over a pipe in place of a socket.

mod ending;
mod talking;

use bytes::{Bytes, BytesMut};
use flv::file::Reader;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::*;
use crate::metrics::recorded::Recorded;
use crate::status::RefusalKind;
use crate::watch::{Carrier, Request, Socket, Watch};

const HEAD: &[u8] = b"HEAD";

/// A player's end of its connection.
struct Viewer {
    socket: UnixStream,
    read: Vec<u8>,
    file: Reader,
}

impl Viewer {
    /// Of that stream, in messages if it is to be so.
    fn of(node: &Node, path: &str, carrier: Carrier) -> Viewer {
        let (socket, far) = Socket::pipe().expect("a pipe");
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        node.watch(Watch {
            socket,
            peer: "10.0.0.1:4000".parse().expect("an address"),
            request: Request {
                path: path.to_owned(),
                query: query.to_owned(),
                token: None,
                carrier,
            },
            begun: BytesMut::new(),
            head: Bytes::from_static(HEAD),
            refuse: Box::new(|refused| format!("{:?}", refused.kind).into()),
        });
        Viewer {
            socket: far,
            read: Vec::new(),
            file: Reader::default(),
        }
    }

    async fn some(&mut self) {
        let read = timeout(PATIENCE, self.socket.read_buf(&mut self.read));
        let read = read.await.expect("in time").expect("a socket");
        assert!(read > 0, "it ended behind {:?}", self.read);
    }

    /// The next so many bytes.
    async fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            self.some().await;
        }
        self.read.drain(..count).collect()
    }

    /// Reads what comes before the media.
    async fn head(&mut self) {
        assert_eq!(self.bytes(HEAD.len()).await, HEAD);
    }

    /// The next tag of a file.
    async fn tag(&mut self) -> Tag {
        loop {
            self.file.push(&std::mem::take(&mut self.read));
            if let Some(tag) = self.file.pull().expect("a file") {
                return tag;
            }
            self.some().await;
        }
    }

    /// The next message: the kind of it, and what is in it.
    async fn message(&mut self) -> (u8, Vec<u8>) {
        let head = self.bytes(2).await;
        assert!(head[1] <= 125, "a short one");
        (head[0], self.bytes(usize::from(head[1])).await)
    }

    /// All that comes up to the end.
    async fn rest(mut self) -> Vec<u8> {
        let read = timeout(PATIENCE, self.socket.read_to_end(&mut self.read));
        read.await.expect("an end").expect("a socket");
        self.read
    }
}

/// The bytes of a tag as they stand in a file.
fn in_file(tag: &Tag) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    flv::write_tag(tag, tag.dts, &mut bytes);
    bytes.to_vec()
}

#[tokio::test]
async fn a_viewer_gets_a_file_that_goes_on() {
    let node = node(|_| {}).await;
    let publisher = publish(&node, "a").await;
    publisher.send(keyframe(0)).await.expect("open");
    let mut viewer = Viewer::of(&node, "live/a", Carrier::Bytes);
    viewer.head().await;
    assert_eq!(viewer.tag().await, keyframe(0));
    // Joining, alone, and in a group.
    for dts in [40, 80, 120] {
        publisher.send(keyframe(dts)).await.expect("open");
        assert_eq!(viewer.tag().await, keyframe(dts));
    }
    let promised = viewer.file.header().expect("a head");
    assert!(promised.video && !promised.audio);
    node.drain().await;
}

#[tokio::test]
async fn in_a_websocket_each_tag_comes_alone() {
    let node = node(|_| {}).await;
    let publisher = publish(&node, "a").await;
    publisher.send(keyframe(0)).await.expect("open");
    let mut viewer = Viewer::of(&node, "live/a", Carrier::WebSocket);
    viewer.head().await;
    let head = b"FLV\x01\x01\0\0\0\x09\0\0\0\0".to_vec();
    assert_eq!(viewer.message().await, (0x82, head));
    assert_eq!(viewer.message().await, (0x82, in_file(&keyframe(0))));
    for dts in [40, 80, 120] {
        publisher.send(keyframe(dts)).await.expect("open");
        assert_eq!(viewer.message().await, (0x82, in_file(&keyframe(dts))));
    }
    node.drain().await;
}

#[tokio::test]
async fn a_publisher_that_comes_back_goes_on_in_the_same_file() {
    let node = node(|_| {}).await;
    let first = publish(&node, "a").await;
    first.send(keyframe(1000)).await.expect("open");
    let mut viewer = Viewer::of(&node, "live/a", Carrier::Bytes);
    viewer.head().await;
    assert_eq!(viewer.tag().await.dts, 1000);
    drop(first);
    let second = publish(&node, "a").await;
    second.send(keyframe(0)).await.expect("open");
    let tag = viewer.tag().await;
    assert!(tag.is_keyframe() && tag.dts > 1000, "{tag:?}");
    node.drain().await;
}

#[test]
fn what_is_counted_names_how_it_is_watched() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let recorded = Recorded::default();
    recorded.during(|| {
        runtime.block_on(async {
            let node = node(|_| {}).await;
            let publisher = publish(&node, "a").await;
            publisher.send(keyframe(0)).await.expect("open");
            let mut viewer = Viewer::of(&node, "live/a", Carrier::Bytes);
            let mut other = Viewer::of(&node, "live/a", Carrier::WebSocket);
            viewer.head().await;
            other.head().await;
            let is = |name: &str, protocol: &str, value: f64| {
                let name = format!("weir_{name}{{protocol=\"{protocol}\"}}");
                assert_eq!(recorded.count(&name), value, "{name}");
            };
            for protocol in ["flv", "ws-flv"] {
                is("connections", protocol, 1.0);
                is("subscribers", protocol, 1.0);
            }
            is("subscribers", "rtmp", 0.0);
            let question = crate::status::Question::Stream(key("a"));
            let answer = node.ask_cluster(question).await.expect("an answer");
            let answer = serde_json::to_value(answer).expect("JSON");
            let by_protocol = serde_json::json!({"flv": 1, "ws-flv": 1});
            assert_eq!(answer["viewersByProtocol"], by_protocol);

            drop((viewer, other));
            let left = |protocol: &str| {
                let labels = format!("protocol=\"{protocol}\",reason=\"left\"");
                recorded.count(&format!("weir_disconnects_total{{{labels}}}"))
            };
            until("they have left", async || {
                left("flv") + left("ws-flv") == 2.0
            })
            .await;
            for protocol in ["flv", "ws-flv"] {
                let joined = format!("weir_join_seconds{{protocol=\"{protocol}\"}}");
                assert_eq!(recorded.samples(&joined).len(), 1, "{protocol}");
                let sent = format!("weir_egress_bytes_total{{protocol=\"{protocol}\"}}");
                assert!(recorded.count(&sent) > 30.0, "{protocol}");
            }
            node.drain().await;
        });
    });
}

#[test]
fn an_idle_viewer_holds_little_memory() {
    const VIEWERS: usize = 200;
    for carrier in [Carrier::Bytes, Carrier::WebSocket] {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let tasks = || runtime.metrics().num_alive_tasks();
        let (node, publisher) = runtime.block_on(async {
            let node = node(|_| {}).await;
            let publisher = publish(&node, "a").await;
            publisher.send(keyframe(0)).await.expect("open");
            // The first one makes what all of them share, the task of their group among it.
            let before = tasks();
            let mut first = Viewer::of(&node, "live/a", carrier);
            first.head().await;
            until("it is in a group", async || tasks() == before + 4).await;
            drop(first);
            until("it has left", async || tasks() == before + 1).await;
            (node, publisher)
        });
        let mut viewers = Vec::with_capacity(VIEWERS);
        // Of each: its connection, the pump of that, and its subscriber.
        let settled = tasks() + 3 * VIEWERS;
        let measured = allocation_counter::measure(|| {
            runtime.block_on(async {
                for _ in 0..VIEWERS {
                    viewers.push(Viewer::of(&node, "live/a", carrier));
                }
                for viewer in &mut viewers {
                    viewer.socket.readable().await.expect("its first bytes");
                }
                until("all are in a group", async || tasks() == settled).await;
            });
        });
        let each = measured.bytes_current / VIEWERS as i64;
        println!("{carrier:?}: {each} bytes");
        assert!(each < 16 << 10, "{each} bytes for each");
        runtime.block_on(async {
            drop((viewers, publisher));
            node.drain().await;
        });
    }
}
