//! What takes longer, or the whole machine: `make prove`.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use testkit::certificate;
use testkit::wait::until;
use testkit::{Clip, Ffmpeg, Heard, Packets, Peer, Publisher, Recipe, Throttle, sent};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use weir_cluster::Node;

const MANY: usize = 10_000;

/// Each connection takes a file in the test as well.
fn may_open_many() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )
    .expect("what the system allows");
    assert!(
        maximum.is_none_or(|maximum| maximum > 11_000),
        "raise the hard limit of open files (ulimit -Hn)"
    );
}

async fn publish(node: &Node) -> Publisher {
    let tags = sent(&Clip::of(Recipe::H264_AAC).tags, 100);
    Publisher::start(&node.url("live/cam"), tags, 1.0)
        .await
        .expect("accepted")
}

async fn gets_media(player: &Peer) {
    player.forget();
    let some = |heard: &[Heard]| {
        heard
            .iter()
            .filter(|heard| heard.tag().is_some_and(flv::Tag::is_frame))
            .count()
            > 50
    };
    let started = Instant::now();
    player.until("media", some).await;
    // 72 frames a second.
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "in {:?}",
        started.elapsed()
    );
}

/// Connects so often that every address of the loopback network has to help, some at a time.
async fn connect_many(node: &Node) -> Vec<TcpStream> {
    let mut sockets = Vec::with_capacity(MANY);
    while sockets.len() < MANY {
        let mut batch = JoinSet::new();
        for _ in 0..100 {
            let address = node.rtmp;
            batch.spawn(TcpStream::connect(address));
        }
        for socket in batch.join_all().await {
            sockets.push(socket.expect("the node is there"));
        }
    }
    sockets
}

#[tokio::test]
#[ignore = "takes the whole machine: make prove"]
async fn ten_thousand_idle_connections_are_held_where_the_limits_allow_them() {
    may_open_many();
    let node = Node::start(&["limits.connections=0", "limits.handshake_timeout=5m"]).await;
    let publisher = publish(&node).await;
    let player = Peer::play(node.rtmp, "live", "cam").await;
    gets_media(&player).await;
    let before = node.resident();
    let sockets = connect_many(&node).await;
    let count = MANY as f64 + 2.0;
    node.metric_becomes("weir_connections{protocol=\"rtmp\"}", count)
        .await;
    gets_media(&player).await;
    let late = Peer::play(node.rtmp, "live", "cam").await;
    gets_media(&late).await;
    let each = node.resident().saturating_sub(before) as f64 / MANY as f64;
    println!("{each:.1} KiB for each idle connection");
    assert!(each < 40.0, "{each:.1} KiB each");
    drop(sockets);
    node.metric_becomes("weir_connections{protocol=\"rtmp\"}", 3.0)
        .await;
    gets_media(&player).await;
    assert!(!publisher.has_ended());
    node.stopped().await;
}

#[tokio::test]
#[ignore = "takes the whole machine: make prove"]
async fn ten_thousand_idle_connections_are_refused_where_the_limits_forbid_them() {
    may_open_many();
    let node = Node::start(&["limits.connections=100", "limits.handshake_timeout=10s"]).await;
    let publisher = publish(&node).await;
    let player = Peer::play(node.rtmp, "live", "cam").await;
    gets_media(&player).await;
    let before = node.resident();
    let mut sockets = connect_many(&node).await;
    gets_media(&player).await;
    assert!(node.metric("weir_connections{protocol=\"rtmp\"}").await <= 200.0);
    assert!(
        node.resident() < before + 60_000,
        "from {before} to {} KiB",
        node.resident()
    );
    // All but those within the limit are closed before long.
    let mut closed = 0;
    for socket in &mut sockets {
        let mut byte = [0];
        let answer = timeout(
            Duration::from_millis(if closed == 0 { 3000 } else { 20 }),
            socket.read(&mut byte),
        )
        .await;
        closed += usize::from(matches!(answer, Ok(Ok(0) | Err(_))));
    }
    assert!(closed >= MANY - 200, "{closed} were closed");
    drop(sockets);
    node.metric_becomes("weir_connections{protocol=\"rtmp\"}", 2.0)
        .await;
    gets_media(&player).await;
    assert!(!publisher.has_ended());
    node.stopped().await;
}

