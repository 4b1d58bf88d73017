//! Packets that are on a long way.

use std::collections::BTreeMap;
use std::time::Instant;

/// Bytes that are on their way at most; what comes on top is lost, as in any queue.
const ON_THE_WAY: usize = 64 << 20;

/// Packets that wait for their time.
#[derive(Debug, Default)]
pub(super) struct Late {
    /// In the order of their times, and of their coming where those are equal.
    packets: BTreeMap<(Instant, u64), Packet>,
    count: u64,
    bytes: usize,
}

/// A packet, and whom it is for.
type Packet = (u8, Box<[u8]>);

impl Late {
    /// Takes a packet that is due at a time.
    pub(super) fn hold(&mut self, due: Instant, to: u8, packet: &[u8]) {
        if self.bytes + packet.len() > ON_THE_WAY {
            return;
        }
        self.bytes += packet.len();
        self.count += 1;
        self.packets.insert((due, self.count), (to, packet.into()));
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.packets.first_key_value().map(|(&(due, _), _)| due)
    }

    /// The next one that is due by now.
    pub(super) fn due(&mut self, now: Instant) -> Option<Packet> {
        let first = self
            .packets
            .first_entry()
            .filter(|first| first.key().0 <= now)?;
        let (to, packet) = first.remove();
        self.bytes -= packet.len();
        Some((to, packet))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn packets_come_in_the_order_of_their_times_and_not_before() {
        let mut late = Late::default();
        let now = Instant::now();
        let soon = now + Duration::from_millis(10);
        late.hold(soon, 2, b"second");
        late.hold(soon, 2, b"third");
        late.hold(now, 3, b"first");
        assert_eq!(late.next(), Some(now));
        let due = |late: &mut Late, at| late.due(at).map(|(_, packet)| packet.to_vec());
        assert_eq!(due(&mut late, now), Some(b"first".to_vec()));
        assert_eq!(due(&mut late, now), None);
        assert_eq!(due(&mut late, soon), Some(b"second".to_vec()));
        assert_eq!(due(&mut late, soon), Some(b"third".to_vec()));
        assert_eq!((late.next(), late.bytes), (None, 0));
    }
}
