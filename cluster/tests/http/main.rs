//! Players over HTTP: real ones, and some that look at single bytes.

mod counted;
mod ending;
mod players;
mod slow;
mod takeover;
mod viewer;
mod websocket;
