//! What of this is kept here: see [`crate::warm`].

use std::collections::HashSet;

use directory::Kind;
use media::StreamKey;
use ractor::ActorRef;
use tracing::{info, warn};

use super::{Message, State};
use crate::stream;
use crate::warm::{Warm, chosen};

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
        for key in wanted.difference(&self.warm.clone()) {
            info!(%key, "is kept warm");
            match self.stream(myself, key.clone(), true).await {
                Ok(stream) => drop(stream.cast(stream::Message::Warm(true))),
                Err(refusal) => warn!(%key, %refusal, "cannot be kept warm"),
            }
        }
        self.warm = wanted;
    }
}
