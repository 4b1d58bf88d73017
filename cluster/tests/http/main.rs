//! Players over HTTP: real ones, and some that look at single bytes.

mod alternating;
mod counted;
mod decoders;
mod edges;
mod ending;
mod hls;
mod https;
mod players;
mod slow;
mod takeover;
mod viewer;
mod websocket;
