mod life;

use std::sync::Arc;
use std::time::Instant;

use rtmp::message::Message;
use rtmp::{Config, Connect, Error, Event, PlayRefusal, PublishRefusal, Session};

use self::life::Life;
use crate::memory::bounded;
use crate::pieces::{choices, pieces};
use crate::rtmp_peer::{Listener, behind_handshake};

/// The server's end: a byte for the pieces the input comes in, one for the answers, two for the
/// limits; then what a client sends, behind a handshake unless the answers' top bit is set.
pub fn server_session(data: &[u8]) {
    let Some(([seed, policy, held, streams], bytes)) = choices::<4>(data) else {
        return;
    };
    let input = behind_handshake(bytes, policy & 0x80 == 0);
    let mut config = Config {
        // Bounds that hold for one call hold for less the smaller its piece; compare without.
        max_pending_output: usize::MAX,
        ..Config::default()
    };
    if held > 0 {
        config.max_held = usize::from(held) * 64;
        config.max_held_media = usize::from(held);
    }
    if streams > 0 {
        config.max_streams = usize::from(streams & 15) + 1;
        config.max_name = usize::from(streams >> 4) * 16;
    }
    let config = Arc::new(config);

    let silent = || End::new(&config, None);
    let whole = silent().run([&input[..]]);
    let cut = silent().run(pieces(&input, seed));
    assert_eq!(whole, cut, "unanswered, in pieces");

    // Answers come when events do: cuts where none happened make no difference.
    let mut end = End::new(&config, Some(policy));
    let mut cuts = Vec::new();
    let mut start = 0;
    let mut at = 0;
    for piece in pieces(&input, seed) {
        at += piece.len();
        let before = end.said.events.len();
        let goes_on = end.feed(piece);
        if end.said.events.len() > before || !goes_on || at == input.len() {
            cuts.push(start..at);
            start = at;
        }
        if !goes_on {
            break;
        }
    }
    let merged = End::new(&config, Some(policy)).run(cuts.into_iter().map(|cut| &input[cut]));
    assert_eq!(end.take_said(), merged, "answered, in larger pieces");
    end.time_out();

    let mut bounds = End::new(&Arc::new(Config::default()), Some(policy));
    bounded(input.len(), 1024, 2 << 20, || bounds.feed(&input));
    bounds.close();
}

/// What a session said, by its events and to its peer.
#[derive(Debug, Default)]
struct Said {
    events: Vec<Event>,
    messages: Vec<Message>,
    error: Option<Error>,
}

impl PartialEq for Said {
    fn eq(&self, other: &Self) -> bool {
        let same = |(ours, theirs): (&Event, &Event)| same(ours, theirs);
        self.events.len() == other.events.len()
            && self.events.iter().zip(&other.events).all(same)
            && self.messages == other.messages
            && self.error == other.error
    }
}

/// Whether two events are the same where NaN is.
fn same(ours: &Event, theirs: &Event) -> bool {
    let object = |connect: &Connect| amf::encode_all([&connect.object.clone().into()]);
    match (ours, theirs) {
        (Event::Connect(ours), Event::Connect(theirs)) => {
            let printed = format!("{ours:?}") == format!("{theirs:?}");
            printed && ours.params == theirs.params && object(ours) == object(theirs)
        }
        (Event::Play(ours), Event::Play(theirs)) => {
            let printed = format!("{ours:?}") == format!("{theirs:?}");
            let duration = [ours, theirs].map(|play| play.duration.to_bits());
            printed && ours.params == theirs.params && duration[0] == duration[1]
        }
        _ => ours == theirs,
    }
}

/// A session, and the program that answers it.
struct End {
    session: Session,
    input: bytes::BytesMut,
    now: Instant,
    listener: Listener,
    life: Life,
    /// What the answers follow from; `None` gives none.
    policy: Option<u8>,
    said: Said,
}

impl End {
    fn new(config: &Arc<Config>, policy: Option<u8>) -> Self {
        let now = Instant::now();
        Self {
            session: Session::new(config.clone(), now),
            input: bytes::BytesMut::new(),
            now,
            listener: Listener::new(),
            life: Life::default(),
            policy,
            said: Said::default(),
        }
    }

