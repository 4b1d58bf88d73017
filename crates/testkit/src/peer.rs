//! A client of few words: it says what it is told to, and keeps all it hears.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amf::{Object, Value};
use bytes::{Bytes, BytesMut};
use flv::Tag;
use rtmp::chunk::{ChunkReader, ChunkWriter, Limits};
use rtmp::command::Command;
use rtmp::handshake::Handshake;
use rtmp::message::{Kind, Message, UserControl};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::wait::{LIMIT, within};

/// Chunk stream of the commands it sends.
const COMMANDS: u32 = 3;

/// Something a peer heard.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// Media or metadata, on a message stream.
    Tag(u32, Tag),
    /// An `onStatus`.
    Status(Status),
    /// Any other command: answers above all.
    Command(Command),
    /// A user control event.
    Control(UserControl),
    /// Any other message.
    Other(Message),
    /// The server has closed the connection.
    Closed,
}

/// An `onStatus`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// The message stream it is about.
    pub stream: u32,
    /// `status` or `error`.
    pub level: String,
    /// Such as `NetStream.Play.Start`.
    pub code: String,
    /// For people.
    pub description: String,
}

impl Heard {
    /// The tag, if it is one.
    pub fn tag(&self) -> Option<&Tag> {
        match self {
            Self::Tag(_, tag) => Some(tag),
            _ => None,
        }
    }

    /// Whether it is a status of that code.
    pub fn is_status(&self, code: &str) -> bool {
        matches!(self, Self::Status(status) if status.code == code)
    }
}

/// A client of few words.
pub struct Peer {
    /// What is written to it goes out as it is.
    pub socket: OwnedWriteHalf,
    writer: ChunkWriter,
    transactions: f64,
    record: Arc<Record>,
    listener: JoinHandle<()>,
}

#[derive(Default)]
struct Record {
    heard: Mutex<Vec<Heard>>,
    more: Notify,
}

impl Peer {
    /// Connects, and gets the handshake over with.
    ///
    /// # Panics
    /// When the server is not there, or closes.
    pub async fn dial(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address)
            .await
            .expect("the server is there");
        Self::over(socket).await.expect("the server shakes hands")
    }

    /// Shakes hands over a connection.
    ///
    /// # Errors
    /// When the server closes it.
    pub async fn over(socket: TcpStream) -> std::io::Result<Self> {
        socket.set_nodelay(true)?;
        let (mut read, mut write) = socket.into_split();
        let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
        let mut handshake = Handshake::client(&mut output);
        loop {
            write.write_all(&output.split()).await?;
            if handshake
                .read(&mut input, &mut output)
                .map_err(std::io::Error::other)?
            {
                break;
            }
            if output.is_empty() && within("a handshake", read.read_buf(&mut input)).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        write.write_all(&output).await?;
        let record = Arc::new(Record::default());
        let listener = tokio::spawn(listen(read, input, record.clone()));
        let writer = ChunkWriter::new();
        Ok(Self {
            socket: write,
            writer,
            transactions: 0.0,
            record,
            listener,
        })
    }

    /// Connects to an app.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn connect(address: SocketAddr, app: &str) -> Self {
        let mut peer = Self::dial(address).await;
        peer.ask_to_connect(app, &[]).await;
        peer.until("the answer to connect", |heard| {
            heard
                .iter()
                .any(|heard| matches!(heard, Heard::Command(answer) if answer.name == "_result"))
        })
        .await;
        peer
    }

    /// Sends `connect` with further members of its object, and waits for nothing.
    pub async fn ask_to_connect(&mut self, app: &str, more: &[(&str, Value)]) {
        let members = [
            ("app", app.into()),
            ("tcUrl", format!("rtmp://localhost/{app}").into()),
        ];
        let object: Object = members.iter().chain(more).cloned().collect();
        self.transactions += 1.0;
        let connect = Command {
            object: object.into(),
            ..Command::new("connect", self.transactions, Vec::new())
        };
        self.say(&connect.to_message(COMMANDS, 0)).await;
    }

    /// Connects and plays `name`, on stream 1. What is published from here on, it hears.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn play(address: SocketAddr, app: &str, name: &str) -> Self {
        let mut peer = Self::connect(address, app).await;
        let stream = peer.create_stream().await;
        peer.command("play", stream, &[name.into()]).await;
        peer.status("NetStream.Play.Start").await;
        // Asks for what it gets anyway: when that is done, so is what goes with the play.
        peer.command("receiveAudio", stream, &[true.into()]).await;
        peer.settled().await;
        peer
    }

    /// Waits until the server has done all that it was asked before.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn settled(&mut self) {
        self.transactions += 1.0;
        let number = self.transactions as u32;
        self.say(&Message::user_control(UserControl::PingRequest(number)))
            .await;
        let answer = Heard::Control(UserControl::PingResponse(number));
        self.until("the answer to a ping", |heard| heard.contains(&answer))
            .await;
    }

    /// Connects and publishes `name`, on stream 1.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn publish(address: SocketAddr, app: &str, name: &str) -> Self {
        let mut peer = Self::connect(address, app).await;
        let stream = peer.create_stream().await;
        peer.command("publish", stream, &[name.into(), "live".into()])
            .await;
        peer.status("NetStream.Publish.Start").await;
        peer
    }

    /// Makes a message stream.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn create_stream(&mut self) -> u32 {
        let transaction = self.command("createStream", 0, &[]).await;
        self.find("the answer to createStream", |heard| match heard {
            Heard::Command(answer)
                if answer.name == "_result" && answer.transaction == transaction =>
            {
                answer.number(0).map(|number| number as u32)
            }
            _ => None,
        })
        .await
    }

    /// Says a command without an object. The number of its transaction.
    pub async fn command(&mut self, name: &str, stream: u32, arguments: &[Value]) -> f64 {
        self.transactions += 1.0;
        let command = Command::new(name, self.transactions, arguments.to_vec());
        self.say(&command.to_message(COMMANDS, stream)).await;
        self.transactions
    }

    /// Sends a tag on message stream 1.
    pub async fn send(&mut self, tag: &Tag) {
        self.say(&message(tag)).await;
    }

    /// Says anything. That the server has closed shows in what is heard.
    pub async fn say(&mut self, message: &Message) {
        let mut bytes = BytesMut::new();
        self.writer.write(message, &mut bytes);
        let _ = self.socket.write_all(&bytes).await;
    }

    /// Says several things in one piece.
    pub async fn say_at_once(&mut self, messages: &[Message]) {
        let mut bytes = BytesMut::new();
        for message in messages {
            self.writer.write(message, &mut bytes);
        }
        let _ = self.socket.write_all(&bytes).await;
    }

    /// All that was heard so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.record.heard().clone()
    }

    /// All tags so far.
    pub fn tags(&self) -> Vec<Tag> {
        self.record
            .heard()
            .iter()
            .filter_map(Heard::tag)
            .cloned()
            .collect()
    }

    /// Forgets what was heard so far, and returns it.
    pub fn forget(&self) -> Vec<Heard> {
        std::mem::take(&mut *self.record.heard())
    }

    /// Waits until all that was heard so far fulfils a condition.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn until(&self, what: &str, mut condition: impl FnMut(&[Heard]) -> bool) {
        self.record
            .wait(what, |heard| condition(heard).then_some(()))
            .await;
    }

    /// Waits until `look` finds something in what was heard.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn find<T>(&self, what: &str, mut look: impl FnMut(&Heard) -> Option<T>) -> T {
        self.record
            .wait(what, |heard| heard.iter().find_map(&mut look))
            .await
    }

    /// Waits for a status of this code.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn status(&self, code: &str) -> Status {
        self.find(code, |heard| match heard {
            Heard::Status(status) if status.code == code => Some(status.clone()),
            _ => None,
        })
        .await
    }

    /// Waits until the server closes.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn closed(&self) {
        self.until("the end of the connection", |heard| {
            heard.last() == Some(&Heard::Closed)
        })
        .await;
    }

    /// Whether the server has closed.
    pub fn is_closed(&self) -> bool {
        self.record.heard().last() == Some(&Heard::Closed)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// A tag as a message on stream 1.
pub(crate) fn message(tag: &Tag) -> Message {
    let kind = match tag.kind {
        flv::Kind::Audio => Kind::Audio,
        flv::Kind::Video => Kind::Video,
        flv::Kind::Data => Kind::Data,
    };
    Message {
        chunk_stream: 4,
        timestamp: tag.dts,
        kind,
        stream_id: 1,
        payload: tag.payload.clone(),
    }
}

impl Record {
    fn heard(&self) -> MutexGuard<'_, Vec<Heard>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, heard: Heard) {
        self.heard().push(heard);
        self.more.notify_waiters();
    }

    async fn wait<T>(&self, what: &str, mut look: impl FnMut(&[Heard]) -> Option<T>) -> T {
        let end = Instant::now() + LIMIT;
        loop {
            let more = self.more.notified();
            if let Some(found) = look(&self.heard()) {
                return found;
            }
            if timeout_at(end, more).await.is_err() {
                panic!(
                    "waited {LIMIT:?} in vain for {what}; heard {:#?}",
                    Brief(&self.heard())
                );
            }
        }
    }
}

