//! The server over real sockets: what its handler is asked and told.

#[path = "support/relay.rs"]
mod relay;
#[path = "support/running.rs"]
mod running;

use std::time::Duration;

use relay::{Calls, Relay};
use rtmp::client::Event;
use rtmp::handler::{
    Chain, ConnectDecision, Delivery, Handler, Logging, PlayDecision, PublishDecision, Reason,
};
use rtmp::net::{Client, ClientError, Peer, Publication, ServerOptions};
use running::{
    Running, aac, avc_inter, avc_keyframe, avc_record, dts_of, hevc_keyframe, metadata, opus,
    publisher, puller, serve, until,
};
use weir_rtmp as rtmp;

#[tokio::test]
async fn every_callback_is_called() {
    let (mut relay, mut calls) = Relay::new();
    relay.drop_dts = Some(666);
    let options = ServerOptions {
        stats_interval: Duration::from_millis(20),
        ..ServerOptions::default()
    };
    let server = serve(relay, options).await;

    let publisher = publisher(&server).await;
    let mut puller = puller(&server).await;
    calls.wait("play").await;
    let tags = [
        metadata(),
        avc_record(),
        avc_keyframe(40),
        avc_inter(80),
        aac(90),
        hevc_keyframe(120),
        opus(130),
        avc_keyframe(666),
        aac(700),
    ];
    for tag in tags.clone() {
        publisher.send(tag).await.unwrap();
    }
    let events = until(
        &mut puller,
        |event| matches!(event, Event::Tag(tag) if tag.dts == 700),
    )
    .await;
    assert_eq!(
        dts_of(&events),
        [0, 40, 80, 90, 120, 130, 700],
        "a dropped tag reaches nobody"
    );

    puller.pause(true, Duration::from_millis(700));
    until(
        &mut puller,
        |event| matches!(event, Event::Status(status) if status.code == "NetStream.Pause.Notify"),
    )
    .await;
    puller.pause(false, Duration::from_millis(700));
    until(
        &mut puller,
        |event| matches!(event, Event::Status(status) if status.code == "NetStream.Unpause.Notify"),
    )
    .await;
    calls.wait("unpause").await;
    for tag in [aac(800), avc_inter(810), avc_keyframe(820)] {
        publisher.send(tag).await.unwrap();
    }
    let events = until(
        &mut puller,
        |event| matches!(event, Event::Tag(tag) if tag.dts == 820),
    )
    .await;
    assert_eq!(
        dts_of(&events),
        [0, 820],
        "the record again, then nothing before a keyframe"
    );

    calls.wait("stats").await;
    puller.close().await;
    calls.wait("disconnect").await;
    publisher.finish().await.unwrap();
    let end = calls.wait("disconnect").await.end.clone().unwrap();
    assert_eq!(end.reason, Reason::Peer);
    assert!(end.stats.bytes_in > 3073 && end.stats.bytes_out > 3073);
    assert_eq!(
        (
            end.stats.video_tags,
            end.stats.keyframes,
            end.stats.audio_tags
        ),
        (7, 4, 4)
    );

    for (name, count) in [
        ("connection", 2),
        ("handshake", 2),
        ("connect", 2),
        ("fc_publish", 1),
        ("publish", 1),
        ("unpublish", 1),
        ("play", 1),
        ("play_stop", 1),
        ("pause", 1),
        ("unpause", 1),
        ("metadata", 1),
        ("media_tag", 12),
        ("video_frame", 5),
        ("audio_frame", 3),
        ("keyframe", 3),
        ("enhanced_video_frame", 1),
        ("enhanced_audio_frame", 1),
        ("disconnect", 2),
    ] {
        assert_eq!(calls.count(name), count, "{name}");
    }
    let details = |name| {
        calls
            .seen
            .iter()
            .filter(|call| call.name == name)
            .map(|call| call.details.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(details("publish"), ["live/cam"]);
    assert_eq!(
        details("video_frame"),
        [
            "avc 0 nals",
            "avc 2 nals",
            "avc 1 nals",
            "avc 1 nals",
            "avc 2 nals"
        ]
    );
    assert_eq!(details("enhanced_video_frame"), ["hevc"]);
    assert_eq!(details("enhanced_audio_frame"), ["opus"]);
    assert_eq!(details("pause"), ["700"]);
    server.stop().await;
}

#[tokio::test]
async fn media_is_delivered_in_the_form_that_was_asked_for() {
    for (delivery, raw, parsed) in [(Delivery::Raw, 1, 0), (Delivery::Parsed, 0, 1)] {
        let (mut relay, mut calls) = Relay::new();
        relay.delivery = delivery;
        let server = serve(relay, ServerOptions::default()).await;
        let publisher = publisher(&server).await;
        publisher.send(aac(5)).await.unwrap();
        publisher.finish().await.unwrap();
        calls.wait("disconnect").await;
        assert_eq!(
            (calls.count("media_tag"), calls.count("audio_frame")),
            (raw, parsed),
            "{delivery:?}"
        );
        server.stop().await;
    }
}

#[tokio::test]
async fn refusals_reach_the_client_with_their_reason() {
    fn code(result: Result<impl Sized, ClientError>) -> String {
        match result {
            Err(ClientError::Rejected(rejection)) => {
                assert!(!rejection.description.is_empty());
                rejection.code
            }
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("accepted"),
        }
    }
    async fn refused(change: impl FnOnce(&mut Relay)) -> (Running, Calls) {
        let (mut relay, calls) = Relay::new();
        change(&mut relay);
        (serve(relay, ServerOptions::default()).await, calls)
    }
    let client = Client::default();

    let (server, mut calls) =
        refused(|relay| relay.connect = ConnectDecision::Reject("no such app".into())).await;
    assert_eq!(
        code(client.publish(&server.url).await),
        "NetConnection.Connect.Rejected"
    );
    assert_eq!(
        calls.wait("disconnect").await.end.as_ref().unwrap().reason,
        Reason::Refused
    );

    let url = "rtmp://elsewhere/live".to_owned();
    let redirect = ConnectDecision::Redirect {
        url: url.clone(),
        description: "elsewhere".into(),
    };
    let (server, _calls) = refused(|relay| relay.connect = redirect).await;
    match client.publish(&server.url).await {
        Err(ClientError::Rejected(rejection)) => assert_eq!(rejection.redirect, Some(url)),
        other => panic!("{other:?}"),
    }

    let (server, mut calls) =
        refused(|relay| relay.fc_publish = PublishDecision::bad_name("taken")).await;
    let rejected = client.publish(&server.url).await;
    assert!(rejected.is_err());
    calls.wait("disconnect").await;
    assert_eq!(calls.count("publish"), 0, "refused before it could start");

    let (server, mut calls) =
        refused(|relay| relay.publish = PublishDecision::unauthorized("token?")).await;
    assert_eq!(
        code(client.publish(&server.url).await),
        "NetStream.Publish.Unauthorized"
    );
    calls.wait("disconnect").await;
    assert_eq!(
        calls.count("unpublish"),
        0,
        "what never started never stops"
    );

    let (server, mut calls) =
        refused(|relay| relay.play = PlayDecision::not_found("nobody publishes that")).await;
    let mut puller = client.pull(&server.url).await.unwrap();
    let rejected = async {
        loop {
            puller.next().await?;
        }
    };
    let rejected: Result<(), ClientError> = rejected.await;
    assert_eq!(code(rejected), "NetStream.Play.StreamNotFound");
    drop(puller);
    calls.wait("disconnect").await;
    assert_eq!(calls.count("play_stop"), 0);
}

/// Refuses every publish.
struct No;

impl Handler for No {
    async fn on_publish(&self, _publication: &Publication) -> PublishDecision {
        PublishDecision::bad_name("no")
    }
}

/// Refuses every connection.
struct Nobody;

impl Handler for Nobody {
    async fn on_connection(&self, _peer: &Peer) -> bool {
        false
    }
}

#[tokio::test]
async fn in_a_chain_each_start_still_has_its_stop() {
    let (relay, mut calls) = Relay::new();
    let server = serve(Chain(Logging, Chain(relay, No)), ServerOptions::default()).await;
    assert!(matches!(
        Client::default().publish(&server.url).await,
        Err(ClientError::Rejected(_))
    ));
    calls.wait("disconnect").await;
    assert_eq!((calls.count("publish"), calls.count("unpublish")), (1, 1));

    let (relay, mut calls) = Relay::new();
    let server = serve(Chain(relay, Nobody), ServerOptions::default()).await;
    assert!(Client::default().publish(&server.url).await.is_err());
    calls.wait("disconnect").await;
    assert_eq!(calls.names(), ["connection", "disconnect"]);

    let (first, mut first_calls) = Relay::new();
    let (mut second, mut second_calls) = Relay::new();
    second.delivery = Delivery::Parsed;
    let server = serve(Chain(first, second), ServerOptions::default()).await;
    let publisher = publisher(&server).await;
    publisher.send(avc_keyframe(1)).await.unwrap();
    publisher.finish().await.unwrap();
    first_calls.wait("disconnect").await;
    second_calls.wait("disconnect").await;
    assert_eq!(
        (
            first_calls.count("media_tag"),
            first_calls.count("keyframe")
        ),
        (1, 1)
    );
    assert_eq!(
        (
            second_calls.count("media_tag"),
            second_calls.count("keyframe")
        ),
        (0, 1)
    );
}
