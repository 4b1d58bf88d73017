//! Tokens, and apps.

use amf::Value;
use rtmp::net::ClientError;
use testkit::{Clip, Peer, Publisher, Recipe, sent};
use weir_cluster::Node;

const TOKENS: &str =
    r#"auth.static={"live/cam" = { publish = "in", play = "out" }, "open/*" = { publish = "in" }}"#;

/// Publishes and plays with a connection's own words; the code of the answer.
async fn asks(
    node: &Node,
    app: &str,
    more: &[(&str, Value)],
    verb: &str,
    name: &str,
) -> (String, String) {
    let mut peer = Peer::dial(node.rtmp).await;
    peer.ask_to_connect(app, more).await;
    let stream = peer.create_stream().await;
    peer.command(verb, stream, &[name.into()]).await;
    let answer = peer.find("an answer", |heard| match heard {
        testkit::Heard::Status(status) if status.code != "NetStream.Play.Reset" => {
            Some(status.clone())
        }
        _ => None,
    });
    let status = answer.await;
    if status.level == "error" && !status.code.ends_with("StreamNotFound") {
        peer.closed().await;
    }
    (status.code, status.description)
}

#[tokio::test]
async fn a_wrong_token_is_refused_with_a_sentence() {
    let node = Node::start(&[TOKENS]).await;
    for (verb, name, sentence) in [
        ("publish", "cam?token=wrong", "the token given is not right"),
        ("publish", "cam?token=out", "the token given is not right"),
        ("publish", "cam", "needs a token"),
        ("publish", "cam?token=", "token"),
        ("publish", "other?token=in", "no token for this stream key"),
        ("play", "cam?token=in", "the token given is not right"),
        ("play", "cam", "needs a token"),
    ] {
        let (code, description) = asks(&node, "live", &[], verb, name).await;
        let expected = if verb == "publish" {
            "NetStream.Publish.Unauthorized"
        } else {
            "NetStream.Play.Unauthorized"
        };
        assert_eq!(code, expected, "{verb} {name}");
        assert!(
            description.contains(sentence),
            "{verb} {name}: {description}"
        );
    }
    node.stopped().await;
}

#[tokio::test]
async fn a_token_is_found_wherever_encoders_put_it() {
    let node = Node::start(&[TOKENS, "publish.grace=0s"]).await;
    let none: &[(&str, Value)] = &[];
    let in_url = [("tcUrl", Value::from("rtmp://localhost/live?token=in"))];
    let of_its_own = [("token", Value::from("in"))];
    for (app, more, name) in [
        ("live", none, "cam?token=in"),
        ("live", none, "cam?a=1&token=in&b=2"),
        ("live", none, "cam?token=%69n"),
        ("live?token=in", none, "cam"),
        ("live/?token=in", none, "cam"),
        ("live", &in_url, "cam"),
        ("live", &of_its_own, "cam"),
    ] {
        let (code, description) = asks(&node, app, more, "publish", name).await;
        assert_eq!(
            code, "NetStream.Publish.Start",
            "{app} {name}: {description}"
        );
        node.metric_becomes("weir_publishers{protocol=\"rtmp\"}", 0.0)
            .await;
    }
    let tags = sent(&Clip::of(Recipe::H264_AAC).tags, 9);
    let publisher = Publisher::start(&node.url("live/cam?token=in"), tags, 1.0)
        .await
        .expect("accepted");
    for (app, name) in [("live", "cam?token=out"), ("live?token=out", "cam")] {
        let (code, description) = asks(&node, app, none, "play", name).await;
        assert_eq!(code, "NetStream.Play.Start", "{app} {name}: {description}");
    }
    drop(publisher);
    node.stopped().await;
}

#[tokio::test]
async fn what_needs_no_token_to_play_needs_none() {
    let node = Node::start(&[TOKENS]).await;
    let url = node.url("open/day?token=in");
    let publisher = Publisher::start(&url, sent(&Clip::of(Recipe::H264_AAC).tags, 9), 1.0)
        .await
        .expect("accepted");
    let player = Peer::play(node.rtmp, "open", "day").await;
    player
        .until("media", |heard| {
            heard.iter().any(|heard| heard.tag().is_some())
        })
        .await;
    drop(publisher);
    node.stopped().await;
}

