//! Players that come with a wish: somebody else has heard, over HTTP, what they want to watch.
//!
//! The connection is theirs from then on, and is written like that of any player. What goes out
//! before the first byte of media, or in its place, is in the words of whoever heard them.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use media::StreamKey;
use rtmp::{Params, stream_path};
use tokio::net::{TcpStream, UnixStream};

use crate::auth::Denied;
use crate::chance;
use crate::config::{RESERVED_APPS, Tracks};
use crate::connection::play::{self, TurnedAway};
use crate::context::Context;
use crate::format::Format;
use crate::status::RefusalKind;
use crate::stream;
use crate::transport::Transport;

/// Who is turned away comes back after so long, each at a moment of its own.
const RETRY: Duration = Duration::from_secs(5);

/// A player and its wish.
pub struct Watch {
    /// Its connection.
    pub socket: Socket,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// What it wants.
    pub request: Request,
    /// What has been read from it behind its request.
    pub begun: BytesMut,
    /// What goes out before the first byte of media, together with it.
    pub head: Bytes,
    /// What goes out instead.
    pub refuse: Refuse,
}

/// Makes of a refusal what the player is sent.
pub type Refuse = Box<dyn FnOnce(&Refused) -> Bytes + Send>;

/// What a player wants to watch.
#[derive(Clone, Debug)]
pub struct Request {
    /// The path of the stream, as in the URL of an RTMP player: `live/cam`.
    pub path: String,
    /// The query behind it: of `token` and `tracks` is known what they mean.
    pub query: String,
    /// A token that came in another way; one in the query goes first.
    pub token: Option<String>,
    /// How the stream is wrapped.
    pub carrier: Carrier,
}

/// How an FLV stream is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// Not at all: one byte after the other.
    Bytes,
    /// In chunks of HTTP/1.1, the last of which says that the stream has ended.
    Chunks,
    /// In WebSocket messages, one for each tag.
    WebSocket,
}

/// A player's connection, ready to be written.
pub struct Socket(pub(crate) Transport);

/// Why a player gets nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Refused {
    /// For the program.
    pub kind: RefusalKind,
    /// For a person: what is wrong and what to do.
    pub sentence: String,
    /// When to try again, where that may help: whole seconds.
    pub retry_after: Option<Duration>,
}

/// A [`Watch`] without its connection.
pub(crate) struct Wish {
    pub(crate) format: Format,
    pub(crate) request: Request,
    pub(crate) begun: BytesMut,
    pub(crate) head: Bytes,
    pub(crate) refuse: Refuse,
}

/// What a request comes to.
pub(crate) struct Wanted {
    pub(crate) key: StreamKey,
    pub(crate) tracks: Tracks,
}

impl Watch {
    pub(crate) fn into_parts(self) -> (Transport, Wish) {
        let Socket(transport) = self.socket;
        let wish = Wish {
            format: self.request.carrier.format(),
            request: self.request,
            begun: self.begun,
            head: self.head,
            refuse: self.refuse,
        };
        (transport, wish)
    }
}

impl Socket {
    /// One in the clear.
    pub fn tcp(socket: TcpStream) -> Socket {
        Socket(Transport::Plain(socket))
    }

    /// One with TLS on it, after the handshake.
    pub fn tls(socket: TcpStream, state: rustls::ServerConnection) -> Socket {
        Socket(Transport::tls(socket, state))
    }

    /// One whose other end is read in this process, by who has to wrap what comes in something else again.
    ///
    /// # Errors
    ///
    /// When there are no descriptors left.
    pub fn pipe() -> io::Result<(Socket, UnixStream)> {
        let (transport, far) = Transport::pipe()?;
        Ok((Socket(transport), far))
    }
}

impl Carrier {
    fn format(self) -> Format {
        match self {
            Carrier::Bytes => Format::Flv,
            Carrier::Chunks => Format::ChunkedFlv,
            Carrier::WebSocket => Format::WebSocketFlv,
        }
    }
}

impl Request {
    /// What it comes to, if it may be.
    pub(crate) fn check(&self, context: &Context) -> Result<Wanted, Refused> {
        let key = key(&self.path)?;
        let params = Params::parse(&self.query);
        let tracks = play::tracks(context, params.get("tracks"))
            .map_err(|why| Refused::new(RefusalKind::Invalid, why))?;
        let token = params.get("token").or(self.token.as_deref());
        play::may_play(context, &key, token)?;
        Ok(Wanted { key, tracks })
    }

    /// What it is called in the log.
    pub(crate) fn shown(&self) -> String {
        play::shown(&self.path, "")
    }
}

/// The stream that a path of a URL means.
pub(crate) fn key(path: &str) -> Result<StreamKey, Refused> {
    let not_found = |sentence: String| Refused::new(RefusalKind::NotFound, sentence);
    let key = StreamKey::parse(&stream_path(path, ""));
    let key = key.map_err(|error| not_found(error.to_string()))?;
    if RESERVED_APPS.contains(&key.app()) {
        let app = key.app();
        return Err(not_found(format!("the app {app:?} is reserved")));
    }
    Ok(key)
}

impl Refused {
    /// One of that kind; where it helps to try again, with a word on when.
    pub fn new(kind: RefusalKind, sentence: impl Into<String>) -> Refused {
        let retry = || Duration::from_secs(1) + RETRY.mul_f64(chance::number());
        Refused {
            kind,
            sentence: sentence.into(),
            retry_after: match kind {
                RefusalKind::Busy | RefusalKind::Unavailable => {
                    Some(Duration::from_secs(retry().as_secs()))
                }
                _ => None,
            },
        }
    }
}

impl From<TurnedAway> for Refused {
    fn from(turned: TurnedAway) -> Refused {
        let sentence = turned.to_string();
        match turned {
            TurnedAway::Denied(Denied::NoToken(_)) => {
                Refused::new(RefusalKind::Unauthorized, sentence)
            }
            TurnedAway::Denied(Denied::WrongToken(_) | Denied::UnknownKey) => {
                Refused::new(RefusalKind::Forbidden, sentence)
            }
            TurnedAway::Full(full) => Refused {
                retry_after: Some(full.retry_after),
                ..Refused::new(RefusalKind::Unavailable, sentence)
            },
        }
    }
}

impl From<stream::Refusal> for Refused {
    fn from(refusal: stream::Refusal) -> Refused {
        let kind = match refusal {
            stream::Refusal::NotFound(_) | stream::Refusal::NotOverHls(_) => RefusalKind::NotFound,
            _ => RefusalKind::Unavailable,
        };
        Refused::new(kind, refusal.to_string())
    }
}
