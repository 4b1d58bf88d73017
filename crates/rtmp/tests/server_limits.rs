//! The server over real sockets: its limits, TLS, slow players, and how connections end.

#[path = "support/relay.rs"]
mod relay;
#[path = "support/running.rs"]
mod running;

use std::future::pending;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flv::{Kind, Tag};
use relay::{Calls, Relay};
use rtmp::client::{self, Event};
use rtmp::handler::{Chain, Handler, Reason};
use rtmp::net::{
    Client, ClientError, ClientOptions, Overflow, Publication, Publisher, Puller, QueueLimits,
    Server, ServerOptions,
};
use rtmp::tls::{ReloadingAcceptor, Trust};
use rtmp::{Config, Timeout, Url};
use running::{Running, aac, publisher, puller, serve, until};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use weir_rtmp as rtmp;

#[tokio::test]
async fn the_limit_of_connections_holds_and_frees() {
    let (relay, mut calls) = Relay::new();
    let server = serve(
        relay,
        ServerOptions {
            max_connections: 2,
            ..ServerOptions::default()
        },
    )
    .await;
    let first = TcpStream::connect(server.address()).await.unwrap();
    let _second = TcpStream::connect(server.address()).await.unwrap();
    calls.wait("connection").await;
    calls.wait("connection").await;
    let mut third = TcpStream::connect(server.address()).await.unwrap();
    assert_eq!(
        third.read(&mut [0; 1]).await.unwrap_or(0),
        0,
        "closed at once"
    );
    drop(first);
    calls.wait("disconnect").await;
    // The permit is given back just after the last call; a client that comes again gets in.
    loop {
        if let Ok(publisher) = Client::default().publish(&server.url).await {
            publisher.finish().await.unwrap();
            break;
        }
    }
    assert_eq!(calls.count("connection"), 2);
}

#[tokio::test]
async fn whoever_says_nothing_is_cut() {
    let (relay, mut calls) = Relay::new();
    let session = Arc::new(Config {
        handshake_timeout: Duration::from_millis(50),
        ..Config::default()
    });
    let server = serve(
        relay,
        ServerOptions {
            session,
            ..ServerOptions::default()
        },
    )
    .await;
    let mut silent = TcpStream::connect(server.address()).await.unwrap();
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0);
    drop(silent);
    let end = calls.wait("disconnect").await.end.clone().unwrap();
    assert_eq!(end.reason, Reason::Timeout(Timeout::Handshake));
}

