//! One node, real encoders and real players.

mod access;
mod api;
mod captures;
mod full;
mod gather;
mod http;
mod interop;
mod joining;
mod limits;
mod many;
mod metadata;
mod pipelined;
mod playing;
mod publishing;
mod republish;
mod rtmps;
mod shutdown;
mod slow;
mod times;
mod tracks;
mod wire;
