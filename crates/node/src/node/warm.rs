//! What of this is kept here: see [`crate::warm`].

use std::collections::HashSet;
use std::time::Duration;

use directory::Kind;
use media::StreamKey;
use ractor::ActorRef;
use tracing::{info, warn};

use super::{Message, State};
use crate::stream;
use crate::warm::{Warm, chosen};

/// When to try again what could not be done.
const AGAIN: Duration = Duration::from_secs(10);

impl State {
    /// Begins and ends to keep streams, as the settings say.
    pub(super) async fn warm_up(&mut self, myself: &ActorRef<Message>) {
        let membership = &self.context.membership;
        if membership.relay.is_none() || self.draining {
            return;
        }
        let nodes = membership.directory.nodes();
        let me = membership.me().clone();
        let mut wanted = HashSet::new();
        for (name, setting) in membership.directory.settings(Kind::Warm) {
            let warm: Result<Warm, _> = serde_json::from_value(setting.value.clone());
            let (Ok(warm), Ok(key)) = (warm, StreamKey::parse(name.as_str())) else {
                warn!(%name, "a setting of what is to be warm makes no sense");
                continue;
            };
            let chosen = chosen(&key, warm.edges, nodes.iter().map(|node| &**node));
            if chosen.contains(&&me) {
                wanted.insert(key);
            }
        }
        for key in self.warm.difference(&wanted) {
            if let Some(entry) = self.streams.get_mut(key) {
                entry.requests += 1;
                drop(entry.stream.cast(stream::Message::Warm(false)));
            }
        }
        self.warm.retain(|key| wanted.contains(key));
        self.not_warm.retain(|key| wanted.contains(key));
        for key in wanted {
            if self.warm.contains(&key) {
                continue;
            }
            match self.stream(myself, key.clone(), true).await {
                Ok(stream) => {
                    info!(%key, "is kept warm");
                    drop(stream.cast(stream::Message::Warm(true)));
                    self.not_warm.remove(&key);
                    self.warm.insert(key);
                }
                Err(refusal) => {
                    // Told once: it is tried again and again.
                    if self.not_warm.insert(key.clone()) {
                        warn!(%key, %refusal, "cannot be kept warm now");
                    }
                }
            }
        }
        if !self.not_warm.is_empty() {
            self.warm_up_later(myself);
        }
    }

    /// A stream that has ended is kept warm for the publisher that comes next.
    pub(super) async fn warm_up_again(&mut self, myself: &ActorRef<Message>, key: &StreamKey) {
        if self.warm.remove(key) {
            self.warm_up(myself).await;
        }
    }

    /// A stream that has failed may fail again: not at once.
    pub(super) fn warm_up_failed(&mut self, myself: &ActorRef<Message>, key: &StreamKey) {
        if self.warm.remove(key) {
            self.warm_up_later(myself);
        }
    }

    fn warm_up_later(&mut self, myself: &ActorRef<Message>) {
        if !std::mem::replace(&mut self.warms_later, true) {
            drop(myself.send_after(AGAIN, || Message::WarmUp));
        }
    }
}
