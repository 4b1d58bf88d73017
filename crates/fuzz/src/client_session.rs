use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use flv::{Kind, Tag};
use rtmp::Url;
use rtmp::client::{Config, Error, Event, Intent, Session, Start};
use rtmp::message::Message;

use crate::memory::bounded;
use crate::pieces::{choices, pieces};
use crate::rtmp_peer::{Listener, behind_handshake};

/// The client's end: a byte for the pieces the input comes in, one for what the client wants,
/// one spare, one for the limits; then what a server sends, behind a handshake unless the top
/// bit of the second is set.
pub fn client_session(data: &[u8]) {
    let Some(([seed, wish, _, aggregate], bytes)) = choices::<4>(data) else {
        return;
    };
    let input = behind_handshake(bytes, wish & 0x80 == 0);
    let intent = match wish & 1 {
        1 => Intent::Publish,
        _ => Intent::Pull {
            start: match wish >> 1 & 3 {
                0 => Start::Any,
                1 => Start::Live,
                _ => Start::At(Duration::from_millis(1500)),
            },
            subscribe: wish & 8 != 0,
        },
    };
    let mut config = Config {
        // A bound that holds for one call holds for less the smaller its piece.
        max_pending_output: usize::MAX,
        ..Config::default()
    };
    if aggregate > 0 {
        config.max_aggregate = aggregate.into();
    }
    let config = Arc::new(config);

    let whole = run(&config, intent, [&input[..]]);
    assert_eq!(
        run(&config, intent, pieces(&input, seed)),
        whole,
        "in pieces"
    );
    let config = Arc::new(Config::default());
    bounded(input.len(), 1024, 2 << 20, || {
        run(&config, intent, [&input[..]])
    });
}

/// What a session said, by its events and to its peer.
#[derive(Debug, Default, PartialEq)]
struct Said {
    events: Vec<Event>,
    messages: Vec<Message>,
    error: Option<Error>,
}

fn run<'a>(
    config: &Arc<Config>,
    intent: Intent,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Said {
    let now = Instant::now();
    let url = Url::parse("rtmp://example.org/live/cam?token=x").expect("a good URL");
    let mut session = Session::new(config.clone(), &url, intent, now);
    let mut input = BytesMut::new();
    let mut listener = Listener::new();
    let mut said = Said::default();
    for piece in pieces {
        input.extend_from_slice(piece);
        said.error = session.handle_input(now, &mut input).err();
        drain(&mut session, &mut listener, &mut said);
        if said.error.is_some() || session.is_closing() {
            break;
        }
    }
    if said.error.is_none() {
        finish(session, intent, now, &mut listener, &mut said);
    }
    said.messages = listener.messages;
    said
}

/// What a program may do at any time does no harm.
fn finish(
    mut session: Session,
    intent: Intent,
    now: Instant,
    listener: &mut Listener,
    said: &mut Said,
) {
    let tag = Tag::new(Kind::Audio, 40, Bytes::from_static(&[0xaf, 0x01, 0x21]));
    let (publishing, closing) = (session.is_publishing(), session.is_closing());
    assert!(!publishing || intent == Intent::Publish);
    assert_eq!(session.send(&tag), publishing);
    let started = said.events.contains(&Event::Publishing);
    assert!(!publishing || started, "publishing without a word");
    session.pause(true, 40);
    session.receive_audio(false);
    session.receive_video(true);
    if let Some(at) = session.poll_timeout() {
        assert!(!closing);
        assert_eq!(
            session.handle_timeout(at - Duration::from_millis(1)),
            Ok(())
        );
        assert!(session.handle_timeout(at).is_err(), "silence ends");
        assert!(at > now);
    }
    session.finish();
    assert!(session.is_closing());
    drain(&mut session, listener, said);
    assert_eq!(session.poll_timeout(), None);
}

fn drain(session: &mut Session, listener: &mut Listener, said: &mut Said) {
    while let Some(output) = session.poll_output() {
        listener.hear_part(&output);
    }
    listener.check_whole();
    while let Some(event) = session.poll_event() {
        if let Event::Tag(tag) = &event {
            assert!(!tag.payload.is_empty(), "an empty tag");
            let begun = |event: &Event| matches!(event, Event::Connected { .. });
            assert!(said.events.iter().any(begun), "a tag before connect");
        }
        said.events.push(event);
    }
}
