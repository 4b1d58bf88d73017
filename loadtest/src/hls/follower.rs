//! Pollers that follow one stream each: they ask for the next version of its playlist once they have the last, and
//! fetch no media. So all streams are packaged, and hardly anything is sent.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::playlist::{Playlist, Version};
use super::report::Errors;
use super::wire::{Http1, Protocol};
use crate::net;

/// A refusal, or a connection that ended, is followed by another try after this.
const PAUSE: Duration = Duration::from_millis(500);

/// Who follows what.
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    pub(crate) authority: String,
    /// The paths of playlists.
    pub(crate) paths: Vec<String>,
    /// Asks for each part, where there are parts; else for each segment.
    pub(crate) parts: bool,
}

#[derive(Default)]
pub(crate) struct Progress {
    stop: AtomicBool,
    /// Playlists that came.
    pub(crate) playlists: AtomicU64,
    pub(crate) bytes: AtomicU64,
    /// Pollers that had a playlist.
    pub(crate) following: AtomicU64,
}

/// Pollers at work.
pub(crate) struct Followers {
    pub(crate) progress: Arc<Progress>,
    thread: JoinHandle<Result<Errors>>,
}

impl Followers {
    pub(crate) fn start(plan: Plan) -> Result<Self> {
        let progress = Arc::new(Progress::default());
        let shared = progress.clone();
        let thread = thread::Builder::new()
            .name("followers".into())
            .spawn(move || run(&plan, &shared))?;
        Ok(Self { progress, thread })
    }

    pub(crate) fn stop(self) -> Result<Errors> {
        self.progress.stop.store(true, Relaxed);
        let result = self.thread.join();
        result.unwrap_or_else(|_| bail!("the followers' thread panicked"))
    }
}

#[derive(Default)]
struct Follower {
    socket: Option<TcpStream>,
    protocol: Http1,
    asked: bool,
    /// What comes next, once it is known.
    next: Option<Version>,
    has_followed: bool,
}

fn run(plan: &Plan, progress: &Progress) -> Result<Errors> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut scratch = vec![0; 64 << 10];
    let mut errors = Errors::new();
    let mut all: Vec<Follower> = plan.paths.iter().map(|_| Follower::default()).collect();
    let mut tried: Option<Instant> = None;
    while !progress.stop.load(Relaxed) {
        if tried.is_none_or(|at| at.elapsed() > PAUSE) {
            tried = Some(Instant::now());
            for (index, follower) in all.iter_mut().enumerate() {
                if follower.socket.is_none() {
                    follower.connect(plan, index, &poll)?;
                }
            }
        }
        match poll.poll(&mut events, Some(Duration::from_millis(50))) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            let index = event.token().0;
            let (Some(follower), Some(path)) = (all.get_mut(index), plan.paths.get(index)) else {
                continue;
            };
            if let Err(error) = follower.talk(plan, path, &mut scratch, progress) {
                *errors.entry(format!("{error:#}")).or_default() += 1;
                let has_followed = follower.has_followed;
                *follower = Follower {
                    has_followed,
                    ..Follower::default()
                };
            }
        }
    }
    Ok(errors)
}

impl Follower {
    fn connect(&mut self, plan: &Plan, index: usize, poll: &Poll) -> Result<()> {
        let mut socket = net::connect(plan.address, index)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry()
            .register(&mut socket, Token(index), interest)?;
        self.socket = Some(socket);
        Ok(())
    }

    fn talk(
        &mut self,
        plan: &Plan,
        path: &str,
        scratch: &mut [u8],
        progress: &Progress,
    ) -> Result<()> {
        let Some(socket) = &mut self.socket else {
            return Ok(());
        };
        if let Some(error) = socket.take_error()? {
            return Err(error.into());
        }
        if !self.asked && socket.peer_addr().is_err() {
            return Ok(());
        }
        let mut answer = None;
        loop {
            let length = match socket.read(scratch) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            };
            progress.bytes.fetch_add(length as u64, Relaxed);
            let bytes = scratch.get(..length).unwrap_or_default();
            let mut sink = |said: super::wire::Said<'_>| {
                answer = Some((said.status, String::from_utf8_lossy(said.body).into_owned()));
            };
            self.protocol.input(bytes, &mut Vec::new(), &mut sink)?;
        }
        if let Some((status, text)) = answer {
            ensure!(status == 200, "an answer of status {status}");
            let playlist = Playlist::parse(&text)?;
            ensure!(playlist.blocks, "a playlist that nobody can wait for");
            let next = playlist.ahead(1);
            let by_parts = plan.parts;
            self.next = Some(Version {
                segment: next.segment,
                part: next.part.filter(|_| by_parts),
            });
            progress.playlists.fetch_add(1, Relaxed);
            if !std::mem::replace(&mut self.has_followed, true) {
                progress.following.fetch_add(1, Relaxed);
            }
            self.asked = false;
        }
        if !std::mem::replace(&mut self.asked, true) {
            let path = match &self.next {
                Some(version) => version.of(path),
                None => path.to_owned(),
            };
            let mut request = Vec::new();
            self.protocol.ask(&plan.authority, &path, &mut request);
            let length = socket.write(&request)?;
            ensure!(length == request.len(), "the server reads no requests");
        }
        Ok(())
    }
}
