//! Players that ask for everything on one connection, by HTTP/2.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response};
use hls::Mode;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::cast::Cast;
use crate::peer::{PATIENCE, uris};
use crate::site::Site;

/// One connection.
struct Sender(SendRequest<Body>);

impl Sender {
    async fn connect(site: &Site) -> Self {
        let socket = TcpStream::connect(site.http).await.expect("connects");
        let spoken = handshake(TokioExecutor::new(), TokioIo::new(socket)).await;
        let (sender, connection) = spoken.expect("HTTP/2");
        tokio::spawn(connection);
        Self(sender)
    }

    /// The answer to a request, to come.
    fn ask(
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

type Heard = Response<Vec<u8>>;

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
    let site = Site::with(&[("live/a", cast.stream())], |web| web.http.waiting = MANY);
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
