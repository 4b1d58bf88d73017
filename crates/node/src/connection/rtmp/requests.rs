//! What an RTMP peer asks for, and what it is answered.

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use media::StreamKey;
use rtmp::{Event, PlayRefusal, PublishRefusal, stream_path};
use tracing::{debug, info, warn};

use super::{Conversation, Playing, Publishing};
use crate::auth::Action;
use crate::config::{AtEdge, RESERVED_APPS};
use crate::connection::End;
use crate::connection::play::{self, ANSWER_TIME, TurnedAway, ask_node};
use crate::gate::Wants;
use crate::node;
use crate::seat::Seat;
use crate::stream::{PublishRequest, Published, Refusal, SubscribeRequest};
use crate::subscriber;

/// Refused plays of one connection that are logged for everybody to see. It may go on asking for a
/// stream that is not there, and must not fill the log.
const REFUSALS_SHOWN: u32 = 10;

/// How much is kept of what a peer calls itself.
const PROGRAM: usize = 64;

impl Conversation {
    pub(super) async fn asked(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::Connect(connect) => self.connect(&connect),
            Event::FcPublish(early) => {
                if let Err((refusal, why)) =
                    self.may_publish(&early.app, &early.name, &early.params)
                {
                    self.note_refusal(&play::shown(&early.app, &early.name), refusal, &why);
                    self.session.reject_fc_publish(refusal, &why);
                }
            }
            Event::Publish(publish) => self.publish(&publish).await,
            Event::Play(play) => self.play(&play).await?,
            Event::PublishEnded { stream_id } => {
                self.publishes
                    .retain(|publishing| publishing.stream_id != stream_id);
            }
            Event::PlayEnded { stream_id } => self.end_play(stream_id).await,
            Event::Pause {
                stream_id, paused, ..
            } => self.pause(stream_id, paused).await?,
            Event::ReceiveAudio { stream_id, on } => {
                self.want(stream_id, |wants| wants.audio = on).await;
            }
            Event::ReceiveVideo { stream_id, on } => {
                self.want(stream_id, |wants| wants.video = on).await;
            }
            Event::Refused { request, why } => match request {
                "connect" => info!(why, "connect rejected"),
                "publish" => info!(why, "publish refused"),
                _ => self.note_refused_play(None, why),
            },
            Event::TimedOut(what) => {
                info!(%what, "closed");
                self.end = Some(End::TimedOut);
            }
            other => debug!(event = ?other, "noted"),
        }
        Ok(())
    }

    fn connect(&mut self, connect: &rtmp::Connect) {
        let config = &self.context.config;
        // Clients split `app/name` where they like; what counts is the app of the stream key.
        let path = stream_path(&connect.app, "");
        let app = path.split('/').next().unwrap_or_default();
        let refusal = if let Some(why) = &self.refusal {
            Some(why.clone())
        } else if RESERVED_APPS.contains(&app) {
            Some(format!(
                "the app {app:?} is reserved; use another, such as live"
            ))
        } else if !config.rtmp.apps.is_empty() && !config.rtmp.apps.iter().any(|known| known == app)
        {
            Some(format!(
                "this node has no app {app:?}; the server field of the encoder must end with one of: {}",
                config.rtmp.apps.join(", ")
            ))
        } else {
            None
        };
        match refusal {
            None => {
                debug!(app = connect.app, encoder = connect.flash_ver, "connected");
                self.program = connect.flash_ver.chars().take(PROGRAM).collect();
                self.session.accept_connect();
            }
            Some(why) => {
                info!(why, "connect rejected");
                self.end = Some(End::Refused);
                self.session.reject_connect(&why);
            }
        }
    }

    fn may_publish(
        &self,
        app: &str,
        name: &str,
        params: &rtmp::Params,
    ) -> Result<(StreamKey, Option<crate::auth::Identity>), (PublishRefusal, String)> {
        let key = StreamKey::parse(&stream_path(app, name))
            .map_err(|error| (PublishRefusal::BadName, error.to_string()))?;
        self.context
            .auth
            .check(Action::Publish, &key, params.get("token"))
            .map(|identity| (key, identity))
            .map_err(|denied| (PublishRefusal::Unauthorized, denied.to_string()))
    }

    async fn publish(&mut self, publish: &rtmp::Publish) {
        let (key, identity) = match self.may_publish(&publish.app, &publish.name, &publish.params) {
            Ok(allowed) => allowed,
            Err((refusal, why)) => return self.refuse_publish(publish, refusal, &why),
        };
        self.context.metrics.auth("publish", "allowed");
        let request = PublishRequest {
            peer: Arc::clone(&self.peer),
            identity,
            encoder: self.program.to_string(),
        };
        // Who has the key may have to be waited for.
        let config = &self.context.config;
        let patience = config.publish.silence + config.directory.lease_ttl + 2 * ANSWER_TIME;
        let ask = |reply| node::Message::Publish(key.clone(), request, reply);
        match ask_node(&self.node, ask, patience).await {
            Some(Ok(Published { publisher, leave })) => {
                let stream_id = publish.stream_id;
                self.publishes.push(Publishing {
                    stream_id,
                    listed: self
                        .context
                        .publishers
                        .enter(key, publisher.epoch(), self.peer.addr),
                    publisher,
                    _leave: leave,
                    _counted: self.context.pace.publisher(),
                });
                self.session.accept_publish(stream_id);
            }
            Some(Err(Refusal::Edge(origins))) if self.redirect(publish) => {
                info!(%key, origins, "publish redirected");
            }
            Some(Err(refusal)) => {
                self.refuse_publish(publish, PublishRefusal::BadName, &refusal.to_string());
            }
            None => {
                warn!(%key, "publish not answered within the node");
                let why = "the server could not answer in time; try again";
                self.refuse_publish(publish, PublishRefusal::BadName, why);
            }
        }
    }

    /// Sends an encoder that came to an edge to an origin; false if it may not be, or cannot follow.
    fn redirect(&mut self, publish: &rtmp::Publish) -> bool {
        if self.context.config.publish.redirect != AtEdge::Redirect {
            return false;
        }
        let origins = self.context.membership.origin_urls();
        let Some(origin) = origins.first() else {
            return false;
        };
        let app = publish.app.split('?').next().unwrap_or_default();
        let url = format!("{origin}/{app}");
        // It closes this connection once it has the other.
        let why = "this node is an edge, for players; publish to the origin";
        self.session.request_reconnect(Some(&url), why)
    }

    fn refuse_publish(&mut self, publish: &rtmp::Publish, refusal: PublishRefusal, why: &str) {
        self.note_refusal(&play::shown(&publish.app, &publish.name), refusal, why);
        self.session.reject_publish(publish.stream_id, refusal, why);
    }

    fn note_refusal(&mut self, key: &str, refusal: PublishRefusal, why: &str) {
        info!(%key, why, "publish refused");
        if refusal == PublishRefusal::Unauthorized {
            self.context.metrics.auth("publish", "denied");
        }
        self.end = Some(End::Refused);
    }

    async fn play(&mut self, play: &rtmp::Play) -> io::Result<()> {
        let stream_id = play.stream_id;
        let key = match StreamKey::parse(&stream_path(&play.app, &play.name)) {
            Ok(key) => key,
            Err(error) => {
                self.refuse_play(play, PlayRefusal::StreamNotFound, &error.to_string());
                return Ok(());
            }
        };
        let tracks = match play::tracks(&self.context, play.params.get("tracks")) {
            Ok(tracks) => tracks,
            Err(why) => {
                self.refuse_play(play, PlayRefusal::Failed, why);
                return Ok(());
            }
        };
        if let Err(turned) = play::may_play(&self.context, &key, play.params.get("token")) {
            let code = match turned {
                TurnedAway::Denied(_) => PlayRefusal::Unauthorized,
                TurnedAway::Full(_) => PlayRefusal::Failed,
            };
            self.refuse_play(play, code, &turned.to_string());
            return Ok(());
        }
        let wants = Wants::both(tracks);
        let request = SubscribeRequest {
            seat: Seat::rtmp(Arc::clone(&self.peer), stream_id),
            wants,
        };
        let ask = |reply| node::Message::Subscribe(key.clone(), request, reply);
        match ask_node(&self.node, ask, ANSWER_TIME).await {
            Some(Ok(subscriber)) => {
                self.session.accept_play(stream_id);
                // Its statuses go out before the first media does.
                self.flush()?;
                // One that has asked for a pause meanwhile starts when it goes on.
                if !self.session.is_paused(stream_id) {
                    drop(subscriber.cast(subscriber::Message::Start));
                }
                debug!(%key, "plays");
                self.plays.push(Playing {
                    stream_id,
                    key,
                    subscriber,
                    wants,
                });
            }
            Some(Err(refusal)) => {
                let code = match refusal {
                    Refusal::NotFound(_) => PlayRefusal::StreamNotFound,
                    _ => PlayRefusal::Failed,
                };
                self.refuse_play(play, code, &refusal.to_string());
            }
            None => {
                warn!(%key, "play not answered within the node");
                let why = "the server could not answer in time; try again";
                self.refuse_play(play, PlayRefusal::Failed, why);
            }
        }
        Ok(())
    }

    fn refuse_play(&mut self, play: &rtmp::Play, refusal: PlayRefusal, why: &str) {
        self.note_refused_play(Some(&play::shown(&play.app, &play.name)), why);
        // A player may ask again for a stream that is not there yet.
        let close = refusal != PlayRefusal::StreamNotFound;
        if close {
            self.end = Some(End::Refused);
        }
        self.session
            .reject_play(play.stream_id, refusal, why, close);
    }

    fn note_refused_play(&mut self, key: Option<&str>, why: &str) {
        self.refused_plays = self.refused_plays.saturating_add(1);
        if self.refused_plays <= REFUSALS_SHOWN {
            info!(key, why, "play refused");
        } else {
            debug!(key, why, "play refused");
        }
    }

    async fn end_play(&mut self, stream_id: u32) {
        let Some(index) = self
            .plays
            .iter()
            .position(|playing| playing.stream_id == stream_id)
        else {
            return;
        };
        let playing = self.plays.swap_remove(index);
        // No media may follow the answer, and another play may start on the same message stream.
        let hold = |reply| subscriber::Message::Pause(true, reply);
        drop(playing.subscriber.call(hold, Some(ANSWER_TIME)).await);
        drop(playing.subscriber.cast(subscriber::Message::Leave));
    }

    async fn pause(&mut self, stream_id: u32, paused: bool) -> io::Result<()> {
        if !paused {
            // The notice comes before the media that follows it.
            self.flush()?;
        }
        if let Some(playing) = self
            .plays
            .iter()
            .find(|playing| playing.stream_id == stream_id)
        {
            let ask = |reply| subscriber::Message::Pause(paused, reply);
            drop(playing.subscriber.call(ask, Some(ANSWER_TIME)).await);
        }
        Ok(())
    }

    async fn want(&mut self, stream_id: u32, change: impl FnOnce(&mut Wants)) {
        if let Some(playing) = self
            .plays
            .iter_mut()
            .find(|playing| playing.stream_id == stream_id)
        {
            change(&mut playing.wants);
            let wants = playing.wants;
            let ask = |reply| subscriber::Message::Want(wants, reply);
            drop(playing.subscriber.call(ask, Some(ANSWER_TIME)).await);
        }
    }
}
