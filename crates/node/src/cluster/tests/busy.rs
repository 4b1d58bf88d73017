//! Actors that do not answer in time, and nodes that have them.

use std::marker::PhantomData;

use futures::FutureExt;
use futures::future::BoxFuture;
use ractor::{Actor, ActorProcessingErr, ActorRef, Message};
use relay::{Caller, Query, RefusalCode, Source};

use super::super::here::Here;
use super::super::listing::Listing;
use super::*;
use crate::status::Served;
use crate::{node, stream};

/// Keeps all that it is asked, and answers nothing.
struct Mute<M>(PhantomData<fn() -> M>);

impl<M: Message> Actor for Mute<M> {
    type Msg = M;
    type State = Vec<M>;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<M>, (): ()) -> Result<Vec<M>, ActorProcessingErr> {
        Ok(Vec::new())
    }

    async fn handle(
        &self,
        _: ActorRef<M>,
        message: M,
        kept: &mut Vec<M>,
    ) -> Result<(), ActorProcessingErr> {
        kept.push(message);
        Ok(())
    }
}

async fn mute<M: Message>() -> ActorRef<M> {
    let spawned = Actor::spawn(None, Mute(PhantomData), ()).await;
    spawned.expect("starts").0
}

/// A node with one more stream, `live/stuck`, that does not answer.
struct WithStuck;

struct Both {
    node: ActorRef<node::Message>,
    stuck: ActorRef<stream::Message>,
}

impl Actor for WithStuck {
    type Msg = node::Message;
    type State = Both;
    type Arguments = Both;

    async fn pre_start(
        &self,
        _: ActorRef<node::Message>,
        both: Both,
    ) -> Result<Both, ActorProcessingErr> {
        Ok(both)
    }

    async fn handle(
        &self,
        _: ActorRef<node::Message>,
        message: node::Message,
        both: &mut Both,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            node::Message::Find(key, reply) if key.as_str() == "live/stuck" => {
                drop(reply.send(Some(both.stuck.clone())));
            }
            node::Message::Snapshots(reply) => {
                let all = both
                    .node
                    .call(node::Message::Snapshots, Some(PATIENCE))
                    .await?;
                let mut all = all.unwrap();
                all.push(both.stuck.clone());
                drop(reply.send(all));
            }
            other => both.node.cast(other)?,
        }
        Ok(())
    }
}

impl Place {
    /// The same node, as if its own actor had no time.
    async fn busy(mut self) -> Self {
        self.cluster = Cluster::new(self.node.context(), mute().await);
        self
    }

    async fn with_stuck(mut self) -> Self {
        let both = Both {
            node: self.node.actor().clone(),
            stuck: mute().await,
        };
        let spawned = Actor::spawn(None, WithStuck, both).await;
        self.cluster = Cluster::new(self.node.context(), spawned.expect("starts").0);
        self
    }

    /// What another node gets for an answer.
    async fn told(&self, query: Query) -> Result<String, RefusalCode> {
        let told = timeout(PATIENCE, self.cluster.answer(query)).await;
        told.expect("in time").map_err(|refusal| refusal.code)
    }
}

#[tokio::test]
async fn who_is_gone_knows_nothing_and_who_is_silent_may() {
    let a = place(&Embedded::new(), "a").await;
    let stuck = mute().await;
    let here = Here::new(
        "a".to_owned(),
        Arc::clone(a.node.context()),
        a.node.actor().clone(),
    );
    let silent = here.ask(&stuck, stream::Message::Snapshot).await;
    let sentence = silent.map(drop).map_err(|busy| busy.to_string());
    assert_eq!(
        sentence,
        Err("a is too busy to answer; ask again in a moment".to_owned())
    );
    stuck.stop_and_wait(None, None).await.expect("stops");
    let gone = here.ask(&stuck, stream::Message::Snapshot).await;
    assert!(matches!(gone, Ok(None)), "{gone:?}");
}

#[tokio::test]
async fn a_node_without_time_says_so_and_what_it_knows_all_the_same() {
    let a = place(&Embedded::new(), "a").await;
    let _publisher = a.publish("cam").await;
    until("it is in the directory", async || {
        a.directory.lookup(&key("live/cam"))
    })
    .await;
    let a = a.busy().await;
    let me = ["a".to_owned()];
    let kind = |refusal: Refusal| refusal.kind;
    let found = async |text: &str| a.ask(Question::Stream(key(text))).await.map_err(kind);
    let viewers = async |text: &str| a.ask(Question::Subscribers(key(text))).await.map_err(kind);
    let (nodes, streams, why, cam, other) = tokio::join!(
        a.nodes(),
        a.streams(),
        a.why("live/other"),
        found("live/cam"),
        found("live/other"),
    );
    assert_eq!((nodes.total, nodes.unreachable.as_slice()), (1, &me[..]));
    let node = &nodes.nodes[0];
    assert_eq!((node.id.as_str(), node.role.as_str()), ("a", "all"));
    assert!(node.version.is_some() && node.uptime.is_some(), "{node:?}");
    assert_eq!((node.ready, node.streams, node.viewers), (None, None, None));
    assert_eq!(
        (streams.total, streams.unreachable.as_slice()),
        (1, &me[..])
    );
    assert_eq!(streams.streams[0].origin.as_deref(), Some("a"));
    assert!(why.verdict.contains("a is too busy"), "{why:?}");
    assert_eq!(why.unreachable, me);
    let Ok(Answer::Stream(cam)) = cam else {
        panic!("{cam:?}")
    };
    assert_eq!(
        (cam.stream.origin.as_deref(), cam.unreachable.as_slice()),
        (Some("a"), &me[..])
    );
    assert_eq!(other, Err(RefusalKind::Busy));

    let disconnect = Order::Disconnect {
        key: key("live/cam"),
        subscriber: "a.7".to_owned(),
    };
    let (cam, other, stopped, disconnected) = tokio::join!(
        viewers("live/cam"),
        viewers("live/other"),
        a.order(Order::Stop(key("live/cam"))),
        a.order(disconnect),
    );
    let Ok(Answer::Subscribers(cam)) = cam else {
        panic!("{cam:?}")
    };
    assert_eq!((cam.total, cam.unreachable.as_slice()), (0, &me[..]));
    assert_eq!(other, Err(RefusalKind::Busy));
    assert_eq!(stopped.map_err(kind), Err(RefusalKind::Busy));
    assert_eq!(disconnected.map_err(kind), Err(RefusalKind::Busy));

    let cam = || key("live/cam");
    let told = tokio::join!(
        a.told(Query::Node),
        a.told(Query::Streams),
        a.told(Query::Why(cam())),
        a.told(Query::Stream(cam())),
        a.told(Query::Subscribers(cam())),
    );
    for told in [told.0, told.1, told.2, told.3, told.4] {
        assert_eq!(told, Err(RefusalCode::Busy));
    }
}

