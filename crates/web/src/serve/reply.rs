//! An answer that was waited for, sent without hyper: many may be due at the same moment, and who waits has to be
//! answered soon.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;

use axum::body::HttpBody;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::counts::End;
use super::link::Link;
use super::service::{Answer, Tracked};
use crate::head;
use crate::outgoing::Piece;
use crate::patience::{Patient, Terms};

/// So many bytes or pieces are gathered for one write.
const WRITE: usize = 256 << 10;
const PIECES: usize = 64;

/// An answer to a request that hyper has forgotten.
pub(super) struct Again {
    pub(super) answer: Answer,
    /// It goes to who asked for the head alone.
    pub(super) head_only: bool,
    /// It is the last.
    pub(super) closes: bool,
}

impl Again {
    /// Whether it can be sent without hyper: its length is known.
    pub(super) fn is_plain(&self) -> bool {
        let headers = self.answer.headers();
        let length = self.answer.body().size_hint().exact();
        let stated = headers.get(header::CONTENT_LENGTH);
        let agrees = stated.is_none_or(|stated| {
            let stated = stated.to_str().ok().and_then(|it| it.parse().ok());
            stated.is_some() && (stated == length || !self.has_body())
        });
        length.is_some() && agrees && !headers.contains_key(header::TRANSFER_ENCODING)
    }

    /// A request to which the answer is the same, for hyper.
    pub(super) fn request(&self) -> &'static [u8] {
        match (self.head_only, self.closes) {
            (false, false) => b"GET / HTTP/1.1\r\n\r\n",
            (false, true) => b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n",
            (true, false) => b"HEAD / HTTP/1.1\r\n\r\n",
            (true, true) => b"HEAD / HTTP/1.1\r\nconnection: close\r\n\r\n",
        }
    }

    fn has_body(&self) -> bool {
        let status = self.answer.status();
        let is_bare = status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED;
        !is_bare && !self.head_only
    }
}

/// Sends it; the connection, if it goes on.
pub(super) async fn send(link: Link, again: Again, terms: Terms) -> Result<Link, End> {
    let mut socket = Patient::new(link, terms);
    match write(&mut socket, again).await {
        Ok(true) => Ok(socket.into_inner()),
        Ok(false) => {
            // As hyper does it.
            drop(socket.shutdown().await);
            Err(End::Closed)
        }
        Err(error) => Err(End::of_io(error.kind())),
    }
}

/// Whether the connection goes on.
async fn write<S: AsyncWrite + Unpin>(socket: &mut S, again: Again) -> io::Result<bool> {
    let has_body = again.has_body();
    let (mut head, mut body) = again.answer.into_parts();
    let headers = &mut head.headers;
    let closes = again.closes || super::thrift::closes(headers);
    if closes {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if has_body || again.head_only {
        state_length(headers, &body, has_body);
    }
    let mut bytes = BytesMut::with_capacity(512);
    head::write(&head, &mut bytes);
    let mut pieces = VecDeque::from([Piece::Bytes(bytes.freeze())]);
    let mut gathered = 0;
    while has_body && let Some(piece) = next(&mut body).await? {
        gathered += piece.remaining();
        pieces.push_back(piece);
        if gathered >= WRITE || pieces.len() >= PIECES {
            write_all(socket, &mut pieces).await?;
            gathered = 0;
        }
    }
    write_all(socket, &mut pieces).await?;
    socket.flush().await?;
    Ok(!closes)
}

/// Says how long the answer is, if nobody has.
fn state_length(headers: &mut HeaderMap, body: &Tracked, has_body: bool) {
    let length = body
        .size_hint()
        .exact()
        .filter(|length| has_body || *length > 0);
    if let Some(length) = length
        && !headers.contains_key(header::CONTENT_LENGTH)
    {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}

async fn next(body: &mut Tracked) -> io::Result<Option<Piece>> {
    loop {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
        let Some(frame) = frame.transpose().map_err(io::Error::other)? else {
            return Ok(None);
        };
        match frame.into_data() {
            Ok(piece) if piece.has_remaining() => return Ok(Some(piece)),
            _ => {}
        }
    }
}

async fn write_all<S: AsyncWrite + Unpin>(
    socket: &mut S,
    pieces: &mut VecDeque<Piece>,
) -> io::Result<()> {
    while !pieces.is_empty() {
        let mut slices = [IoSlice::new(&[]); PIECES];
        let mut count = 0;
        for piece in pieces.iter() {
            count += piece.chunks_vectored(slices.get_mut(count..).unwrap_or_default());
        }
        let slices = slices.get(..count).unwrap_or_default();
        let mut written = socket.write_vectored(slices).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while let Some(first) = pieces.front_mut() {
            let left = first.remaining();
            if left > written {
                first.advance(written);
                break;
            }
            written -= left;
            pieces.pop_front();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Response;
    use futures::stream;
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    fn again(answer: Response<Body>, head_only: bool) -> Again {
        Again {
            answer: Tracked::untracked(answer),
            head_only,
            closes: false,
        }
    }

    /// What is sent, to a peer that takes it in small sips, and whether the connection goes on.
    async fn sent(answer: Response<Body>, head_only: bool) -> (String, bool) {
        let again = again(answer, head_only);
        assert!(again.is_plain());
        let (mut peer, mut socket) = duplex(7);
        let writes = async {
            let goes_on = write(&mut socket, again).await.expect("a peer");
            drop(socket);
            goes_on
        };
        let mut text = String::new();
        let (goes_on, read) = tokio::join!(writes, peer.read_to_string(&mut text));
        read.expect("a text");
        let (head, body) = text.split_once("date: ").expect("a date");
        let (_, body) = body.split_once("\r\n\r\n").expect("an end of the head");
        (format!("{head}|{body}"), goes_on)
    }

    #[tokio::test]
    async fn an_answer_is_written_as_it_is() {
        let answer = Response::builder().status(404).body(Body::from("not here"));
        let answer = sent(answer.expect("an answer"), false).await;
        let text = "HTTP/1.1 404 Not Found\r\ncontent-length: 8\r\n|not here";
        assert_eq!(answer, (text.to_owned(), true));
        let answer = sent(Response::new(Body::empty()), false).await.0;
        assert_eq!(answer, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n|");
    }

    #[tokio::test]
    async fn what_has_no_body_gets_none() {
        let head = sent(Response::new(Body::from("abc")), true).await.0;
        assert_eq!(head, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n|");
        let known = Response::builder().status(304).header("etag", "\"a\"");
        let known = known.body(Body::from("abc")).expect("an answer");
        let known = sent(known, false).await.0;
        assert_eq!(known, "HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n|");
    }

    #[tokio::test]
    async fn the_last_says_so() {
        let last = Response::builder().header("connection", "close");
        let last = sent(last.body(Body::empty()).expect("an answer"), false).await;
        assert!(
            last.0.contains("connection: close\r\n") && !last.1,
            "{}",
            last.0
        );
    }

    #[test]
    fn what_has_no_length_or_another_is_left_to_hyper() {
        let endless = Body::from_stream(stream::empty::<io::Result<bytes::Bytes>>());
        assert!(!again(Response::new(endless), false).is_plain());
        let stated = |length: &str| {
            let answer = Response::builder().header("content-length", length);
            answer.body(Body::from("abc")).expect("an answer")
        };
        assert!(!again(stated("4"), false).is_plain());
        assert!(!again(stated("x"), false).is_plain());
        assert!(again(stated("3"), false).is_plain());
        assert!(
            again(stated("4"), true).is_plain(),
            "as long as a body would be"
        );
    }
}
