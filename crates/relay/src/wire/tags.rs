//! Tags: what hardly changes from one to the next goes as a step.

use bytes::Bytes;
use flv::{Kind, Tag};
use media::{MarkedTag, Relayed};
use proto::relay::v1 as wire;

use super::cut;

const NS_PER_MS: i64 = 1_000_000;

/// How far times of a peer are believed: far enough for any stream, and so near that no sum of a few of them can
/// overflow.
const MAX_MS: i64 = MAX_NS / NS_PER_MS;
const MAX_NS: i64 = i64::MAX / 4;
/// How far the fine time of a tag may be from its timestamp, of which only 32 bits go on to the next node.
const MAX_FINE: i64 = i32::MAX as i64 * NS_PER_MS;

/// Why bytes of a peer are no tags.
pub(crate) type Nonsense = &'static str;

/// Tags on their way into one message.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    message: wire::Tags,
    steps: Steps,
    bytes: usize,
    weight: usize,
}

/// What a tag adds to a message beside its payload, at most and without corrected metadata.
const BESIDE: usize = 192;

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.message.tags.is_empty()
    }

    /// Bytes of payload in it.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How long the message will be, at most.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// What this tag adds to that.
    pub(crate) fn weight_of(tag: &MarkedTag) -> usize {
        let extra = tag.extra.as_deref();
        let metadata = extra.and_then(|extra| extra.metadata.as_ref());
        weigh(&tag.tag.payload, metadata)
    }

    /// When its first tag came in at the origin.
    pub(crate) fn ingest(&self) -> Option<i64> {
        (!self.is_empty()).then_some(self.message.ingest)
    }

    /// Whether a tag with this number may follow here.
    pub(crate) fn takes(&self, number: u64) -> bool {
        let next = self
            .message
            .number
            .wrapping_add(self.message.tags.len() as u64);
        self.is_empty() || (number == next && self.message.tags.len() < proto::MAX_TAGS)
    }

    pub(crate) fn push(&mut self, tag: Relayed) {
        if self.is_empty() {
            self.steps = Steps::before(&tag);
            self.message.number = tag.number;
            self.message.time = self.steps.ms;
            self.message.ingest = self.steps.ingest;
            self.message.version = self.steps.version;
        }
        self.bytes += tag.tag.payload.len();
        self.weight += weigh(&tag.tag.payload, tag.metadata.as_ref());
        self.message.tags.push(self.steps.write(tag));
    }

    /// Takes the message; what comes next goes into another.
    pub(crate) fn take(&mut self) -> wire::Down {
        let tags = std::mem::take(self).message;
        wire::Down {
            kind: Some(wire::down::Kind::Tags(tags)),
        }
    }
}

fn weigh(payload: &Bytes, metadata: Option<&Bytes>) -> usize {
    payload.len() + metadata.map_or(0, Bytes::len) + BESIDE
}

/// The tags of a message, and the bytes of their payloads.
pub(crate) fn read(message: wire::Tags) -> Result<(Vec<Relayed>, usize), Nonsense> {
    let bytes = message.tags.iter().map(|tag| tag.payload.len()).sum();
    let mut steps = Steps {
        ms: message.time,
        ingest: message.ingest,
        version: message.version,
    };
    let numbered = message.tags.into_iter().zip(0..);
    let tags = numbered.map(|(tag, at)| {
        let number = message.number.checked_add(at).ok_or("numbers run out")?;
        steps.read(tag, number, |payload| keep(payload, bytes))
    });
    Ok((tags.collect::<Result<_, _>>()?, bytes))
}

/// Tags that do not follow one another.
pub(super) fn write_apart(tags: Vec<Relayed>) -> Vec<wire::Tag> {
    let write = |tag: Relayed| wire::Tag {
        number: tag.number,
        ..Steps::default().write(tag)
    };
    tags.into_iter().map(write).collect()
}

