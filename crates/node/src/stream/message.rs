//! What a stream is told and asked.

use std::sync::Arc;

use directory::{Held, StreamRecord};
use media::Epoch;
use ractor::{ActorId, RpcReplyPort};

use super::claiming::Claimed;
use super::{
    HlsReply, LendRequest, PublishReply, PublishRequest, Refusal, ReleaseRequest, SubscribeReply,
    SubscribeRequest,
};
use crate::pull;
use crate::status::StreamSnapshot;

/// What a stream is told and asked.
pub(crate) enum Message {
    Publish(PublishRequest, PublishReply),
    /// The directory, or who had the key, has answered to this question.
    Claimed(u64, Option<Result<Claimed, Refusal>>),
    /// The window of the stream is to be here before the key is.
    WantWindow,
    /// The key is another node's.
    ClaimLost(Option<Arc<Held>>),
    /// The segments of this publish have numbers that the clock has not reached, up to these.
    Outruns(Epoch, hls::LastKnown),
    /// The publisher of this epoch is gone.
    PublisherLeft(Epoch),
    /// Look whether the publisher still sends, for those who wait for its place.
    Look,
    /// Look whether the publisher still sends, for the one that stands by.
    LookForStandby,
    /// The time to come back is over for the publisher of this epoch.
    GraceOver(Epoch),
    Subscribe(SubscribeRequest, SubscribeReply),
    /// Somebody asks over HLS, and nothing is packaged yet.
    Hls(HlsReply),
    /// The longest wait for a first publisher is over for who asked over HLS first.
    HlsWaitOver,
    /// Look whether anybody still asks over HLS.
    LookAtHls,
    /// A packager that failed is started again.
    StartPackager,
    /// The longest wait for a first publisher is over for this player.
    WaitOver(ActorId),
    /// From its pull.
    Pulled(pull::News),
    /// The directory may say something new about it.
    Changed,
    /// Nobody has watched for a while, unless somebody came after so many requests.
    LingerOver(u64),
    /// It is to be there before its first player, or no longer.
    Warm(bool),
    /// Another node wants to pull it.
    Lend(LendRequest),
    /// So many watch at the node with this feed.
    FeedViewers(u64, relay::Viewers),
    /// The node with this feed has left.
    FeedLeft(u64),
    /// Another node wants its key.
    Release(ReleaseRequest),
    /// What there is to say of it in the directory, if it is published here.
    Locate(RpcReplyPort<Option<StreamRecord>>),
    /// The node goes away: others may have the key.
    Draining,
    /// The node has forgotten it, since nobody wants it.
    Retire,
    /// The node has forgotten it, since it is over: nobody is sent here any more.
    Forgotten,
    /// Disconnects its publisher and ends it.
    Stop(String),
    /// What there is to say of it at this moment.
    Snapshot(RpcReplyPort<StreamSnapshot>),
    /// Disconnects the player of this number; false if there is none.
    Disconnect(u64, RpcReplyPort<bool>),
    #[cfg(test)]
    Panic,
    #[cfg(test)]
    PanicSubscriber,
    #[cfg(test)]
    PanicPublisher,
    #[cfg(test)]
    PanicPackager,
    /// Gives the next publish its numbers, and goes no further.
    #[cfg(test)]
    Renumber,
}
