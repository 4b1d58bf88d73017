//! Logs: who reads them, how much, and that the first line is the first.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use node::config::Choice;
use node::config::forms::choice;
use tracing::error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that are held back at most; a start does not log much.
const MAX_HELD: usize = 1 << 20;

node::section! {
    /// Logs, which go to standard error.
    LogConfig: "log" {
        /// The least severe events that are logged: `error`, `warn`, `info`, `debug` or `trace`, also
        /// by crate (`info,weir_rtmp=debug`). `RUST_LOG` wins over it.
        level: String = "info".to_owned(), "filter";
        /// `text` for people, `json` for programs.
        format: Format = Format::Text, "choice";
    }
}

/// Who reads the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

impl Choice for Format {
    const CHOICES: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

/// What is logged, in the words of `RUST_LOG`.
pub(crate) mod filter {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
        let text = String::deserialize(from)?;
        check(&text).map_err(D::Error::custom)?;
        Ok(text)
    }

    pub(crate) fn serialize<S: Serializer>(value: &str, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(value)
    }

    /// The filter itself would take a misspelt level for the name of a crate.
    fn check(text: &str) -> Result<(), String> {
        for directive in text.split(',') {
            let level = directive.rsplit('=').next().unwrap_or_default();
            if !LEVELS
                .iter()
                .any(|known| known.eq_ignore_ascii_case(level.trim()))
            {
                return Err(format!(
                    "expected one of {}; found {level:?}",
                    LEVELS.join(", ")
                ));
            }
        }
        super::EnvFilter::try_new(text)
            .map(drop)
            .map_err(|error| error.to_string())
    }
}

/// Lets held lines go; see [`install`].
pub(crate) struct Release(Output);

/// Logs from now on, panics included. Lines are held until released, so that the line with the
/// addresses, which are known only once all is started, can come first.
pub(crate) fn install(config: &LogConfig) -> Release {
    let asked = std::env::var("RUST_LOG")
        .ok()
        .filter(|asked| !asked.is_empty());
    let filter = asked.and_then(|asked| EnvFilter::try_new(asked).ok());
    // ractor's span of each actor only repeats what ours say better.
    let filter = filter.unwrap_or_else(|| EnvFilter::new(format!("ractor=error,{}", config.level)));
    let output = Output(Arc::new(Mutex::new(Some(Vec::new()))));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(output.clone());
    // A second subscriber could only be a test's, which then sees the events.
    drop(match config.format {
        Format::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
        Format::Json => builder
            .json()
            .flatten_event(true)
            .with_ansi(false)
            .try_init(),
    });
    std::panic::set_hook(Box::new(|panic| error!(%panic, "a task panicked")));
    Release(output)
}

impl Release {
    /// Logs `first` before all that was held.
    pub(crate) fn after(self, first: impl FnOnce()) {
        let held = self.0.lock().take().unwrap_or_default();
        first();
        drop(io::stderr().write_all(&held));
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        if let Some(held) = self.0.lock().take() {
            drop(io::stderr().write_all(&held));
        }
    }
}

/// Standard error, or what is held back from it.
#[derive(Clone)]
struct Output(Arc<Mutex<Option<Vec<u8>>>>);

impl Output {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Output {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match &mut *self.lock() {
            Some(held) if held.len() < MAX_HELD => held.extend_from_slice(line),
            _ => io::stderr().write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(level: &str) -> Result<LogConfig, toml::de::Error> {
        toml::from_str(&format!("level = {level:?}"))
    }

    #[test]
    fn knows_levels_and_crates() {
        for level in [
            "info",
            "WARN",
            "info,weir_rtmp=debug",
            "off",
            "debug,hyper=off",
        ] {
            assert_eq!(read(level).expect(level).level, level);
        }
    }

    #[test]
    fn a_misspelt_level_is_no_crate() {
        for level in ["inof", "", "info,weir_rtmp=loud", "info,"] {
            let error = read(level).expect_err(level);
            assert!(
                error.message().contains("expected one of off, error"),
                "{error}"
            );
        }
    }
}