    fn run<'a>(mut self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Said {
        for piece in pieces {
            if !self.feed(piece) {
                break;
            }
        }
        self.take_said()
    }

    fn take_said(&mut self) -> Said {
        Said {
            messages: std::mem::take(&mut self.listener.messages),
            ..std::mem::take(&mut self.said)
        }
    }

    /// Takes a piece; `false` when the connection is over.
    fn feed(&mut self, piece: &[u8]) -> bool {
        self.input.extend_from_slice(piece);
        let result = self.session.handle_input(self.now, &mut self.input);
        self.drain();
        self.said.error = result.err();
        self.said.error.is_none() && !self.session.is_closing()
    }

    fn drain(&mut self) {
        loop {
            while let Some(output) = self.session.poll_output() {
                self.listener.hear(&output);
            }
            let batch: Vec<_> = std::iter::from_fn(|| self.session.poll_event()).collect();
            if batch.is_empty() {
                return;
            }
            self.life.begin_batch();
            for event in batch {
                self.life.event(&event);
                if let Some(policy) = self.policy {
                    // Each event is answered in a way of its own.
                    let choice = policy.rotate_left(self.said.events.len() as u32 % 8) & 7;
                    self.answer(&event, choice);
                }
                self.said.events.push(event);
            }
        }
    }

    fn answer(&mut self, event: &Event, choice: u8) {
        let session = &mut self.session;
        match event {
            Event::Connect(_) => match choice {
                6 => session.reject_connect("no"),
                7 => session.redirect_connect("rtmp://elsewhere/live", "not here"),
                _ => session.accept_connect(),
            },
            Event::FcPublish(_) if choice == 7 => {
                session.reject_fc_publish(PublishRefusal::BadName, "no");
            }
            Event::Publish(publish) => {
                let id = publish.stream_id;
                match choice {
                    0..=4 => {
                        session.accept_publish(id);
                        self.life.accepted(id);
                    }
                    5 => {} // Undecided for ever.
                    6 => {
                        session.reject_publish(id, PublishRefusal::Unauthorized, "no");
                        self.life.rejected(id);
                    }
                    _ => {
                        session.accept_publish(id);
                        self.life.accepted(id);
                        session.end_publish(id, "NetStream.Publish.BadName", "enough");
                        self.life.rejected(id);
                    }
                }
            }
            Event::Play(play) => {
                let id = play.stream_id;
                match choice {
                    0..=3 => {
                        session.accept_play(id);
                        self.life.accepted(id);
                        session.stream_dry(id);
                        session.stream_begin(id);
                    }
                    4 => {}
                    5 | 6 => {
                        session.reject_play(id, PlayRefusal::StreamNotFound, "no", choice == 6);
                        self.life.rejected(id);
                    }
                    _ => {
                        session.accept_play(id);
                        self.life.accepted(id);
                        session.end_play(id);
                        self.life.rejected(id);
                    }
                }
            }
            Event::CreateStream { .. } if choice == 7 => {
                let _ = session.request_reconnect(Some("rtmp://elsewhere/live"), "moving");
            }
            _ => {}
        }
    }

    /// With nobody saying anything more, the session comes to its end by itself, unless it waits
    /// for a decision of ours.
    fn time_out(mut self) {
        let mut last = self.now;
        for _ in 0..100 {
            let Some(at) = self.session.poll_timeout() else {
                break;
            };
            self.now = at.max(last);
            last = self.now;
            self.session.handle_timeout(self.now);
            self.drain();
        }
        assert_eq!(self.session.poll_timeout(), None, "time goes on for ever");
        self.close();
    }

    fn close(mut self) {
        self.session.handle_close();
        self.drain();
        self.session.handle_close();
        self.drain();
        self.life.over();
        assert!(self.session.is_closing());
        let closed = |event: &&Event| **event == Event::PeerClosed;
        assert_eq!(self.said.events.iter().filter(closed).count(), 1);
    }
}
