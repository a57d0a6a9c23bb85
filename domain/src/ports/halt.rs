use std::{
    future::{Future, poll_fn},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
};

/// Tells work behind a port to end early. Cheap to clone; all clones are one.
///
/// Once fired it stays fired.
#[derive(Debug, Clone, Default)]
pub struct Halt(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    is_fired: bool,
    waiting: Vec<Waker>,
}

impl Halt {
    /// Tells the work to end.
    pub fn fire(&self) {
        let waiting = {
            let mut state = self.state();
            state.is_fired = true;
            std::mem::take(&mut state.waiting)
        };
        for waker in waiting {
            waker.wake();
        }
    }

    /// Whether the work is to end.
    #[must_use]
    pub fn is_fired(&self) -> bool {
        self.state().is_fired
    }

    /// Waits until the work is to end.
    pub fn fired(&self) -> impl Future<Output = ()> + Send + use<> {
        let halt = self.clone();
        poll_fn(move |context| {
            let mut state = halt.state();
            if state.is_fired {
                return Poll::Ready(());
            }
            if !state.waiting.iter().any(|known| known.will_wake(context.waker())) {
                state.waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
    }

    /// Each change is complete before anything could panic.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task::Context};

    use super::*;

    #[test]
    fn who_waits_is_told_and_who_comes_later_too() {
        let halt = Halt::default();
        let mut context = Context::from_waker(Waker::noop());
        let mut fired = pin!(halt.fired());
        assert!(fired.as_mut().poll(&mut context).is_pending());
        assert!(!halt.is_fired());
        halt.clone().fire();
        assert!(fired.as_mut().poll(&mut context).is_ready());
        assert!(pin!(halt.fired()).poll(&mut context).is_ready());
        assert!(halt.is_fired());
    }
}
