//! Nodes that run out of something: new viewers are turned away, and those there don't notice.

use std::net::SocketAddr;
use std::time::Duration;

use amf::{Object, Value};
use bytes::{Bytes, BytesMut};
use flv::{Kind, Tag};
use rtmp::chunk::ChunkWriter;
use rtmp::command::Command;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use testkit::wait::{LIMIT, until};
use testkit::{Clip, Heard, Peer, Recipe};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use weir_cluster::{Encoder, EncoderOptions, Node, Viewer};

/// A viewer whose frames come later than this has waited for them.
const STALL: Duration = Duration::from_secs(1);

/// A stream and its viewer, who is to notice nothing.
struct Show {
    encoder: Encoder,
    viewer: Viewer,
    since: Instant,
}

impl Show {
    async fn start(node: &Node) -> Self {
        let encoder = publish(node, "live/cam", 1.0).await;
        let viewer = Viewer::play(&node.url("live/cam"));
        viewer.goes_on(10, LIMIT).await;
        Self {
            encoder,
            viewer,
            since: Instant::now(),
        }
    }

    /// Checks that every frame has come, and none late.
    async fn has_gone_on(self, node: &Node) {
        self.viewer.goes_on(50, LIMIT).await;
        let seen = self.viewer.seen();
        assert_eq!(seen.closes, []);
        let gap = seen.longest_gap(self.since);
        assert!(gap < STALL, "a frame came {gap:?} after the one before");
        for video in [true, false] {
            let hashes = seen.hashes(video);
            let sent = self.encoder.sent().into_iter();
            let sent = sent.filter(|sent| sent.is_video == video);
            let sent: Vec<_> = sent.map(|sent| sent.hash).collect();
            let whole = sent.windows(hashes.len()).any(|some| some == hashes);
            assert!(whole, "of video {video}, a frame is missing");
        }
        let (lives, refused) = (self.encoder.accepted().len(), self.encoder.failures());
        assert_eq!((lives, refused), (1, Vec::new()));
        assert_eq!(node.log.errors(), [""; 0], "the node complains");
    }
}

async fn publish(node: &Node, stream: &str, rate: f64) -> Encoder {
    let clip = Clip::of(Recipe::H264_AAC);
    let encoder = EncoderOptions::new(&[&node.url(stream)], &clip.tags).rate(rate);
    let encoder = encoder.start();
    encoder.accepted_times(1, LIMIT).await;
    encoder
}

/// Asks to play, and hears yes or a sentence.
async fn ask(node: &Node, name: &str) -> Result<Peer, String> {
    let mut peer = Peer::connect(node.rtmp, "live").await;
    let stream = peer.create_stream().await;
    peer.command("play", stream, &[name.into()]).await;
    let answer = peer.find("an answer to the play", |heard| match heard {
        Heard::Status(status) if status.code == "NetStream.Play.Start" => Some(Ok(())),
        Heard::Status(status) if status.level == "error" => Some(Err(status.clone())),
        _ => None,
    });
    match answer.await {
        Ok(()) => Ok(peer),
        Err(status) => {
            assert_eq!(status.code, "NetStream.Play.Failed");
            peer.closed().await;
            Err(status.description)
        }
    }
}

/// Waits until `/ready` says why nobody should be sent here, and returns that.
async fn not_ready(node: &Node) -> String {
    until("a node that is not ready", async || {
        why_not_ready(node).await
    })
    .await
}

async fn why_not_ready(node: &Node) -> Option<String> {
    let answer = node.get("/ready").await;
    let ready = answer.json();
    let why = ready["checks"]["headroom"].as_str().unwrap_or_default();
    assert_eq!(answer.status == 503, why != "ok", "{ready}");
    assert_eq!(ready["checks"]["listeners"], "ok");
    (why != "ok").then(|| why.to_owned())
}

/// Checks what a viewer is told, and that it was counted.
async fn assert_refused(node: &Node, told: &str, resource: &str, key: &str) {
    assert!(told.starts_with("this node is full: "), "{told}");
    assert!(told.contains(&format!("({key})")), "{told}");
    let (_, pause) = told.split_once("this one again in ").expect("when");
    let pause: u32 = pause.trim_end_matches(" s").parse().expect("seconds");
    assert!((2..=8).contains(&pause), "{told}");
    let counted = format!("weir_viewers_refused_total{{resource=\"{resource}\"}}");
    assert!(node.metric(&counted).await >= 1.0);
    assert!(why_not_ready(node).await.is_some());
}

