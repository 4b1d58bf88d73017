//! How a cluster is made.

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::cluster::{Member, Role};
use crate::{Balancer, Cluster, Etcd, Network, Node, Options};

/// What a [`Cluster`] shall consist of.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Builder {
    etcd: usize,
    origins: usize,
    edges: usize,
    nodes: usize,
    balanced: bool,
    network: Option<Network>,
    settings: Vec<String>,
    settings_of: Vec<(String, String)>,
}

impl Builder {
    /// With an etcd of 1 or 3 members. Without, nodes know nothing of each other.
    pub fn etcd(mut self, members: usize) -> Self {
        self.etcd = members;
        self
    }

    /// With so many origins: `o1`, `o2`, …
    pub fn origins(mut self, count: usize) -> Self {
        self.origins = count;
        self
    }

    /// With so many edges: `e1`, `e2`, …
    pub fn edges(mut self, count: usize) -> Self {
        self.edges = count;
        self
    }

    /// With so many nodes that are both: `n1`, `n2`, …
    pub fn nodes(mut self, count: usize) -> Self {
        self.nodes = count;
        self
    }

    /// With a balancer, players to all but origins and encoders to all but edges.
    pub fn balanced(mut self) -> Self {
        self.balanced = true;
        self
    }

    /// In a network of its own making, in place of the loopback network: see
    /// [`Network::isolated_or_skip`].
    pub fn network(mut self, network: Network) -> Self {
        self.network = Some(network);
        self
    }

    /// With `key=value` for all nodes.
    pub fn set(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// With `key=value` for one node, over what is for all.
    pub fn set_for(mut self, node: &str, setting: &str) -> Self {
        self.settings_of.push((node.to_owned(), setting.to_owned()));
        self
    }

    /// Starts it all, and waits until it serves.
    ///
    /// # Panics
    /// When something does not start.
    pub async fn start(self) -> Cluster {
        let network = self.network.clone().unwrap_or_else(Network::loopback);
        let etcd = match self.etcd {
            0 => None,
            members => Some(Etcd::start(&network, members).await),
        };
        let shared = self.shared(etcd.as_ref());
        let mut members = Vec::new();
        for (name, role) in self.names() {
            let node = self
                .node(&network, &name, role, shared.as_ref())
                .start()
                .await;
            members.push(Member { role, node });
        }
        let balancer = match self.balanced {
            true => Some(balance(&network, &members).await),
            false => None,
        };
        Cluster::new(network, etcd, members, balancer)
    }

    fn names(&self) -> impl Iterator<Item = (String, Role)> + use<> {
        let kinds = [
            ("o", self.origins, Role::Origin),
            ("e", self.edges, Role::Edge),
            ("n", self.nodes, Role::All),
        ];
        kinds.into_iter().flat_map(|(letter, count, role)| {
            (1..=count).map(move |number| (format!("{letter}{number}"), role))
        })
    }

    /// What the nodes of a cluster have in common; nothing if each is alone.
    fn shared(&self, etcd: Option<&Etcd>) -> Option<Shared> {
        let endpoints = etcd?.endpoints();
        let endpoints: Vec<_> = endpoints.iter().map(|url| format!("{url:?}")).collect();
        Some(Shared {
            endpoints: endpoints.join(", "),
            secret: secret(),
            admin_key: secret(),
        })
    }

    fn node(&self, network: &Network, name: &str, role: Role, shared: Option<&Shared>) -> Options {
        let place = network.place(name);
        let mut options = Options::named(name).set(&format!("node.id={name}"));
        options = options.set(&format!("node.role={}", role.name()));
        if let Some(shared) = shared {
            let relay = format!("relay.listen={}:0", place.address());
            options = options
                .set("directory.kind=etcd")
                .set(&format!("directory.endpoints=[{}]", shared.endpoints))
                .set(&format!("directory.cluster={}", Cluster::NAME))
                .set(&format!("relay.secret={}", shared.secret))
                .set(&relay)
                .admin_key(&shared.admin_key);
        }
        let own = self.settings_of.iter().filter(|(node, _)| node == name);
        let settings = self.settings.iter().chain(own.map(|(_, setting)| setting));
        settings.fold(options.at(place), |options, setting| options.set(setting))
    }
}

#[derive(Debug)]
struct Shared {
    /// As TOML has the inside of a list of texts.
    endpoints: String,
    secret: String,
    admin_key: String,
}

/// Nobody else on this machine knows it.
fn secret() -> String {
    let number = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", number(), number())
}

async fn balance(network: &Network, members: &[Member]) -> Balancer {
    let of = |wanted: &[Role]| -> Vec<&Node> {
        let members = members.iter();
        let wanted = members.filter(|member| wanted.contains(&member.role));
        wanted.map(|member| &member.node).collect()
    };
    let players = of(&[Role::Edge, Role::All]);
    let encoders = of(&[Role::Origin, Role::All]);
    Balancer::start(network, &players, &encoders).await
}