#[tokio::test]
#[ignore = "takes the whole machine: make prove"]
async fn a_thousand_peers_of_a_byte_a_second_are_cut_and_cost_nothing() {
    may_open_many();
    let node = Node::start(&["limits.handshake_timeout=8s"]).await;
    let publisher = publish(&node).await;
    let player = Peer::play(node.rtmp, "live", "cam").await;
    gets_media(&player).await;
    let before = node.resident();
    let started = Instant::now();
    let mut peers = JoinSet::new();
    for _ in 0..1000 {
        let address = node.rtmp;
        peers.spawn(async move {
            let mut socket = TcpStream::connect(address)
                .await
                .expect("the node is there");
            let (mut read, mut write) = socket.split();
            let drip = async {
                while write.write_all(&[3]).await.is_ok() {
                    sleep(Duration::from_secs(1)).await;
                }
            };
            let mut rest = Vec::new();
            tokio::select! {
                () = drip => {}
                _ = read.read_to_end(&mut rest) => {}
            }
            started.elapsed()
        });
    }
    node.metric_becomes("weir_connections{protocol=\"rtmp\"}", 1002.0)
        .await;
    gets_media(&player).await;
    let grown = node.resident().saturating_sub(before);
    assert!(grown < 60_000, "{grown} KiB for a thousand");
    for lasted in peers.join_all().await {
        assert!(
            lasted > Duration::from_secs(7) && lasted < Duration::from_secs(14),
            "{lasted:?}"
        );
    }
    node.metric_becomes("weir_connections{protocol=\"rtmp\"}", 2.0)
        .await;
    gets_media(&player).await;
    assert!(!publisher.has_ended());
    node.stopped().await;
}

#[tokio::test]
#[ignore = "takes the whole machine: make prove"]
async fn memory_and_files_stay_flat_while_players_come_and_go() {
    let node = Node::start(&[]).await;
    let publisher = publish(&node).await;
    let files = || {
        let folder = format!("/proc/{}/fd", node.pid());
        std::fs::read_dir(folder).expect("the node runs").count()
    };
    let round = async || {
        for _ in 0..50 {
            let mut players = JoinSet::new();
            for _ in 0..10 {
                let address = node.rtmp;
                players.spawn(async move {
                    let player = Peer::play(address, "live", "cam").await;
                    player
                        .until("media", |heard| {
                            heard.iter().any(|heard| heard.tag().is_some())
                        })
                        .await;
                });
            }
            players.join_all().await;
        }
        node.metric_becomes("weir_connections{protocol=\"rtmp\"}", 1.0)
            .await;
    };
    // The first rounds warm the allocator up.
    round().await;
    round().await;
    let (memory, open) = (node.resident(), files());
    for _ in 0..6 {
        round().await;
    }
    let grown = node.resident().saturating_sub(memory);
    println!("{grown} KiB after 3000 more players");
    assert!(grown < 12_000, "{grown} KiB");
    until("the files of before", async || {
        (files() <= open + 2).then_some(())
    })
    .await;
    assert!(!publisher.has_ended());
    node.stopped().await;
}

/// With B-frames, plain and over TLS, at many rates: whatever comes through decodes.
#[tokio::test]
#[ignore = "takes the whole machine: make prove"]
async fn players_that_are_too_slow_at_any_rate_decode_without_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = certificate::write(folder.path(), "localhost");
    let node = Node::start(&[
        "egress.max_lag=500ms",
        "egress.kernel_buffer=16KiB",
        "publish.grace=0s",
        "rtmps.listen=127.0.0.1:0",
        &format!("tls.cert={}", files.certificate.display()),
        &format!("tls.key={}", files.key.display()),
    ])
    .await;
    let clip = Clip::of(Recipe::HEAVY);
    let bytes: usize = clip.tags.iter().map(|tag| tag.payload.len()).sum();
    let needed = bytes as f64 * 1000.0 / f64::from(clip.millis());
    let publisher = Publisher::start(&node.url("live/cam"), sent(&clip.tags, 3), 1.0).await;
    let publisher = publisher.expect("accepted");
    node.log.wait("published", 1).await;
    let mut players = Vec::new();
    for (share, tls) in [
        (0.1, false),
        (0.2, true),
        (0.4, false),
        (0.6, true),
        (0.8, false),
    ] {
        let (server, scheme) = if tls {
            (node.rtmps.expect("TLS"), "rtmps")
        } else {
            (node.rtmp, "rtmp")
        };
        let link = Throttle::start(server, (needed * share) as u64).await;
        let url = format!("{scheme}://{}/live/cam", link.address);
        let verify: &[&str] = if tls { &["-tls_verify", "0"] } else { &[] };
        let packets = folder.path().join(format!("{share}"));
        let packets = packets.to_str().expect("our paths are texts").to_owned();
        let output = ["-map", "0", "-c", "copy", "-f", "framemd5", &packets];
        let decoded = ["-map", "0", "-fps_mode", "passthrough", "-f", "null", "-"];
        let player = Ffmpeg::Installed.run(&[verify, &["-i", &url], &output, &decoded].concat());
        players.push((share, link, player, packets));
    }
    node.plays(players.len()).await;
    publisher
        .finished()
        .await
        .expect("nobody holds the publisher up");
    let all = clip.packets(Ffmpeg::Installed).await;
    let known = |hash: &str| {
        all.video
            .iter()
            .position(|packet| packet.hash == hash)
            .expect("as it was sent")
    };
    let keyframes = clip.keyframes();
    for (share, link, player, packets) in players {
        let output = player.ended().await;
        let packets = Packets::parse(&std::fs::read_to_string(packets).expect("a list"));
        println!(
            "{share}: {} pictures, {} sounds",
            packets.video.len(),
            packets.audio.len()
        );
        let pictures: Vec<_> = packets
            .video
            .iter()
            .map(|packet| known(&packet.hash))
            .collect();
        // Each GOP goes on without a hole until it is left.
        for pair in pictures.windows(2) {
            let goes_on = pair[1] == (pair[0] + 1) % all.video.len();
            assert!(
                goes_on || keyframes.contains(&pair[1]),
                "{share}: {pictures:?}"
            );
        }
        let times: Vec<_> = packets.video.iter().map(|packet| packet.dts).collect();
        // A link that is cut at the end, in both directions at once, is rude by the rules of TLS.
        let rude = |line: &&str| line.starts_with("[tls") || line.ends_with("Input/output error");
        let complaints: Vec<_> = output.stderr.lines().filter(|line| !rude(line)).collect();
        assert_eq!(complaints, [""; 0], "{share}: {pictures:?} {times:?}");
        let steps = packets
            .audio
            .windows(2)
            .map(|pair| pair[1].dts - pair[0].dts);
        assert!(
            steps.max() <= Some(100),
            "{share}: sound goes on, also from one round to the next"
        );
        assert!(
            packets.audio.len() > 400,
            "{share}: {} sounds",
            packets.audio.len()
        );
        drop(link);
    }
    node.stopped().await;
}

