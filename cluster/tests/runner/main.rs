//! The runner itself: what the other tests rely on.

mod balancer;
mod command;
mod compose;
mod etcd;
mod network;
mod nodes;
