//! Requests that wait for news of a job. Each holds a connection, so there are never so many that nobody
//! else gets one: one more ends the wait that has lasted longest, which is answered as things stand.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

/// Ends all waits when the server stops, among the extensions of its requests.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop(pub(super) CancellationToken);

/// Those that wait, longest first.
#[derive(Debug, Default)]
pub(super) struct Waits(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last_turn: u64,
    waiting: BTreeMap<u64, CancellationToken>,
}

/// One that waits, until the value goes.
#[derive(Debug)]
pub(super) struct Wait<'a> {
    waits: &'a Waits,
    turn: u64,
    is_over: CancellationToken,
}

impl Waits {
    /// One more waits, and others no longer if they would be more than `most` together.
    pub(super) fn begin(&self, most: usize) -> Wait<'_> {
        let is_over = CancellationToken::new();
        let mut state = self.state();
        state.last_turn += 1;
        let turn = state.last_turn;
        state.waiting.insert(turn, is_over.clone());
        while state.waiting.len() > most.max(1)
            && let Some((_, longest)) = state.waiting.pop_first()
        {
            longest.cancel();
        }
        Wait {
            waits: self,
            turn,
            is_over,
        }
    }

    /// Each change is complete before anything could panic.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wait<'_> {
    /// Waits until the wait is to end.
    pub(super) async fn over(&self) {
        self.is_over.cancelled().await;
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.waits.state().waiting.remove(&self.turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_than_may_wait_ends_the_longest_wait() {
        let waits = Waits::default();
        let first = waits.begin(2);
        let second = waits.begin(2);
        assert!(!first.is_over.is_cancelled());
        let third = waits.begin(2);
        let are_over = [&first, &second, &third].map(|wait| wait.is_over.is_cancelled());
        assert_eq!(are_over, [true, false, false]);
    }

    #[test]
    fn those_that_are_gone_count_no_more() {
        let waits = Waits::default();
        let first = waits.begin(2);
        for _ in 0..10 {
            drop(waits.begin(2));
        }
        assert!(!first.is_over.is_cancelled());
        drop(first);
        assert!(waits.state().waiting.is_empty());
        // However few connections there may be, one may wait.
        assert!(!waits.begin(0).is_over.is_cancelled());
    }
}
