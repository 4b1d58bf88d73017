//! A node's place in its cluster: the directory, the way to other nodes, and what it is called there.

use std::sync::Arc;
use std::time::Duration;

use directory::{Directory, Embedded, Fingerprint, NodeId, NodeRecord, Role};
use media::Epoch;
use relay::{Client, Member, Peer, Tuning};

use crate::auth::Identity;
use crate::config::Config;
use crate::handle::StartError;
use crate::pull::Clocks;
use crate::trust::Trust;

/// A node that does not answer within this is taken for dead by those who have a reason to.
pub(crate) const PROBE: Duration = Duration::from_millis(500);

/// How much longer than a publisher may be silent an answer about its key may take.
const RELEASE: Duration = Duration::from_secs(7);

/// So many origins are named to an encoder that came to an edge.
const SHOWN: usize = 4;

/// What a node has of its cluster.
pub(crate) struct Membership {
    pub(crate) directory: Arc<dyn Directory>,
    /// How other nodes are reached; a node alone has nobody to reach.
    pub(crate) relay: Option<Relay>,
    /// What fingerprints of identities are made with, the same on all nodes.
    secret: Vec<u8>,
}

/// How nodes speak to each other.
pub(crate) struct Relay {
    pub(crate) client: Client,
    pub(crate) me: Member,
    pub(crate) auth: relay::Auth,
    pub(crate) tuning: Tuning,
    /// What is known of their clocks.
    pub(crate) clocks: Clocks,
    /// Whether they believe this node.
    pub(crate) trust: Trust,
}

impl Membership {
    /// As the configuration says; `directory` takes the place of the one that it names.
    pub(crate) fn new(
        config: &Config,
        id: NodeId,
        directory: Option<Arc<dyn Directory>>,
    ) -> Result<Membership, StartError> {
        let is_alone =
            directory.is_none() && config.directory.kind == directory::DirectoryKind::Embedded;
        let relay = if is_alone {
            None
        } else {
            let auth = config.relay.auth().map_err(StartError::Relay)?;
            let auth = auth.ok_or(StartError::NoRelayAuth)?;
            let me = Member::new(config.directory.cluster.as_str(), id.as_str())
                .map_err(StartError::ClusterName)?;
            // Who is asked to release a key may have to wait until its publisher has been silent for long enough.
            let release = config.publish.silence + RELEASE;
            let mut tuning = Tuning::default();
            tuning.call_timeout = tuning.call_timeout.max(release);
            Some(Relay {
                client: Client::new(me.clone(), auth.clone(), tuning.clone()),
                me,
                auth,
                tuning,
                clocks: Clocks::default(),
                trust: Trust::default(),
            })
        };
        let directory = match directory {
            Some(directory) => directory,
            None if is_alone => Embedded::alone(id),
            None => directory::join(config.directory.clone(), id),
        };
        // Without a secret the name of the cluster still keeps fingerprints of two clusters apart.
        let secret = match &config.relay.secret {
            Some(secret) => secret.expose().as_bytes().to_vec(),
            None => config.directory.cluster.as_bytes().to_vec(),
        };
        Ok(Membership {
            directory,
            relay,
            secret,
        })
    }

    /// This node.
    pub(crate) fn me(&self) -> &NodeId {
        self.directory.node()
    }

    /// Whether this node belongs to its cluster, or why not.
    pub(crate) fn belongs(&self) -> Result<(), String> {
        match &self.relay {
            Some(relay) => relay.trust.belongs(),
            None => Ok(()),
        }
    }

    /// What others may know of an identity.
    pub(crate) fn fingerprint(&self, identity: &Identity) -> Fingerprint {
        Fingerprint::of(&self.secret, identity.subject().as_bytes())
    }

    /// An epoch above all that are known, here and in the directory.
    pub(crate) fn next_epoch(&self, known: Option<Epoch>) -> Epoch {
        self.directory.next_epoch(known)
    }

    /// Where encoders can publish, for who came to an edge.
    pub(crate) fn origins(&self) -> String {
        let urls = self.origin_urls();
        if urls.is_empty() {
            return "an origin of this cluster".to_owned();
        }
        urls.into_iter()
            .take(SHOWN)
            .collect::<Vec<_>>()
            .join(" or ")
    }

    /// The origins by load.
    pub(crate) fn origin_urls(&self) -> Vec<String> {
        let mut nodes = self.directory.nodes();
        nodes.retain(|node| matches!(node.role, Role::All | Role::Origin) && !node.draining);
        nodes.sort_by(|a, b| a.load.total_cmp(&b.load));
        let urls = nodes.iter().filter_map(|node| node.address("rtmp"));
        urls.map(str::to_owned).collect()
    }

    /// Where a node's relay listens, as last known. None: it is gone, or it is this one.
    pub(crate) fn peer(&self, id: &NodeId) -> Option<Peer> {
        if id == self.me() {
            return None;
        }
        peer(&*self.directory.find_node(id)?)
    }
}

/// Where that node's relay listens.
pub(crate) fn peer(node: &NodeRecord) -> Option<Peer> {
    Peer::new(node.id.as_str(), node.address("relay")?).ok()
}
