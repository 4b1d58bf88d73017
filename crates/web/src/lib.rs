//! Everything a node speaks over HTTP.
//!
//! So far: liveness, readiness, metrics, the API of the cluster, and players of FLV and HLS. What the answers say comes from a
//! [`Source`], so nothing here knows where a node keeps it; a player's connection is handed to it.
//!
//! ```no_run
//! # async fn serve(source: std::sync::Arc<impl weir_web::Source>) -> std::io::Result<()> {
//! let server = weir_web::Server::start(&weir_web::Config::default(), source)?;
//! println!("serving at {:?}", server.addresses());
//! server.stop().await;
//! # Ok(())
//! # }
//! ```

mod address;
mod api;
mod config;
mod cors;
mod error;
mod flv;
mod head;
mod hls;
mod outgoing;
mod page;
mod patience;
mod percent;
mod phase;
mod routes;
mod serve;

pub use config::{AdminConfig, Config, HttpConfig};
pub use routes::{Check, Source};
pub use serve::Server;
