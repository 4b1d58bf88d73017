//! A real etcd: the contract, and what only a real one can do.

#[path = "etcd/access.rs"]
mod access;
#[path = "etcd/backend.rs"]
mod backend;
#[path = "etcd/load.rs"]
mod load;
#[path = "etcd/members.rs"]
mod members;
#[path = "etcd/process.rs"]
mod process;
#[path = "etcd/proxy.rs"]
mod proxy;
#[path = "etcd/silence.rs"]
mod silence;

use weir_directory as directory;

mod contract {
    use super::directory;

    directory::contract_cases!(super::backend::Cluster::start().await);
}
