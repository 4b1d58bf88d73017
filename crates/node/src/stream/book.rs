//! What is known of the publishes of a stream beside their tags: said by the origin, or at the origin.
//!
//! Written before the first tag of a publish is in the ring, so that whoever reads the ring finds it here.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use media::Epoch;
use relay::{About, Bandwidth};
use tokio::sync::watch;

use crate::config::Choice;

/// Of so many publishes something is known: a window may hold segments of many, where an encoder comes back over and
/// over. Of those before nobody asks any more.
const PAGES: usize = 64;

/// Shared by the stream, what feeds its ring, what reads it, and those who pull it from here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    pages: Mutex<VecDeque<(Epoch, About)>>,
    changes: watch::Sender<()>,
}

impl Book {
    /// This is known of an epoch, in place of what was known before.
    pub(crate) fn describe(&self, epoch: Epoch, about: About) {
        {
            let mut pages = self.pages();
            let known = pages.iter_mut().find(|(known, _)| *known == epoch);
            match known {
                Some((_, old)) if *old == about => return,
                Some((_, old)) => *old = about,
                None => pages.push_back((epoch, about)),
            }
            while pages.len() > PAGES {
                pages.pop_front();
            }
        }
        self.0.changes.send_replace(());
    }

    /// So many bits an epoch takes.
    pub(crate) fn measured(&self, epoch: Epoch, bandwidth: Bandwidth) {
        let about = self.about(epoch);
        if let Some(about) = about {
            self.describe(epoch, About { bandwidth, ..about });
        }
    }

    pub(crate) fn about(&self, epoch: Epoch) -> Option<About> {
        let pages = self.pages();
        let known = pages.iter().rev().find(|(known, _)| *known == epoch);
        known.map(|(_, about)| about.clone())
    }

    /// So many bits it takes, as far as it is known.
    pub(crate) fn bandwidth(&self, epoch: Epoch) -> Bandwidth {
        let pages = self.pages();
        let known = pages.iter().rev().find(|(known, _)| *known == epoch);
        known.map(|(_, about)| about.bandwidth).unwrap_or_default()
    }

    /// What is known of the epoch that was described last.
    pub(crate) fn newest(&self) -> Option<About> {
        let pages = self.pages();
        pages.back().map(|(_, about)| about.clone())
    }

    /// What an epoch is cut for; `None` if it is not cut, or nothing is known of it.
    pub(crate) fn mode(&self, epoch: Epoch) -> Option<hls::Mode> {
        let about = self.about(epoch)?;
        mode_named(&about.hls?.mode)
    }

    /// Told of all that is written from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.0.changes.subscribe()
    }

    fn pages(&self) -> MutexGuard<'_, VecDeque<(Epoch, About)>> {
        let pages = self.0.pages.lock();
        pages.unwrap_or_else(PoisonError::into_inner)
    }
}

/// The mode of that name; `None` for `off`, and for one of a later release.
fn mode_named(name: &str) -> Option<hls::Mode> {
    let mut choices = <Option<hls::Mode>>::CHOICES.iter();
    choices.find(|(known, _)| *known == name)?.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_for(mode: &str) -> About {
        About {
            hls: Some(relay::Hls {
                mode: mode.to_owned(),
                ..relay::Hls::default()
            }),
            ..About::default()
        }
    }

    #[test]
    fn tells_what_an_epoch_is_cut_for_and_whoever_looks_of_what_is_new() {
        let book = Book::default();
        let mut changes = book.changes();
        let epoch = |number| Epoch::new(number, 1);
        book.describe(epoch(1), cut_for("ll"));
        book.describe(epoch(2), cut_for("ts"));
        book.describe(epoch(3), cut_for("something new"));
        let modes = [1, 2, 3, 4].map(|number| book.mode(epoch(number)));
        let known = [Some(hls::Mode::LowLatency), Some(hls::Mode::Ts), None, None];
        assert_eq!(modes, known);
        assert!(changes.has_changed().is_ok_and(|changed| changed));

        changes.mark_unchanged();
        let bandwidth = Bandwidth {
            average: 1,
            peak: 2,
        };
        book.measured(epoch(2), bandwidth);
        assert!(changes.has_changed().is_ok_and(|changed| changed));
        assert_eq!(
            book.about(epoch(2)).map(|about| about.bandwidth),
            Some(bandwidth)
        );
        changes.mark_unchanged();
        book.measured(epoch(2), bandwidth);
        book.measured(epoch(9), bandwidth);
        assert!(
            changes.has_changed().is_ok_and(|changed| !changed),
            "nothing new"
        );
    }

    #[test]
    fn is_bounded_however_often_an_encoder_comes_back() {
        let book = Book::default();
        for number in 0..1000 {
            book.describe(Epoch::new(number, 1), cut_for("ll"));
        }
        assert_eq!(book.pages().len(), PAGES);
        assert!(book.mode(Epoch::new(999, 1)).is_some());
    }
}
