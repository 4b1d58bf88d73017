//! Nodes that answer for their cluster, over real sockets.

mod apart;
mod busy;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use directory::{Directory, Embedded, NodeId, NodeRecord, Numbering, Options, StreamRecord};
use directory::{Role, StreamState};
use flv::{Kind, Tag};
use media::{Epoch, StreamKey};
use rtmp::net::{Client as Encoder, Publisher, Puller};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::Cluster;
use crate::Node;
use crate::config::{Coalesce, Config};
use crate::status::{
    Answer, Done, Nodes, Order, Question, Refusal, RefusalKind, State, Stream, Streams, Subscriber,
    Until, Why,
};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);

fn key(text: &str) -> StreamKey {
    StreamKey::parse(text).expect("a key")
}

/// A node of a cluster, as far as it answers for it.
struct Place {
    node: Node,
    directory: Arc<dyn Directory>,
    cluster: Cluster,
}

async fn place(shared: &Embedded, name: &str) -> Place {
    place_with(shared, name, |_| {}).await
}

async fn place_with(shared: &Embedded, name: &str, change: impl FnOnce(&mut Config)) -> Place {
    let mut config = Config::default();
    config.rtmp.listen = "127.0.0.1:0".parse().ok();
    config.relay.listen = Some("127.0.0.1:0".to_owned());
    config.relay.secret = Some(relay::Secret::new("what all nodes know".to_owned()));
    config.egress.coalesce = Coalesce::Fixed(Duration::ZERO);
    change(&mut config);
    let id = NodeId::parse(name).expect("a name");
    let directory = shared.join(id, Options::default());
    let joined = Node::join(config, Arc::clone(&directory)).await;
    let node = joined.expect("a node");
    let cluster = Cluster::new(node.context(), node.actor().clone());
    Place {
        node,
        directory,
        cluster,
    }
}

fn announce(directory: &dyn Directory, id: NodeId, relay: &str) {
    let mut record = NodeRecord::new(id, Role::All);
    record
        .addresses
        .insert("relay".to_owned(), relay.to_owned());
    directory.announce(record);
}

impl Place {
    fn url(&self, name: &str) -> rtmp::Url {
        let (_, address) = self.node.addresses().first().expect("a listener");
        rtmp::Url::parse(&format!("rtmp://{address}/live/{name}")).expect("a URL")
    }

    /// Publishes a stream of one picture.
    async fn publish(&self, name: &str) -> Publisher {
        let publisher = timeout(PATIENCE, Encoder::default().publish(&self.url(name)))
            .await
            .expect("in time")
            .expect("accepted");
        // Sorenson H.263, which needs no configuration.
        let picture = Bytes::from_static(&[0x12, 0, 0, 0x84]);
        let picture = Tag::new(Kind::Video, 0, picture);
        publisher.send(picture).await.expect("open");
        publisher
    }

    /// Plays a stream, and has its picture.
    async fn play(&self, name: &str) -> Puller {
        let mut player = timeout(PATIENCE, Encoder::default().pull(&self.url(name)))
            .await
            .expect("in time")
            .expect("connected");
        let picture = async {
            loop {
                match player.next().await.expect("a connection that lives") {
                    Some(rtmp::client::Event::Tag(tag)) if tag.is_video() => return,
                    Some(_) => {}
                    None => panic!("no picture"),
                }
            }
        };
        timeout(PATIENCE, picture).await.expect("in time");
        player
    }

    async fn ask(&self, question: Question) -> Result<Answer, Refusal> {
        timeout(PATIENCE, self.cluster.ask(question))
            .await
            .expect("in time")
    }

    async fn streams(&self) -> Streams {
        match self.ask(Question::Streams).await {
            Ok(Answer::Streams(streams)) => streams,
            other => panic!("{other:?}"),
        }
    }

    async fn stream(&self, text: &str) -> Option<Stream> {
        match self.ask(Question::Stream(key(text))).await {
            Ok(Answer::Stream(found)) => Some(found.stream),
            Err(refusal) if refusal.kind == RefusalKind::NotFound => None,
            other => panic!("{other:?}"),
        }
    }

    async fn subscribers(&self, text: &str) -> Vec<Subscriber> {
        match self.ask(Question::Subscribers(key(text))).await {
            Ok(Answer::Subscribers(subscribers)) => subscribers.subscribers,
            other => panic!("{other:?}"),
        }
    }

