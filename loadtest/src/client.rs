//! The client's end of an RTMP connection, up to the point where media flows, or of HTTP-FLV; no sockets here.

use anyhow::{Context, Result, bail, ensure};

use crate::amf::{self, Writer};
use crate::chunk::{self, Header, INITIAL_SIZE, Parser, kind};
use crate::flv;

const HANDSHAKE: usize = 1536;

/// Where to publish or play.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// `host:port`.
    pub(crate) authority: String,
    pub(crate) app: String,
    pub(crate) name: String,
    /// `?token=…`, or nothing.
    pub(crate) query: String,
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let rest = url
            .strip_prefix("rtmp://")
            .context("a URL begins with rtmp://")?;
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, format!("?{query}")),
            None => (rest, String::new()),
        };
        let (authority, path) = rest.split_once('/').context("a URL names an application")?;
        let (app, name) = path.split_once('/').context("a URL names a stream")?;
        let port = if authority.contains(':') { "" } else { ":1935" };
        let (app, name) = (app.to_owned(), name.to_owned());
        Ok(Self {
            authority: format!("{authority}{port}"),
            app,
            name,
            query,
        })
    }

    /// The name of one of several streams; a stream alone keeps the name it was given.
    pub(crate) fn stream(&self, index: usize, of: usize) -> String {
        let Self { name, query, .. } = self;
        if of > 1 {
            format!("{name}_{index}{query}")
        } else {
            format!("{name}{query}")
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Play,
    /// And the size of the chunks to come.
    Publish {
        chunk_size: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Handshake,
    Connect,
    Create,
    Start,
    Ready,
}

/// One connection's state, small while it is set up and gone afterwards unless it is needed.
pub(crate) struct Client {
    role: Role,
    app: String,
    url: String,
    name: String,
    stage: Stage,
    handshake: Vec<u8>,
    parser: Parser,
    /// In place of all that, for a player of HTTP-FLV.
    flv: Option<flv::Parser>,
    /// What the connection owes the server.
    out: Vec<u8>,
    chunk_size: usize,
    stream: u32,
    /// The server wants to hear of every so many bytes; 0 until it says so.
    pub(crate) window: u32,
}

impl Client {
    pub(crate) fn new(role: Role, target: &Target, index: usize, of: usize) -> Self {
        let mut out = vec![0; 1 + HANDSHAKE];
        // RTMP 5.2.3: version 3, then time, zero, and bytes that may be anything.
        out.splice(..1, [3]);
        Self {
            role,
            app: target.app.clone(),
            url: format!("rtmp://{}/{}", target.authority, target.app),
            name: target.stream(index, of),
            stage: Stage::Handshake,
            handshake: Vec::new(),
            parser: Parser::new(INITIAL_SIZE),
            flv: None,
            out,
            chunk_size: INITIAL_SIZE,
            stream: 0,
            window: 0,
        }
    }

    /// A connection on which media flows at once: the bare loop speaks no protocol.
    pub(crate) fn raw(chunk_size: usize) -> Self {
        let nowhere = Target {
            authority: String::new(),
            app: String::new(),
            name: String::new(),
            query: String::new(),
        };
        let mut client = Self::new(Role::Play, &nowhere, 0, 1);
        client.out.clear();
        client.parser = Parser::new(chunk_size);
        client.stage = Stage::Ready;
        client
    }

    /// A player that asks for the stream by HTTP.
    pub(crate) fn flv(authority: &str, target: &Target, index: usize, of: usize) -> Self {
        let mut client = Self::new(Role::Play, target, index, of);
        client.out = flv::request(authority, &target.app, &client.name);
        client.flv = Some(flv::Parser::default());
        client.stage = Stage::Start;
        client
    }

    /// Whether it speaks RTMP, and may say more than it has.
    pub(crate) fn is_rtmp(&self) -> bool {
        self.flv.is_none()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// Whether it has said `play` or `publish`.
    pub(crate) fn has_asked(&self) -> bool {
        matches!(self.stage, Stage::Start | Stage::Ready)
    }

    /// The message stream the server gave us.
    pub(crate) fn stream(&self) -> u32 {
        self.stream
    }

    /// Takes what is to be sent.
    pub(crate) fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Reads what the server sent; media goes to `sink`.
    pub(crate) fn input(
        &mut self,
        mut bytes: &[u8],
        sink: &mut dyn FnMut(Header, &[u8]) -> Result<()>,
    ) -> Result<()> {
        if let Some(flv) = &mut self.flv {
            flv.push(bytes, sink)?;
            if flv.plays() {
                self.stage = Stage::Ready;
            }
            return Ok(());
        }
        if self.stage == Stage::Handshake {
            let missing = (1 + 2 * HANDSHAKE).saturating_sub(self.handshake.len());
            let (part, rest) = bytes.split_at(missing.min(bytes.len()));
            self.handshake.extend_from_slice(part);
            bytes = rest;
            if part.len() < missing {
                return Ok(());
            }
            let handshake = std::mem::take(&mut self.handshake);
            ensure!(
                handshake.first() == Some(&3),
                "the server speaks another protocol"
            );
            self.out
                .extend_from_slice(handshake.get(1..=HANDSHAKE).unwrap_or_default());
            self.connect();
        }
        let mut parser = std::mem::replace(&mut self.parser, Parser::new(INITIAL_SIZE));
        let result = parser.push(bytes, &mut |header, payload| match header.kind {
            kind::AUDIO | kind::VIDEO => sink(header, payload),
            _ => self.control(header, payload),
        });
        self.parser = parser;
        result
    }

    fn control(&mut self, header: Header, payload: &[u8]) -> Result<()> {
        match (header.kind, payload) {
            (kind::WINDOW_SIZE, [a, b, c, d, ..]) => {
                self.window = u32::from_be_bytes([*a, *b, *c, *d]);
            }
            // RTMP 7.1.7: a ping request is answered with its own timestamp.
            (kind::USER_CONTROL, [0, 6, time @ ..]) => {
                let answer = [&[0, 7], time].concat();
                self.send(2, kind::USER_CONTROL, 0, &answer);
            }
            (kind::COMMAND, _) => self.command(&amf::answer(payload))?,
            _ => {}
        }
        Ok(())
    }

    fn command(&mut self, answer: &amf::Answer) -> Result<()> {
        match (answer.name.as_str(), self.stage) {
            // Servers that know neither FCPublish nor releaseStream may say so.
            ("_error", _) if answer.transaction == 2.0 || answer.transaction == 3.0 => {}
            ("_error", _) => bail!("refused: {} {}", answer.code, answer.description),
            ("_result", Stage::Connect) if answer.transaction == 1.0 => self.create(),
            ("_result", Stage::Create) if answer.transaction == 4.0 => {
                self.stream = answer.number.context("a stream without a number")? as u32;
                self.start();
            }
            ("onStatus", Stage::Start) => match answer.code.as_str() {
                "NetStream.Play.Start" | "NetStream.Publish.Start" => self.stage = Stage::Ready,
                "NetStream.Play.Reset" | "NetStream.Play.PublishNotify" => {}
                code if code.contains("Failed")
                    || code.contains("Bad")
                    || code.contains("NotFound") =>
                {
                    bail!("refused: {code} {}", answer.description);
                }
                _ => {}
            },
            ("onStatus", Stage::Ready)
                if answer.code.contains("UnpublishNotify") || answer.code.contains("Stop") =>
            {
                bail!("the stream ended: {}", answer.code);
            }
            _ => {}
        }
        Ok(())
    }

    fn connect(&mut self) {
        if let Role::Publish { chunk_size } = self.role {
            let size = (chunk_size as u32).to_be_bytes();
            self.send(2, kind::SET_CHUNK_SIZE, 0, &size);
            self.chunk_size = chunk_size;
        }
        let command = Writer::default().string("connect").number(1.0).object();
        let command = command.key("app").string(&self.app);
        let command = match self.role {
            Role::Publish { .. } => command.key("type").string("nonprivate"),
            Role::Play => command
                .key("fpad")
                .boolean(false)
                .key("audioCodecs")
                .number(4071.0),
        };
        let command = command
            .key("flashVer")
            .string("LNX 9,0,124,2")
            .key("tcUrl")
            .string(&self.url);
        self.send(3, kind::COMMAND, 0, &command.end().done());
        self.stage = Stage::Connect;
    }

    fn create(&mut self) {
        match self.role {
            Role::Publish { .. } => {
                for (name, transaction) in [("releaseStream", 2.0), ("FCPublish", 3.0)] {
                    let command = Writer::default().string(name).number(transaction).null();
                    let command = command.string(&self.name).done();
                    self.send(3, kind::COMMAND, 0, &command);
                }
            }
            Role::Play => self.send(2, kind::WINDOW_SIZE, 0, &2_500_000_u32.to_be_bytes()),
        }
        let command = Writer::default()
            .string("createStream")
            .number(4.0)
            .null()
            .done();
        self.send(3, kind::COMMAND, 0, &command);
        self.stage = Stage::Create;
    }

    fn start(&mut self) {
        let stream = self.stream;
        match self.role {
            Role::Publish { .. } => {
                let command = Writer::default().string("publish").number(5.0).null();
                let command = command.string(&self.name).string("live").done();
                self.send(8, kind::COMMAND, stream, &command);
            }
            Role::Play => {
                let command = Writer::default().string("play").number(0.0).null();
                let command = command.string(&self.name).number(-2000.0).done();
                self.send(8, kind::COMMAND, stream, &command);
                let buffer = [&[0, 3], &stream.to_be_bytes()[..], &3000_u32.to_be_bytes()].concat();
                self.send(2, kind::USER_CONTROL, 0, &buffer);
            }
        }
        self.stage = Stage::Start;
    }

    /// Says goodbye the polite way.
    pub(crate) fn leave(stream: u32) -> Vec<u8> {
        let command = Writer::default().string("deleteStream").number(0.0).null();
        let command = command.number(f64::from(stream)).done();
        let mut out = Vec::new();
        let header = Header {
            kind: kind::COMMAND,
            ..Header::default()
        };
        chunk::write(&mut out, 3, header, &command, INITIAL_SIZE);
        out
    }

    fn send(&mut self, channel: u8, kind: u8, stream: u32, payload: &[u8]) {
        let header = Header {
            kind,
            timestamp: 0,
            stream,
        };
        chunk::write(&mut self.out, channel, header, payload, self.chunk_size);
    }
}

/// An acknowledgement of the bytes received so far (RTMP 5.4.3), modulo 2³².
pub(crate) fn acknowledgement(bytes: u64) -> [u8; 16] {
    let [a, b, c, d] = (bytes as u32).to_be_bytes();
    [
        2,
        0,
        0,
        0,
        0,
        0,
        4,
        kind::ACKNOWLEDGEMENT,
        0,
        0,
        0,
        0,
        a,
        b,
        c,
        d,
    ]
}

/// An answer to the ping that a player who drains without looking may have been sent.
pub(crate) const BLIND_PONG: [u8; 18] = [
    2,
    0,
    0,
    0,
    0,
    0,
    6,
    kind::USER_CONTROL,
    0,
    0,
    0,
    0,
    0,
    7,
    0,
    0,
    0,
    0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let target = Target::parse("rtmp://127.0.0.1/live/bench?token=x").unwrap();
        assert_eq!(target.authority, "127.0.0.1:1935");
        assert_eq!(target.stream(0, 1), "bench?token=x");
        assert_eq!(target.stream(7, 9), "bench_7?token=x");
        assert!(Target::parse("http://x/live/y").is_err());
        assert!(Target::parse("rtmp://x/live").is_err());
    }

    #[test]
    fn a_player_says_the_next_thing_when_the_server_answered_the_last() {
        let target = Target::parse("rtmp://h/live/s").unwrap();
        let mut client = Client::new(Role::Play, &target, 0, 1);
        let nothing = &mut |_: Header, _: &[u8]| Ok(());
        assert_eq!(client.output().len(), 1537);
        client.input(&[3; 3073], nothing).unwrap();
        assert!(client.output().len() > 1536, "the echo and connect");
        let say = |command: Vec<u8>| {
            let mut out = Vec::new();
            let header = Header {
                kind: kind::COMMAND,
                ..Header::default()
            };
            chunk::write(&mut out, 3, header, &command, INITIAL_SIZE);
            out
        };
        client
            .input(
                &say(Writer::default().string("_result").number(1.0).done()),
                nothing,
            )
            .unwrap();
        assert!(!client.output().is_empty());
        let created = Writer::default()
            .string("_result")
            .number(4.0)
            .null()
            .number(5.0)
            .done();
        assert!(!client.has_asked());
        client.input(&say(created), nothing).unwrap();
        assert!(client.has_asked() && !client.is_ready());
        assert_eq!(client.stream(), 5);
        let started = Writer::default()
            .string("onStatus")
            .number(0.0)
            .null()
            .object();
        let started = started
            .key("code")
            .string("NetStream.Play.Start")
            .end()
            .done();
        client.input(&say(started), nothing).unwrap();
        assert!(client.is_ready());

        client.output();
        let mut ping = Vec::new();
        let header = Header {
            kind: kind::USER_CONTROL,
            ..Header::default()
        };
        chunk::write(&mut ping, 2, header, &[0, 6, 1, 2, 3, 4], INITIAL_SIZE);
        client.input(&ping, nothing).unwrap();
        assert!(client.output().ends_with(&[0, 7, 1, 2, 3, 4]));
    }

    #[test]
    fn a_refusal_is_an_error_with_the_servers_words() {
        let target = Target::parse("rtmp://h/live/s").unwrap();
        let mut client = Client::new(Role::Play, &target, 0, 1);
        client.stage = Stage::Connect;
        let refusal = Writer::default()
            .string("_error")
            .number(1.0)
            .null()
            .object();
        let refusal = refusal.key("description").string("too many").end().done();
        let error = client.command(&amf::answer(&refusal)).unwrap_err();
        assert!(error.to_string().contains("too many"));
    }

    #[test]
    fn fixed_messages_are_whole_chunks() {
        let mut parser = Parser::new(INITIAL_SIZE);
        let mut seen = Vec::new();
        let bytes = [&acknowledgement(7)[..], &BLIND_PONG].concat();
        parser
            .push(&bytes, &mut |header, payload| {
                seen.push((header.kind, payload.len()));
                Ok(())
            })
            .unwrap();
        assert_eq!(seen, [(kind::ACKNOWLEDGEMENT, 4), (kind::USER_CONTROL, 6)]);
    }
}
