//! What every directory can do.

use std::sync::Arc;

use futures::future::BoxFuture;
use media::{Epoch, StreamKey};

use crate::{
    Changes, Claim, ClaimError, ClockDifference, Error, Expect, Held, Kind, Life, NodeId,
    NodeRecord, Revision, Setting, SettingError, SettingName, StreamRecord, UpdateError,
};

/// Which origin has a stream key, which nodes there are, and what they share: a node's view of its
/// cluster, and its place in it.
///
/// What is read without awaiting comes from memory, kept current by one watch, and is what was last
/// known while the directory is out of reach. Nothing that is awaited takes much longer than
/// [`PATIENCE`](crate::PATIENCE), and what must ask a directory that was found out of reach fails at
/// once; it is waited for in the first moments, before that is known, and while another of its members
/// is looked for.
pub trait Directory: Send + Sync + 'static {
    /// The node whose view this is.
    fn node(&self) -> &NodeId;

    /// Whether the directory can be reached. Not so before it has been for the first time.
    fn is_up(&self) -> bool;

    /// Whether it has been reached since the start: what was known then goes on.
    fn was_up(&self) -> bool;

    /// An epoch above all that this node has seen in the directory or chosen itself, and above
    /// `known` from elsewhere (an origin that was asked to release, a ring).
    fn next_epoch(&self, known: Option<Epoch>) -> Epoch;

    /// Who has `key`, as last known.
    fn lookup(&self, key: &StreamKey) -> Option<Arc<Held>>;

    /// Who has `key`: asks the directory itself, for keys that were claimed a moment ago.
    fn resolve<'a>(&'a self, key: &'a StreamKey)
    -> BoxFuture<'a, Result<Option<Arc<Held>>, Error>>;

    /// All streams, as last known.
    fn streams(&self) -> Vec<Arc<Held>>;

    /// All nodes that announced themselves, as last known.
    fn nodes(&self) -> Vec<Arc<NodeRecord>>;

    /// This node, as last known.
    fn find_node(&self, id: &NodeId) -> Option<Arc<NodeRecord>>;

    /// Claims the key of `record` for this node: where nobody has it, or in place of exactly what
    /// is there at the revision `over`. What an earlier process of this node left there with a
    /// lower epoch is superseded in any case.
    ///
    /// The claim is kept, also over outages and the loss of its lease, until it is released, lost
    /// to a higher epoch ([`Change::Lost`](crate::Change)), or dropped, which releases it too.
    fn claim(
        &self,
        record: StreamRecord,
        over: Option<Revision>,
    ) -> BoxFuture<'_, Result<Claim, ClaimError>>;

    /// Claims the key of `record` without asking: for an origin with a live encoder while the
    /// directory is out of reach. It is written as soon as it can be; where another has the key by
    /// then, the higher epoch wins.
    fn assume(&self, record: StreamRecord) -> Claim;

    /// Says something else about a claimed key: the encoder left, or came back with a new epoch. If
    /// the directory is out of reach, it is told later.
    fn update<'a>(
        &'a self,
        claim: &'a Claim,
        record: StreamRecord,
    ) -> BoxFuture<'a, Result<(), UpdateError>>;

    /// Gives a key back. If the directory is out of reach, it is told later.
    fn release(&self, claim: Claim) -> BoxFuture<'_, Result<(), Error>>;

    /// What has become of a claim.
    fn standing(&self, claim: &Claim) -> Standing;

    /// Announces this node, until it leaves: now, and again with its clock as time goes by. News
    /// are told at once, a change of load alone with some delay.
    fn announce(&self, record: NodeRecord);

    /// What changes from now on.
    fn changes(&self) -> Changes;

    /// The nodes whose clocks differ from ours by more than a second.
    fn clock_differences(&self) -> Vec<ClockDifference>;

    /// A shared setting, as last known.
    fn setting(&self, kind: Kind, name: &SettingName) -> Option<Arc<Setting>>;

    /// All shared settings of a kind by name, as last known.
    fn settings(&self, kind: Kind) -> Vec<(SettingName, Arc<Setting>)>;

    /// Sets a shared setting.
    fn put_setting(
        &self,
        kind: Kind,
        name: SettingName,
        value: serde_json::Value,
        life: Life,
        expect: Expect,
    ) -> BoxFuture<'_, Result<Revision, SettingError>>;

    /// Deletes a shared setting. One that is not there is fine, unless a revision is expected.
    fn delete_setting(
        &self,
        kind: Kind,
        name: SettingName,
        expect: Expect,
    ) -> BoxFuture<'_, Result<(), SettingError>>;

    /// Leaves the directory: this node's record and all its claims are gone at once. Dropping does
    /// less: they go with the node's lease.
    fn leave(&self) -> BoxFuture<'_, ()>;
}

/// What has become of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The directory has it as it is meant.
    Held(Revision),
    /// The directory does not know of it, or of its last change, yet.
    Pending,
    /// It is lost or released.
    Gone,
}