/// What was heard, media left out.
struct Brief<'a>(&'a [Heard]);

impl fmt::Debug for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tags = self.0.iter().filter(|heard| heard.tag().is_some()).count();
        let rest = self.0.iter().filter(|heard| heard.tag().is_none());
        f.debug_list()
            .entry(&format_args!("{tags} tags"))
            .entries(rest)
            .finish()
    }
}

async fn listen(mut socket: OwnedReadHalf, mut input: BytesMut, record: Arc<Record>) {
    let mut chunks = ChunkReader::new(Limits::default());
    loop {
        loop {
            match chunks.read(&mut input) {
                Ok(Some(message)) => record.add(understand(message)),
                Ok(None) => break,
                Err(error) => panic!("the server's chunks can be read: {error}"),
            }
        }
        if !matches!(socket.read_buf(&mut input).await, Ok(1..)) {
            return record.add(Heard::Closed);
        }
    }
}

fn understand(message: Message) -> Heard {
    let tag = |kind, payload: &Bytes| Tag::new(kind, message.timestamp, payload.clone());
    match message.kind {
        Kind::Audio => Heard::Tag(message.stream_id, tag(flv::Kind::Audio, &message.payload)),
        Kind::Video => Heard::Tag(message.stream_id, tag(flv::Kind::Video, &message.payload)),
        Kind::Data => Heard::Tag(message.stream_id, tag(flv::Kind::Data, &message.payload)),
        Kind::UserControl => match UserControl::decode(&message.payload) {
            Some(event) => Heard::Control(event),
            None => Heard::Other(message),
        },
        Kind::Command => match Command::decode(&message) {
            Some(command) if command.name == "onStatus" => {
                Heard::Status(status(message.stream_id, &command))
            }
            Some(command) => Heard::Command(command),
            None => Heard::Other(message),
        },
        _ => Heard::Other(message),
    }
}

fn status(stream: u32, command: &Command) -> Status {
    let info = command.arguments.first().and_then(Value::as_object);
    let text = |name| {
        info.and_then(|info| info.get(name))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    Status {
        stream,
        level: text("level"),
        code: text("code"),
        description: text("description"),
    }
}
