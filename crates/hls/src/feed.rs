//! From a ring into a packager.

use std::sync::Arc;

use media::{Configuration, Cursor, Epoch, ReadError, Ring, Start};

use crate::{Mode, Packager};

/// Reads a ring for a [`Packager`], from where the playlist begins.
#[derive(Debug)]
pub struct Feed {
    ring: Ring,
    cursor: Cursor,
    configuration: Arc<Configuration>,
    /// The publish of the last tag.
    epoch: Option<Epoch>,
}

impl Feed {
    /// A reader of `ring`, for a packager that has read nothing yet.
    pub fn new(ring: &Ring) -> Self {
        let (cursor, join) = ring.cursor(Start::Window);
        Self {
            ring: ring.clone(),
            cursor,
            configuration: join.configuration,
            epoch: None,
        }
    }

    /// Gives the packager the next tags, as many as lie together and no more than `max`. Returns
    /// how many there were, and whether that made something new.
    ///
    /// Who has lagged begins anew, with another packager too.
    pub fn read(
        &mut self,
        packager: &mut Packager,
        max: usize,
    ) -> Result<(usize, bool), ReadError> {
        self.read_as(packager, max, |_| None)
    }

    /// Like [`read`](Self::read), where `mode` knows what each publish is cut for: asked in front
    /// of the first tag of each.
    pub fn read_as(
        &mut self,
        packager: &mut Packager,
        max: usize,
        mut mode: impl FnMut(Epoch) -> Option<Mode>,
    ) -> Result<(usize, bool), ReadError> {
        let batch = self.cursor.read_at_most(max)?;
        let mut is_news = false;
        for tag in batch {
            let known = (self.configuration.epoch, self.configuration.version);
            if known != (tag.epoch, tag.version) {
                let now = self.ring.configuration_at(tag.seq);
                let Some(now) = now else {
                    return Err(ReadError::Lagged { oldest: tag.seq });
                };
                self.configuration = now;
            }
            if self.epoch.replace(tag.epoch) != Some(tag.epoch)
                && let Some(mode) = mode(tag.epoch)
            {
                packager.set_mode(mode);
            }
            is_news |= packager.push(tag, &self.configuration);
        }
        Ok((batch.len(), is_news))
    }

    /// Waits until [`read`](Self::read) has something to say.
    pub async fn ready(&mut self) {
        self.cursor.ready().await;
    }

    /// The number in the ring of the tag that is to be read next.
    pub fn position(&self) -> u64 {
        self.cursor.position()
    }

    /// How many tags there are to read.
    pub fn behind(&self) -> u64 {
        self.cursor.behind()
    }
}
