//! Somebody who changes names while others work with them.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

/// Swaps two names as fast as it can, until it is dropped. While one of them is gone, it waits for it.
#[derive(Debug)]
pub(crate) struct Swapper {
    shared: Arc<(AtomicBool, AtomicU64)>,
    thread: Option<JoinHandle<()>>,
}

impl Swapper {
    pub(crate) fn of(one: PathBuf, other: PathBuf) -> Self {
        let shared = Arc::new((AtomicBool::new(false), AtomicU64::new(0)));
        let (is_over, swaps) = (Arc::clone(&shared), Arc::clone(&shared));
        let thread = thread::spawn(move || {
            while !is_over.0.load(Ordering::Relaxed) {
                match renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE) {
                    Ok(()) => drop(swaps.1.fetch_add(1, Ordering::Relaxed)),
                    Err(_) => thread::yield_now(),
                }
            }
        });
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// How often it has swapped them.
    pub(crate) fn swaps(&self) -> u64 {
        self.shared.1.load(Ordering::Relaxed)
    }
}

impl Drop for Swapper {
    fn drop(&mut self) {
        self.shared.0.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
