//! Players of HLS over real sockets, in front of streams that are shown as a node shows them.

mod bounds;
mod caches;
mod cast;
mod files;
mod http2;
mod leaving;
mod pages;
mod peer;
mod playlists;
mod site;
mod tokens;
mod waiting;
