//! Tells those who wait that something has changed.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Rings for all who listen at that moment. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Bell(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    rings: u64,
    next_place: u64,
    /// Those who listen, by their places.
    listening: BTreeMap<u64, Waker>,
}

impl Bell {
    pub(super) fn ring(&self) {
        let listening = {
            let mut state = self.state();
            state.rings += 1;
            std::mem::take(&mut state.listening)
        };
        for waker in listening.into_values() {
            waker.wake();
        }
    }

    /// Waits for the next ring from now on, whenever it is first polled.
    pub(super) fn next_ring(&self) -> NextRing {
        let mut state = self.state();
        let place = state.next_place;
        state.next_place += 1;
        NextRing {
            heard: state.rings,
            place,
            bell: self.clone(),
        }
    }

    /// Each change is complete before anything could panic.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who listens. Who goes away leaves nothing behind.
#[derive(Debug)]
pub(super) struct NextRing {
    bell: Bell,
    heard: u64,
    place: u64,
}

impl Future for NextRing {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.bell.state();
        if state.rings != self.heard {
            return Poll::Ready(());
        }
        state.listening.insert(self.place, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for NextRing {
    fn drop(&mut self) {
        self.bell.state().listening.remove(&self.place);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[test]
    fn who_listens_hears_the_next_ring_and_none_before() {
        let bell = Bell::default();
        bell.ring();
        let mut context = Context::from_waker(Waker::noop());
        let mut late = pin!(bell.next_ring());
        assert!(late.as_mut().poll(&mut context).is_pending());
        let mut not_polled_yet = pin!(bell.next_ring());
        bell.ring();
        assert!(late.as_mut().poll(&mut context).is_ready());
        assert!(not_polled_yet.as_mut().poll(&mut context).is_ready());
    }

    #[test]
    fn who_goes_away_leaves_nothing_behind() {
        let bell = Bell::default();
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            let mut listener = pin!(bell.next_ring());
            // However often it is polled, it is one.
            for _ in 0..3 {
                assert!(listener.as_mut().poll(&mut context).is_pending());
            }
            assert_eq!(bell.state().listening.len(), 1);
        }
        assert!(bell.state().listening.is_empty());
    }
}
