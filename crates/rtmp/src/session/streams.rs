//! The message streams of a connection.

/// What a message stream is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Idle,
    PublishAsked,
    Publishing,
    PlayAsked,
    Playing,
}

impl Use {
    pub(super) fn is_undecided(self) -> bool {
        matches!(self, Self::PublishAsked | Self::PlayAsked)
    }

    pub(super) fn is_publish(self) -> bool {
        matches!(self, Self::PublishAsked | Self::Publishing)
    }

    pub(super) fn is_play(self) -> bool {
        matches!(self, Self::PlayAsked | Self::Playing)
    }
}

pub(super) struct Stream {
    pub(super) id: u32,
    pub(super) usage: Use,
    /// Of the publish, as some clients name their stream when they end it.
    pub(super) name: Box<str>,
    /// Of the play: whether what played before is dropped.
    pub(super) reset: bool,
    /// Of the play: whether the client has it pause.
    pub(super) paused: bool,
}

/// All of them; few, so a search is as good as a map.
#[derive(Default)]
pub(super) struct Streams(Vec<Stream>);

impl Streams {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Stream> {
        self.0.get_mut(index)
    }

    pub(super) fn with_id(&mut self, id: u32) -> Option<&mut Stream> {
        self.0.iter_mut().find(|stream| stream.id == id)
    }

    pub(super) fn index_of(&self, id: u32) -> Option<usize> {
        self.0.iter().position(|stream| stream.id == id)
    }

    pub(super) fn get(&self, index: usize) -> Option<&Stream> {
        self.0.get(index)
    }

    /// Whether a publish or play of that stream waits for its answer.
    pub(super) fn is_undecided(&self, index: usize) -> bool {
        self.get(index)
            .is_some_and(|stream| stream.usage.is_undecided())
    }

    pub(super) fn is_any_undecided(&self) -> bool {
        self.0.iter().any(|stream| stream.usage.is_undecided())
    }

    pub(super) fn remove(&mut self, index: Option<usize>) {
        if let Some(index) = index.filter(|&index| index < self.0.len()) {
            self.0.swap_remove(index);
        }
    }

    pub(super) fn is_publishing(&self) -> bool {
        self.0.iter().any(|stream| stream.usage == Use::Publishing)
    }

    /// A stream with the lowest free id: players then share the wire form of stream 1.
    pub(super) fn create(&mut self, limit: usize) -> Option<u32> {
        let id = (1..).find(|&id| self.index_of(id).is_none())?;
        self.open(id, limit)?;
        Some(id)
    }

    /// The stream of that id, made if a client uses it without having created it.
    pub(super) fn open(&mut self, id: u32, limit: usize) -> Option<usize> {
        if let Some(index) = self.index_of(id) {
            return Some(index);
        }
        if self.0.len() >= limit {
            return None;
        }
        self.0.push(Stream {
            id,
            usage: Use::Idle,
            name: Box::default(),
            reset: true,
            paused: false,
        });
        Some(self.0.len() - 1)
    }

    /// The publish that a media message belongs to, and whether it is decided: the one on its
    /// stream, else the only one there is (media on stream 0 happens).
    pub(super) fn publisher_of(&self, id: u32) -> Option<(u32, bool)> {
        let mut publishers = self.0.iter().filter(|stream| stream.usage.is_publish());
        let found = match publishers.clone().find(|stream| stream.id == id) {
            Some(stream) => stream,
            None => {
                let only = publishers.next()?;
                if publishers.next().is_some() {
                    return None;
                }
                only
            }
        };
        Some((found.id, found.usage == Use::Publishing))
    }

    /// The publish of that name, else the only one there is.
    pub(super) fn publish_named(&self, name: &str) -> Option<usize> {
        let mut publishers = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, stream)| stream.usage.is_publish());
        let named = publishers.clone().find(|(_, stream)| &*stream.name == name);
        let (index, _) = match named {
            Some(found) => found,
            None => {
                let only = publishers.next()?;
                if publishers.next().is_some() {
                    return None;
                }
                only
            }
        };
        Some(index)
    }

    /// The stream a message means that names none: its own, else the only one there is.
    pub(super) fn meant_by(&self, id: u32) -> Option<usize> {
        self.index_of(id)
            .or_else(|| (id == 0 && self.0.len() == 1).then_some(0))
    }
}