    async fn why(&self, text: &str) -> Why {
        match self.ask(Question::Why(key(text))).await {
            Ok(Answer::Why(why)) => *why,
            other => panic!("{other:?}"),
        }
    }

    async fn nodes(&self) -> Nodes {
        match self.ask(Question::Nodes).await {
            Ok(Answer::Nodes(nodes)) => nodes,
            other => panic!("{other:?}"),
        }
    }

    async fn order(&self, order: Order) -> Result<Done, Refusal> {
        timeout(PATIENCE, self.cluster.order(order))
            .await
            .expect("in time")
    }
}

/// Looks again and again, since the other side has to get to it.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, found)
        .await
        .unwrap_or_else(|_| panic!("in vain: {what}"))
}

/// Reads up to the end, by whatever words it is told.
async fn expect_end(player: &mut Puller) {
    let ended = async {
        loop {
            match player.next().await {
                Ok(Some(rtmp::client::Event::StreamEnded) | None) | Err(_) => return,
                Ok(Some(_)) => {}
            }
        }
    };
    timeout(PATIENCE, ended).await.expect("an end");
}

#[tokio::test]
async fn a_node_alone_answers_for_itself() {
    let a = place(&Embedded::new(), "a").await;
    assert_eq!(a.streams().await, Streams::default());
    assert_eq!(a.stream("live/cam").await, None);
    let why = a.why("live/cam").await;
    assert!(why.verdict.contains("on a, which is alone"), "{why:?}");

    let publisher = a.publish("cam").await;
    let player = a.play("cam").await;
    let stream = until("a picture", async || {
        let stream = a.stream("live/cam").await?;
        (stream.video_codec.is_some() && stream.viewers == 1).then_some(stream)
    })
    .await;
    assert_eq!((stream.active, stream.state), (true, State::Live));
    assert_eq!(stream.origin.as_deref(), Some("a"));
    assert!(stream.publisher_addr.is_some() && stream.started_at.is_some());
    let streams = a.streams().await;
    assert_eq!((streams.total, &streams.unreachable), (1, &vec![]));
    let why = a.why("live/cam").await;
    assert_eq!(
        (why.path.as_slice(), why.viewers),
        (&["a".to_owned()][..], 1)
    );
    let why = a.why("live/CAM").await;
    assert!(why.verdict.contains("There is live/cam"), "{why:?}");
    let nodes = a.nodes().await;
    let [node] = nodes.nodes.as_slice() else {
        panic!("{nodes:?}")
    };
    assert_eq!(
        (node.streams, node.publishers, node.viewers, node.ready),
        (Some(1), Some(1), Some(1), Some(true))
    );

    drop((publisher, player));
    until("nobody watches, and the encoder is awaited", async || {
        let stream = a.stream("live/cam").await?;
        (stream.state == State::Waiting && stream.viewers == 0).then_some(())
    })
    .await;
    assert_eq!(a.nodes().await.nodes[0].publishers, Some(0));
}

#[tokio::test]
async fn any_node_answers_for_all_and_names_those_who_do_not() {
    let shared = Embedded::new();
    let (a, b) = (place(&shared, "a").await, place(&shared, "b").await);
    let _publisher = a.publish("cam").await;
    let _player = a.play("cam").await;
    until("b hears of it", async || {
        let stream = b.stream("live/cam").await?;
        (stream.viewers == 1).then_some(())
    })
    .await;
    let stream = b.stream("live/cam").await.expect("published");
    assert_eq!(stream.origin.as_deref(), Some("a"));
    assert_eq!(b.subscribers("live/cam").await[0].node, "a");
    assert_eq!(b.why("live/cam").await.origin.as_deref(), Some("a"));
    assert_eq!(b.nodes().await.total, 2);

    // A node that nobody hears from, and whose stream the directory knows.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = silent.local_addr().expect("an address").to_string();
    let id = NodeId::parse("c").expect("a name");
    let c = shared.join(id.clone(), Options::default());
    announce(&*c, id.clone(), &address);
    let record = StreamRecord {
        key: key("live/far"),
        node: id,
        epoch: Epoch::new(1, 1),
        identity: None,
        protocol: "rtmp".to_owned(),
        state: StreamState::Live,
        since: 0,
        numbering: Numbering::default(),
    };
    let _claim = c.claim(record, None).await.expect("free");
    let streams = until("b hears of c", async || {
        let streams = b.streams().await;
        (streams.total == 2 && streams.unreachable == ["c"]).then_some(streams)
    })
    .await;
    assert_eq!(streams.streams[1].origin.as_deref(), Some("c"));
    let nodes = b.nodes().await;
    assert_eq!(
        (nodes.total, nodes.unreachable.as_slice()),
        (3, &["c".to_owned()][..])
    );
    let far = nodes.nodes.iter().find(|node| node.id == "c");
    let far = far.expect("the directory knows it");
    assert_eq!((far.ready, far.streams), (None, None));
    let why = b.why("live/far").await;
    assert!(why.verdict.contains("c cannot be asked"), "{why:?}");
    let refused = b.order(Order::Stop(key("live/far"))).await;
    assert_eq!(refused.map_err(|it| it.kind), Err(RefusalKind::Unavailable));
}

