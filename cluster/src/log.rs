//! What a program logs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use testkit::wait::LIMIT;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// The lines of a program's log, as they come, over all its lives.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    lines: Mutex<Vec<Value>>,
    more: Notify,
}

impl Log {
    /// Reads from `pipe` until it ends.
    pub(crate) fn follow(&self, pipe: impl AsyncRead + Unpin + Send + 'static) {
        let log = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(pipe).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                // What is no JSON is a message of last resort, from the runtime for example.
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                log.lines().push(line);
                log.0.more.notify_waiters();
            }
        });
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

    /// The last `count` lines, for a person to read.
    pub fn tail(&self, count: usize) -> String {
        let lines = self.lines();
        let last = &lines[lines.len().saturating_sub(count)..];
        last.iter().map(|line| format!("{line}\n")).collect()
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
        let what = format!("{count} lines {message:?}");
        let found = |lines: &[Value]| {
            let mut found = lines.iter().filter(|line| line["message"] == message);
            found.nth(count - 1).cloned()
        };
        self.until(&what, LIMIT, found).await
    }

    /// Waits until `look` finds something in the lines, no longer than `limit`.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut(&[Value]) -> Option<T>,
    ) -> T {
        let end = Instant::now() + limit;
        loop {
            let more = self.0.more.notified();
            if let Some(found) = look(&self.lines()) {
                return found;
            }
            if timeout_at(end, more).await.is_err() {
                panic!("waited {limit:?} in vain for {what} in\n{}", self.text());
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
