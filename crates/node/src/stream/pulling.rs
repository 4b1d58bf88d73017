//! A stream that is published at another node: when it is pulled, and until when.

use std::collections::BTreeMap;

use media::Epoch;
use ractor::{Actor, ActorId, ActorRef};
use relay::{About, Viewers};
use tracing::{error, info};

use super::{Message, Phase, Refusal, State};
use crate::format::Format;
use crate::hls::PROTOCOL;
use crate::node;
use crate::pull::{self, News, Pull};

/// Why a stream is over of which nothing is left anywhere.
const NOBODY: &str = "nobody publishes it any more";

/// The pull of a stream.
pub(super) struct Pulled {
    actor: ActorRef<pull::Message>,
    /// Whether anybody has the stream, as far as it is known.
    is_there: Option<bool>,
    is_fed: bool,
    /// Nobody wanted it but one who would publish.
    for_claim: bool,
    /// Where it comes from, or came from last.
    pub(super) from: Option<From>,
}

/// The node that a stream comes from, and what that one says of it.
pub(super) struct From {
    pub(super) node: String,
    pub(super) about: About,
    /// Milliseconds since 1970.
    pub(super) since: i64,
}

impl Drop for Pulled {
    fn drop(&mut self) {
        self.actor.stop(None);
    }
}

impl State {
    /// Begins to look for the stream at other nodes, if there are any.
    pub(super) async fn want_pull(&mut self, myself: &ActorRef<Message>) {
        self.begin_pull(myself, false).await;
    }

    /// The same, of a stream that is known to be somewhere, though the directory may not have heard of it yet.
    async fn begin_pull(&mut self, myself: &ActorRef<Message>, is_known: bool) {
        let membership = &self.context.membership;
        let is_wanted = matches!(self.phase, Phase::Expected | Phase::Pulled);
        if self.pulled.is_some() || membership.relay.is_none() || !is_wanted {
            return;
        }
        let known = membership.directory.lookup(&self.key);
        let is_there = is_known || known.is_some_and(|held| held.record.node != *membership.me());
        let arguments = pull::Arguments {
            context: std::sync::Arc::clone(&self.context),
            key: self.key.clone(),
            ring: self.ring.clone(),
            book: self.book.clone(),
            stream: myself.clone(),
            is_known,
            span: self.span.clone(),
        };
        match Actor::spawn_linked(None, Pull, arguments, myself.get_cell()).await {
            Ok((actor, _)) => {
                self.pulled = Some(Pulled {
                    actor,
                    is_there: is_there.then_some(true),
                    is_fed: false,
                    for_claim: false,
                    from: None,
                });
                if is_there {
                    self.found();
                }
                self.tell_viewers();
            }
            Err(error) => error!(parent: &self.span, %error, "pull not started"),
        }
    }

    /// What another node publishes is to be here before this node does.
    pub(super) async fn want_window(&mut self, myself: &ActorRef<Message>) {
        let is_new = self.pulled.is_none();
        self.want_pull(myself).await;
        if let Some(pulled) = &mut self.pulled {
            pulled.for_claim |= is_new;
        }
    }

    /// Another node goes on publishing: what was pulled for one who would do so here is of no use, unless somebody
    /// watches by now.
    pub(super) fn leave_window(&mut self) {
        let is_for_claim = self.pulled.as_ref().is_some_and(|pulled| pulled.for_claim);
        if is_for_claim && self.is_unwatched() && matches!(self.phase, Phase::Pulled) {
            self.pulled = None;
            self.hls = None;
            self.phase = Phase::Expected;
        }
    }

    /// Players join from now on, when the pull has caught up.
    fn found(&mut self) {
        if matches!(self.phase, Phase::Expected) {
            self.phase = Phase::Pulled;
        }
    }

    /// Whether it is being found out if there is such a stream.
    pub(super) fn is_looking(&self) -> bool {
        self.pulled
            .as_ref()
            .is_some_and(|pulled| pulled.is_there.is_none())
    }

    pub(super) fn pull_is(&self, actor: ActorId) -> bool {
        self.pulled
            .as_ref()
            .is_some_and(|pulled| pulled.actor.get_id() == actor)
    }

    /// It ended without a word: it failed, and who still wants it gets another.
    pub(super) async fn pull_stopped(&mut self, myself: &ActorRef<Message>) {
        self.pulled = None;
        if !self.is_unwatched() {
            self.want_pull(myself).await;
        }
    }

