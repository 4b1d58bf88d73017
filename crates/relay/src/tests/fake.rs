//! A node that is not one of ours: an impostor, or one of another release.

use std::convert::Infallible;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use http::request::Parts;
use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use proto::relay::v1 as wire;
use proto::relay::v1::relay_server::{Relay, RelayServer};
use tokio::net::TcpListener;
use tonic::codegen::Service;
use tonic::{Response, Status, Streaming};

use super::support::secret;
use crate::Peer;
use crate::auth::Fields;

/// What it proves itself with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Proof {
    None,
    /// Something of the right form.
    Made,
    /// It knows the secret.
    True,
}

/// Answers all calls, whoever makes them, and each pull with these messages.
pub(super) async fn serve(downs: Vec<wire::Down>, proof: Proof) -> Peer {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("has an address");
    let server = RelayServer::new(Fake(Arc::new(downs)));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let server = server.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let mut server = server.clone();
                async move {
                    let (parts, body) = request.into_parts();
                    let value = prove(proof, &parts);
                    let mut response = server.call(Request::from_parts(parts, body)).await?;
                    if let Some(value) = value {
                        response.headers_mut().insert("weir-proof", value);
                    }
                    Ok::<_, Infallible>(response)
                }
            });
            let io = TokioIo::new(socket);
            tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(io, service));
        }
    });
    Peer::new("origin", address.to_string()).expect("a name")
}

fn prove(proof: Proof, parts: &Parts) -> Option<HeaderValue> {
    let said = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let said = |name: &str| said(name).unwrap_or_default();
    let proof = match proof {
        Proof::None => return None,
        Proof::Made => "0".repeat(64),
        Proof::True => secret().key().expect("a secret").proof(&Fields {
            version: said("weir-version"),
            cluster: said("weir-cluster"),
            caller: said("weir-caller"),
            callee: said("weir-callee"),
            method: parts.uri.path(),
            time: said("weir-time"),
            nonce: said("weir-nonce"),
        }),
    };
    HeaderValue::try_from(proof).ok()
}

struct Fake(Arc<Vec<wire::Down>>);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Relay for Fake {
    type PullStream = BoxStream<'static, Result<wire::Down, Status>>;

    async fn pull(&self, _: tonic::Request<Streaming<wire::Up>>) -> Answer<Self::PullStream> {
        let downs: Vec<_> = self.0.iter().cloned().map(Ok).collect();
        Ok(Response::new(
            stream::iter(downs).chain(stream::pending()).boxed(),
        ))
    }

    async fn release(
        &self,
        _: tonic::Request<wire::ReleaseRequest>,
    ) -> Answer<wire::ReleaseResponse> {
        Err(Status::not_found("no such stream"))
    }

    async fn locate(&self, _: tonic::Request<wire::LocateRequest>) -> Answer<wire::LocateResponse> {
        Err(Status::invalid_argument("no key of ours"))
    }

    async fn status(&self, _: tonic::Request<wire::StatusRequest>) -> Answer<wire::StatusResponse> {
        Ok(Response::new(Default::default()))
    }

    async fn act(&self, _: tonic::Request<wire::ActRequest>) -> Answer<wire::ActResponse> {
        Err(Status::unimplemented("no such call"))
    }

    async fn ping(&self, _: tonic::Request<wire::PingRequest>) -> Answer<wire::PingResponse> {
        Ok(Response::new(Default::default()))
    }
}