/// Tags that do not follow one another. They live as long as the stream, so each owns its payload.
pub(super) fn read_apart(tags: Vec<wire::Tag>) -> Result<Vec<Relayed>, Nonsense> {
    let read = |tag: wire::Tag| {
        let number = tag.number;
        Steps::default().read(tag, number, |payload| Bytes::copy_from_slice(&payload))
    };
    tags.into_iter().map(read).collect()
}

/// A payload of up to so many bytes is copied in hardly more time than it takes to share it.
const SMALL: usize = 1024;

/// Sound outlives the pictures beside it wherever a viewer lags: a small payload must not keep a large message in
/// memory. So it is copied out if it is small and less than a quarter of what it came with.
fn keep(payload: Bytes, message: usize) -> Bytes {
    match payload.len() <= SMALL && payload.len() < message / 4 {
        true => Bytes::copy_from_slice(&payload),
        false => payload,
    }
}

/// Where the tag before stands.
#[derive(Clone, Copy, Debug, Default)]
struct Steps {
    ms: i64,
    ingest: i64,
    version: u32,
}

impl Steps {
    /// So that the first tag takes no step.
    fn before(tag: &Relayed) -> Self {
        Self {
            ms: millis(tag),
            ingest: tag.ingest,
            version: tag.version,
        }
    }

    fn write(&mut self, tag: Relayed) -> wire::Tag {
        let here = Self::before(&tag);
        let before = std::mem::replace(self, here);
        wire::Tag {
            kind: tag.tag.kind.id().into(),
            payload: tag.tag.payload,
            time_step: here.ms.wrapping_sub(before.ms),
            fine: tag.time.wrapping_sub(here.ms.wrapping_mul(NS_PER_MS)),
            composition: tag.composition,
            ingest_step: here.ingest.wrapping_sub(before.ingest),
            version_step: here.version.wrapping_sub(before.version) as i32,
            keypoint: tag.keypoint,
            repeat: tag.repeat,
            cut: tag.cut.map(|cut| Box::new(cut::to_wire(cut))),
            number: 0,
            metadata: tag.metadata,
        }
    }

    fn read(
        &mut self,
        tag: wire::Tag,
        number: u64,
        keep: impl Fn(Bytes) -> Bytes,
    ) -> Result<Relayed, Nonsense> {
        let kind = u8::try_from(tag.kind).ok().and_then(Kind::from_id);
        let kind = kind.ok_or("a kind of tag that is not known")?;
        self.ms = within(self.ms.checked_add(tag.time_step), MAX_MS)?;
        self.ingest = within(self.ingest.checked_add(tag.ingest_step), MAX_NS)?;
        self.version = self.version.wrapping_add(tag.version_step as u32);
        let fine = within(Some(tag.fine), MAX_FINE)?;
        Ok(Relayed {
            tag: Tag::new(kind, self.ms as u32, keep(tag.payload)),
            number,
            time: self.ms * NS_PER_MS + fine,
            composition: within(Some(tag.composition), MAX_NS)?,
            ingest: self.ingest,
            came: 0,
            version: self.version,
            keypoint: tag.keypoint,
            repeat: tag.repeat,
            cut: tag.cut.map(|cut| cut::from_wire(*cut)).transpose()?,
            // It is kept as long as the configuration.
            metadata: tag.metadata.map(|payload| Bytes::copy_from_slice(&payload)),
        })
    }
}

/// The time of a tag in milliseconds, of which its timestamp is the low 32 bits.
fn millis(tag: &Relayed) -> i64 {
    let near = tag.time.div_euclid(NS_PER_MS);
    let off = tag.tag.dts.wrapping_sub(near as u32) as i32;
    near.wrapping_add(off.into())
}

pub(super) fn within(value: Option<i64>, bound: i64) -> Result<i64, Nonsense> {
    let value = value.filter(|value| (-bound..=bound).contains(value));
    value.ok_or("a time beyond all bounds")
}

#[cfg(test)]
mod tests;
