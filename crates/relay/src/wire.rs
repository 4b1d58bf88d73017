//! What is meant, as messages and back. Nothing that a peer says is believed before it is looked at.

mod ask;
mod configuration;
mod cut;
mod pull;
mod tags;

pub(crate) use ask::{action, query, release, released};
pub(crate) use pull::{about, end, position, subscribe, viewers};

pub(crate) use configuration::{described, description};
pub(crate) use tags::{Batch, read as read_tags};

use media::{Epoch, StreamKey};
use proto::relay::v1 as wire;

use crate::{Error, Refusal};

pub(crate) fn epoch_to_wire(epoch: Epoch) -> wire::Epoch {
    wire::Epoch {
        number: epoch.number,
        node: epoch.node,
    }
}

pub(crate) fn epoch_from_wire(epoch: Option<wire::Epoch>) -> Epoch {
    let epoch = epoch.unwrap_or_default();
    Epoch::new(epoch.number, epoch.node)
}

/// A text of a peer, cut to what a log has room for.
pub(crate) fn text(mut text: String) -> String {
    let end = (0..=MAX_TEXT).rfind(|&at| text.is_char_boundary(at));
    text.truncate(end.unwrap_or(0));
    text.shrink_to_fit();
    text
}

/// How much of a peer's text is kept.
const MAX_TEXT: usize = 512;

fn key(text: &str) -> Result<StreamKey, Refusal> {
    StreamKey::parse(text).map_err(|error| Error::invalid(error.to_string()))
}
