//! How a connection hears that it has to go.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;

/// Tells a connection that it has to go.
#[derive(Default)]
pub(in crate::serve) struct Bell {
    rung: AtomicBool,
    waker: AtomicWaker,
}

impl Bell {
    pub(in crate::serve) fn ring(&self) {
        self.rung.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub(in crate::serve) fn is_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    /// Ready once it has rung.
    pub(in crate::serve) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        match self.is_rung() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}