#[tokio::test]
async fn orders_go_to_whom_they_concern() {
    let shared = Embedded::new();
    let (a, b) = (place(&shared, "a").await, place(&shared, "b").await);
    let publisher = a.publish("cam").await;
    let mut leaves = a.play("cam").await;
    let mut stays = a.play("cam").await;
    let viewers = until("two viewers", async || {
        let viewers = b.subscribers("live/cam").await;
        (viewers.len() == 2).then_some(viewers)
    })
    .await;

    let disconnect = |subscriber: &str| Order::Disconnect {
        key: key("live/cam"),
        subscriber: subscriber.to_owned(),
    };
    for nobody in ["", "x", "a.999999", "b.1", "c.1"] {
        let refused = b.order(disconnect(nobody)).await;
        let kind = refused.map_err(|refusal| refusal.kind);
        assert_eq!(kind, Err(RefusalKind::NotFound), "{nobody}");
    }
    b.order(disconnect(&viewers[0].id)).await.expect("done");
    expect_end(&mut leaves).await;
    until("one viewer", async || {
        (b.subscribers("live/cam").await.len() == 1).then_some(())
    })
    .await;

    b.order(Order::Stop(key("live/cam"))).await.expect("done");
    expect_end(&mut stays).await;
    assert!(publisher.finish().await.is_err(), "it was told to go");
    for nothing in ["live/other", "live/Cam"] {
        let refused = b.order(Order::Stop(key(nothing))).await;
        assert_eq!(refused.map_err(|it| it.kind), Err(RefusalKind::NotFound));
    }

    let refused = b.order(Order::Drain("x".to_owned())).await;
    let refused = refused.expect_err("no such node");
    assert!(refused.sentence.contains("a, b"), "{refused}");
    b.order(Order::Drain("a".to_owned())).await.expect("done");
    timeout(PATIENCE, a.node.leave_ordered())
        .await
        .expect("in time");
    let nodes = b.nodes().await.nodes;
    let states: Vec<_> = nodes
        .iter()
        .map(|node| (node.draining, node.ready))
        .collect();
    assert_eq!(states, [(true, Some(false)), (false, Some(true))]);
}

#[tokio::test]
async fn what_is_to_be_warm_is_a_setting_of_the_cluster() {
    let warm = |edges, until| Order::Warm {
        key: key("live/cam"),
        edges,
        until,
    };
    let shared = Embedded::new();
    let a = place(&shared, "a").await;
    let refused = a.order(warm(1, Until::Stopped)).await;
    assert_eq!(refused.map_err(|it| it.kind), Err(RefusalKind::Conflict));
    let b = place(&shared, "b").await;
    let names = async || until("both", async || (a.nodes().await.total == 2).then_some(())).await;
    names().await;
    let Ok(Done::Warm(done)) = a.order(warm(5, Until::Stopped)).await else {
        panic!("not done")
    };
    let mut edges = done.edges;
    edges.sort();
    assert_eq!(
        (edges, done.until),
        (vec!["a".to_owned(), "b".to_owned()], None)
    );
    let set = async |directory: &dyn Directory| {
        let settings = directory.settings(directory::Kind::Warm);
        settings.first().map(|(_, setting)| setting.value.clone())
    };
    let seen = until("b sees it", async || set(&*b.directory).await).await;
    assert_eq!(seen, serde_json::json!({ "edges": 5 }));
    let past = Until::At(std::time::SystemTime::UNIX_EPOCH);
    let refused = b.order(warm(1, past)).await;
    assert_eq!(refused.map_err(|it| it.kind), Err(RefusalKind::Invalid));
    b.order(warm(0, Until::Stopped)).await.expect("done");
    until("it is gone", async || {
        set(&*a.directory).await.is_none().then_some(())
    })
    .await;
}
