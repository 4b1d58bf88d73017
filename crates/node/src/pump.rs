//! A task owned by an actor: it waits, so that the actor's handlers need not.

use tokio::task::JoinHandle;

/// Ends with its owner.
pub(crate) struct Pump(JoinHandle<()>);

impl Pump {
    pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Pump {
        Pump(tokio::spawn(future))
    }

    /// As [`Pump::spawn`]; `report` is called with how it ended, or with `None` after a panic; not when aborted.
    pub(crate) fn reporting<T: Send + 'static>(
        future: impl Future<Output = T> + Send + 'static,
        report: impl FnOnce(Option<T>) + Send + 'static,
    ) -> Pump {
        let report = Report {
            report: Some(report),
            value: None,
        };
        // Boxed: a future that is captured and then awaited lies in the task twice.
        let future = Box::pin(future);
        Pump(tokio::spawn(async move {
            report.end_with(future.await);
        }))
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Reports when dropped, so that a panic is reported too. An abort is its owner's own doing.
struct Report<T, F: FnOnce(Option<T>)> {
    report: Option<F>,
    value: Option<T>,
}

impl<T, F: FnOnce(Option<T>)> Report<T, F> {
    fn end_with(mut self, value: T) {
        self.value = Some(value);
    }
}

impl<T, F: FnOnce(Option<T>)> Drop for Report<T, F> {
    fn drop(&mut self) {
        let value = self.value.take();
        if value.is_none() && !std::thread::panicking() {
            return;
        }
        if let Some(report) = self.report.take() {
            report(value);
        }
    }
}
