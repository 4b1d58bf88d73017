//! `weir`: a node of a live-media cluster.
//!
//! Reads the configuration, starts the node and what is spoken over HTTP, follows signals, and says
//! with its exit code how it went: 0 fine, 1 failed while running, 2 wrong usage or configuration.

mod args;
mod check;
mod commands;
mod identity;
mod layers;
mod log;
mod metrics;
mod reference;
mod reload;
mod resources;
mod serve;
mod settings;
mod source;
mod suggest;

use std::process::ExitCode;

use args::{Action, Invocation};

/// Wrong usage or configuration.
const WRONG: u8 = 2;

fn main() -> ExitCode {
    let Invocation { action, sources } = args::parse();
    if let Action::Ask(command) = action {
        return commands::run(&command);
    }
    if action == Action::Reference {
        print!("{}", reference::page());
        return ExitCode::SUCCESS;
    }
    let loaded = match layers::load(&sources) {
        Ok(loaded) => loaded,
        Err(faults) => {
            eprint!("{faults}");
            return ExitCode::from(WRONG);
        }
    };
    if action == Action::Check {
        print!("{}", check::show(&loaded));
        return ExitCode::SUCCESS;
    }
    serve::serve(&sources, &loaded)
}