#[tokio::test]
async fn a_stream_without_time_is_left_out_and_the_node_named() {
    let a = place(&Embedded::new(), "a").await;
    let _publisher = a.publish("cam").await;
    let a = a.with_stuck().await;
    let streams = until("the stream that answers", async || {
        let streams = a.streams().await;
        (streams.total == 1).then_some(streams)
    })
    .await;
    assert_eq!(streams.streams[0].stream_key, "live/cam");
    assert_eq!(streams.unreachable, ["a"]);
    let (nodes, node, listed, cam, stuck) = tokio::join!(
        a.nodes(),
        a.told(Query::Node),
        a.told(Query::Streams),
        a.told(Query::Why(key("live/cam"))),
        a.told(Query::Why(key("live/stuck"))),
    );
    assert_eq!(nodes.unreachable, ["a"]);
    assert_eq!(node, Err(RefusalCode::Busy));
    let listed: Listing<Served> = serde_json::from_str(&listed.expect("told")).expect("JSON");
    assert_eq!((listed.listed.len(), listed.total), (1, 1));
    assert_eq!(listed.unreachable, ["a"]);
    assert!(cam.expect("told").contains("live/cam"));
    assert_eq!(stuck, Err(RefusalCode::Busy));
}

/// What another node says, whatever it is asked.
struct Says(Result<&'static str, RefusalCode>);

impl Source for Says {
    fn subscribe(
        &self,
        _: Caller,
        _: relay::Subscribe,
    ) -> BoxFuture<'_, Result<relay::Feed, relay::Refusal>> {
        async { Err(super::super::unsupported("it")) }.boxed()
    }

    fn release(
        &self,
        _: Caller,
        _: relay::Release,
    ) -> BoxFuture<'_, Result<relay::Released, relay::Refusal>> {
        async { Err(super::super::unsupported("it")) }.boxed()
    }

    fn locate(&self, _: StreamKey) -> BoxFuture<'_, Option<String>> {
        async { None }.boxed()
    }

    fn status(&self, _: Query) -> BoxFuture<'_, Result<String, relay::Refusal>> {
        let says = self.0.map(str::to_owned);
        async { says.map_err(|code| relay::Refusal::new(code, "because")) }.boxed()
    }

    fn act(&self, _: Caller, _: relay::Action) -> BoxFuture<'_, Result<String, relay::Refusal>> {
        async { Err(super::super::unsupported("it")) }.boxed()
    }
}

/// A node of the cluster of `a` that says this; a member as long as its directory is held.
async fn says(
    shared: &Embedded,
    a: &Place,
    name: &str,
    what: Result<&'static str, RefusalCode>,
) -> Arc<dyn Directory> {
    let relay = a.node.context().membership.relay.as_ref();
    let relay = relay.expect("it is in a cluster");
    let member = relay::Member::new(relay.me.cluster(), name).expect("a name");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address").to_string();
    let (auth, tuning) = (relay.auth.clone(), relay.tuning.clone());
    let server = relay::Server::new(member, auth, tuning, Arc::new(Says(what)));
    tokio::spawn(async move { server.serve(listener, std::future::pending()).await });
    let id = NodeId::parse(name).expect("a name");
    let directory = shared.join(id.clone(), Options::default());
    announce(&*directory, id.clone(), &address);
    until("a knows it", async || a.directory.find_node(&id)).await;
    directory
}

#[tokio::test]
async fn others_that_answer_in_part_or_have_no_time_are_named() {
    let shared = Embedded::new();
    let a = place(&shared, "a").await;
    let part = r#"{"listed":[{"streamKey":"live/x","epoch":7}],"total":3,"unreachable":["part"]}"#;
    let older = r#"[{"streamKey":"live/y","epoch":7}]"#;
    let _members = [
        says(&shared, &a, "busy", Err(RefusalCode::Busy)).await,
        says(&shared, &a, "empty", Err(RefusalCode::NotFound)).await,
        says(&shared, &a, "part", Ok(part)).await,
        says(&shared, &a, "older", Ok(older)).await,
    ];
    let streams = a.streams().await;
    assert_eq!(streams.unreachable, ["busy", "part"]);
    let keys: Vec<_> = streams.streams.iter().map(|it| &*it.stream_key).collect();
    assert_eq!((keys, streams.total), (vec!["live/x", "live/y"], 3));
}
