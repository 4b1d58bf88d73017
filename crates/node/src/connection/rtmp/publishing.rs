//! The media path of an encoder: from its session into the ring.

use flv::Tag;
use media::{Pushed, Start};
use tracing::{debug, info};

use super::Conversation;
use crate::peer::Promotion;

impl Conversation {
    /// Hands a tag to the ring.
    pub(super) fn media(&mut self, stream_id: u32, tag: Tag, now: i64) {
        let metrics = &self.context.metrics;
        let publishing = self
            .publishes
            .iter_mut()
            .find(|publishing| publishing.stream_id == stream_id);
        let Some(publishing) = publishing else { return };
        metrics.tag(tag.kind);
        metrics.ingress(tag.payload.len());
        match publishing.publisher.push(tag, now) {
            Ok(Pushed::Stored(_)) => {}
            Ok(Pushed::Dropped(reason)) => metrics.not_stored(reason),
            // Whoever replaced it has told its connection, which will hear of it in a moment.
            Err(fenced) => self
                .span
                .in_scope(|| debug!(%fenced, "tag after the end of a publish")),
        }
    }

    /// From standing by it goes on air: with its configuration and the current GOP, so that nobody waits for the next
    /// keyframe, and nothing that it sends in between is lost.
    pub(super) fn promoted(&mut self, promotion: Promotion) {
        let Promotion {
            from,
            aside,
            published,
        } = promotion;
        let mut publishes = self.publishes.iter_mut();
        let Some(publishing) = publishes.find(|publishing| publishing.publisher.epoch() == from)
        else {
            // It has just left, which the stream hears from what is dropped here.
            return;
        };
        info!("goes on for the publisher that is gone");
        publishing.publisher = published.publisher;
        publishing.listed.goes_on(publishing.publisher.epoch());
        publishing._leave = published.leave;
        let (mut cursor, join) = aside.cursor(Start::CaughtUp);
        let now = self.context.clock.now();
        for tag in &join.configuration.tags {
            // Where it is fenced already, its stream tells it why.
            let _ = publishing.publisher.push(tag.tag.clone(), now);
        }
        while let Ok(batch) = cursor.read() {
            if batch.is_empty() {
                break;
            }
            for tag in batch.iter() {
                let _ = publishing.publisher.push(tag.tag.clone(), tag.ingest);
            }
        }
    }
}
