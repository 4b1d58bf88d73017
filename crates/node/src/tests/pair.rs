//! A peer of this node and the far end of its socket, for tests of what is written to it.

use std::sync::Arc;

use bytes::Bytes;
use flv::{Kind, Tag};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use crate::burst::Burst;
use crate::peer::Peer;
use crate::transport::Transport;

pub(crate) async fn connected() -> (Arc<Peer>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    let far = TcpStream::connect(address).await.expect("connected");
    let (socket, from) = listener.accept().await.expect("accepted");
    (Arc::new(Peer::new(from, Transport::Plain(socket))), far)
}

/// A write of one tag, the one of that number.
pub(crate) fn burst(number: u64, bytes: &'static [u8]) -> Burst {
    let mut burst = Burst::default();
    burst.restart(number);
    burst.push(&[Bytes::from_static(bytes)]);
    burst
}

/// All that has been written to the peer, whose socket is closed for it.
pub(crate) async fn all(peer: Arc<Peer>, mut far: TcpStream) -> Vec<u8> {
    peer.transport.shutdown_write();
    let mut written = Vec::new();
    far.read_to_end(&mut written).await.expect("all of it");
    written
}

/// A frame of MP3, which needs no configuration.
pub(crate) fn sound(dts: u32) -> Tag {
    Tag::new(Kind::Audio, dts, Bytes::from_static(&[0x2f, 0xff, 0xfb]))
}
