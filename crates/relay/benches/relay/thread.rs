//! A thread whose CPU time can be asked for.

use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A runtime on a thread of its own, until dropped.
pub(crate) struct Thread {
    pub(crate) handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl Thread {
    pub(crate) fn on_core(core: usize) -> Self {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::spawn(move || {
            let mut cores = CpuSet::new();
            cores.set(core);
            // Where there is but one core, they share it.
            let _ = sched_setaffinity(None, &cores);
            runtime.block_on(async { drop(stopped.await) });
        });
        Self {
            handle,
            _stop: stop,
        }
    }

    /// What it spent so far.
    pub(crate) fn cpu(&self) -> Duration {
        let (tell, told) = std::sync::mpsc::channel();
        self.handle.spawn(async move {
            let time = clock_gettime(ClockId::ThreadCPUTime);
            tell.send(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
                .expect("listens");
        });
        told.recv().expect("tells")
    }
}
