//! What is asked of a running node and ordered, from the command line.

mod client;
mod show;
mod table;

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use node::config::parse_duration;
use node::status::{Draining, Nodes, Stopped, Streams, Timestamp, Warm, Why};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use client::{Client, encoded};

/// Wrong usage.
const WRONG: u8 = 2;

/// What a running node is asked and told.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub(crate) enum Command {
    /// Ask a running node how it and its cluster do
    Status(Options),
    /// List the streams of the cluster
    Streams(Options),
    /// List the nodes of the cluster
    Nodes(Options),
    /// Ask why a stream is as it is
    Why {
        /// app/name, or the name alone in the app live
        key: String,
        #[command(flatten)]
        options: Options,
    },
    /// Disconnect the publisher of a stream
    Stop {
        /// app/name, or the name alone in the app live
        key: String,
        #[command(flatten)]
        options: Options,
    },
    /// Have a node leave politely; without a name, the one that is asked
    Drain {
        /// The name of the node
        node: Option<String>,
        #[command(flatten)]
        options: Options,
    },
    /// Have a stream pulled by edges before anybody watches
    Warm {
        /// app/name, or the name alone in the app live
        key: String,
        /// How many edges pull it; 0: none any longer
        #[arg(long, value_name = "N")]
        edges: usize,
        /// stopped (until told otherwise), a duration such as 30m, or a time
        #[arg(long, value_name = "WHEN", default_value = "stopped", value_parser = when)]
        until: String,
        #[command(flatten)]
        options: Options,
    },
}

/// Which node is asked, and how its answer is shown.
#[derive(Clone, Default, PartialEq, Eq, Args)]
pub(crate) struct Options {
    /// The API of a node; also WEIR_API
    #[arg(long, value_name = "URL")]
    api: Option<String>,
    /// The node's auth.admin_key; better WEIR_API_KEY, which other users of the machine do not see
    #[arg(long = "key", value_name = "KEY")]
    admin_key: Option<String>,
    /// Print what the node answers, as it is
    #[arg(long)]
    json: bool,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("api", &self.api)
            .finish_non_exhaustive()
    }
}

/// Where a node is asked that nobody says anything else of.
const API: &str = "http://127.0.0.1:8080";

fn when(text: &str) -> Result<String, String> {
    let is_time = text == "stopped" || text.parse::<Timestamp>().is_ok();
    match is_time || parse_duration(text).is_ok() {
        true => Ok(text.to_owned()),
        false => Err("say stopped, a duration such as 30m, or a time such as \
                      2026-01-31T12:00:00Z"
            .to_owned()),
    }
}

/// Why a command failed, for the person who gave it.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// What was asked makes no sense.
    #[error("{0}")]
    Usage(String),
    /// It could not be done.
    #[error("{0}")]
    Failed(String),
    /// There is nothing of that name, and this is what the node says to it.
    #[error("{0}")]
    Nothing(String),
}

/// Does it, and says how it went.
pub(crate) fn run(command: &Command) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(obey(command, |name| std::env::var(name).ok())),
        Err(error) => Err(Failure::Failed(format!("cannot start: {error}"))),
    };
    match done {
        Ok(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(Failure::Nothing(text)) => {
            print(&text);
            ExitCode::FAILURE
        }
        Err(Failure::Failed(why)) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
        Err(Failure::Usage(why)) => {
            eprintln!("error: {why}");
            ExitCode::from(WRONG)
        }
    }
}

fn print(text: &str) {
    // Whoever reads may have seen enough.
    drop(std::io::stdout().write_all(text.as_bytes()));
}

/// What there is to print in the end.
async fn obey(
    command: &Command,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<String, Failure> {
    let options = command.options();
    let client = options.client(&variable)?;
    let json = options.json;
    match command {
        Command::Status(_) => status(&client, json).await,
        Command::Streams(_) => {
            let answer = client.get("/api/v1/streams").await?;
            shown(json, answer, |streams: Streams| show::streams(&streams))
        }
        Command::Nodes(_) => {
            let answer = client.get("/api/v1/nodes").await?;
            shown(json, answer, |nodes: Nodes| show::nodes(&nodes))
        }
        Command::Why { key, .. } => {
            let path = format!("/api/v1/streams/{}/why", encoded(key));
            let answer = client.get(&path).await?;
            let is_known = answer.get("state").is_some();
            let text = shown(json, answer, |why: Why| show::why(&why))?;
            match is_known {
                true => Ok(text),
                false => Err(Failure::Nothing(text)),
            }
        }
        Command::Stop { key, .. } => {
            let path = format!("/api/v1/streams/{}/stop", encoded(key));
            let answer = client.post(&path, &Value::Null).await?;
            shown(json, answer, |stopped: Stopped| {
                format!("{} is stopped\n", stopped.stream_key)
            })
        }
        Command::Drain { node, .. } => {
            let node = match node {
                Some(node) => node.clone(),
                None => own_name(&client).await?,
            };
            let path = format!("/api/v1/nodes/{}/drain", encoded(&node));
            let answer = client.post(&path, &Value::Null).await?;
            shown(json, answer, |draining: Draining| {
                format!("{} is draining\n", draining.node)
            })
        }
        Command::Warm {
            key, edges, until, ..
        } => {
            let body = json!({ "streamKey": key, "edges": edges, "until": until });
            let answer = client.post("/api/v1/warm", &body).await?;
            shown(json, answer, |warm: Warm| show::warm(&warm, *edges))
        }
    }
}

async fn status(client: &Client, json: bool) -> Result<String, Failure> {
    let health = client.get("/health").await?;
    // It answers whether it is ready or not.
    let ready = client.get_any("/ready").await?;
    let nodes = client.get("/api/v1/nodes").await?;
    let streams = client.get("/api/v1/streams").await?;
    if json {
        let all = json!({ "health": health, "ready": ready, "nodes": nodes, "streams": streams });
        return Ok(pretty(&all));
    }
    Ok(show::status(
        &health,
        &ready,
        &read(nodes)?,
        &read(streams)?,
    ))
}

async fn own_name(client: &Client) -> Result<String, Failure> {
    let health = client.get("/health").await?;
    let name = health.get("nodeId").and_then(Value::as_str);
    let unnamed = || Failure::Failed("who answers there does not say which node it is".to_owned());
    name.map(str::to_owned).ok_or_else(unnamed)
}

fn shown<T: DeserializeOwned>(
    json: bool,
    answer: Value,
    show: impl FnOnce(T) -> String,
) -> Result<String, Failure> {
    match json {
        true => Ok(pretty(&answer)),
        false => Ok(show(read(answer)?)),
    }
}

fn read<T: DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer)
        .map_err(|error| Failure::Failed(format!("the node's answer makes no sense: {error}")))
}

fn pretty(answer: &Value) -> String {
    format!("{answer:#}\n")
}

impl Command {
    fn options(&self) -> &Options {
        match self {
            Self::Status(options) | Self::Streams(options) | Self::Nodes(options) => options,
            Self::Why { options, .. }
            | Self::Stop { options, .. }
            | Self::Drain { options, .. }
            | Self::Warm { options, .. } => options,
        }
    }
}

impl Options {
    fn client(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Client, Failure> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let api = self.api.clone().or_else(|| set("WEIR_API"));
        let key = self.admin_key.clone().or_else(|| set("WEIR_API_KEY"));
        // As the node itself is given it.
        let key = key.or_else(|| set("WEIR_AUTH__ADMIN_KEY"));
        Client::new(api.as_deref().unwrap_or(API), key)
    }
}
