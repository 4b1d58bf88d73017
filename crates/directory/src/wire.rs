//! The values in the directory: JSON with the version of their form.
//!
//! A node reads the version before and after its own and ignores fields that it does not know, so
//! that nodes of neighbouring releases live in one cluster.

use media::{Epoch, StreamKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::epoch::MAX as MAX_EPOCH;
use crate::{Fingerprint, NodeId, NodeRecord, Numbering, StreamRecord, StreamState};

/// The version that is written.
pub(crate) const VERSION: u32 = 1;
/// Longer values are not read.
pub(crate) const MAX_VALUE: usize = 64 << 10;

/// Why a value is not understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("it has {0} bytes, {MAX_VALUE} are allowed")]
    TooLong(usize),
    #[error("its version is {0}, this release reads {min} to {max}", min = VERSION - 1, max = VERSION + 1)]
    Version(u32),
    #[error("the epoch {0} is not plausible")]
    Epoch(u64),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

#[derive(Serialize)]
struct Written<'a, T> {
    version: u32,
    #[serde(flatten)]
    value: &'a T,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// A stream's record but its key, which is the key in the directory too.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stream {
    node: NodeId,
    #[serde(with = "epoch")]
    epoch: Epoch,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity: Option<Fingerprint>,
    #[serde(default)]
    protocol: String,
    #[serde(default)]
    state: StreamState,
    #[serde(default)]
    since: u64,
    #[serde(default)]
    numbering: Numbering,
}

/// A setting's value in its envelope: what is inside belongs to the feature that owns it.
#[derive(Serialize, Deserialize)]
struct Wrapped {
    value: serde_json::Value,
}

pub(crate) fn write_stream(record: &StreamRecord) -> Vec<u8> {
    write(&Stream {
        node: record.node.clone(),
        epoch: record.epoch,
        identity: record.identity,
        protocol: record.protocol.clone(),
        state: record.state,
        since: record.since,
        numbering: record.numbering,
    })
}

pub(crate) fn read_stream(key: StreamKey, value: &[u8]) -> Result<StreamRecord, WireError> {
    let stream: Stream = read(value)?;
    if stream.epoch.number > MAX_EPOCH {
        return Err(WireError::Epoch(stream.epoch.number));
    }
    Ok(StreamRecord {
        key,
        node: stream.node,
        epoch: stream.epoch,
        identity: stream.identity,
        protocol: stream.protocol,
        state: stream.state,
        since: stream.since,
        numbering: stream.numbering,
    })
}

pub(crate) fn write_node(record: &NodeRecord) -> Vec<u8> {
    write(record)
}

pub(crate) fn read_node(id: NodeId, value: &[u8]) -> Result<NodeRecord, WireError> {
    Ok(NodeRecord { id, ..read(value)? })
}

pub(crate) fn write_setting(value: &serde_json::Value) -> Vec<u8> {
    write(&Wrapped {
        value: value.clone(),
    })
}

pub(crate) fn read_setting(value: &[u8]) -> Result<serde_json::Value, WireError> {
    Ok(read::<Wrapped>(value)?.value)
}

fn write<T: Serialize>(value: &T) -> Vec<u8> {
    let written = Written {
        version: VERSION,
        value,
    };
    // Plain structs of texts and numbers: they have a form in JSON.
    serde_json::to_vec(&written).unwrap_or_default()
}

fn read<T: DeserializeOwned>(value: &[u8]) -> Result<T, WireError> {
    if value.len() > MAX_VALUE {
        return Err(WireError::TooLong(value.len()));
    }
    let Version { version } = serde_json::from_slice(value)?;
    if !(VERSION - 1..=VERSION + 1).contains(&version) {
        return Err(WireError::Version(version));
    }
    Ok(serde_json::from_slice(value)?)
}

/// Epochs as text, `1767225600000.8c02f3`: the node's number takes all 64 bits, more than a number
/// in JSON is sure to keep.
mod epoch {
    use std::borrow::Cow;

    use media::Epoch;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(epoch: &Epoch, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{}.{:x}", epoch.number, epoch.node))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Epoch, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        let parsed = text.split_once('.').and_then(|(number, node)| {
            Some(Epoch::new(
                number.parse().ok()?,
                u64::from_str_radix(node, 16).ok()?,
            ))
        });
        parsed.ok_or_else(|| D::Error::custom("an epoch is a number, a dot and a hexadecimal one"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;

    fn key() -> StreamKey {
        StreamKey::parse("live/cam").expect("a key")
    }

    fn node() -> NodeId {
        NodeId::parse("a").expect("a name")
    }

    fn stream() -> StreamRecord {
        StreamRecord {
            key: key(),
            node: node(),
            epoch: Epoch::new(1_767_225_600_000, u64::MAX),
            identity: Some(Fingerprint::of(b"s", b"t")),
            protocol: "rtmp".to_owned(),
            state: StreamState::Waiting,
            since: 12,
            numbering: Numbering {
                media_sequence: 7,
                discontinuity_sequence: 3,
                carries_on: true,
            },
        }
    }

    #[test]
    fn a_stream_is_what_the_documentation_says() {
        let json: serde_json::Value =
            serde_json::from_slice(&write_stream(&stream())).expect("JSON");
        assert_eq!(
            json,
            serde_json::json!({
                "version": 1, "node": "a", "epoch": "1767225600000.ffffffffffffffff",
                "identity": Fingerprint::of(b"s", b"t").to_string(), "protocol": "rtmp",
                "state": "waiting", "since": 12,
                "numbering": { "mediaSequence": 7, "discontinuitySequence": 3, "carriesOn": true }
            })
        );
    }

    #[test]
    fn records_survive_the_way() {
        let read = read_stream(key(), &write_stream(&stream())).expect("reads");
        assert_eq!(read, stream());

        let mut record = NodeRecord::new(node(), Role::Edge);
        record
            .addresses
            .insert("relay".to_owned(), "10.0.0.1:7935".to_owned());
        (record.load, record.zone, record.draining) = (0.25, Some("z".to_owned()), true);
        (record.clock, record.started) = (5, 4);
        assert_eq!(
            read_node(node(), &write_node(&record)).expect("reads"),
            record
        );

        let value = serde_json::json!({ "url": "rtmp://x" });
        assert_eq!(read_setting(&write_setting(&value)).expect("reads"), value);
    }

    #[test]
    fn neighbouring_versions_and_unknown_fields_are_read() {
        for version in [0, 1, 2] {
            let text = format!(
                r#"{{"version":{version},"node":"b","epoch":"5.a","colour":{{"x":[1]}},"state":"paused"}}"#
            );
            let read = read_stream(key(), text.as_bytes()).expect("reads");
            assert_eq!((read.node.as_str(), read.epoch), ("b", Epoch::new(5, 10)));
            assert_eq!((read.state, read.identity), (StreamState::Live, None));
            let text = format!(r#"{{"version":{version},"role":"witness","moon":"full"}}"#);
            let read = read_node(node(), text.as_bytes()).expect("reads");
            assert_eq!(read, NodeRecord::new(node(), Role::Other));
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for wrong in [
            r#"{"version":3,"node":"b","epoch":"5.a"}"#,
            r#"{"node":"b","epoch":"5.a"}"#,
            r#"{"version":1,"node":"b c","epoch":"5.a"}"#,
            r#"{"version":1,"node":"b","epoch":"5"}"#,
            r#"{"version":1,"node":"b","epoch":"18446744073709551615.a"}"#,
            r#"{"version":1,"node":"b"}"#,
            "[]",
            "",
            "\u{0}",
        ] {
            assert!(read_stream(key(), wrong.as_bytes()).is_err(), "{wrong}");
        }
        let long = format!(
            r#"{{"version":1,"node":"b","epoch":"5.a","x":"{}"}}"#,
            "y".repeat(MAX_VALUE)
        );
        assert!(matches!(
            read_stream(key(), long.as_bytes()),
            Err(WireError::TooLong(_))
        ));
    }
}
