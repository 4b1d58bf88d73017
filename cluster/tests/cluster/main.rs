//! A cluster that loses parts of itself: what viewers and encoders notice of it.

mod asking;
mod decoder;
mod failover;
mod first_play;
mod leaving;
mod outage;
mod owners;
mod partition;
mod pull_faults;
mod relay_tls;
mod restore;
mod takeover;
mod trace;
mod walk;
