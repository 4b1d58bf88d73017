//! A cluster that loses parts of itself: what viewers and encoders notice of it.

mod decoder;
mod failover;
mod first_play;
mod leaving;
mod pull_faults;
mod takeover;
mod trace;
