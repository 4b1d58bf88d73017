//! A tonic stream of bytes, a message for each tag, with nothing around it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use flv::Tag;
use futures::future::BoxFuture;
use futures::{Stream, StreamExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use weir_relay::Tuning;

use crate::Carrier;
use crate::encoders::STREAMS;
use crate::thread::Thread;

const MAX_MESSAGE: usize = 32 << 20;
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

#[derive(Clone, PartialEq, prost::Message)]
struct Chunk {
    #[prost(bytes = "bytes", tag = "1")]
    data: Bytes,
    /// When it was sent, in nanoseconds of unix time.
    #[prost(uint64, tag = "2")]
    sent: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Wanted {
    #[prost(uint64, tag = "1")]
    stream: u64,
}

pub(crate) struct Bare {
    channels: Vec<mpsc::UnboundedSender<Chunk>>,
    arrived: Arc<AtomicU64>,
    ages: Arc<Mutex<Vec<Duration>>>,
}

/// Where each stream's chunks come from, until somebody takes it.
type Sources = Arc<Mutex<Vec<Option<mpsc::UnboundedReceiver<Chunk>>>>>;

#[derive(Clone)]
struct Streams(Sources);

fn now() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("after 1970")
}

impl Carrier for Bare {
    fn start(origin: &Thread, edge: &Thread) -> Self {
        let (channels, sources): (Vec<_>, Vec<_>) =
            (0..STREAMS).map(|_| mpsc::unbounded_channel()).unzip();
        let sources: Sources = Arc::new(Mutex::new(sources.into_iter().map(Some).collect()));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("has an address");
        let tuning = Tuning::default();
        let frame = tuning.frame_bytes;
        let service = Streams(Arc::clone(&sources));
        origin.handle.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a socket");
            let incoming = TcpListenerStream::new(listener)
                .map(|socket| socket.inspect(|socket| socket.set_nodelay(true).expect("a socket")));
            let server = Server::builder().max_frame_size(frame);
            server
                .serve_with_incoming(service, incoming)
                .await
                .expect("serves");
        });
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .expect("an address")
            .initial_stream_window_size(tuning.stream_window)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(frame)
            .tcp_nodelay(true);
        let (arrived, ages) = (Arc::<AtomicU64>::default(), Arc::<Mutex<Vec<_>>>::default());
        let (counter, seen) = (Arc::clone(&arrived), Arc::clone(&ages));
        edge.handle.spawn(async move {
            let channels: Vec<_> = (0..tuning.connections_per_peer)
                .map(|_| endpoint.connect_lazy())
                .collect();
            for stream in 0..STREAMS {
                let channel = channels[stream % channels.len()].clone();
                let (counter, seen) = (Arc::clone(&counter), Arc::clone(&seen));
                tokio::spawn(async move {
                    let mut grpc =
                        tonic::client::Grpc::new(channel).max_decoding_message_size(MAX_MESSAGE);
                    grpc.ready().await.expect("connects");
                    let request = Request::new(Wanted {
                        stream: stream as u64,
                    });
                    let path = http::uri::PathAndQuery::from_static("/bare/stream");
                    let codec = ProstCodec::<Wanted, Chunk>::default();
                    let answer = grpc.server_streaming(request, path, codec).await;
                    let mut chunks = answer.expect("answers").into_inner();
                    while let Ok(Some(chunk)) = chunks.message().await {
                        if stream % 20 == 0 {
                            let age = now().saturating_sub(Duration::from_nanos(chunk.sent));
                            seen.lock().expect("no panic").push(age);
                        }
                        counter.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let is_open = || {
            sources
                .lock()
                .expect("no panic")
                .iter()
                .all(Option::is_none)
        };
        while !is_open() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Self {
            channels,
            arrived,
            ages,
        }
    }

    fn push(&mut self, stream: usize, tag: Tag) {
        let chunk = Chunk {
            data: tag.payload,
            sent: now().as_nanos() as u64,
        };
        self.channels[stream].send(chunk).expect("listens");
    }

    fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }

    fn ages(&self) -> Vec<Duration> {
        self.ages.lock().expect("no panic").clone()
    }
}

impl Service<http::Request<Body>> for Streams {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let streams = self.clone();
        Box::pin(async move {
            let codec = ProstCodec::<Chunk, Wanted>::default();
            let mut grpc = tonic::server::Grpc::new(codec).max_encoding_message_size(MAX_MESSAGE);
            Ok(grpc.server_streaming(streams, request).await)
        })
    }
}

impl tonic::server::ServerStreamingService<Wanted> for Streams {
    type Response = Chunk;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<Chunk, Status>> + Send>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Wanted>) -> Self::Future {
        let stream = request.into_inner().stream as usize;
        let source = self.0.lock().expect("no panic")[stream]
            .take()
            .expect("one for each");
        Box::pin(async move {
            Ok(Response::new(
                UnboundedReceiverStream::new(source).map(Ok).boxed() as Self::ResponseStream,
            ))
        })
    }
}
