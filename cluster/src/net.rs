//! Where the parts of a cluster run: each at an address of its own.
//!
//! On the loopback network that is all there is to it. In an isolated network each place is a
//! network namespace, and every packet between two of them goes through a [`switch`], which can
//! lose it, hold it up, or forget that there is a way at all. A cable that is cut like that says
//! nothing to either end, as in life: no FIN, no RST.
//!
//! The switch is ours because kernels come without `netem`, and because what one cluster does must
//! not show in another: nothing of it is left behind when the process ends, however it ends.

mod block;
mod isolated;
mod place;
mod switch;
mod tun;

use std::io::Write;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use self::block::Block;
use self::isolated::Isolated;
pub use self::isolated::Unavailable;
pub use self::place::Place;
pub use self::switch::{Link, Traffic};

/// Where this process is, in the numbers of places.
const HERE: u8 = 1;

/// Addresses for the parts of a cluster, and the cables between them.
#[derive(Debug, Clone)]
pub struct Network(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Taken when the first place is made: a node alone needs none.
    block: OnceLock<Block>,
    next: AtomicU8,
    isolated: Option<Isolated>,
}

impl Network {
    /// Addresses of the loopback network that nobody else uses.
    pub fn loopback() -> Self {
        Self::over(OnceLock::new(), None)
    }

    /// Network namespaces around a switch.
    ///
    /// # Errors
    /// Where this cannot be: it takes root, and a kernel with tunnel devices.
    ///
    /// # Panics
    /// When there are no addresses left.
    pub fn isolated() -> Result<Self, Unavailable> {
        let block = block();
        let isolated = Isolated::new(block.subnet(), HERE)?;
        Ok(Self::over(block.into(), Some(isolated)))
    }

    /// The same; where it cannot be, says so and returns `None`, for a test to end.
    pub fn isolated_or_skip() -> Option<Self> {
        let network = Self::isolated();
        if let Err(error) = &network {
            // Not by a macro: what those print is not shown where a test ends well.
            let text = format!("skipped, cables cannot be cut here: {error}\n");
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
        network.ok()
    }

    fn over(block: OnceLock<Block>, isolated: Option<Isolated>) -> Self {
        let next = AtomicU8::new(HERE + 1);
        Self(Arc::new(Inner {
            block,
            next,
            isolated,
        }))
    }

    /// A new place.
    ///
    /// # Panics
    /// When there are too many, or the system does not let us.
    pub fn place(&self, name: &str) -> Place {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        assert!(number < 255, "too many places in one network");
        match &self.0.isolated {
            Some(isolated) => {
                let namespace = isolated.place(number);
                Place::isolated(
                    name,
                    number,
                    isolated.address(number),
                    namespace,
                    self.clone(),
                )
            }
            None => {
                let address = self.0.block.get_or_init(block).loopback(number);
                Place::loopback(name, number, address, self.clone())
            }
        }
    }

    /// Where this process itself is.
    pub fn here(&self) -> Place {
        Place::loopback("here", HERE, self.address_here(), self.clone())
    }

    fn address_here(&self) -> Ipv4Addr {
        match &self.0.isolated {
            Some(isolated) => isolated.address(HERE),
            None => Ipv4Addr::LOCALHOST,
        }
    }

    /// Whether its cables can be cut.
    pub fn is_isolated(&self) -> bool {
        self.0.isolated.is_some()
    }

    /// Changes the cable between two places, for packets of both directions.
    ///
    /// # Panics
    /// On the loopback network, which has none.
    pub fn set(&self, one: &Place, other: &Place, link: Link) {
        let switch = self.switch();
        switch.set(one.number(), other.number(), link);
        switch.set(other.number(), one.number(), link);
    }

    /// Cuts the cable between two places: packets vanish, and nobody is told.
    ///
    /// # Panics
    /// On the loopback network.
    pub fn cut(&self, one: &Place, other: &Place) {
        self.set(one, other, Link::CUT);
    }

    /// Makes the cable between two places as good as new.
    ///
    /// # Panics
    /// On the loopback network.
    pub fn heal(&self, one: &Place, other: &Place) {
        self.set(one, other, Link::default());
    }

    /// Makes all cables as good as new.
    pub fn heal_all(&self) {
        if let Some(isolated) = &self.0.isolated {
            isolated.switch().reset();
        }
    }

    /// Cuts the cable between two places for a while.
    ///
    /// # Panics
    /// On the loopback network.
    pub async fn black_out(&self, one: &Place, other: &Place, time: Duration) {
        let before = self.link(one, other);
        self.cut(one, other);
        tokio::time::sleep(time).await;
        self.set(one, other, before);
    }

    /// How the cable from one place to another is.
    ///
    /// # Panics
    /// On the loopback network.
    pub fn link(&self, from: &Place, to: &Place) -> Link {
        self.switch().link(from.number(), to.number())
    }

    /// What has gone from one place to another so far.
    ///
    /// # Panics
    /// On the loopback network, where nobody counts.
    pub fn traffic(&self, from: &Place, to: &Place) -> Traffic {
        self.switch().traffic(from.number(), to.number())
    }

    fn switch(&self) -> &switch::Switch {
        let isolated = self.0.isolated.as_ref();
        isolated
            .expect("only an isolated network has cables: ask the builder for `isolated()`")
            .switch()
    }
}

fn block() -> Block {
    Block::take().expect("fewer than 256 clusters on this machine")
}
