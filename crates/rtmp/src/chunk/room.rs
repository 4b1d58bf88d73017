//! How much half-received messages may hold.

use super::Error;

/// How much a peer may have under way, as far as that depends on what it may do by now. What
/// [`Limits`](super::Limits) say holds beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// For commands and control messages. A peer that wants more is at fault.
    pub(crate) commands: usize,
    /// For media and whatever else there may be. A message that wants more is let go: its bytes
    /// are taken as they come, and nobody sees it.
    pub(crate) media: usize,
}

impl Room {
    /// Of a peer that may do everything.
    pub(crate) const ALL: Self = Self {
        commands: usize::MAX,
        media: usize::MAX,
    };
}

/// What half-received messages hold.
#[derive(Debug)]
pub(super) struct Holdings {
    pub(super) room: Room,
    commands: usize,
    pub(super) media: usize,
    most: usize,
}

impl Holdings {
    /// Nothing yet, and never more than `most`.
    pub(super) fn new(most: usize) -> Self {
        Self {
            room: Room::ALL,
            commands: 0,
            media: 0,
            most,
        }
    }

    pub(super) fn total(&self) -> usize {
        self.commands + self.media
    }

    /// Whether so much `more` may be held; `false` if the message is to be let go instead.
    pub(super) fn have_room(&self, is_media: bool, more: usize) -> Result<bool, Error> {
        if is_media && self.media + more > self.room.media {
            return Ok(false);
        }
        if !is_media && self.commands + more > self.room.commands {
            return Err(Error::TooMuchHeld(self.room.commands));
        }
        if self.total() + more > self.most {
            return Err(Error::TooMuchHeld(self.most));
        }
        Ok(true)
    }

    pub(super) fn add(&mut self, is_media: bool, more: usize) {
        *self.of(is_media) += more;
    }

    pub(super) fn remove(&mut self, is_media: bool, less: usize) {
        *self.of(is_media) -= less;
    }

    fn of(&mut self, is_media: bool) -> &mut usize {
        match is_media {
            true => &mut self.media,
            false => &mut self.commands,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::super::{ChunkReader, Limits};
    use super::*;
    use crate::message::{Kind, Message};

    fn read(reader: &mut ChunkReader, bytes: &[u8]) -> Vec<Message> {
        let mut input = BytesMut::from(bytes);
        std::iter::from_fn(|| reader.read(&mut input).unwrap()).collect()
    }

    fn header(chunk_stream: u8, kind: Kind, length: u8) -> [u8; 12] {
        [chunk_stream, 0, 0, 0, 0, 0, length, kind.into(), 1, 0, 0, 0]
    }

    #[test]
    fn what_is_let_go_is_not_told() {
        let mut reader = ChunkReader::new(Limits::default());
        reader.set_room(Room {
            media: 0,
            ..Room::ALL
        });
        let whole = [&header(4, Kind::Audio, 3)[..], &[1, 2, 3]].concat();
        assert_eq!(read(&mut reader, &whole), []);
        let first = [&header(4, Kind::Video, 200)[..], &[5; 128]].concat();
        let rest = [&[0xC4][..], &[5; 72]].concat();
        assert_eq!(read(&mut reader, &first), []);
        assert!(reader.is_mid_message() && reader.held() == 0);
        // It is gone, whatever there is room for by now.
        reader.set_room(Room::ALL);
        assert_eq!(read(&mut reader, &rest), []);
        assert!(!reader.is_mid_message());
        assert_eq!(read(&mut reader, &whole).len(), 1);
    }

    #[test]
    fn what_there_is_no_room_for_any_more_is_let_go() {
        let mut reader = ChunkReader::new(Limits::default());
        let video = [&header(4, Kind::Video, 200)[..], &[5; 128]].concat();
        let command = [&header(3, Kind::Command, 200)[..], &[5; 128]].concat();
        assert_eq!(read(&mut reader, &[video, command].concat()), []);
        assert_eq!(reader.held(), 400);
        reader.set_room(Room {
            media: 199,
            ..Room::ALL
        });
        assert_eq!(reader.held(), 200);
        // The rest of both, and the next one.
        let rest = |id: u8| [&[0xC0 | id][..], &[5; 72]].concat();
        let told = read(&mut reader, &[rest(4), rest(3)].concat());
        let told: Vec<_> = told.iter().map(|message| message.kind).collect();
        assert_eq!(told, [Kind::Command]);
        let next = [&header(4, Kind::Video, 100)[..], &[5; 100]].concat();
        assert_eq!(read(&mut reader, &next).len(), 1);
    }
}
