//! Orders to pull a stream before anybody watches: a shared setting, which all nodes follow.

use std::time::{Duration, SystemTime};

use directory::{Expect, Kind, Life, SettingName};
use media::StreamKey;

use super::Inner;
use crate::status::{Refusal, RefusalKind, Timestamp, Until, Warm};
use crate::warm::{self, chosen};

impl Inner {
    /// Has a stream pulled by so many nodes; by none, it is no longer kept warm.
    pub(super) async fn warm(
        &self,
        key: StreamKey,
        edges: usize,
        until: Until,
    ) -> Result<Warm, Refusal> {
        let left = match until {
            Until::Stopped => None,
            Until::At(time) => Some(time.duration_since(SystemTime::now()).map_err(|_| over())?),
        };
        if edges > 0 && self.others().is_empty() {
            let sentence = "this node is alone: there is no edge to keep a stream warm at";
            return Err(Refusal::new(RefusalKind::Conflict, sentence));
        }
        self.keep(&key, edges, left).await?;
        let nodes = self.directory.nodes();
        let chosen = chosen(&key, edges, nodes.iter().map(|node| &**node));
        Ok(Warm {
            stream_key: key.as_str().to_owned(),
            edges: chosen.into_iter().map(ToString::to_string).collect(),
            until: match until {
                Until::At(time) if edges > 0 => Some(Timestamp::from(time)),
                Until::At(_) | Until::Stopped => None,
            },
        })
    }

    async fn keep(
        &self,
        key: &StreamKey,
        edges: usize,
        left: Option<Duration>,
    ) -> Result<(), Refusal> {
        let name = SettingName::from(key);
        let set = if edges == 0 {
            let deleted = self.directory.delete_setting(Kind::Warm, name, Expect::Any);
            deleted.await
        } else {
            let value = serde_json::to_value(warm::Warm { edges }).unwrap_or_default();
            let life = left.map_or(Life::Kept, Life::For);
            let put = self
                .directory
                .put_setting(Kind::Warm, name, value, life, Expect::Any);
            put.await.map(drop)
        };
        set.map_err(|error| {
            let sentence = format!("nothing has changed: {error}; try again");
            Refusal::new(RefusalKind::Unavailable, sentence)
        })
    }
}

fn over() -> Refusal {
    let sentence = "until is over already: say how long from now, or \"stopped\"";
    Refusal::new(RefusalKind::Invalid, sentence)
}
