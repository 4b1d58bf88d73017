//! The same through TLS, in programs that play.

use std::path::Path;

use testkit::certificate::{self, Files};
use testkit::players::gstreamer_decodes;
use testkit::wait::until;
use testkit::{Clip, Ffmpeg, Packets, Program, Publisher, Recipe, sent};
use weir_cluster::Node;

use crate::viewer::Viewer;

async fn secure(files: &Files, more: &[&str]) -> Node {
    let certificate = format!("tls.cert={}", files.certificate.display());
    let key = format!("tls.key={}", files.key.display());
    let settings = ["https.listen=127.0.0.1:0", &certificate, &key];
    Node::start(&[&settings, more].concat()).await
}

fn url(node: &Node, path: &str) -> String {
    let port = node.https.expect("it serves HTTPS").port();
    format!("https://localhost:{port}{path}")
}

/// curl, which trusts this certificate alone.
fn curl(files: &Files, arguments: &[&str]) -> Program {
    let trusts = ["-sS", "--cacert", text(&files.certificate)];
    Program::start("curl", [&trusts, arguments].concat())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("our paths are texts")
}

#[tokio::test]
async fn curl_asks_by_http2_and_by_http1_and_looks_at_the_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = certificate::write(folder.path(), "localhost");
    let node = secure(&files, &[]).await;
    let health = url(&node, "/health");
    let version = ["-w", "\n%{http_version}", &health];
    for (how, spoken) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let said = curl(&files, &[&[how], &version[..]].concat())
            .succeeded()
            .await;
        let (health, version) = said.rsplit_once('\n').expect("two lines");
        assert!(health.contains("\"status\":\"ok\""), "{said}");
        assert_eq!(version, spoken);
    }
    // By another certificate, or another name, it is not ours.
    let strangers = tempfile::tempdir().expect("a folder");
    let others = certificate::write(strangers.path(), "localhost");
    let refused = curl(&others, &[&health]).ended().await;
    assert_eq!(refused.status.code(), Some(60), "{}", refused.stderr);
    let by_number = health.replace("localhost", "127.0.0.1");
    let refused = curl(&files, &[&by_number]).ended().await;
    assert_eq!(refused.status.code(), Some(60), "{}", refused.stderr);
    // In the clear, it is told.
    let plain = health.replace("https:", "http:");
    let told = curl(&files, &[&plain]).succeeded().await;
    assert!(told.contains("HTTPS"), "{told}");
    let refused = "weir_http_disconnects_total{listener=\"https\",reason=\"protocol\"}";
    node.metric_becomes(refused, 2.0).await;
    node.stopped().await;
}

#[tokio::test]
async fn a_new_certificate_is_served_to_the_next_connection() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = certificate::write(folder.path(), "localhost");
    let node = secure(&files, &[]).await;
    let health = url(&node, "/health");
    curl(&files, &[&health]).succeeded().await;
    let old = tempfile::tempdir().expect("a folder");
    let before = Files {
        certificate: old.path().join("cert.pem"),
        key: files.key.clone(),
    };
    std::fs::copy(&files.certificate, &before.certificate).expect("a copy");
    certificate::write(folder.path(), "localhost");
    let renewed = async || {
        let asked = curl(&files, &[&health]).ended().await;
        asked.status.success().then_some(())
    };
    until("the new certificate", renewed).await;
    let refused = curl(&before, &[&health]).ended().await;
    assert_eq!(refused.status.code(), Some(60), "{}", refused.stderr);
    node.stopped().await;
}

#[tokio::test]
async fn players_get_the_stream_as_it_was_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = certificate::write(folder.path(), "localhost");
    let node = secure(&files, &["play.wait=20s", "publish.grace=0s"]).await;
    let https = node.https.expect("it serves HTTPS");
    let stream = url(&node, "/live/cam.flv");
    let list = ["-map", "0", "-c", "copy", "-f", "framemd5", "-"];
    let ffmpeg = ["-tls_verify", "0", "-multiple_requests", "1", "-i", &stream];
    let ffmpeg = Ffmpeg::Installed.run(&[&ffmpeg, &list[..]].concat());
    let kept = ["--http2", "--http1.1"].map(|how| {
        let file = folder.path().join(how);
        let program = curl(&files, &[how, "--no-buffer", "-o", text(&file), &stream]);
        (program, file)
    });
    let file = Viewer::secure_get(https, "live/cam");
    let messages = Viewer::secure_websocket(https, "live/cam");
    node.plays(5).await;
    let clip = Clip::of(Recipe::H264_AAC);
    Ffmpeg::Installed
        .publish(&clip.file, 4.0, &node.url("live/cam"))
        .succeeded()
        .await;
    let packets = clip.packets(Ffmpeg::Nine).await;
    Packets::parse(&ffmpeg.succeeded().await).equal(&packets, "ffmpeg");
    file.ended().await;
    let goodbye = (1000, "the stream has ended".to_owned());
    assert_eq!(messages.ended().await, Some(goodbye));
    assert!(file.is_whole() && file.bytes() == messages.bytes());
    for (program, path) in kept {
        program.succeeded().await;
        let kept = std::fs::read(&path).expect("curl has left a file");
        assert!(kept == file.bytes(), "{}", path.display());
    }
    for protocol in ["flv", "ws-flv"] {
        let there = format!("weir_connections{{protocol=\"{protocol}\"}}");
        node.metric_becomes(&there, 0.0).await;
    }
    node.stopped().await;
}

#[tokio::test]
async fn who_is_refused_by_http2_is_told_as_by_http1() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = certificate::write(folder.path(), "localhost");
    let tokens = r#"auth.static={"live/cam" = { play = "secret" }}"#;
    let node = secure(&files, &[tokens]).await;
    for (query, status) in [
        ("", "401"),
        ("?token=guess", "403"),
        ("?token=secret", "404"),
    ] {
        let stream = url(&node, &format!("/live/cam.flv{query}"));
        for how in ["--http2", "--http1.1"] {
            let said = curl(&files, &[how, "-w", "\n%{http_code}", &stream]);
            let said = said.succeeded().await;
            assert!(
                said.ends_with(status) && said.contains("\"error\""),
                "{how}: {said}"
            );
        }
    }
    // Without the key of the API, a page or proxy elsewhere is told from this machine by HTTP/2 too.
    let stop = url(&node, "/api/v1/streams/live/cam/stop");
    let code = ["-X", "POST", "-o", "/dev/null", "-w", "%{http_code}"];
    let here = [&["--http2"], &code[..], &[&stop]].concat();
    assert_eq!(curl(&files, &here).succeeded().await, "404");
    let port = node.https.expect("it serves HTTPS").port();
    let evil = format!("evil.example:{port}:127.0.0.1");
    let elsewhere = stop.replace("localhost", "evil.example");
    let resolve = ["--http2", "-k", "--resolve", &evil];
    let there = [&resolve[..], &code, &[&elsewhere]].concat();
    assert_eq!(curl(&files, &there).succeeded().await, "403");
    node.stopped().await;
}

#[tokio::test]
async fn gstreamer_decodes_through_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = certificate::write(folder.path(), "localhost");
    let node = secure(&files, &["publish.grace=0s"]).await;
    let tags = sent(&Clip::of(Recipe::BASELINE).tags, 3);
    let publisher = Publisher::start(&node.url("live/cam"), tags, 1.0).await;
    let publisher = publisher.expect("accepted");
    let stream = url(&node, "/live/cam.flv");
    let decoding = gstreamer_decodes(&stream);
    node.plays(1).await;
    publisher.finished().await.expect("said goodbye");
    decoding.succeeded().await;
    node.stopped().await;
}
