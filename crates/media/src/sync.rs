//! The primitives of the ring: those of std, or loom's models of them.

use std::sync::PoisonError;

#[cfg(not(loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicBool, AtomicU32, AtomicU64},
};

#[cfg(not(loom))]
pub(crate) use futures::task::AtomicWaker;

#[cfg(loom)]
pub(crate) use loom::{
    future::AtomicWaker,
    sync::{
        Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicU32, AtomicU64},
    },
};

pub(crate) use std::sync::atomic::Ordering;

/// Locks even where a holder panicked: every critical section here leaves whole data behind.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Like [`lock`], shared.
pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Like [`lock`], exclusive.
pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// A cell that is set once.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct Once<T>(std::sync::OnceLock<T>);

#[cfg(not(loom))]
impl<T> Once<T> {
    pub(crate) fn new() -> Self {
        Self(std::sync::OnceLock::new())
    }

    /// Does nothing if it was set before.
    pub(crate) fn set(&self, value: T) {
        // Only the one writer sets, and never the same cell twice.
        let _ = self.0.set(value);
    }

    pub(crate) fn get(&self) -> Option<&T> {
        self.0.get()
    }
}

/// The same for loom, which does not model `OnceLock`: a flag of loom's decides who sees the
/// value, so a reader that got here without an ordering sees it empty, as on a real machine.
#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct Once<T> {
    value: std::sync::OnceLock<T>,
    set: AtomicBool,
}

#[cfg(loom)]
impl<T> Once<T> {
    pub(crate) fn new() -> Self {
        Self {
            value: std::sync::OnceLock::new(),
            set: AtomicBool::new(false),
        }
    }

    pub(crate) fn set(&self, value: T) {
        let _ = self.value.set(value);
        self.set.store(true, Ordering::Release);
    }

    pub(crate) fn get(&self) -> Option<&T> {
        if self.set.load(Ordering::Acquire) {
            self.value.get()
        } else {
            None
        }
    }
}
