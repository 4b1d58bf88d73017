//! A random walk of faults through a cluster, and what must hold after each of them.
//!
//! Three nodes do everything. Encoders move between them, viewers come and go, nodes are killed, held, cut off from
//! the directory, robbed of their lease, told to leave, and started again; some node is always fine. What must hold:
//!
//! - no viewer ever sees a frame twice, nor one of an earlier publish after one of a later (at each step, everywhere);
//! - each stream is its encoder's node's, in the directory and by what the nodes count;
//! - each viewer at a node that is fine sees the newest publish;
//! - nodes that are fine pull what is watched there and published elsewhere, and nothing else;
//! - connections, players, publishers and claims are those that there are.
//!
//! The seed makes the steps; how long each takes is the machine's matter.

mod dice;
mod embedded;
mod ledger;
mod processes;
mod steps;
mod world;

use std::time::Duration;

use tokio::time::Instant;
use weir_cluster::Network;

use self::embedded::InProcess;
use self::processes::Processes;
use self::steps::Walk;

/// Lease, grace and linger are this short: faults last longer than what they set off.
const LEASE: Duration = Duration::from_secs(2);
const GRACE: Duration = Duration::from_secs(5);
const LINGER: Duration = Duration::from_millis(500);
/// Encoders are known by it.
const TOKEN: &str = "secret";

#[tokio::test]
async fn a_walk_through_nodes_of_one_process() {
    let walk = async |seed| {
        let mut walk = Walk::new(InProcess::start().await, seed).await;
        for _ in 0..10 {
            walk.step().await;
        }
        walk.ends().await;
    };
    tokio::join!(walk(1), walk(2));
}

#[tokio::test]
#[ignore = "takes two minutes"]
async fn a_long_walk_through_nodes_of_one_process() {
    let (seed, until) = (seed(), Instant::now() + Duration::from_secs(100));
    let mut walk = Walk::new(InProcess::start().await, seed).await;
    while Instant::now() < until {
        walk.step().await;
    }
    walk.ends().await;
}

#[tokio::test]
#[ignore = "takes 15 minutes, or WEIR_MINUTES"]
async fn a_long_walk_through_processes_and_a_real_etcd() {
    let minutes = number("WEIR_MINUTES").unwrap_or(15);
    let (seed, until) = (seed(), Instant::now() + Duration::from_secs(60 * minutes));
    // Where there is no such network, nobody is cut off.
    let network = Network::isolated_or_skip();
    let mut walk = Walk::new(Processes::start(network).await, seed).await;
    while Instant::now() < until {
        walk.step().await;
    }
    walk.ends().await;
}

/// Of this run: what was asked for, or another each time.
fn seed() -> u64 {
    let seed = number("WEIR_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    });
    println!("WEIR_SEED={seed}");
    seed
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} is a number: {text}")))
}
