//! Polling with a deadline, the only way in which these tests wait.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long a condition may take to come true: far more than it needs on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

const INTERVAL: Duration = Duration::from_millis(10);

/// Waits until `condition` holds; fails the test with `what` if it never does.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}

/// Waits until `attempt` yields something; fails the test with `what` if it never does.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, attempt: impl FnMut() -> Option<T>) -> T {
    wait_as_long_as(PATIENCE, what, attempt)
}

/// As [`wait_for`], for what takes longer than usual.
#[track_caller]
pub(crate) fn wait_as_long_as<T>(patience: Duration, what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} in vain: {what}");
        thread::sleep(INTERVAL);
    }
}
