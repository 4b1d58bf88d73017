//! Load generator and meter for live media servers.
//!
//! It shares no media-path code with the server it measures. A publisher stamps a clock into
//! every tag; most players drain their sockets without looking, and a few read every tag. See
//! `README.md` for the commands and what the figures mean.

mod amf;
mod bench;
mod check;
mod chunk;
mod client;
mod clip;
mod cluster;
mod first_play;
mod floor;
mod flv;
mod hls;
mod http;
mod meter;
mod net;
mod nginx;
mod options;
mod parse;
mod player;
mod publish;
mod report;
mod scenario;
mod server;
mod stamp;
mod stats;
mod swarm;
mod system;
mod wire;

use std::process::ExitCode;

use clap::Parser;

use options::{Command, Options};

fn main() -> ExitCode {
    let options = Options::parse();
    system::raise_descriptor_limit();
    let result = match options.command {
        Command::Clip(command) => scenario::clip(&command),
        Command::Publish(command) => scenario::publish(&command),
        Command::Play(command) => scenario::play(&command),
        Command::Run(command) => scenario::run(&command),
        Command::Floor(command) => scenario::floor(&command),
        Command::FloorServer(command) => scenario::floor_server(&command),
        Command::Pair(command) => scenario::pair(&command),
        Command::Burst(command) => scenario::burst(&command),
        Command::FirstPlay(command) => first_play::measure(&command),
        Command::Publishers(command) => scenario::publishers(&command),
        Command::Streams(command) => scenario::streams(&command),
        Command::Churn(command) => scenario::churn(&command),
        Command::Hls(command) => hls::segments::measure(&command),
        Command::Reloads(command) => hls::reloads::measure(&command),
        Command::ReloadsFloor(command) => hls::bell::serve(&command),
        Command::Packaging(command) => hls::packaging::measure(&command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weir-loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}
