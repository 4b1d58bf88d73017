//! Lets an encoder's audio wait in the kernel for the video frame that follows.
//!
//! Players are not served before that frame anyway (see [`crate::pace`]), so with many encoders two of
//! three wake-ups, reads and acknowledgements are for nothing. The socket then wakes us for no less
//! than [`LOW_WATER`] bytes: a video frame has them, an audio tag does not.

use std::time::{Duration, Instant};

use crate::pace::Pace;
use crate::transport::Transport;

/// More than a tag of audio, less than nearly every video frame.
const LOW_WATER: u16 = 1024;
/// What arrived is read after so long at the latest: a little longer than the frames of films are apart.
const PATIENCE: Duration = Duration::from_millis(48);
/// An encoder whose tags do wait that long, so often in a row, sends no video, or hardly any, or waits for
/// acknowledgements of ours. One late frame is no such sign.
const LATE: u32 = 3;
/// Its tags are taken as they come for so long.
const RESPITE: Duration = Duration::from_secs(10);

/// Whether, and since when, an encoder's tags may wait.
#[derive(Debug, Default)]
pub(super) struct Gather {
    /// When what waits is read; `None` while nothing may wait.
    due: Option<Instant>,
    not_before: Option<Instant>,
    /// How often in a row nothing woke us in time.
    late: u32,
}

impl Gather {
    /// Everything that had arrived was read: until the next read, tags may wait, if that is `wanted`.
    pub(super) fn rest(&mut self, now: Instant, wanted: bool, transport: &Transport) {
        let wanted = wanted && self.not_before.is_none_or(|then| now >= then);
        if wanted != self.due.is_some() {
            let bytes = if wanted { LOW_WATER } else { 1 };
            if !transport.wake_from(bytes) {
                return;
            }
        }
        self.due = wanted.then(|| now + PATIENCE);
    }

    /// When to read what has not woken us.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Something woke us.
    pub(super) fn woke(&mut self) {
        self.late = 0;
    }

    /// Nothing woke us in time. A busy node reads on like that, others at last no longer let this encoder wait.
    pub(super) fn waited(&mut self, now: Instant, pace: &Pace) {
        self.late += 1;
        if self.late >= LATE && !pace.is_busy() {
            self.late = 0;
            self.not_before = Some(now + RESPITE);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;
    use crate::config::Coalesce;
    use crate::transport::Told;

    const TEST_PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn an_encoder_that_nothing_wakes_us_for_is_spared_the_wait() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut encoder = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let transport = Transport::new(listener.accept().await.unwrap().0, None).unwrap();
        let pace = Pace::new(Coalesce::Adaptive, 1);
        let mut gather = Gather::default();
        let start = Instant::now();

        gather.rest(start, true, &transport);
        assert_eq!(gather.due(), Some(start + PATIENCE));
        // What did not wake us can be read.
        encoder.write_all(&[0; 400]).await.unwrap();
        let mut begun = BytesMut::new();
        let read = async {
            while transport.try_read(&mut begun, Told::No, |_| {}).is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(TEST_PATIENCE, read).await.expect("in time");
        assert_eq!(begun.len(), 400);

        for _ in 0..LATE {
            gather.rest(start + PATIENCE, true, &transport);
            assert!(gather.due().is_some());
            gather.waited(start + PATIENCE, &pace);
        }
        gather.rest(start + PATIENCE, true, &transport);
        assert_eq!(gather.due(), None);
        // As little as this wakes us again.
        encoder.write_all(&[0]).await.unwrap();
        let readable = timeout(TEST_PATIENCE, transport.readable()).await;
        readable.expect("in time").unwrap();

        gather.rest(start + PATIENCE + RESPITE, true, &transport);
        assert!(gather.due().is_some());
        gather.rest(start + PATIENCE + RESPITE, false, &transport);
        assert_eq!(gather.due(), None);
    }
}
