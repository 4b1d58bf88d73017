//! The command line.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands;
use crate::layers::Sources;

/// What is to be done, and with what configuration.
pub(crate) struct Invocation {
    pub(crate) action: Action,
    pub(crate) sources: Sources,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Serve,
    Check,
    Reference,
    /// Asks a running node, or tells it something.
    Ask(commands::Command),
}

/// A node of a live-media cluster. Without a command it serves.
#[derive(Debug, Parser)]
#[command(name = "weir", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node
    Serve(Options),
    /// Validate, and print the effective configuration and where each value came from
    Check(Options),
    #[command(flatten)]
    Ask(commands::Command),
    /// Print the reference of all keys
    #[command(hide = true)]
    Reference,
}

#[derive(Debug, Default, Args)]
struct Options {
    /// Read this TOML file; of several, later ones win
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// What the node does: all, origin or edge (short for --set node.role=…)
    #[arg(long)]
    role: Option<String>,
    /// Set a key, over files and environment; --KEY VALUE does the same
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Reads the command line of this process; ends it on `--help`, `--version` and wrong usage.
pub(crate) fn parse() -> Invocation {
    invocation(
        CommandLine::parse_from(normalise(std::env::args_os())),
        std::env::vars_os(),
    )
}

fn invocation(
    line: CommandLine,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Invocation {
    let (action, options) = match line.command {
        None => (Action::Serve, Options::default()),
        Some(Command::Serve(options)) => (Action::Serve, options),
        Some(Command::Check(options)) => (Action::Check, options),
        Some(Command::Ask(command)) => (Action::Ask(command), Options::default()),
        Some(Command::Reference) => (Action::Reference, Options::default()),
    };
    let lossy = |text: OsString| text.to_string_lossy().into_owned();
    let sources = Sources {
        files: [line.options.config, options.config].concat(),
        environment: environment
            .map(|(name, value)| (lossy(name), lossy(value)))
            .collect(),
        set: [line.options.set, options.set].concat(),
        role: options.role.or(line.options.role),
    };
    Invocation { action, sources }
}

/// Makes `-role all`, `-role=all` and `--rtmp.listen :1935` what the parser knows.
///
/// A single dash in front of long names is what users of Go programs type.
fn normalise(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut normal = Vec::new();
    let mut args = args.peekable();
    normal.extend(args.next());
    while let Some(arg) = args.next() {
        let Some(text) = arg.to_str() else {
            normal.push(arg);
            continue;
        };
        if text == "--" {
            normal.push(arg);
            break;
        }
        let bare = text.trim_start_matches('-');
        let dashes = text.len() - bare.len();
        let is_long = bare.len() > 1 && bare.starts_with(|c: char| c.is_ascii_alphabetic());
        if !(is_long && (dashes == 1 || dashes == 2)) {
            normal.push(arg);
            continue;
        }
        let (name, value) = match bare.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (bare, None),
        };
        if name.contains('.') {
            let value = match value {
                Some(value) => Some(OsString::from(value)),
                None => args.next_if(|next| !is_option(next)),
            };
            // Without a value it is refused, where an empty one would switch something off.
            let mut pair = OsString::from(name);
            if let Some(value) = value {
                pair.push("=");
                pair.push(value);
            }
            normal.extend(["--set".into(), pair]);
            continue;
        }
        normal.push(format!("--{bare}").into());
        // A value may begin with a dash or hold dots.
        if value.is_none() && ["config", "role", "set"].contains(&name) {
            normal.extend(args.next());
        }
    }
    normal.extend(args);
    normal
}

/// Whether the next argument is no value of the last.
fn is_option(arg: &OsStr) -> bool {
    let name = arg.to_str().and_then(|text| text.strip_prefix("--"));
    name.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Invocation, clap::Error> {
        let args = std::iter::once("weir")
            .chain(args.iter().copied())
            .map(OsString::from);
        let line = CommandLine::try_parse_from(normalise(args))?;
        Ok(invocation(line, std::iter::empty()))
    }

    #[test]
    fn serves_without_a_command() {
        let invocation = read(&[]).expect("parses");
        assert_eq!(invocation.action, Action::Serve);
        assert_eq!(invocation.sources, Sources::default());
    }

    #[test]
    fn options_stand_before_and_after_the_command() {
        let line = [
            "--config", "a", "--set", "a.b=1", "check", "--config", "b", "--role", "all",
        ];
        let invocation = read(&line).expect("parses");
        assert_eq!(invocation.action, Action::Check);
        assert_eq!(
            invocation.sources.files,
            [PathBuf::from("a"), PathBuf::from("b")]
        );
        assert_eq!(invocation.sources.set, ["a.b=1"]);
        assert_eq!(invocation.sources.role.as_deref(), Some("all"));
    }

    #[test]
    fn one_dash_is_as_good_as_two() {
        for line in [
            ["-role", "all"].as_slice(),
            &["-role=all"],
            &["--role=all"],
            &["serve", "-role", "all"],
        ] {
            let invocation = read(line).expect("parses");
            assert_eq!(invocation.sources.role.as_deref(), Some("all"), "{line:?}");
        }
        let Err(version) = read(&["-version"]) else {
            panic!("prints the version")
        };
        assert_eq!(version.kind(), clap::error::ErrorKind::DisplayVersion);
    }

    #[test]
    fn a_key_is_an_option_too() {
        for line in [
            ["--rtmp.listen", ":0"].as_slice(),
            &["-rtmp.listen=:0"],
            &["serve", "-rtmp.listen", ":0"],
            &["--set", "rtmp.listen=:0"],
        ] {
            assert_eq!(
                read(line).expect("parses").sources.set,
                ["rtmp.listen=:0"],
                "{line:?}"
            );
        }
    }

    #[test]
    fn a_key_without_a_value_is_not_an_empty_one() {
        let set = |line: &[&str]| read(line).expect("parses").sources.set;
        assert_eq!(set(&["--http.listen"]), ["http.listen"]);
        let two = ["--http.listen", "--https.listen", ":8443"];
        assert_eq!(set(&two), ["http.listen", "https.listen=:8443"]);
        assert_eq!(set(&["--http.listen="]), ["http.listen="]);
        assert_eq!(set(&["--http.listen", ""]), ["http.listen="]);
    }

    #[test]
    fn wrong_usage_is_told_apart() {
        for line in [
            ["--frobnicate"].as_slice(),
            &["fly"],
            &["--config"],
            &["-x"],
        ] {
            let Err(error) = read(line) else {
                panic!("{line:?} parses")
            };
            assert_eq!(error.exit_code(), 2, "{line:?}");
        }
    }
}