#[tokio::test]
async fn a_stop_is_told_to_everybody() {
    let (relay, mut calls) = Relay::new();
    let server = serve(relay, ServerOptions::default()).await;
    let mut publisher = publisher(&server).await;
    let mut puller = puller(&server).await;
    calls.wait("play").await;
    let address = server.address();
    let stopping = tokio::spawn(server.stop());
    let mut events = Vec::new();
    let end = loop {
        match puller.next().await {
            Ok(event) => events.push(event.unwrap()),
            Err(error) => break error,
        }
    };
    assert!(matches!(end, ClientError::Closed), "{end}");
    assert!(events.contains(&Event::StreamEnded), "{events:?}");
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::ReconnectRequest { .. })),
        "{events:?}"
    );
    let mut asked = false;
    while let Some(event) = publisher.event().await {
        asked |= matches!(event, Event::ReconnectRequest { .. });
    }
    assert!(asked, "to connect anew");
    match publisher.finish().await {
        Err(ClientError::Rejected(rejection)) => {
            assert_eq!(rejection.code, "NetConnection.Connect.AppShutdown")
        }
        other => panic!("{other:?}"),
    }
    drop(puller);
    stopping.await.unwrap();
    for _ in 0..2 {
        let end = calls.wait("disconnect").await.end.clone().unwrap();
        assert_eq!(end.reason, Reason::Shutdown);
    }
    assert_eq!((calls.count("unpublish"), calls.count("play_stop")), (1, 1));
    assert!(
        TcpStream::connect(address).await.is_err(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn a_callback_that_panics_costs_its_own_connection_and_nothing_else() {
    let (mut relay, mut calls) = Relay::new();
    relay.panic_at = Some(13);
    let server = serve(relay, ServerOptions::default()).await;
    let unlucky = publisher(&server).await;
    let lucky = Client::default()
        .publish(&server.url.clone().with_name("other"))
        .await
        .unwrap();
    unlucky.send(aac(13)).await.unwrap();
    let end = calls.wait("disconnect").await.end.clone().unwrap();
    assert_eq!(end.reason, Reason::Aborted);
    assert_eq!(calls.count("unpublish"), 1);
    lucky.send(aac(14)).await.unwrap();
    while calls.wait("media_tag").await.details != "14" {}
    lucky.finish().await.unwrap();
    calls.wait("disconnect").await;
    assert_eq!(calls.count("unpublish"), 2);
}

#[tokio::test]
async fn a_publisher_and_a_peer_can_be_ended_from_this_side() {
    /// Ends a publish at its first tag.
    struct Ender;
    impl Handler for Ender {
        fn on_media_tag(&self, publication: &Publication, _tag: &Tag) -> bool {
            publication.end("enough");
            true
        }
    }
    let (relay, mut calls) = Relay::new();
    let server = serve(Chain(relay, Ender), ServerOptions::default()).await;
    let mut publisher = publisher(&server).await;
    publisher.send(aac(0)).await.unwrap();
    while publisher.event().await.is_some() {}
    match publisher.finish().await {
        Err(ClientError::Rejected(rejection)) => assert_eq!(rejection.description, "enough"),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        calls.wait("disconnect").await.end.as_ref().unwrap().reason,
        Reason::Requested
    );
    assert_eq!(calls.count("unpublish"), 1);
}

/// A player that reads nothing while 200 pictures of 100 kB pass by.
async fn throttled(options: ServerOptions) -> (Running, Calls, Puller, Publisher) {
    let (relay, mut calls) = Relay::new();
    let server = serve(relay, options).await;
    let publisher = publisher(&server).await;
    let slow = puller(&server).await;
    let mut fast = puller(&server).await;
    calls.wait("play").await;
    calls.wait("play").await;
    for index in 0..200_u32 {
        let mut payload = vec![0; 100_000];
        payload[..5].copy_from_slice(&[if index % 10 == 0 { 0x17 } else { 0x27 }, 1, 0, 0, 0]);
        publisher
            .send(Tag::new(Kind::Video, index + 1, payload.into()))
            .await
            .unwrap();
        publisher.send(aac(index + 1)).await.unwrap();
        until(
            &mut fast,
            |event| matches!(event, Event::Tag(tag) if tag.is_audio()),
        )
        .await;
    }
    fast.close().await;
    (server, calls, slow, publisher)
}

fn small_buffers() -> ServerOptions {
    let mut options = ServerOptions {
        send_buffer: Some(256 * 1024),
        ..ServerOptions::default()
    };
    options.queue = QueueLimits {
        tags: 100,
        bytes: 2_000_000,
    };
    options
}

#[tokio::test]
async fn a_slow_player_keeps_audio_and_resumes_at_a_keyframe() {
    let (server, _calls, mut slow, publisher) = throttled(small_buffers()).await;
    publisher.finish().await.unwrap();
    let events = until(&mut slow, |event| *event == Event::StreamEnded).await;
    let mut last = 0;
    let mut skips = 0;
    for event in &events {
        let Event::Tag(tag) = event else { continue };
        if !tag.is_video() {
            continue;
        }
        if tag.dts != last + 1 {
            assert!(tag.is_keyframe(), "video goes on with a keyframe");
            skips += 1;
        }
        last = tag.dts;
    }
    let audio = events
        .iter()
        .filter(|event| matches!(event, Event::Tag(tag) if tag.is_audio()))
        .count();
    let videos = events
        .iter()
        .filter(|event| matches!(event, Event::Tag(tag) if tag.is_video()))
        .count();
    assert!(
        videos < 200,
        "it was too slow for all of them ({videos}, {skips} gaps)"
    );
    assert!(
        audio > videos,
        "audio went on ({audio}) where video did not ({videos})"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_hopeless_player_is_cut() {
    let options = ServerOptions {
        overflow: Overflow::Disconnect,
        ..small_buffers()
    };
    let (_server, mut calls, _slow, publisher) = throttled(options).await;
    let mut reasons = Vec::new();
    for _ in 0..2 {
        reasons.push(calls.wait("disconnect").await.end.clone().unwrap().reason);
    }
    assert!(reasons.contains(&Reason::Requested), "{reasons:?}");
    publisher.finish().await.unwrap();

    let options = ServerOptions {
        write_timeout: Duration::from_millis(100),
        ..small_buffers()
    };
    let (_server, mut calls, _slow, _publisher) = throttled(options).await;
    let mut reasons = Vec::new();
    for _ in 0..2 {
        reasons.push(calls.wait("disconnect").await.end.clone().unwrap().reason);
    }
    assert!(reasons.contains(&Reason::Stalled), "{reasons:?}");
}

fn certificate(folder: &Path) {
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    std::fs::write(folder.join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("cert.pem"), pair.cert.pem()).unwrap();
}

fn client(trust: Trust) -> Client {
    Client::new(ClientOptions {
        trust,
        server_name: Some("localhost".into()),
        ..ClientOptions::default()
    })
}

#[tokio::test]
async fn rtmps_with_a_certificate_that_is_renewed() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let acceptor = Arc::new(
        ReloadingAcceptor::new(
            folder.path().join("cert.pem"),
            folder.path().join("key.pem"),
        )
        .unwrap(),
    );
    let (relay, mut calls) = Relay::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!(
        "rtmps://{}/live/cam",
        listener.local_addr().unwrap()
    ))
    .unwrap();
    let server = Server::new(relay);
    let task = tokio::spawn(async move { server.serve_tls(listener, acceptor, pending()).await });

    let old = folder.path().join("old.pem");
    std::fs::copy(folder.path().join("cert.pem"), &old).unwrap();
    let trusting_old = client(Trust::File(old));
    let publisher = trusting_old.publish(&url).await.unwrap();
    let mut puller = client(Trust::Anybody).pull(&url).await.unwrap();
    until(&mut puller, |event| *event == Event::Playing).await;
    calls.wait("play").await;
    let big = Tag::new(
        Kind::Video,
        7,
        [&[0x17, 1, 0, 0, 0][..], &[7; 300_000]].concat().into(),
    );
    publisher.send(big.clone()).await.unwrap();
    let events = until(
        &mut puller,
        |event| matches!(event, Event::Tag(tag) if tag.is_video()),
    )
    .await;
    assert_eq!(events.last(), Some(&Event::Tag(big)));
    assert!(
        client(Trust::WebPki).publish(&url).await.is_err(),
        "nobody vouches for it"
    );

    certificate(folder.path());
    let trusting_new = client(Trust::File(folder.path().join("cert.pem")));
    // The files are looked at once a second at most.
    let renewed = async {
        loop {
            match trusting_new.pull(&url).await {
                Ok(_) => break,
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), renewed)
        .await
        .unwrap();
    assert!(trusting_old.publish(&url).await.is_err());
    publisher.send(aac(8)).await.unwrap();
    until(
        &mut puller,
        |event| matches!(event, Event::Tag(tag) if tag.is_audio()),
    )
    .await;
    task.abort();
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut options = ClientOptions {
        connect_timeout: Duration::from_millis(50),
        ..ClientOptions::default()
    };
    let config = client::Config {
        handshake_timeout: Duration::from_millis(50),
        ..client::Config::default()
    };
    options.session = Arc::new(config);
    let client = Client::new(options);
    let tls = client
        .publish(&Url::parse(&format!("rtmps://{address}/live/cam")).unwrap())
        .await;
    assert!(matches!(tls, Err(ClientError::ConnectTimeout(_))));
    let plain = client
        .publish(&Url::parse(&format!("rtmp://{address}/live/cam")).unwrap())
        .await;
    match plain {
        Err(error @ ClientError::Session(client::Error::Timeout(_))) => {
            assert!(error.is_retryable())
        }
        other => panic!("{other:?}"),
    }
}
