//! How a node leaves: it says so, lets balancers look away, asks its peers to go one after the other, and closes who
//! is still there in time.

use std::sync::Arc;
use std::time::Duration;

use ractor::ActorRef;
use tracing::info;

use super::{Message, State};
use crate::chance;
use crate::config::Farewell;
use crate::connection;
use crate::stream;

impl State {
    /// Says that it leaves, and goes on for as long as balancers need to notice.
    pub(super) fn drain(&mut self, myself: &ActorRef<Message>) {
        if std::mem::replace(&mut self.draining, true) {
            return;
        }
        self.context.metrics.draining(true);
        info!(
            connections = self.connections.len(),
            streams = self.streams.len(),
            "draining"
        );
        for part in &self.parts {
            part.tell_keeper_to_drain();
        }
        for entry in self.streams.values() {
            drop(entry.stream.cast(stream::Message::Draining));
        }
        for key in std::mem::take(&mut self.warm) {
            // Others keep it from now on.
            if let Some(stream) = self.known(&key) {
                drop(stream.cast(stream::Message::Warm(false)));
            }
        }
        let delay = match self.is_alone() {
            true => Duration::ZERO,
            false => self.context.config.node.farewell().delay,
        };
        if delay.is_zero() {
            return self.leave(myself);
        }
        drop(myself.send_after(delay, || Message::Leave));
    }

    /// Nobody else could take its peers.
    fn is_alone(&self) -> bool {
        self.context.membership.relay.is_none()
    }

    /// Accepts nobody, and asks everybody to go: encoders at once, players over a while, so that they do not come to
    /// the other nodes all at the same moment.
    pub(super) fn leave(&mut self, myself: &ActorRef<Message>) {
        if std::mem::replace(&mut self.leaving, true) {
            return;
        }
        self.context.hls.close();
        // With its socket, so that who connects from now on is refused and looks elsewhere.
        self.parts.retain_mut(|part| !part.is_closed_by_leaving());
        if self.is_alone() {
            return self.leave_now();
        }
        let Farewell { window, until, .. } = self.context.config.node.farewell();
        for connection in self.connections.values() {
            let moment = window.mul_f64(chance::number());
            drop(connection.cast(connection::Message::Drain { within: moment }));
        }
        drop(myself.send_after(until, || Message::LeaveNow));
    }

    /// Nobody is here any more, and nothing that others may want: a stream waits for the node that its encoder comes
    /// to, and for those that pull it to have all of it.
    pub(super) fn has_left(&self) -> bool {
        let has_streams = !self.is_alone() && !self.streams.is_empty();
        let is_released = Arc::strong_count(&self.context.releasing) == 1;
        self.leaving && self.connections.is_empty() && !has_streams && is_released
    }

    /// Closes who is still there.
    pub(super) fn leave_now(&mut self) {
        for connection in self.connections.values() {
            drop(connection.cast(connection::Message::Close));
        }
    }
}
