//! A stream over HLS, as those see it who answer the requests of its viewers.
//!
//! A viewer asks for each part anew, so requests are many: they find the stream by its key without a word to any actor,
//! and without a lock that viewers of other streams take (`hls/table.rs`). Only the first request makes the stream's actor
//! start to package it (`hls/packager.rs`), and it ends that when nobody has asked for long.

mod ask;
mod entry;
pub(crate) mod packager;
mod packaging;
mod stage;
mod table;
mod view;

use std::net::SocketAddr;

use hls::Name;
use rtmp::Params;

pub(crate) use ask::ask;
pub(crate) use entry::Entry;
pub use stage::{Egress, News, Stage, Stream};
pub(crate) use table::{Listed, Table};
pub use view::View;

/// What viewers over HLS are called in metrics and answers.
pub(crate) const PROTOCOL: &str = "hls";

/// Who has not asked for so many target durations does not watch any more.
pub(crate) const MEMORY: u32 = 3;

/// Who asks for which stream.
#[derive(Clone, Debug)]
pub struct Request {
    /// The path of the stream: `live/cam`.
    pub path: String,
    /// The query behind it: of `token` is known what it means.
    pub query: String,
    /// A token that came in another way; one in the query goes first.
    pub token: Option<String>,
    /// A hash of the address, the agent and the token: who asks.
    pub viewer: u64,
    /// Where the request comes from.
    pub peer: SocketAddr,
    /// What is asked for by its name: it may be of a publish before the present one.
    pub name: Option<Name>,
}

impl Request {
    fn token(&self) -> Option<String> {
        let params = Params::parse(&self.query);
        let token = params.get("token").map(str::to_owned);
        token.or_else(|| self.token.clone())
    }
}
