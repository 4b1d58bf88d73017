//! Streams that are pulled before anybody watches.
//!
//! Which nodes keep a stream warm is a shared setting, so that any node can change it and a node
//! that starts again finds it: under the stream's key `{"nodes": […], "until": …}`, the time in
//! milliseconds since 1970, left out if there is none.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use directory::{Expect, Kind, Life, NodeRecord, Role, SettingName};
use futures::future::join_all;
use media::StreamKey;
use relay::{Action, WarmUntil};
use serde::{Deserialize, Serialize};

use super::Inner;
use super::here::ask;
use crate::node;
use crate::status::{Part, Refusal, RefusalKind, Timestamp, Until, Warm, WarmFailure};

/// Who keeps a stream warm, as the directory has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Kept {
    pub(crate) nodes: BTreeSet<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<i64>,
}

impl Inner {
    /// Has a stream pulled by so many nodes, and by no others that were told to before.
    pub(super) async fn warm(
        &self,
        key: StreamKey,
        edges: usize,
        until: Until,
    ) -> Result<Warm, Refusal> {
        if matches!(until, Until::At(time) if time <= SystemTime::now()) {
            let sentence = "until is over already; say how long from now, or \"stopped\"";
            return Err(Refusal::new(RefusalKind::Invalid, sentence));
        }
        let before = self.kept(&key).unwrap_or_default();
        let chosen = match edges {
            0 => BTreeSet::new(),
            edges => self.choose(&key, edges, &before).await?,
        };
        let until_millis = match until {
            Until::At(time) => Some(Timestamp::from(time)),
            Until::Stopped => None,
        };
        self.keep(&key, &chosen, until_millis).await?;

        let wanted = match until {
            Until::At(time) => WarmUntil::At(time),
            Until::Stopped => WarmUntil::Stopped,
        };
        let over = WarmUntil::At(SystemTime::UNIX_EPOCH);
        let no_longer = before.nodes.difference(&chosen).map(|node| (node, over));
        let told = chosen.iter().map(|node| (node, wanted)).chain(no_longer);
        let told: Vec<_> = told.collect();
        let done = join_all(
            told.iter()
                .map(|(node, until)| self.tell(node, &key, *until)),
        )
        .await;
        let mut warm = Warm {
            stream_key: key.as_str().to_owned(),
            until: until_millis.filter(|_| edges > 0),
            ..Warm::default()
        };
        for ((node, _), done) in told.into_iter().zip(done) {
            match done {
                Ok(()) if chosen.contains(node) => warm.edges.push(node.clone()),
                Ok(()) => {}
                // Gone, it keeps nothing warm.
                Err(_) if !chosen.contains(node) && self.other(node).is_err() => {}
                Err(refusal) => warm.failed.push(WarmFailure {
                    node: node.clone(),
                    error: refusal.sentence,
                }),
            }
        }
        Ok(warm)
    }

    /// Pulls a stream and keeps it, on this node.
    pub(super) async fn warm_here(&self, key: StreamKey, until: WarmUntil) -> Result<(), Refusal> {
        let warm = |reply| node::Message::Warm(key, until, reply);
        ask(self.here.actor(), warm).await.unwrap_or_else(|| {
            let sentence = format!("{} does not get to it; try again", self.here.id());
            Err(Refusal::new(RefusalKind::Unavailable, sentence))
        })
    }

    async fn tell(&self, node: &str, key: &StreamKey, until: WarmUntil) -> Result<(), Refusal> {
        if node == self.here.id() {
            return self.warm_here(key.clone(), until).await;
        }
        let node = self.other(node)?;
        let action = Action::Warm {
            key: key.clone(),
            until,
        };
        self.order_other(&node, action).await.map(drop)
    }

    fn kept(&self, key: &StreamKey) -> Option<Kept> {
        let setting = self
            .directory
            .setting(Kind::Warm, &SettingName::from(key))?;
        serde_json::from_value(setting.value.clone()).ok()
    }

    async fn keep(
        &self,
        key: &StreamKey,
        nodes: &BTreeSet<String>,
        until: Option<Timestamp>,
    ) -> Result<(), Refusal> {
        let name = SettingName::from(key);
        let put = if nodes.is_empty() {
            let deleted = self.directory.delete_setting(Kind::Warm, name, Expect::Any);
            deleted.await
        } else {
            let kept = Kept {
                nodes: nodes.clone(),
                until: until.map(Timestamp::millis),
            };
            let life = until.map_or(Life::Kept, |until| {
                let left = until.millis().saturating_sub(self.here.now());
                let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
                Life::For(left.max(Duration::from_secs(1)))
            });
            let value = serde_json::to_value(kept).unwrap_or_default();
            let put = self
                .directory
                .put_setting(Kind::Warm, name, value, life, Expect::Any);
            put.await.map(drop)
        };
        put.map_err(|error| {
            let sentence = format!("nothing is kept warm: {error}; try again");
            Refusal::new(RefusalKind::Unavailable, sentence)
        })
    }

    /// The nodes that shall keep a stream warm: those that do already, then those that have it
    /// anyway, edges before others, and those with the least load first; never its origin.
    async fn choose(
        &self,
        key: &StreamKey,
        edges: usize,
        before: &Kept,
    ) -> Result<BTreeSet<String>, Refusal> {
        let (held, gathered) = tokio::join!(self.held(key), self.gather(key));
        let (served, unreachable) = gathered;
        let is_origin = |name: &str| {
            held.as_ref()
                .is_some_and(|held| held.record.node.as_str() == name)
                || served
                    .iter()
                    .any(|served| served.part == Part::Origin && served.node == name)
        };
        let pulls = |name: &str| {
            let mut served = served.iter();
            served.any(|served| served.part == Part::Pulled && served.node == name)
        };
        let mut nodes: Vec<Arc<NodeRecord>> = self.directory.nodes();
        nodes.retain(|node| {
            let name = node.id.as_str();
            let takes_players = matches!(node.role, Role::Edge | Role::All);
            let answers = !unreachable.iter().any(|it| it == name);
            takes_players && answers && !node.draining && !is_origin(name)
        });
        nodes.sort_by(|a, b| {
            let rank = |node: &NodeRecord| {
                let name = node.id.as_str();
                let is_new = !before.nodes.contains(name);
                (is_new, !pulls(name), node.role != Role::Edge)
            };
            let by_load = a.load.total_cmp(&b.load);
            rank(a).cmp(&rank(b)).then(by_load).then(a.id.cmp(&b.id))
        });
        let alone = self.others().is_empty();
        if alone || nodes.is_empty() {
            let sentence = match alone {
                true => "this node is alone, and there is no edge to keep a stream warm at",
                false => "no node can keep it warm: all others drain, or do not answer",
            };
            return Err(Refusal::new(RefusalKind::Conflict, sentence));
        }
        let chosen = nodes.iter().take(edges);
        Ok(chosen.map(|node| node.id.to_string()).collect())
    }
}
