//! The streams and answers of this node, for the other nodes of its cluster.
//!
//! Started by the [`Node`](crate::node), and again when it fails. Its pump serves the calls; each is put to the
//! node, so that a stream decides for itself whom it is lent to.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use media::StreamKey;
use ractor::rpc::CallResult;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use relay::{
    Action, Caller, Feed, Query, Refusal, RefusalCode, Release, Released, Server, Source, Subscribe,
};
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::cluster::Cluster;
use crate::context::Context;
use crate::listener::Endpoint;
use crate::node;
use crate::pump::Pump;
use crate::stream::{LendRequest, ReleaseRequest};

/// Answers within a node take microseconds.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// So long an answer may be on its way out of this node.
const WAY: Duration = Duration::from_millis(100);

/// What the server is started with.
pub(crate) struct Arguments {
    pub(crate) context: Arc<Context>,
    pub(crate) node: ActorRef<node::Message>,
    pub(crate) endpoint: Endpoint,
}

/// What the server is told.
#[derive(Debug)]
pub(crate) enum Message {
    PumpEnded,
}

/// The actor.
pub(crate) struct RelayServer;

/// The server's state.
pub(crate) struct State {
    _pump: Pump,
}

impl Actor for RelayServer {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<State, ActorProcessingErr> {
        let Arguments {
            context,
            node,
            endpoint,
        } = arguments;
        let relay = context.membership.relay.as_ref();
        let relay = relay.ok_or("a node alone has no relay")?;
        let source = Arc::new(Lender {
            cluster: Cluster::new(&context, node.clone()),
            context: Arc::clone(&context),
            node,
        });
        let (me, auth) = (relay.me.clone(), relay.auth.clone());
        let server = Server::new(me, auth, relay.tuning.clone(), source);
        let listener = TcpListener::from_std(endpoint.duplicate()?)?;
        let serve = async move { server.serve(listener, std::future::pending()).await };
        let pump = Pump::reporting(serve, move |_| {
            drop(myself.cast(Message::PumpEnded));
        });
        Ok(State { _pump: pump })
    }

    async fn handle(
        &self,
        _myself: ActorRef<Message>,
        message: Message,
        _state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::PumpEnded => Err("the relay's server ended".into()),
        }
    }
}

/// The node, as the relay asks it.
struct Lender {
    context: Arc<Context>,
    node: ActorRef<node::Message>,
    cluster: Cluster,
}

impl Lender {
    async fn ask<T: Send + 'static>(
        &self,
        patience: Duration,
        ask: impl FnOnce(RpcReplyPort<Result<T, Refusal>>) -> node::Message,
    ) -> Result<T, Refusal> {
        match self.node.call(ask, Some(patience)).await {
            Ok(CallResult::Success(answer)) => answer,
            Ok(CallResult::Timeout | CallResult::SenderError) | Err(_) => {
                let sentence = "the node did not answer in time";
                Err(Refusal::new(RefusalCode::Busy, sentence).retry_after(Duration::from_secs(1)))
            }
        }
    }
}

impl Source for Lender {
    fn sent(&self) -> Option<Arc<AtomicU64>> {
        Some(self.context.metrics.sent())
    }

    fn clock(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.context.clock.now()).unwrap_or(0))
    }

    fn subscribe(
        &self,
        caller: Caller,
        subscribe: Subscribe,
    ) -> BoxFuture<'_, Result<Feed, Refusal>> {
        let node = caller.node;
        async move {
            let ask = |reply| {
                node::Message::Lend(LendRequest {
                    node,
                    subscribe,
                    reply,
                })
            };
            self.ask(ANSWER_TIME, ask).await
        }
        .boxed()
    }

    fn release(
        &self,
        caller: Caller,
        release: Release,
    ) -> BoxFuture<'_, Result<Released, Refusal>> {
        // As long as a publisher may be silent before it counts as gone.
        let patience = self.context.config.publish.silence + ANSWER_TIME;
        let node = caller.node;
        async move {
            let ask = |reply| {
                node::Message::Release(ReleaseRequest {
                    node,
                    release,
                    reply,
                })
            };
            let under_way = Arc::clone(&self.context.releasing);
            let answer = self.ask(patience, ask).await;
            tokio::spawn(async move {
                sleep(WAY).await;
                drop(under_way);
            });
            answer
        }
        .boxed()
    }

    fn locate(&self, key: StreamKey) -> BoxFuture<'_, Option<String>> {
        async move {
            let ask = |reply| node::Message::Locate(key, reply);
            match self.node.call(ask, Some(ANSWER_TIME)).await {
                Ok(CallResult::Success(record)) => record.map(|record| record.to_json()),
                _ => None,
            }
        }
        .boxed()
    }

    fn status(&self, query: Query) -> BoxFuture<'_, Result<String, Refusal>> {
        self.cluster.answer(query).boxed()
    }

    fn act(&self, _caller: Caller, action: Action) -> BoxFuture<'_, Result<String, Refusal>> {
        self.cluster.act(action).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::context::Clock;

    /// Stands in for the node.
    struct Nobody;

    impl Actor for Nobody {
        type Msg = node::Message;
        type State = ();
        type Arguments = ();

        async fn pre_start(
            &self,
            _: ActorRef<node::Message>,
            (): (),
        ) -> Result<(), ActorProcessingErr> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_time_that_others_are_told_is_that_of_the_tags() {
        let mut context = Context::alone(Config::default());
        context.clock = Clock::ahead(Duration::from_secs(3600));
        let context = Arc::new(context);
        let (node, _) = Actor::spawn(None, Nobody, ()).await.expect("an actor");
        let lender = Lender {
            cluster: Cluster::new(&context, node.clone()),
            context: Arc::clone(&context),
            node,
        };
        let told = i64::try_from(lender.clock().as_nanos()).expect("this century");
        let apart = context.clock.now().saturating_sub(told);
        assert!((0..60_000_000_000).contains(&apart), "{apart} ns");
    }
}
