//! From a ring into a packager.

use std::sync::Arc;

use media::{Configuration, Cursor, ReadError, Ring, Start};

use crate::Packager;

/// Reads a ring for a [`Packager`], from where the playlist begins.
#[derive(Debug)]
pub struct Feed {
    ring: Ring,
    cursor: Cursor,
    configuration: Arc<Configuration>,
}

impl Feed {
    /// A reader of `ring`, for a packager that has read nothing yet.
    pub fn new(ring: &Ring) -> Self {
        let (cursor, join) = ring.cursor(Start::Window);
        Self {
            ring: ring.clone(),
            cursor,
            configuration: join.configuration,
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
            is_news |= packager.push(tag, &self.configuration);
        }
        Ok((batch.len(), is_news))
    }

    /// Waits until [`read`](Self::read) has something to say.
    pub async fn ready(&mut self) {
        self.cursor.ready().await;
    }

    /// How many tags there are to read.
    pub fn behind(&self) -> u64 {
        self.cursor.behind()
    }
}