/// The refusal of a `connect`, after which the server closes.
async fn rejected(node: &Node, app: &str) -> String {
    let mut peer = Peer::dial(node.rtmp).await;
    peer.ask_to_connect(app, &[]).await;
    let answer = peer.find("an answer", |heard| match heard {
        testkit::Heard::Command(command) if command.name.starts_with('_') => Some(command.clone()),
        _ => None,
    });
    let answer = answer.await;
    assert_eq!(answer.name, "_error", "{app}");
    let info = answer
        .arguments
        .first()
        .and_then(Value::as_object)
        .expect("an information object");
    assert_eq!(
        info.get("code").and_then(Value::as_str),
        Some("NetConnection.Connect.Rejected"),
        "{app}"
    );
    let why = info.get("description").and_then(Value::as_str);
    // What OBS logs.
    let shown = peer.status("NetConnection.Connect.InvalidApp").await;
    assert_eq!((shown.stream, shown.level.as_str()), (0, "error"));
    assert_eq!(Some(shown.description.as_str()), why);
    peer.closed().await;
    info.get("description")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test]
async fn an_app_that_is_not_on_the_list_is_rejected() {
    let node = Node::start(&[r#"rtmp.apps=["live", "vip"]"#]).await;
    let why = rejected(&node, "other").await;
    assert!(why.contains("live, vip"), "{why}");
    Peer::connect(node.rtmp, "live").await;
    Peer::connect(node.rtmp, "vip").await;
    node.stopped().await;
}

#[tokio::test]
async fn an_app_that_is_a_route_is_rejected() {
    let node = Node::start(&[]).await;
    for app in ["api", "health", "metrics"] {
        let why = rejected(&node, app).await;
        assert!(why.contains("reserved"), "{why}");
    }
    node.stopped().await;
}

#[tokio::test]
async fn a_refusal_is_logged_once_with_its_reason_and_the_stream() {
    let node = Node::start(&[TOKENS, "rtmp.enhanced=only"]).await;
    let why = rejected(&node, "live").await;
    assert!(why.contains("Enhanced RTMP only"), "{why}");
    let line = node.log.wait("connect rejected", 1).await;
    assert_eq!(
        (&line["level"], &line["why"]),
        (&"INFO".into(), &why.into())
    );

    let enhanced = [("fourCcList", Value::StrictArray(vec!["*".into()]))];
    for (verb, name, count, key) in [
        ("publish", "cam?token=no", 1, "live/cam"),
        ("publish", "my-secret-name", 2, "live/my-…"),
        ("publish", "my secret name", 3, "live/my …"),
        ("play", "my-secret-name", 1, "live/my-…"),
    ] {
        asks(&node, "live", &enhanced, verb, name).await;
        let line = node.log.wait(&format!("{verb} refused"), count).await;
        assert_eq!(line["key"], key, "{line}");
    }
    assert_eq!(node.log.count("connect rejected"), 1);
    assert_eq!(node.log.count("publish refused"), 3);
    node.stopped().await;
}

#[tokio::test]
async fn an_encoder_learns_why_it_was_refused() {
    let node = Node::start(&[TOKENS]).await;
    let refused = Publisher::start(&node.url("live/cam?token=no"), Vec::new(), 1.0).await;
    let Err(ClientError::Rejected(rejection)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(rejection.code, "NetStream.Publish.Unauthorized");
    let clip = Clip::of(Recipe::H264_AAC);
    let output = testkit::Ffmpeg::Installed
        .publish(&clip.file, 1.0, &node.url("live/cam?token=no"))
        .ended()
        .await;
    assert!(!output.status.success());
    assert!(
        output.stderr.contains("the token given is not right"),
        "{}",
        output.stderr
    );
    node.stopped().await;
}