/// Encoders of all kinds come and are lost, or take each other's place; players stay, and others join.
#[tokio::test]
#[ignore = "takes the whole machine: make prove"]
async fn players_survive_any_sequence_of_encoders() {
    let node = Node::start(&[
        "publish.grace=20s",
        "play.wait=20s",
        "publish.on_conflict=always",
    ])
    .await;
    let recipes = [
        Recipe::H264_AAC,
        Recipe::LARGER,
        Recipe::AUDIO,
        Recipe::VP9_OPUS,
        Recipe::VIDEO,
        Recipe::H264_OPUS,
        Recipe::HEVC_AAC,
    ];
    let clips: Vec<_> = recipes.iter().map(|&recipe| Clip::of(recipe)).collect();
    let mut players = vec![Peer::play(node.rtmp, "live", "cam").await];
    let mut publisher = None;
    let mut lost = 0;
    for round in 0..24 {
        // Every third time the one before is still there when the next comes.
        if round % 3 != 0 && publisher.take().is_some() {
            lost += 1;
            node.log.wait("publisher left", lost).await;
        }
        // Not the same neighbours each time round.
        let clip = &clips[(round * 3 + round / 7) % clips.len()];
        let url = node.url("live/cam");
        let next = Publisher::start(&url, sent(&clip.tags, 3), 1.0).await;
        publisher = Some(next.expect("accepted"));
        let newest = Peer::play(node.rtmp, "live", "cam").await;
        newest
            .until("frames", |heard| frames(heard) > 30 + round)
            .await;
        players.push(newest);
        if players.len() > 8 {
            players.remove(1);
        }
    }
    for (number, player) in players.iter().enumerate() {
        assert!(!player.is_closed(), "player {number} stays");
        for video in [true, false] {
            goes_on(&player.tags(), video, number);
        }
    }
    node.stopped().await;
}

fn frames(heard: &[Heard]) -> usize {
    let tags = heard.iter().filter_map(Heard::tag);
    tags.filter(|tag| tag.is_frame()).count()
}

/// Time never goes back, and after each new configuration comes a keyframe.
fn goes_on(tags: &[flv::Tag], video: bool, player: usize) {
    let (mut configuration, mut last, mut needs_key) = (None, 0, true);
    for tag in tags.iter().filter(|tag| tag.is_video() == video) {
        if tag.is_configuration() {
            needs_key |= configuration.replace(tag.payload.clone()) != Some(tag.payload.clone());
        } else if tag.is_frame() {
            let forth = tag.dts.checked_sub(last);
            let fine = forth.is_some_and(|forth| forth < 10_000 || last == 0);
            assert!(fine, "player {player}: from {last} to {}", tag.dts);
            let key = !video || !needs_key || tag.is_keyframe();
            assert!(key, "player {player}: a keyframe comes first at {last}");
            (last, needs_key) = (tag.dts, false);
        }
    }
}
