//! How a connection ends.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::timeout;

use crate::peer::Peer;
use crate::transport::{Arrived, Told};

/// After our last words the peer has so long to take them.
const LINGER: Duration = Duration::from_secs(1);

/// Sends our last words, ends our half and waits for the peer to end its own, so that they are not
/// lost to a reset. All of it within [`LINGER`]: a peer that takes nothing is closed all the same.
pub(super) async fn farewell(peer: &Peer, begun: &mut BytesMut) {
    peer.close_post();
    let leave = async {
        while !peer.flush()? {
            peer.transport.writable().await?;
        }
        peer.transport.shutdown_write();
        loop {
            peer.transport.readable().await?;
            let read = peer.transport.try_read(begun, Told::Yes, BytesMut::clear);
            match read {
                Ok(Arrived::End) => return io::Result::Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    };
    // Whether it ended well or not, it ended.
    drop(timeout(LINGER, leave).await);
}

/// The peer is gone, which is how most connections end.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof
    )
}
