//! What a player says that only listens.

use super::*;
use crate::config::Coalesce;

/// A message as a client sends it, with a mask that changes nothing.
fn said(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = 0x80 | u8::try_from(payload.len()).expect("a short one");
    [&[kind, length, 0, 0, 0, 0][..], payload].concat()
}

#[tokio::test]
async fn a_ping_is_answered_and_a_goodbye_too() {
    let node = node(|_| {}).await;
    let publisher = publish(&node, "a").await;
    publisher.send(keyframe(0)).await.expect("open");
    let mut viewer = Viewer::of(&node, "live/a", Carrier::WebSocket);
    viewer.head().await;
    // The head of the file, and the picture.
    drop((viewer.message().await, viewer.message().await));
    let talk = [said(0x81, b"hello"), said(0x89, b"there?")].concat();
    viewer.socket.write_all(&talk).await.expect("open");
    assert_eq!(viewer.message().await, (0x8A, b"there?".to_vec()));
    publisher.send(keyframe(40)).await.expect("open");
    assert_eq!(viewer.message().await, (0x82, in_file(&keyframe(40))));
    let goodbye = said(0x88, &[3, 0xE8]);
    viewer.socket.write_all(&goodbye).await.expect("open");
    assert_eq!(viewer.rest().await, [0x88, 2, 3, 0xE8]);
    until("it has left", async || node.connections().await == 1).await;
    node.drain().await;
}

#[tokio::test]
async fn who_breaks_the_protocol_is_closed() {
    let node = node(|_| {}).await;
    let publisher = publish(&node, "a").await;
    publisher.send(keyframe(0)).await.expect("open");
    let mut viewer = Viewer::of(&node, "live/a", Carrier::WebSocket);
    viewer.head().await;
    let unmasked = [0x89, 0];
    viewer.socket.write_all(&unmasked).await.expect("open");
    assert!(viewer.rest().await.ends_with(&[0x88, 2, 3, 0xEA]));
    node.drain().await;
}

#[tokio::test]
async fn who_talks_and_talks_is_closed() {
    let node = node(|_| {}).await;
    let publisher = publish(&node, "a").await;
    publisher.send(keyframe(0)).await.expect("open");
    let mut viewer = Viewer::of(&node, "live/a", Carrier::Bytes);
    viewer.head().await;
    assert_eq!(viewer.tag().await, keyframe(0));
    viewer.socket.write_all(&[7; 60_000]).await.expect("open");
    publisher.send(keyframe(40)).await.expect("open");
    assert_eq!(viewer.tag().await, keyframe(40), "a little is no harm");
    viewer.socket.write_all(&[7; 60_000]).await.expect("open");
    until("it is gone", async || node.connections().await == 1).await;
    node.drain().await;
}

#[tokio::test]
async fn who_is_silent_while_nothing_moves_is_asked_and_then_given_up() {
    let node = node(|config| {
        config.limits.ping_interval = Duration::from_millis(100);
        config.limits.ping_timeout = Duration::from_millis(500);
    })
    .await;
    let publisher = publish(&node, "a").await;
    publisher.send(keyframe(0)).await.expect("open");
    let mut answers = Viewer::of(&node, "live/a", Carrier::WebSocket);
    let mut silent = Viewer::of(&node, "live/a", Carrier::WebSocket);
    for viewer in [&mut answers, &mut silent] {
        viewer.head().await;
        drop((viewer.message().await, viewer.message().await));
    }
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        assert_eq!(answers.message().await, (0x89, Vec::new()));
        let pong = said(0x8A, b"");
        answers.socket.write_all(&pong).await.expect("open");
    }
    let asked = silent.rest().await;
    assert!(
        asked.len() >= 4 && asked.chunks(2).all(|ask| ask == [0x89, 0]),
        "{asked:?}"
    );
    publisher.send(keyframe(40)).await.expect("open");
    loop {
        let (kind, _) = answers.message().await;
        if kind == 0x82 {
            break;
        }
        assert_eq!(kind, 0x89);
    }
    node.drain().await;
}

/// The kinds of the messages in these bytes.
fn kinds(mut bytes: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let [kind, short, rest @ ..] = bytes {
        let (length, rest) = match (short, rest) {
            (126, [high, low, rest @ ..]) => (u64::from(u16::from_be_bytes([*high, *low])), rest),
            (127, rest) => {
                let (wide, rest) = rest.split_first_chunk().expect("a length");
                (u64::from_be_bytes(*wide), rest)
            }
            (short, rest) => (u64::from(*short), rest),
        };
        let length = usize::try_from(length).expect("a length");
        assert!(rest.len() >= length, "it is whole");
        kinds.push(*kind);
        bytes = &rest[length..];
    }
    kinds
}

#[tokio::test]
async fn a_goodbye_is_answered_where_the_last_message_ends_and_nothing_follows() {
    let node = node(|config| {
        config.egress.coalesce = Coalesce::Fixed(Duration::ZERO);
        config.egress.max_lag = PATIENCE;
    })
    .await;
    let publisher = publish(&node, "a").await;
    publisher.send(keyframe(0)).await.expect("open");
    for round in 1..10 {
        let mut viewer = Viewer::of(&node, "live/a", Carrier::WebSocket);
        viewer.head().await;
        // More than it takes while it does not read.
        for frame in 0..20 {
            let payload = [&[0x12, 0, 0, 0x84][..], &[7; 50_000]].concat();
            let frame = Tag::new(Kind::Video, round * 1000 + frame, payload.into());
            publisher.send(frame).await.expect("open");
        }
        let unread = || rustix::io::ioctl_fionread(&viewer.socket).expect("a socket");
        until("it is full", async || unread() > 50_000).await;
        let goodbye = said(0x88, &[3, 0xE8]);
        viewer.socket.write_all(&goodbye).await.expect("open");
        // It has been heard, and is answered as soon as there is room.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let kinds = kinds(&viewer.rest().await);
        let (last, before) = kinds.split_last().expect("an answer");
        assert_eq!(*last, 0x88, "in round {round}");
        assert!(before.iter().all(|kind| *kind == 0x82), "{before:x?}");
    }
    node.drain().await;
}

#[tokio::test]
async fn a_pipe_holds_little_that_is_not_read() {
    let (socket, mut far) = Socket::pipe().expect("a pipe");
    let Socket(transport) = socket;
    transport.prepare(1 << 20).expect("nothing to prepare");
    transport.writable().await.expect("open");
    let mut held = 0;
    while let Ok(written) = transport.try_write(&[0; 4096]) {
        held += written;
    }
    assert!((16 << 10..128 << 10).contains(&held), "{held} bytes");
    drop(transport);
    let mut read = Vec::new();
    far.read_to_end(&mut read).await.expect("an end");
    assert_eq!(read.len(), held);
}
