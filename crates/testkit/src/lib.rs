//! What tests of a live-media server need: streams to send, programs and peers that send and play
//! them, and ways to compare what came out with what went in.
//!
//! | what | where |
//! |---|---|
//! | short clips, made once by ffmpeg and kept beside the build | [`Clip`] |
//! | ffmpeg 5 and 9, found or asked for; packet lists | [`Ffmpeg`], [`Packets`] |
//! | real players that leave behind what they received | [`players`] |
//! | any program, ended with its guard | [`Program`] |
//! | a publisher that sends a clip in its own time | [`Publisher`] |
//! | a client that says and hears single messages | [`Peer`], [`Heard`] |
//! | a link that is too slow | [`Throttle`] |
//! | recorded sessions of real encoders | [`Capture`] |
//! | a certificate of our own making | [`certificate`] |
//! | what is wrong with HLS playlists | [`hls`] |
//! | waiting for an event, with a limit | [`wait`] |
//!
//! Helpers panic where a test would: a program that is missing must not look like a test that passed.

mod capture;
pub mod certificate;
mod clip;
mod ffmpeg;
mod folders;
pub mod hls;
mod packets;
mod peer;
pub mod players;
mod program;
mod publisher;
mod throttle;
pub mod wait;

pub use capture::Capture;
pub use clip::{Clip, Recipe};
pub use ffmpeg::Ffmpeg;
pub use folders::{captures, target, try_target};
pub use packets::{Packet, Packets};
pub use peer::{Heard, Peer, Status};
pub use program::{Output, Program};
pub use publisher::{Publisher, sent};
pub use throttle::Throttle;
