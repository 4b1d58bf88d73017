//! RTMP over TLS.

use std::time::Duration;

use rtmp::Url;
use rtmp::client::Event;
use rtmp::net::{Client, ClientOptions};
use rtmp::tls::Trust;
use testkit::certificate::{self, Files};
use testkit::wait::until;
use testkit::{Clip, Ffmpeg, Packets, Publisher, Recipe, sent};
use weir_cluster::Node;

async fn secure(files: &Files, more: &[&str]) -> Node {
    let certificate = format!("tls.cert={}", files.certificate.display());
    let key = format!("tls.key={}", files.key.display());
    let settings = ["rtmps.listen=127.0.0.1:0", &certificate, &key];
    Node::start(&[&settings, more].concat()).await
}

fn trusting(certificate: Trust) -> ClientOptions {
    ClientOptions {
        trust: certificate,
        server_name: Some("localhost".to_owned()),
        ..ClientOptions::default()
    }
}

#[tokio::test]
async fn ffmpeg_publishes_and_plays_over_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = secure(
        &certificate::write(folder.path(), "localhost"),
        &["play.wait=20s", "publish.grace=0s"],
    )
    .await;
    let url = format!("rtmps://{}/live/cam", node.rtmps.expect("it serves RTMPS"));
    let clip = Clip::of(Recipe::H264_AAC);
    let play = |by: Ffmpeg, url: &str| {
        by.run(&[
            "-tls_verify",
            "0",
            "-i",
            url,
            "-map",
            "0",
            "-c",
            "copy",
            "-f",
            "framemd5",
            "-",
        ])
    };
    let encrypted = play(Ffmpeg::Installed, &url);
    let plain = Ffmpeg::Installed.run(&[
        "-i",
        &node.url("live/cam"),
        "-map",
        "0",
        "-c",
        "copy",
        "-f",
        "framemd5",
        "-",
    ]);
    node.plays(2).await;
    // Told apart as connections alone.
    for (metric, value) in [
        ("weir_connections{protocol=\"rtmps\"}", 1.0),
        ("weir_connections{protocol=\"rtmp\"}", 1.0),
        ("weir_subscribers{protocol=\"rtmp\"}", 2.0),
    ] {
        node.metric_becomes(metric, value).await;
    }
    Ffmpeg::Installed
        .publish_with(&clip.file, 4.0, &["-tls_verify", "0"], &url)
        .succeeded()
        .await;
    let packets = clip.packets(Ffmpeg::Nine).await;
    Packets::parse(&encrypted.succeeded().await).equal(&packets, "over TLS");
    Packets::parse(&plain.succeeded().await).equal(&packets, "without TLS");
    node.metric_becomes("weir_connections{protocol=\"rtmps\"}", 0.0)
        .await;
    node.stopped().await;
}

#[tokio::test]
async fn a_new_certificate_is_served_to_the_next_connection() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = certificate::write(folder.path(), "localhost");
    let node = secure(&files, &[]).await;
    let url = format!("rtmps://{}/live/cam", node.rtmps.expect("it serves RTMPS"));
    let copy = folder.path().join("old.pem");
    std::fs::copy(&files.certificate, &copy).expect("a file can be copied");
    let old = trusting(Trust::File(copy));
    let clip = Clip::of(Recipe::H264_AAC);
    let publisher = Publisher::start_with(old.clone(), &url, sent(&clip.tags, 9), 1.0)
        .await
        .expect("accepted");
    let parsed = Url::parse(&url).expect("a URL");
    assert!(Client::new(old.clone()).pull(&parsed).await.is_ok());

    let files = certificate::write(folder.path(), "localhost");
    let new = trusting(Trust::File(files.certificate));
    let pulled = until("the new certificate", async || {
        Client::new(new.clone()).pull(&parsed).await.ok()
    });
    let mut player = pulled.await;
    assert!(
        Client::new(old).pull(&parsed).await.is_err(),
        "the old certificate is no longer served"
    );
    // The connection that was there goes on.
    loop {
        let next = tokio::time::timeout(Duration::from_secs(10), player.next())
            .await
            .expect("the stream goes on");
        if let Some(Event::Tag(tag)) = next.expect("the stream goes on")
            && tag.is_frame()
        {
            break;
        }
    }
    assert!(!publisher.has_ended());
    drop((player, publisher));
    node.stopped().await;
}

