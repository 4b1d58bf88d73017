//! What a stream says of itself.

use super::{Phase, State};
use crate::status::{self, Place, Publish, StreamSnapshot};

impl State {
    pub(super) fn snapshot(&self) -> StreamSnapshot {
        let state = match &self.phase {
            Phase::Expected | Phase::Grace => status::State::Waiting,
            Phase::Live(_) => status::State::Live,
            Phase::Over => status::State::Ended,
        };
        let place = match &self.phase {
            Phase::Expected => Place::Waiting,
            Phase::Live(_) | Phase::Grace | Phase::Over => Place::Origin,
        };
        let publish = match &self.phase {
            Phase::Live(current) => Some(Publish {
                since: current.since / 1_000_000,
                protocol: "rtmp".to_owned(),
                encoder: String::new(),
                publisher: current.peer.addr.to_string(),
            }),
            Phase::Expected | Phase::Grace | Phase::Over => None,
        };
        StreamSnapshot {
            key: self.key.clone(),
            state,
            place,
            publish,
            ring: self.ring.clone(),
            subscribers: self.viewers.clone(),
            edges: Default::default(),
            bytes_out: None,
        }
    }
}
