//! A server that lets nobody publish without the right token, and relays to whoever plays.
//!
//! ```text
//! cargo run -p weir-rtmp --example server_with_auth -- 127.0.0.1:1935 live/cam=secret
//! ffmpeg -re -i clip.flv -c copy -f flv 'rtmp://127.0.0.1/live/cam?token=secret'
//! ffplay rtmp://127.0.0.1/live/cam
//! ```

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use flv::Tag;
use rtmp::handler::{Chain, Handler, Logging, PlayDecision, PublishDecision};
use rtmp::net::{Player, Publication, Server};
use tokio::net::TcpListener;
use weir_rtmp as rtmp;

/// Asks for the token that belongs to a key.
struct Tokens(HashMap<String, String>);

impl Handler for Tokens {
    async fn on_publish(&self, publication: &Publication) -> PublishDecision {
        let given = publication.params().get("token");
        match self.0.get(&publication.path()) {
            Some(token) if given == Some(token) => PublishDecision::Accept,
            _ => PublishDecision::unauthorized(
                "This key needs its token: append ?token=... to the stream key.",
            ),
        }
    }
}

/// Hands what one publishes to all who play it.
#[derive(Default)]
struct Relay(Mutex<HashMap<String, Stream>>);

#[derive(Default)]
struct Stream {
    publisher: Option<Publication>,
    players: Vec<Player>,
    /// What a player needs before it can decode.
    configuration: Vec<Tag>,
}

impl Relay {
    fn streams(&self) -> MutexGuard<'_, HashMap<String, Stream>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handler for Relay {
    async fn on_publish(&self, publication: &Publication) -> PublishDecision {
        let mut streams = self.streams();
        let stream = streams.entry(publication.path()).or_default();
        if stream.publisher.is_some() {
            return PublishDecision::bad_name("Somebody publishes under this key already.");
        }
        stream.publisher = Some(publication.clone());
        PublishDecision::Accept
    }

    fn on_unpublish(&self, publication: &Publication) {
        for player in self
            .streams()
            .remove(&publication.path())
            .unwrap_or_default()
            .players
        {
            player.end();
        }
    }

    async fn on_play(&self, player: &Player) -> PlayDecision {
        let mut streams = self.streams();
        let Some(stream) = streams.get_mut(&player.path()) else {
            return PlayDecision::not_found("Nobody publishes under this key at the moment.");
        };
        for tag in &stream.configuration {
            let _ = player.send(tag.clone());
        }
        stream.players.push(player.clone());
        PlayDecision::Accept
    }

    fn on_play_stop(&self, player: &Player) {
        if let Some(stream) = self.streams().get_mut(&player.path()) {
            stream.players.retain(|other| !other.is(player));
        }
    }

    fn on_media_tag(&self, publication: &Publication, tag: &Tag) -> bool {
        let mut streams = self.streams();
        let Some(stream) = streams.get_mut(&publication.path()) else {
            return true;
        };
        if tag.is_metadata() || tag.is_configuration() {
            let same = |old: &Tag| (old.kind, old.track()) == (tag.kind, tag.track());
            stream.configuration.retain(|old| !same(old));
            stream.configuration.push(tag.clone());
        }
        stream
            .players
            .retain(|player| player.send(tag.clone()).is_ok());
        true
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt::init();
    let mut arguments = std::env::args().skip(1);
    let address = arguments
        .next()
        .context("usage: server_with_auth ADDRESS APP/NAME=TOKEN...")?;
    let tokens = arguments.map(|argument| match argument.split_once('=') {
        Some((key, token)) => Ok((key.to_owned(), token.to_owned())),
        None => anyhow::bail!("{argument}: not APP/NAME=TOKEN"),
    });
    let tokens = Tokens(tokens.collect::<Result<_, _>>()?);

    let listener = TcpListener::bind(&address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    let interrupted = async { drop(tokio::signal::ctrl_c().await) };
    let handler = Chain(Logging, Chain(tokens, Relay::default()));
    Server::new(handler).serve(listener, interrupted).await;
    Ok(())
}