#[tokio::test]
async fn plain_rtmp_to_the_tls_port_does_no_harm() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let folder = tempfile::tempdir().expect("a folder");
    let node = secure(&certificate::write(folder.path(), "localhost"), &[]).await;
    let mut socket = tokio::net::TcpStream::connect(node.rtmps.expect("it serves RTMPS"))
        .await
        .expect("the node is there");
    // The node may close before it has read all.
    let _ = socket.write_all(&[3; 1537]).await;
    let mut answer = Vec::new();
    let _ = testkit::wait::within("the end", socket.read_to_end(&mut answer)).await;
    assert!(answer.len() < 100, "an alert at most");
    node.metric_becomes("weir_connections{protocol=\"rtmps\"}", 0.0)
        .await;
    node.stopped().await;
}

#[tokio::test]
async fn another_protocol_at_the_plain_port_is_closed_at_once() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let node = Node::start(&["limits.handshake_timeout=1m"]).await;
    let hello = [22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];
    for (count, said, hint) in [
        (1, &hello[..], "TLS; rtmps has a port of its own"),
        (2, b"GET / HTTP/1.1\r\n\r\n", "HTTP"),
        (3, b"POST /live HTTP/1.1\r\n\r\n", "HTTP"),
    ] {
        let socket = tokio::net::TcpStream::connect(node.rtmp).await;
        let mut socket = socket.expect("the node is there");
        socket.write_all(said).await.expect("taken");
        let mut answer = Vec::new();
        // An end in order or a reset: closed is closed.
        let _ = testkit::wait::within("the end", socket.read_to_end(&mut answer)).await;
        assert_eq!(answer, b"");
        let line = node.log.wait("no RTMP", count).await;
        assert_eq!(line["level"], "INFO");
        let told = line["hint"].as_str().unwrap_or_default();
        assert!(told.contains(hint), "{line}");
    }
    node.stopped().await;
}

#[tokio::test]
async fn who_does_not_trust_the_certificate_shows_in_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = secure(&certificate::write(folder.path(), "localhost"), &[]).await;
    let other = tempfile::tempdir().expect("a folder");
    let files = certificate::write(other.path(), "localhost");
    let address = node.rtmps.expect("it serves RTMPS");
    let url = Url::parse(&format!("rtmps://{address}/live/cam")).expect("a URL");
    let client = Client::new(trusting(Trust::File(files.certificate)));
    assert!(client.pull(&url).await.is_err());
    let line = node.log.wait("TLS failed", 1).await;
    assert_eq!(line["level"], "INFO");
    node.metric_becomes("weir_connections{protocol=\"rtmps\"}", 0.0)
        .await;
    assert_eq!(node.log.count("TLS failed"), 1);
    node.stopped().await;
}

#[tokio::test]
async fn who_is_silent_at_the_tls_port_is_cut_in_time() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let folder = tempfile::tempdir().expect("a folder");
    let files = certificate::write(folder.path(), "localhost");
    let node = secure(&files, &["limits.handshake_timeout=1s"]).await;
    // Nothing at all, and the first bytes of a hello.
    for said in [&[][..], &[22, 3, 1, 2, 0, 1, 0]] {
        let address = node.rtmps.expect("it serves RTMPS");
        let socket = tokio::net::TcpStream::connect(address).await;
        let mut socket = socket.expect("the node is there");
        socket.write_all(said).await.expect("taken");
        let started = tokio::time::Instant::now();
        let mut answer = Vec::new();
        // An end in order or a reset: closed is closed.
        let _ = testkit::wait::within("the end", socket.read_to_end(&mut answer)).await;
        let waited = started.elapsed();
        assert!(
            waited > Duration::from_millis(800) && waited < Duration::from_secs(4),
            "{waited:?}"
        );
    }
    node.metric_becomes("weir_connections{protocol=\"rtmps\"}", 0.0)
        .await;
    node.stopped().await;
}
