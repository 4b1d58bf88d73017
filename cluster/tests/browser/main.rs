//! What people see: real nodes, and Chromium that plays from them.
//!
//! A binary of its own, and one test at a time: who asks that a picture never stands still must leave
//! the processors to the browser.

mod coded;
mod driver;
mod flv;
mod hls;
mod looks;
mod sentences;
mod shaka;

use std::net::SocketAddr;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// Whether the page shows moving pictures.
const PLAYS: &str = "window.weir?.figures().state === 'playing'";

/// The page of a stream: `live/cam?via=flv`.
fn watch(http: SocketAddr, stream: &str) -> String {
    format!("http://{http}/watch/{stream}")
}
