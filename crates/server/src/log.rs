//! Logs: who reads them, how much, and that the first line is the first.

use std::cell::Cell;
use std::io::{self, IsTerminal, Stderr, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
pub(crate) struct Release<W: Write = Stderr>(Output<W>);

/// Logs from now on, panics included. Lines are held until released, so that the line with the
/// addresses, which are known only once all is started, can come first.
pub(crate) fn install(config: &LogConfig) -> Release {
    let asked = std::env::var("RUST_LOG")
        .ok()
        .filter(|asked| !asked.is_empty());
    let filter = asked.and_then(|asked| EnvFilter::try_new(asked).ok());
    // ractor's span of each actor only repeats what ours say better.
    let filter = filter.unwrap_or_else(|| EnvFilter::new(format!("ractor=error,{}", config.level)));
    let output = Output::new(io::stderr);
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

impl<W: Write> Release<W> {
    /// Logs `first` before all that was held, and before what others log in the meantime.
    pub(crate) fn after(self, first: impl FnOnce()) {
        FIRST.set(true);
        first();
        FIRST.set(false);
    }
}

impl<W: Write> Drop for Release<W> {
    fn drop(&mut self) {
        let mut lines = self.0.lock();
        if let Some(held) = lines.take() {
            drop((self.0.to)().write_all(&held));
        }
    }
}

thread_local! {
    /// Whether what this thread logs is the line that comes first.
    static FIRST: Cell<bool> = const { Cell::new(false) };
}

/// Standard error, or what is held back from it.
struct Output<W> {
    held: Arc<Mutex<Option<Vec<u8>>>>,
    to: fn() -> W,
}

impl<W> Output<W> {
    fn new(to: fn() -> W) -> Self {
        let held = Arc::new(Mutex::new(Some(Vec::new())));
        Self { held, to }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W> Clone for Output<W> {
    fn clone(&self) -> Self {
        let (held, to) = (Arc::clone(&self.held), self.to);
        Self { held, to }
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match &mut *self.lock() {
            Some(held) if held.len() < MAX_HELD && !FIRST.get() => held.extend_from_slice(line),
            _ => (self.to)().write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> MakeWriter<'_> for Output<W> {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_comes_before_those_of_others() {
        static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());
        struct Log;
        impl Write for Log {
            fn write(&mut self, line: &[u8]) -> io::Result<usize> {
                LOG.lock().expect("no test failed").write(line)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let mut output = Output::new(|| Log);
        let mut other = output.clone();
        let release = Release(output.clone());
        output.write_all(b"held,").expect("held");
        release.after(|| {
            std::thread::spawn(move || other.write_all(b"another's,").expect("held"))
                .join()
                .expect("logs");
            output.write_all(b"first,").expect("logs");
        });
        assert_eq!(
            *LOG.lock().expect("no test failed"),
            b"first,held,another's,"
        );
    }

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
