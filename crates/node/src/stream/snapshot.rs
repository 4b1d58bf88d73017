//! What a stream says of itself.

use super::{Phase, State};
use crate::status::{self, Place, Publish, StreamSnapshot};

impl State {
    pub(super) fn snapshot(&self) -> StreamSnapshot {
        let pulled = self.pulled.as_ref();
        let is_fed = self.is_fed();
        let state = match &self.phase {
            Phase::Live(_) => status::State::Live,
            Phase::Pulled if is_fed => status::State::Live,
            Phase::Expected | Phase::Grace | Phase::Pulled => status::State::Waiting,
            Phase::Over => status::State::Ended,
        };
        let from = pulled.and_then(|pulled| pulled.from.as_ref());
        let place = match (&self.phase, from) {
            (Phase::Live(_) | Phase::Grace | Phase::Over, _) => Place::Origin,
            (Phase::Pulled, Some(from)) => Place::Pulled {
                from: from.node.clone(),
                path: from.about.path.clone(),
                since: from.since,
            },
            (Phase::Pulled | Phase::Expected, _) => Place::Waiting,
        };
        let publish = match (&self.phase, from) {
            (Phase::Live(current), _) => Some(Publish {
                since: current.since / 1_000_000,
                protocol: "rtmp".to_owned(),
                encoder: current.encoder.clone(),
                publisher: current.peer.addr.to_string(),
            }),
            (Phase::Pulled, Some(from)) => Some(Publish::from(&from.about)),
            _ => None,
        };
        StreamSnapshot {
            key: self.key.clone(),
            state,
            place,
            publish,
            ring: self.ring.clone(),
            subscribers: self.players.told().to_vec(),
            hls: self.viewers_over_hls() as u64,
            sketch: self.sketch_over_hls(),
            edges: self.lent.edges(),
            bytes_out: None,
        }
    }
}
