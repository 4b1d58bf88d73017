//! Loads of HLS: players that fetch segments, players that wait for the next part, and what packaging costs.

pub(crate) mod bell;
mod follower;
mod hpack;
mod http2;
pub(crate) mod options;
pub(crate) mod packaging;
mod playlist;
mod poller;
mod pollers;
pub(crate) mod reloads;
mod report;
mod scout;
pub(crate) mod segments;
mod shelf;
mod waiters;
mod wire;

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::http::Fetcher;
use crate::server::{self, Kind, Server, Setup};
use options::SiteOptions;
use shelf::Shelf;

/// A server that gives streams as HLS.
pub(crate) struct Site {
    pub(crate) server: Server,
    pub(crate) authority: String,
    /// The path of a media playlist that somebody named.
    named: Option<String>,
}

impl Site {
    /// The server that is asked for, in a mode of HLS.
    pub(crate) fn start(options: &SiteOptions, setup: &Setup) -> Result<Self> {
        if options.server.url.is_some() {
            let url = options
                .playlist
                .as_deref()
                .context("--playlist URL is missing")?;
            let url = url.strip_prefix("http://").unwrap_or(url);
            let (authority, path) = url.split_once('/').context("--playlist names no path")?;
            return Ok(Self {
                server: options.server.start(setup)?,
                authority: authority.to_owned(),
                named: Some(format!("/{path}")),
            });
        }
        let spec = &options.server.server;
        ensure!(
            spec.kind == Kind::Weir,
            "{spec} makes no HLS of what is published"
        );
        let authority = format!("127.0.0.1:{}", server::free_port()?);
        let settings = [
            ("http.listen", authority.as_str()),
            ("http.connections", "0"),
            ("http.waiting", "0"),
            ("hls.mode", options.mode.as_str()),
        ];
        Ok(Self {
            server: Server::start_node(spec, setup, setup.core, &settings)?,
            authority,
            named: None,
        })
    }

    /// An nginx that serves what is on a shelf.
    pub(crate) fn files(options: &SiteOptions, setup: &Setup, shelf: &Shelf) -> Result<Self> {
        let spec = match options.server.server.kind {
            Kind::Nginx => options.server.server.clone(),
            _ => "nginx".parse()?,
        };
        let server = Server::start_files(&spec, setup, shelf.folder())?;
        Ok(Self {
            authority: server.target.authority.clone(),
            server,
            named: Some(format!("/{}", shelf::PLAYLIST)),
        })
    }

    /// The path of the media playlist of one of several streams.
    pub(crate) fn playlist(&self, index: usize, of: usize) -> String {
        let target = &self.server.target;
        let path = || {
            let name = target.stream(index, of);
            let (name, query) = match name.split_once('?') {
                Some((name, query)) => (name.to_owned(), format!("?{query}")),
                None => (name, String::new()),
            };
            format!("/{}/{name}/media.m3u8{query}", target.app)
        };
        self.named.clone().unwrap_or_else(path)
    }

    /// Puts what the playlist lists now onto a shelf.
    pub(crate) fn keep(&self, folder: &Path) -> Result<Shelf> {
        let mut fetcher = Fetcher::new(&self.authority);
        Shelf::fill(folder, &self.playlist(0, 1), &mut |path| {
            fetcher.fetch(path)
        })
    }
}