#[tokio::test]
async fn a_node_that_sends_as_much_as_it_may_takes_no_more_viewers() {
    let node = Node::start(&["limits.egress=18kB", "limits.headroom=0.95"]).await;
    let show = Show::start(&node).await;
    let why = not_ready(&node).await;
    assert!(
        why.contains("18.0 kB a second that it may (limits.egress)"),
        "{why}"
    );
    let told = until("a refusal", async || ask(&node, "cam").await.err()).await;
    assert_refused(&node, &told, "egress", "limits.egress").await;
    assert!(node.metric("weir_headroom_ratio").await < 0.1);
    node.log.wait("new viewers are refused", 1).await;
    // Publishers are welcome all the while.
    let other = publish(&node, "live/other", 1.0).await;
    show.has_gone_on(&node).await;

    // The viewer has left: others may come.
    until("a node that is ready", async || {
        why_not_ready(&node).await.is_none().then_some(())
    })
    .await;
    node.log.wait("new viewers are welcome again", 1).await;
    let viewer = ask(&node, "other").await.expect("accepted");
    drop((viewer, other));
    node.stopped().await;
}

#[tokio::test]
async fn a_node_that_runs_out_of_descriptors_keeps_some_for_itself() {
    let node = Node::start(&["limits.headroom=0.95"]).await;
    let show = Show::start(&node).await;
    // Of 80, 20 are the reserve.
    let few = Rlimit {
        current: Some(80),
        maximum: Some(80),
    };
    let pid = i32::try_from(node.pid()).ok().and_then(Pid::from_raw);
    prlimit(pid, Resource::Nofile, few).expect("limited");
    until("a node that has noticed", async || {
        (node.metric("weir_headroom_ratio").await < 0.8).then_some(())
    })
    .await;
    // From here on connections count as they come, and not from the next look on.
    let mut connections = Vec::new();
    let why = loop {
        connections.push(Peer::connect(node.rtmp, "live").await);
        assert!(connections.len() < 80);
        if let Some(why) = why_not_ready(&node).await {
            break why;
        }
    };
    assert!(
        why.contains("of at most 80 files and connections open (ulimit -n)"),
        "{why}"
    );
    let mut viewers = vec![ask(&node, "cam").await.expect("not full yet")];
    let told = loop {
        match ask(&node, "cam").await {
            Ok(viewer) => viewers.push(viewer),
            Err(told) => break told,
        }
    };
    assert_refused(&node, &told, "descriptors", "ulimit -n").await;
    // Whoever connects and asks for nothing takes no more than up to the reserve.
    let told = loop {
        assert!(connections.len() < 80);
        match connect(node.rtmp).await {
            Ok(peer) => connections.push(peer),
            Err(told) => break told,
        }
    };
    assert!(told.contains("ulimit -n"), "{told}");
    assert!(node.open_files() < 70, "{} of 80", node.open_files());
    show.has_gone_on(&node).await;
    drop((connections, viewers));
    until("a node that is ready", async || {
        why_not_ready(&node).await.is_none().then_some(())
    })
    .await;
    node.stopped().await;
}

/// Connects, or hears why not.
async fn connect(address: SocketAddr) -> Result<Peer, String> {
    let mut peer = Peer::dial(address).await;
    peer.ask_to_connect("live", &[]).await;
    let answer = peer.find("the answer to connect", |heard| match heard {
        Heard::Command(answer) => match answer.name.as_str() {
            "_result" => Some(None),
            "_error" => Some(answer.arguments.first().cloned()),
            _ => None,
        },
        _ => None,
    });
    match answer.await {
        None => Ok(peer),
        Some(information) => Err(format!("{information:?}")),
    }
}

