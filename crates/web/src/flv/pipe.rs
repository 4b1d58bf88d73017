//! A player that shares its connection with other requests: what the node writes for it passes through here.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use axum::body::Body;
use axum::http::Extensions;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures::stream;
use node::Watch;
use node::status::RefusalKind;
use node::watch::{Refused, Socket};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use super::Wish;
use crate::api::PeerAddress;
use crate::error::Refusal;
use crate::routes::{Shared, Source};

/// So much is passed on at once.
const PIECE: usize = 64 << 10;

/// The answer to a player, once there is something for it.
pub(super) async fn play<S: Source>(
    shared: &Shared<S>,
    wish: Wish,
    extensions: &Extensions,
) -> Result<Response, Refusal> {
    let (socket, mut pipe) = Socket::pipe().map_err(|error| full(&error))?;
    let (tell, told) = oneshot::channel();
    let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let peer = extensions.get().map_or(nowhere, |PeerAddress(peer)| *peer);
    shared.source().watch(Watch {
        socket,
        peer,
        request: wish.request,
        begun: BytesMut::new(),
        head: Bytes::new(),
        refuse: Box::new(move |refused| {
            // Where the player has left, nobody listens.
            drop(tell.send(refused.clone()));
            Bytes::new()
        }),
    });
    // The end comes behind the refusal that is its reason.
    let first = read(&mut pipe).await;
    match first {
        Ok(Some(first)) => {
            let rest = stream::unfold(pipe, async |mut pipe| {
                let piece = read(&mut pipe).await.transpose()?;
                Some((piece, pipe))
            });
            let first = stream::iter([io::Result::Ok(first)]);
            let all = stream::StreamExt::chain(first, rest);
            Ok(wish.accepted.map(|()| Body::from_stream(all)))
        }
        Ok(None) => Err(told.await.map_or_else(|_| gone(), Refusal::from)),
        Err(error) => Err(full(&error)),
    }
}

async fn read(pipe: &mut UnixStream) -> io::Result<Option<Bytes>> {
    let mut piece = BytesMut::with_capacity(PIECE);
    let read = pipe.read_buf(&mut piece).await?;
    Ok((read > 0).then(|| piece.freeze()))
}

fn full(error: &io::Error) -> Refusal {
    let sentence = format!("this node cannot take another player: {error}; try again");
    unavailable(sentence)
}

fn gone() -> Refusal {
    unavailable("the node is shutting down; connect again".to_owned())
}

fn unavailable(sentence: String) -> Refusal {
    let (kind, retry_after) = (RefusalKind::Unavailable, None);
    Refusal::from(Refused {
        kind,
        sentence,
        retry_after,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use axum::http::Request;
    use futures::StreamExt;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;
    use node::status::{self, Answer, Done, Order, Question};
    use node::watch;
    use rtmp::net::Client;
    use tokio::time::timeout;

    use super::*;
    use crate::cors::Cors;
    use crate::routes::{Check, Face, router};

    /// Far more than anything here takes.
    const PATIENCE: Duration = Duration::from_secs(20);

    struct Host(node::Node);

    impl Source for Host {
        fn node_id(&self) -> &str {
            self.0.id()
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

        async fn ask(&self, question: Question) -> Result<Answer, status::Refusal> {
            self.0.ask_cluster(question).await
        }

        fn watch(&self, watch: Watch) {
            self.0.watch(watch);
        }

        async fn may_watch(&self, request: &watch::Request) -> Result<(), Refused> {
            self.0.may_watch(request).await
        }

        async fn order(&self, order: Order) -> Result<Done, status::Refusal> {
            self.0.order_cluster(order).await
        }
    }

    #[tokio::test]
    async fn who_shares_a_connection_gets_the_same_bytes() {
        let mut config = node::Config::default();
        config.rtmp.listen = "127.0.0.1:0".parse().ok();
        config.limits.headroom = 1.0;
        let node = node::Node::start(config).await.expect("a node");
        let url = format!("rtmp://{}/live/a", node.addresses()[0].1);
        let url = rtmp::Url::parse(&url).expect("a URL");
        let publisher = Client::default().publish(&url).await.expect("accepted");
        // A keyframe of Sorenson H.263, which needs no configuration.
        let payload = Bytes::from_static(&[0x12, 0, 0, 0x84]);
        let tag = flv::Tag::new(flv::Kind::Video, 0, payload);
        publisher.send(tag.clone()).await.expect("open");

        let cors = Arc::new(Cors::new(&["*".to_owned()]));
        let routes = router(Face::All, Arc::new(Host(node.clone())), cors);
        let routes = TowerToHyperService::new(routes);
        let ask = async |path: &str| {
            let request = Request::get(path).body(Body::empty()).expect("a request");
            let answer = timeout(PATIENCE, routes.call(request)).await;
            answer.expect("in time").expect("an answer")
        };
        let absent = ask("/live/b.flv").await;
        assert_eq!(absent.status(), 404);
        assert_eq!(absent.headers()["content-type"], "application/json");

        let answer = ask("/live/a.flv").await;
        assert_eq!(answer.status(), 200);
        assert!(!answer.headers().contains_key("connection"));
        let (mut body, mut file) = (answer.into_body().into_data_stream(), Vec::new());
        let mut whole = BytesMut::from(&b"FLV\x01\x01\0\0\0\x09\0\0\0\0"[..]);
        flv::write_tag(&tag, 0, &mut whole);
        while file.len() < whole.len() {
            let piece = timeout(PATIENCE, body.next()).await.expect("in time");
            file.extend(piece.expect("more").expect("bytes"));
        }
        assert_eq!(file, whole);
        drop(body);
        let left = async {
            while node.connections().await > 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, left).await.expect("the player has left");
        node.drain().await;
    }
}
