//! A server in front of some streams.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use node::Watch;
use node::hls::{Request, Stream};
use node::status::{Answer, Done, Order, Question, Refusal, RefusalKind};
use node::watch::{self, Refused};
use weir_web::{Check, Config, Server, Source};

use crate::peer::Peer;

/// What the server is told. `live/locked` opens to a token.
#[derive(Default)]
pub(crate) struct Stub {
    streams: Mutex<HashMap<String, Stream>>,
    asked: Mutex<Vec<Request>>,
}

pub(crate) const TOKEN: &str = "s3cret";
/// It never comes from where it is.
pub(crate) const FAR: &str = "live/far";

impl Source for Stub {
    fn node_id(&self) -> &str {
        "node-1"
    }

    fn role(&self) -> &'static str {
        "all"
    }

    async fn active_streams(&self) -> u64 {
        0
    }

    async fn checks(&self) -> Vec<Check> {
        Vec::new()
    }

    fn metrics(&self) -> String {
        String::new()
    }

    fn admin_key(&self) -> Option<&str> {
        None
    }

    async fn ask(&self, _question: Question) -> Result<Answer, Refusal> {
        Err(Refusal::new(RefusalKind::Busy, "not now"))
    }

    fn watch(&self, _watch: Watch) {}

    async fn may_watch(&self, _request: &watch::Request) -> Result<(), Refused> {
        Err(refused(RefusalKind::NotFound))
    }

    async fn hls(&self, request: &Request) -> Result<Stream, Refused> {
        self.asked.lock().expect("no panic").push(request.clone());
        if request.path == FAR {
            std::future::pending::<()>().await;
        }
        let in_query = request
            .query
            .split('&')
            .find_map(|it| it.strip_prefix("token="));
        let token = in_query.or(request.token.as_deref());
        if request.path == "live/locked" && token != Some(TOKEN) {
            return Err(refused(match token {
                None => RefusalKind::Unauthorized,
                Some(_) => RefusalKind::Forbidden,
            }));
        }
        let streams = self.streams.lock().expect("no panic");
        let stream = streams.get(&request.path).cloned();
        stream.ok_or_else(|| refused(RefusalKind::NotFound))
    }

    async fn order(&self, _order: Order) -> Result<Done, Refusal> {
        Err(Refusal::new(RefusalKind::Busy, "not now"))
    }
}

fn refused(kind: RefusalKind) -> Refused {
    Refused {
        kind,
        sentence: "nobody publishes this".to_owned(),
        retry_after: None,
    }
}

/// A server.
pub(crate) struct Site {
    pub(crate) http: SocketAddr,
    pub(crate) server: Server,
    stub: Arc<Stub>,
}

impl Site {
    /// One with these streams.
    pub(crate) fn new(streams: &[(&str, Stream)]) -> Self {
        Self::with(streams, |_| {})
    }

    pub(crate) fn with(streams: &[(&str, Stream)], change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.http.listen = "127.0.0.1:0".parse().ok();
        config.http.connections = 0;
        change(&mut config);
        let streams = streams.iter();
        let stub = Arc::new(Stub {
            streams: Mutex::new(
                streams
                    .map(|(path, stream)| ((*path).to_owned(), stream.clone()))
                    .collect(),
            ),
            asked: Mutex::default(),
        });
        let server = Server::start(&config, Arc::clone(&stub)).expect("starts");
        Self {
            http: server.addresses()[0].1,
            server,
            stub,
        }
    }

    /// From now on this is what is asked for by that path.
    pub(crate) fn set(&self, path: &str, stream: Stream) {
        let mut streams = self.stub.streams.lock().expect("no panic");
        streams.insert(path.to_owned(), stream);
    }

    pub(crate) async fn peer(&self) -> Peer {
        Peer::connect(self.http).await
    }

    /// What the node was asked so far.
    pub(crate) fn asked(&self) -> Vec<Request> {
        self.stub.asked.lock().expect("no panic").clone()
    }

    /// Waits until the node was asked so often.
    pub(crate) async fn was_asked(&self, times: usize) {
        let asked = async {
            while self.asked().len() < times {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(crate::peer::PATIENCE, asked)
            .await
            .expect("in time");
    }
}
