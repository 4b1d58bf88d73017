//! `weir-cluster`: a cluster on one machine, for a person to look at and to break.

mod command;

use std::process::ExitCode;

use clap::Parser;

use command::{Arguments, run};

// One thread, which lives as long as the processes do: they end when the thread does that started
// them.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weir-cluster: {error:#}");
            ExitCode::FAILURE
        }
    }
}
