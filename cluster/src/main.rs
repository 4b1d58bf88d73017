//! `weir-cluster`: a cluster on one machine, for a person to look at and to break.

mod command;

use std::panic::{AssertUnwindSafe, PanicHookInfo};
use std::process::ExitCode;

use clap::Parser;
use futures::FutureExt;

use command::{Arguments, run};

// One thread, which lives as long as the processes do: they end when the thread does that started
// them.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Who looks at a cluster is told what is wrong, not where that is written.
    std::panic::set_hook(Box::new(|panic| eprintln!("weir-cluster: {}", said(panic))));
    // The runner panics where a test would.
    let ran = AssertUnwindSafe(run(Arguments::parse())).catch_unwind();
    match ran.await {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("weir-cluster: {error:#}");
            ExitCode::FAILURE
        }
        Err(_) => ExitCode::FAILURE,
    }
}

fn said<'a>(panic: &'a PanicHookInfo<'_>) -> &'a str {
    let payload = panic.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    text.unwrap_or("a fault of this program")
}
