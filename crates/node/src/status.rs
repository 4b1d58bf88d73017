//! What a node says about its streams, its viewers, itself and its cluster: the words of the HTTP API.
//!
//! The types are what is sent, to users and between nodes; what is not known is left out, and
//! readers pass over what they do not know. `cluster.rs` finds the answers.

mod node;
mod question;
mod served;
mod silent;
mod sketch;
mod snapshot;
mod stream;
mod subscriber;
mod time;
mod why;

pub use node::{Node, Nodes};
pub use question::{
    Answer, Disconnected, Done, Draining, Order, Question, Refusal, RefusalKind, Stopped, Until,
    Warm,
};
pub use served::Part;
pub use silent::{REFUSED, by_reason};
pub use stream::{Found, State, Stream, Streams};
pub use subscriber::{Subscriber, Subscribers};
pub use time::{Timestamp, TimestampError};
pub use why::{Why, WhyNode};

pub(crate) use served::{Served, best, read_name, served, subscribers};
pub(crate) use silent::{Silent, why_silent};
pub(crate) use sketch::read as read_sketch;
pub(crate) use snapshot::{Place, Publish, StreamSnapshot, Subscribed};
pub(crate) use why::{Facts, Recorded, explain};