#[tokio::test]
async fn a_node_that_runs_out_of_memory_takes_no_more_viewers() {
    const MAY_USE: u64 = 120_000_000;
    /// Of the size of a frame, as an allocator keeps them.
    const PIECE: usize = 20_000;
    const TOGETHER: usize = 50;
    let node = Node::start(&[
        "limits.memory=120MB",
        "limits.headroom=0.95",
        "ring.max_bytes=1GiB",
        "publish.grace=0",
    ])
    .await;
    let show = Show::start(&node).await;
    let mut hoarder = Peer::publish(node.rtmp, "live", "hoard").await;
    let payload = Bytes::from([&[0x12][..], &[0; PIECE]].concat());
    let mut pieces = 0;
    let told = loop {
        for _ in 0..TOGETHER {
            let tag = Tag::new(Kind::Video, pieces, payload.clone());
            hoarder.send(&tag).await;
            pieces += 1;
        }
        hoarder.settled().await;
        assert!(pieces < 10_000, "{} KiB", node.resident());
        if node.resident() << 10 < MAY_USE * 93 / 100 {
            continue;
        }
        // So that a look comes before memory is too short even for those who connect.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        if let Err(told) = ask(&node, "cam").await {
            break told;
        }
    };
    assert_refused(&node, &told, "memory", "limits.memory").await;
    // What nobody uses any more is given back.
    drop(hoarder);
    let again = |lines: &[serde_json::Value]| {
        let mut lines = lines.iter();
        lines
            .find(|line| line["message"] == "new viewers are welcome again")
            .cloned()
    };
    node.log.until("memory given back", LIMIT * 2, again).await;
    show.has_gone_on(&node).await;
    node.stopped().await;
}

/// Starts a node that has one processor.
async fn on_one_processor(settings: &[&str]) -> Node {
    let all = sched_getaffinity(None).expect("processors");
    let mut one = CpuSet::new();
    let last = (0..CpuSet::MAX_CPU).rfind(|number| all.is_set(*number));
    one.set(last.expect("a processor"));
    // What this thread starts inherits it.
    sched_setaffinity(None, &one).expect("one processor");
    let node = Node::start(settings).await;
    sched_setaffinity(None, &all).expect("all processors");
    node
}

#[tokio::test]
async fn a_node_whose_processor_is_busy_takes_no_more_viewers() {
    // So little that the others on this machine suffer nothing.
    let node = on_one_processor(&["limits.headroom=0.08", "egress.coalesce=0"]).await;
    let show = Show::start(&node).await;
    let load = publish(&node, "live/load", 20.0).await;
    let mut viewers = Vec::new();
    let told = loop {
        match ask(&node, "load").await {
            Ok(viewer) => viewers.push(viewer),
            Err(told) => break told,
        }
        assert!(viewers.len() < 200);
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_refused(&node, &told, "cpu", "limits.headroom").await;
    show.has_gone_on(&node).await;
    drop((load, viewers));
    node.log.wait("new viewers are welcome again", 1).await;
    node.stopped().await;
}

#[tokio::test]
#[ignore = "takes two whole processors"]
async fn a_node_whose_processor_is_at_its_end_harms_nobody() {
    let node = on_one_processor(&["limits.headroom=0.95", "egress.coalesce=0"]).await;
    let show = Show::start(&node).await;
    let load = publish(&node, "live/load", 20.0).await;
    let mut viewers = Vec::new();
    let told = loop {
        match ask(&node, "load").await {
            Ok(_) => viewers.extend([gulp(&node, "load").await, gulp(&node, "load").await]),
            Err(told) => break told,
        }
        assert!(viewers.len() < 2000);
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_refused(&node, &told, "cpu", "limits.headroom").await;
    println!("{} viewers; {told}", viewers.len());
    // It stays at its end for a while.
    show.viewer.goes_on(500, LIMIT).await;
    show.has_gone_on(&node).await;
    drop((load, viewers));
    node.log.wait("new viewers are welcome again", 1).await;
    node.stopped().await;
}

/// A viewer that understands nothing of what it gets, and so takes little of a processor.
async fn gulp(node: &Node, name: &str) -> JoinSet<()> {
    let connect = Command {
        object: [("app", Value::from("live"))]
            .into_iter()
            .collect::<Object>()
            .into(),
        ..Command::new("connect", 1.0, Vec::new())
    };
    let create = Command::new("createStream", 2.0, Vec::new());
    let play = Command::new("play", 3.0, vec![name.into()]);
    let mut bytes = BytesMut::from(&[&[3][..], &[0; 3072]].concat()[..]);
    let mut writer = ChunkWriter::new();
    for (command, stream) in [(connect, 0), (create, 0), (play, 1)] {
        writer.write(&command.to_message(3, stream), &mut bytes);
    }
    let mut socket = TcpStream::connect(node.rtmp)
        .await
        .expect("the node is there");
    socket.write_all(&bytes).await.expect("it listens");
    let mut gulping = JoinSet::new();
    gulping.spawn(async move {
        drop(tokio::io::copy(&mut socket, &mut tokio::io::sink()).await);
    });
    gulping
}
