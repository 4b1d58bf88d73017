//! Players that ask for everything on one connection, by HTTP/2.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response};
use hls::Mode;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::cast::Cast;
use crate::peer::{PATIENCE, uris};
use crate::site::Site;

/// One connection.
pub(crate) struct Sender(SendRequest<Body>);

impl Sender {
    async fn connect(site: &Site) -> Self {
        Self::at(site.http).await
    }

    pub(crate) async fn at(address: SocketAddr) -> Self {
        Self::with(address, &Builder::new(TokioExecutor::new())).await
    }

    async fn with(address: SocketAddr, builder: &Builder<TokioExecutor>) -> Self {
        let socket = TcpStream::connect(address).await.expect("connects");
        let spoken = builder.handshake(TokioIo::new(socket)).await;
        let (sender, connection) = spoken.expect("HTTP/2");
        tokio::spawn(connection);
        Self(sender)
    }

    /// Waits until it is told that nothing more is answered on this connection.
    pub(crate) async fn is_left(&mut self) {
        let left = async {
            while self.0.ready().await.is_ok() && !self.0.is_closed() {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, left).await.expect("in time");
    }

    /// The answer to a request, to come.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> impl Future<Output = Heard> + use<> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://weir{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        let answer = self.0.clone().send_request(request);
        async {
            let answer = timeout(PATIENCE, answer).await.expect("in time");
            let (head, body) = answer.expect("an answer").into_parts();
            let body = to_bytes(Body::new(body), usize::MAX).await;
            Response::from_parts(head, body.expect("a body").to_vec())
        }
    }
}

pub(crate) type Heard = Response<Vec<u8>>;

#[tokio::test]
async fn both_ways_bring_the_same() {
    let cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::new(&[("live/a", cast.stream())]);
    let (mut one, two) = (site.peer().await, Sender::connect(&site).await);
    let media = one.get("/live/a/media.m3u8").await;
    let mut names = uris(media.playlist());
    names.pop();
    names.extend(
        [
            "index.m3u8",
            "media.m3u8",
            "media.m3u8?token=a",
            "1.1-1.m4s",
        ]
        .map(str::to_owned),
    );
    for name in names {
        let path = format!("/live/a/{name}");
        for (method, range) in [
            ("GET", "x"),
            ("HEAD", "x"),
            ("GET", "bytes=1-"),
            ("GET", "bytes=9-99"),
        ] {
            let first = one.ask(method, &path, &format!("range: {range}\r\n")).await;
            let second = two.ask(method, &path, &[("range", range)]).await;
            assert_eq!(second.status().as_u16(), first.status, "{path}");
            assert_eq!(*second.body(), first.body, "{path}");
            for (name, value) in first.headers() {
                let other = second.headers().get(name).and_then(|it| it.to_str().ok());
                assert_eq!(other, Some(&**value), "{path}: {name}");
            }
        }
    }
}

#[tokio::test]
async fn many_wait_on_one_connection_and_who_gives_up_frees_its_place() {
    const MANY: usize = 50;
    let mut cast = Cast::of(Mode::LowLatency, 9);
    // An address alone has all but a fifth.
    let site = Site::with(&[("live/a", cast.stream())], |web| {
        web.http.waiting = MANY * 5 / 4;
    });
    let player = Sender::connect(&site).await;
    let (msn, part) = cast.newest();
    let path = format!(
        "/live/a/media.m3u8?_HLS_msn={msn}&_HLS_part={}",
        part.expect("a part") + 1
    );
    let ask = || tokio::spawn(player.ask("GET", &path, &[]));
    let mut waiting: Vec<_> = (0..MANY).map(|_| ask()).collect();
    site.was_asked(MANY).await;
    assert_eq!(ask().await.expect("no panic").status(), 503);
    // On the same connection, what is there is not held up.
    assert_eq!(
        player.ask("GET", "/live/a/media.m3u8", &[]).await.status(),
        200
    );
    waiting.pop().expect("one").abort();
    let freed = async {
        loop {
            let next = ask();
            sleep(Duration::from_millis(20)).await;
            if !next.is_finished() {
                return waiting.push(next);
            }
        }
    };
    timeout(PATIENCE, freed).await.expect("in time");
    cast.next_part();
    let (msn, part) = cast.newest();
    let text = cast.text(msn, part, false);
    for answer in waiting {
        let answer = answer.await.expect("no panic");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.body(), text.as_bytes());
    }
}

/// The first segment of a playlist.
fn segment(playlist: &str) -> String {
    let name = playlist.lines().find(|line| !line.starts_with('#'));
    format!("/live/a/{}", name.expect("a segment"))
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_reset_and_the_connection_stays() {
    let cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::with(&[("live/a", cast.stream())], |web| {
        web.http.write_timeout = Duration::from_millis(200);
    });
    let media = site.peer().await.get("/live/a/media.m3u8").await;
    let path = segment(media.playlist());
    let whole = site.peer().await.get(&path).await.body.len();
    assert!(whole > 65_536, "more than is taken unasked");
    for window in [0, 65_535] {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(window);
        let player = Sender::with(site.http, &builder).await;
        let request = Request::get(format!("http://weir{path}")).body(Body::empty());
        let answer = player.0.clone().send_request(request.expect("a request"));
        let answer = answer.await.expect("an answer");
        assert_eq!(answer.status(), 200);
        sleep(Duration::from_millis(600)).await;
        let begun = Instant::now();
        let body = to_bytes(Body::new(answer.into_body()), usize::MAX);
        let body = timeout(PATIENCE, body).await.expect("in time");
        assert!(body.is_err(), "{window}: it came to an end");
        assert!(begun.elapsed() < PATIENCE);
        // The others on this connection have nothing to do with it.
        assert_eq!(player.ask("HEAD", &path, &[]).await.status(), 200);
    }
}

#[tokio::test]
async fn who_asks_for_nothing_is_told_when_the_server_leaves_and_who_waits_is_answered() {
    let mut cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::new(&[("live/a", cast.stream())]);
    let (mut idle, mut waits) = (Sender::connect(&site).await, Sender::connect(&site).await);
    let (msn, part) = cast.newest();
    let path = format!(
        "/live/a/media.m3u8?_HLS_msn={msn}&_HLS_part={}",
        part.expect("a part") + 1
    );
    idle.ask("GET", "/live/a/media.m3u8", &[]).await;
    let answer = tokio::spawn(waits.ask("GET", &path, &[]));
    site.was_asked(2).await;
    site.server.leave(Duration::ZERO);
    idle.is_left().await;
    cast.next_part();
    let (msn, part) = cast.newest();
    let answer = answer.await.expect("no panic");
    assert_eq!(answer.body(), cast.text(msn, part, false).as_bytes());
    waits.is_left().await;
    // Whoever comes now is served, as nobody else may be there.
    let late = Sender::connect(&site).await;
    let media = late.ask("GET", "/live/a/media.m3u8", &[]).await;
    assert_eq!(media.status(), 200);
    assert!(!late.0.is_closed());
}

#[tokio::test]
async fn who_takes_little_but_goes_on_gets_all_of_it() {
    let cast = Cast::of(Mode::LowLatency, 9);
    let site = Site::with(&[("live/a", cast.stream())], |web| {
        web.http.write_timeout = Duration::from_secs(5);
        web.http.least_rate = 1;
    });
    let media = site.peer().await.get("/live/a/media.m3u8").await;
    let path = segment(media.playlist());
    let mut builder = Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(1000);
    let player = Sender::with(site.http, &builder).await;
    let heard = player.ask("GET", &path, &[]).await;
    assert_eq!(*heard.body(), site.peer().await.get(&path).await.body);
}