    pub(super) async fn pulled(&mut self, myself: &ActorRef<Message>, news: News) {
        if !matches!(self.phase, Phase::Expected | Phase::Pulled) {
            // From a pull that has been stopped.
            return;
        }
        let Some(pulled) = &mut self.pulled else {
            // The pull has ended, and with it the stream, before anybody heard why.
            if let News::Ended(why) = news {
                self.end(myself, why);
            }
            return;
        };
        match news {
            News::Found => {
                pulled.is_there = Some(true);
                self.found();
                self.answer_askers(myself).await;
            }
            News::Nobody => {
                pulled.is_there = Some(false);
                let is_up = self.context.membership.directory.is_up();
                if matches!(self.phase, Phase::Pulled) && is_up && self.standby.is_none() {
                    // It was there, and ended while nobody here watched it.
                    return self.end(myself, NOBODY);
                }
                if self.context.config.play.wait.is_zero() {
                    drop(self.node.cast(node::Message::NotThere(self.key.clone())));
                }
                self.answer_askers(myself).await;
            }
            News::Began(began) => {
                let (epoch, node) = (began.epoch, began.node);
                if self.epoch != Some(epoch) {
                    let span = &self.span;
                    info!(parent: span, node, epoch = epoch.number, "pulled");
                }
                pulled.is_fed = true;
                pulled.from = Some(From {
                    node,
                    about: began.about,
                    since: self.context.clock.now() / 1_000_000,
                });
                self.epoch = self.epoch.max(Some(epoch));
                self.counted = self.context.metrics.stream("live");
                self.turn_to_hls();
            }
            News::Lost => {
                pulled.is_fed = false;
                self.look_for_standby(myself);
                self.counted = self.context.metrics.stream("waiting");
            }
            News::Ended(why) => self.end(myself, why),
        }
    }

    /// Whether it comes in from the node that has it.
    pub(super) fn is_fed(&self) -> bool {
        let pulled = self.pulled.as_ref();
        pulled.is_some_and(|pulled| pulled.is_fed)
    }

    /// The directory may say something new.
    pub(super) fn changed(&mut self) {
        if let Some(pulled) = &self.pulled {
            drop(pulled.actor.cast(pull::Message::Look));
        }
    }

    /// Tells the origin how many watch here.
    pub(super) fn tell_viewers(&self) {
        if let Some(pulled) = &self.pulled {
            let mut viewers = self.lent.viewers();
            for format in Format::ALL {
                let here = self.players.count_of(format);
                let here = u32::try_from(here).unwrap_or(u32::MAX);
                if here > 0 {
                    *viewers.entry(format.protocol().to_owned()).or_default() += here;
                }
            }
            let here = u32::try_from(self.viewers_over_hls()).unwrap_or(u32::MAX);
            if here > 0 {
                *viewers.entry(PROTOCOL.to_owned()).or_default() += here;
            }
            drop(pulled.actor.cast(pull::Message::Viewers(Viewers(viewers))));
        }
    }

    /// A pull that nobody watches is kept for a while.
    pub(super) fn linger(&mut self, myself: &ActorRef<Message>) {
        if !self.is_unwatched() {
            self.lingers_since = None;
            return;
        }
        if self.draining {
            return self.offer_to_retire(myself);
        }
        // Once for each time that it becomes unwatched.
        if self.lingers_since.replace(self.requests) != Some(self.requests) {
            let requests = self.requests;
            drop(myself.send_after(self.context.config.pull.linger, move || {
                Message::LingerOver(requests)
            }));
        }
    }

    /// The publisher is another node's: those who watch here pull it from there.
    pub(super) async fn follow(&mut self, myself: &ActorRef<Message>, why: &str) {
        self.counted = self.context.metrics.stream("waiting");
        if !self.is_watched_over_hls() {
            // It goes on elsewhere: what was packaged here has no end, and nothing behind it.
            self.hls = None;
        }
        if self.is_unwatched() {
            return self.end(myself, why);
        }
        let is_watched = self.warm
            || self.standby.is_some()
            || self.is_watched_over_hls()
            || !self.players.is_empty();
        if is_watched {
            self.phase = Phase::Pulled;
            self.begin_pull(myself, true).await;
        } else {
            // Nodes that pull from here have been told where it is, and leave when they have the rest of it.
            self.phase = Phase::Expected;
        }
    }

    /// The pull makes room for a publisher here.
    pub(super) fn stop_pull(&mut self) {
        self.pulled = None;
    }

    /// An epoch above all that this stream has seen.
    pub(super) fn highest(&self) -> Option<Epoch> {
        self.epoch.max(self.ring.next_number().map(|next| next.0))
    }

    pub(super) fn no_such_stream(&self) -> Refusal {
        Refusal::NotFound(self.key.clone())
    }
}

/// How many watch, by protocol.
pub(super) type ByProtocol = BTreeMap<String, u32>;
