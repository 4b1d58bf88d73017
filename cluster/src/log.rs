//! What a node logs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use testkit::wait::LIMIT;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// The lines of a node's log, as they come.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    lines: Mutex<Vec<Value>>,
    more: Notify,
}

impl Log {
    /// Reads from `pipe` until it ends.
    pub(crate) fn read(pipe: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let log = Self::default();
        let copy = log.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(pipe).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                // What is no JSON is a message of last resort, from the runtime for example.
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                copy.lines().push(line);
                copy.0.more.notify_waiters();
            }
        });
        log
    }

    fn lines(&self) -> MutexGuard<'_, Vec<Value>> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All lines so far, for a person to read.
    pub fn text(&self) -> String {
        self.lines()
            .iter()
            .map(|line| format!("{line}\n"))
            .collect()
    }

    /// How many lines with this message there are so far.
    pub fn count(&self, message: &str) -> usize {
        self.lines()
            .iter()
            .filter(|line| line["message"] == message)
            .count()
    }

    /// Waits for `count` lines with this message. The last of them.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn wait(&self, message: &str, count: usize) -> Value {
        let end = Instant::now() + LIMIT;
        loop {
            let more = self.0.more.notified();
            let found = self
                .lines()
                .iter()
                .filter(|line| line["message"] == message)
                .nth(count - 1)
                .cloned();
            if let Some(line) = found {
                return line;
            }
            if timeout_at(end, more).await.is_err() {
                panic!(
                    "waited {LIMIT:?} in vain for {count} lines {message:?} in\n{}",
                    self.text()
                );
            }
        }
    }

    /// Lines of level ERROR so far: there should be none.
    pub fn errors(&self) -> Vec<String> {
        let lines = self.lines();
        let bad = lines
            .iter()
            .filter(|line| line["level"] == "ERROR" || line.is_string());
        bad.map(ToString::to_string).collect()
    }
}
