//! The media path of an encoder: from its session into the ring.

use flv::Tag;
use media::Pushed;
use tracing::debug;

use super::Conversation;

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
}
