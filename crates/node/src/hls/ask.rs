//! How a request finds its stream.

use std::time::{Duration, Instant};

use hls::Name;
use media::StreamKey;
use ractor::ActorRef;
use ractor::rpc::CallResult;
use tracing::{debug, warn};

use super::{Entry, Request, Stream};
use crate::auth::Action;
use crate::connection::play::TurnedAway;
use crate::context::Context;
use crate::node;
use crate::status::RefusalKind;
use crate::stream::Refusal;
use crate::watch::{self, Refused};

/// So long a stream is waited for that is known to be somewhere.
const PATIENCE: Duration = Duration::from_secs(5);

/// So many milliseconds the clock of a node may be ahead of ours: more than where it takes the time of its place for that
/// of the world.
const APART: u64 = 24 * 60 * 60 * 1000;

/// The stream that is asked for, packaged here from now on if it was not.
pub(crate) async fn ask(
    context: &Context,
    node: &ActorRef<node::Message>,
    request: &Request,
) -> Result<Stream, Refused> {
    let key = watch::key(&request.path)?;
    let token = request.token();
    if let Err(denied) = context.auth.check(Action::Play, &key, token.as_deref()) {
        context.metrics.auth("play", "denied");
        return Err(TurnedAway::from(denied).into());
    }
    let asked = Instant::now();
    let name = request.name.as_ref();
    if name.is_some_and(|name| is_made_up(context, &key, name)) {
        return Err(made_up(&key));
    }
    let known = context.hls.with(&key, name, |entry| {
        if name.is_none() && is_published_again(context, &key, entry) {
            return None;
        }
        let admitted = admit(context, entry, &key, request, asked);
        Some(admitted.map(|()| entry.stream().clone()))
    });
    if let Some(Some(known)) = known {
        return known;
    }
    // Whoever comes first is new. Nothing is begun for those who may not stay.
    has_room(context)?;
    let patience = context.config.play.wait + PATIENCE;
    let (to, find) = (key.clone(), |to| move |reply| node::Message::Hls(to, reply));
    let entry = match node.call(find(to), Some(patience)).await {
        Ok(CallResult::Success(answer)) => answer?,
        Ok(CallResult::Timeout) => return Err(not_in_time(&key)),
        Ok(CallResult::SenderError) | Err(_) => {
            warn!(%key, "a request over HLS was not answered within the node");
            return Err(Refusal::Fault.into());
        }
    };
    admit(context, &entry, &key, request, asked)?;
    Ok(entry.stream().clone())
}

/// Whether no node can have given that name to anything. Numbers of epochs grow with the clock, or by one where some are
/// ahead of it.
///
/// Any other epoch that is not known here may be known elsewhere already, and is waited for.
fn is_made_up(context: &Context, key: &StreamKey, name: &Name) -> bool {
    let number = name.epoch().number;
    let is_above = |known: u64| number > known.saturating_add(APART);
    if !is_above(context.clock.unix_millis()) {
        return false;
    }
    let told = context.membership.directory.lookup(key);
    let told = told.map(|held| held.record.epoch.number);
    let seen = context.hls.with(key, None, Entry::epoch).flatten();
    is_above(told.max(seen.map(|seen| seen.number)).unwrap_or(0))
}

/// Whether there is more of a stream than what has ended here. Whoever plays it asks for that by name.
fn is_published_again(context: &Context, key: &StreamKey, entry: &Entry) -> bool {
    let Some(ended) = entry.ended() else {
        return false;
    };
    let held = context.membership.directory.lookup(key);
    let next = held.map(|held| held.record.epoch).filter(|it| *it > ended);
    if let Some(next) = next {
        context.hls.make_way(key, next);
    }
    next.is_some()
}

/// Takes note of who asks, unless it is somebody new for whom there is no room.
fn admit(
    context: &Context,
    entry: &Entry,
    key: &StreamKey,
    request: &Request,
    asked: Instant,
) -> Result<(), Refused> {
    let now = context.clock.now();
    let is_known = entry.knows(request.viewer, now);
    if !is_known {
        has_room(context)?;
        let limit = context.config.limits.viewers_per_stream;
        if limit > 0 && entry.viewers() + entry.players() >= limit {
            let key = key.clone();
            return Err(Refusal::Full { key, limit }.into());
        }
    }
    if entry.note(request.viewer, now) {
        context.metrics.auth("play", "allowed");
        debug!(%key, peer = %request.peer, protocol = super::PROTOCOL, "plays");
        entry.joins(asked, &context.metrics);
    } else if !is_known && !entry.knows(request.viewer, now) {
        context.metrics.hls_uncounted();
    }
    Ok(())
}

/// Whether there is room for somebody new on this node.
fn has_room(context: &Context) -> Result<(), Refused> {
    if context.hls.is_closed() {
        return Err(Refusal::Draining.into());
    }
    match context.headroom.refuses_viewers() {
        None => Ok(()),
        Some(full) => {
            context.metrics.viewer_refused(full.resource);
            Err(TurnedAway::Full(full).into())
        }
    }
}

fn made_up(key: &StreamKey) -> Refused {
    let sentence = format!("nothing of {key} has this name; load the playlist first");
    Refused::new(RefusalKind::NotFound, sentence)
}

fn not_in_time(key: &StreamKey) -> Refused {
    let sentence = format!("{key} did not come from the node that has it; try again");
    Refused::new(RefusalKind::Unavailable, sentence)
}

#[cfg(test)]
mod tests {
    use super::super::{News, Stage};
    use super::*;
    use crate::config::Config;
    use crate::metrics::recorded::Recorded;

    #[tokio::test]
    async fn who_is_one_of_too_many_to_tell_apart_watches_all_the_same_and_that_is_counted() {
        let recorded = Recorded::default();
        recorded.during(|| {
            let context = Context::alone(Config::default());
            let stage = Stage::new(News::nothing());
            let (entry, now) = (Entry::new(stage.stream(), 0), context.clock.now());
            let key = StreamKey::new("live", "cam").expect("a key");
            let admitted = |viewer| {
                let request = Request {
                    path: key.to_string(),
                    query: String::new(),
                    token: None,
                    viewer,
                    peer: ([10, 0, 0, 1], 4000).into(),
                    name: None,
                };
                assert!(admit(&context, &entry, &key, &request, Instant::now()).is_ok());
                recorded.count("weir_hls_uncounted_total{}")
            };
            // Those whose numbers have much in common share their room.
            let mut last = 0;
            while entry.note(last, now) {
                last += 1 << 16;
            }
            assert_eq!(admitted(0), 0.0);
            assert_eq!(admitted(1), 0.0);
            assert_eq!(admitted(1), 0.0);
            assert_eq!(admitted(last), 1.0);
            assert_eq!(admitted(last), 2.0);
        });
    }
}
