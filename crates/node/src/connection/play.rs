//! What it takes to play, whatever the protocol.

use std::time::Duration;

use media::StreamKey;
use ractor::rpc::CallResult;
use ractor::{ActorRef, Message, RpcReplyPort};
use rtmp::stream_path;

use crate::auth::{Action, Denied};
use crate::config::{Choice, Tracks};
use crate::context::Context;
use crate::headroom::Full;
use crate::node;

/// An answer within the node takes microseconds, unless a publisher waits for another's silence.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(5);

/// Why somebody may not play.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TurnedAway {
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("{0}")]
    Full(Full),
}

/// Whether this stream may be played with that token, and there is room for another viewer.
pub(crate) fn may_play(
    context: &Context,
    key: &StreamKey,
    token: Option<&str>,
) -> Result<(), TurnedAway> {
    if let Err(denied) = context.auth.check(Action::Play, key, token) {
        context.metrics.auth("play", "denied");
        return Err(denied.into());
    }
    context.metrics.auth("play", "allowed");
    match context.headroom.refuses_viewers() {
        None => Ok(()),
        Some(full) => {
            context.metrics.viewer_refused(full.resource);
            Err(TurnedAway::Full(full))
        }
    }
}

/// The tracks that a player asks for, or else those that it gets.
pub(crate) fn tracks(context: &Context, asked: Option<&str>) -> Result<Tracks, &'static str> {
    let Some(asked) = asked else {
        return Ok(context.config.play.tracks);
    };
    let choice = Tracks::CHOICES.iter().find(|(name, _)| *name == asked);
    choice.map(|(_, tracks)| *tracks).ok_or(
        "the parameter tracks of the URL must be main (one audio and one video track) or all",
    )
}

/// What a stream is called in the log: its key, or the beginning of what is none.
pub(crate) fn shown(app: &str, name: &str) -> String {
    let path = stream_path(app, name);
    match StreamKey::parse(&path) {
        Ok(key) => key.to_string(),
        Err(_) => {
            // It may hold a secret that was put there in a wrong way.
            let start = |text: &str, most| text.chars().take(most).collect::<String>();
            let (app, name) = path.split_once('/').unwrap_or_default();
            let short = format!("{}/{}…", start(app, 8), start(name, 3));
            short.escape_debug().to_string()
        }
    }
}

/// Asks the node's actor; `None` when it does not answer.
pub(super) async fn ask_node<T: Send + 'static>(
    node: &ActorRef<node::Message>,
    ask: impl FnOnce(RpcReplyPort<T>) -> node::Message,
    patience: Duration,
) -> Option<T>
where
    node::Message: Message,
{
    match node.call(ask, Some(patience)).await {
        Ok(CallResult::Success(answer)) => Some(answer),
        Ok(CallResult::Timeout | CallResult::SenderError) | Err(_) => None,
    }
}
