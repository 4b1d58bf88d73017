//! Which origin has a stream key, which nodes there are, and what they share.
//!
//! A node [joins](join) a directory and gets its view of it, [`Directory`]: it claims the keys of
//! streams that are published to it, looks up those that are played, announces itself, and hears
//! of what [changes](Change). [`Embedded`] keeps it in memory, for a node alone; [`Etcd`] in etcd.
//!
//! # What is in etcd
//!
//! Below `/weir/<cluster>/`:
//!
//! | key | value | life |
//! |---|---|---|
//! | `nodes/<node>` | [`NodeRecord`] | the node's lease |
//! | `streams/<app>/<name>` | [`StreamRecord`] | the node's lease; changed by compare-and-swap |
//! | `tokens/…`, `forwards/…`, `rules/…`, `warm/…`, `recordings/…` | [`Setting`] | [`Life`] |
//!
//! Values are JSON in camelCase with a `version`. A node reads the version before and after its own
//! and ignores fields that it does not know.
//!
//! # What it promises
//!
//! - A claim is kept until it is released or lost to a higher epoch: over broken connections, the
//!   loss of the lease, the outage of etcd, and an etcd restored from an old snapshot.
//! - While etcd is out of reach, look-ups answer what was last known, and nothing counts as gone.
//!   For one more lease after its return, what is missing is held back, because those it belongs to
//!   are about to write it again.
//! - Nothing that is awaited takes much longer than [`PATIENCE`].
//! - A publish costs three writes (claim, waiting, release), a viewer none; one lease and one watch
//!   serve all streams of a node. A stream that is known and idle takes about half a kilobyte.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! use media::StreamKey;
//! use weir_directory::{self as directory, NodeId, Numbering, StreamRecord, StreamState};
//!
//! let directory = directory::Embedded::alone(NodeId::parse("weir-1").unwrap());
//! let record = StreamRecord {
//!     key: StreamKey::parse("live/camera").unwrap(),
//!     node: directory.node().clone(),
//!     epoch: directory.next_epoch(None),
//!     identity: None,
//!     protocol: "rtmp".to_owned(),
//!     state: StreamState::Live,
//!     since: 1_767_225_600_000,
//!     numbering: Numbering::default(),
//! };
//! let claim = directory.claim(record, None).await.unwrap();
//! assert!(directory.lookup(claim.key()).is_some());
//! directory.release(claim).await.unwrap();
//! # });
//! ```

mod backoff;
mod change;
mod claim;
mod claims;
mod clock;
mod config;
#[cfg(feature = "contract")]
pub mod contract;
mod converge;
mod directory;
mod driver;
mod embedded;
mod epoch;
mod error;
mod etcd;
mod fingerprint;
mod id;
mod known;
mod link;
mod member;
mod metrics;
mod path;
mod record;
mod setting;
mod shared;
mod state;
mod store;
mod wire;

pub use change::{Change, Changes};
pub use claim::Claim;
pub use clock::{Clock, ClockDifference};
pub use config::{Config, ConfigKey, ConfigProblem, DirectoryKind, Secret, TlsConfig};
pub use directory::{Directory, Standing};
pub use embedded::{Embedded, Snapshot};
pub use error::{ClaimError, Error, PATIENCE, UpdateError};
pub use etcd::{Etcd, join};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use id::{NodeId, NodeIdError};
pub use record::{Held, NodeRecord, Numbering, Revision, Role, StreamRecord, StreamState};
pub use setting::{Expect, Kind, Life, Setting, SettingError, SettingName, SettingNameError};
pub use shared::Options;
