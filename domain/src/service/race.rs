//! Two futures at once, without a runtime.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
};

/// A future that was put on the heap, to be kept beside others of its kind.
pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Drives `work` to its end. If one of `signals` ends before it, `on_signal` is told, once, and the
/// work is driven on: it is for `on_signal` to make it end.
pub(super) async fn with_signals<T, S>(
    work: impl Future<Output = T>,
    mut signals: Vec<Boxed<'_, S>>,
    on_signal: impl FnOnce(S),
) -> T {
    let mut work = pin!(work);
    let mut on_signal = Some(on_signal);
    poll_fn(move |context| {
        if let Poll::Ready(output) = work.as_mut().poll(context) {
            return Poll::Ready(output);
        }
        if on_signal.is_none() {
            return Poll::Pending;
        }
        for signal in &mut signals {
            if let Poll::Ready(signal) = signal.as_mut().poll(context) {
                if let Some(on_signal) = on_signal.take() {
                    on_signal(signal);
                }
                // What was just told may end the work at once.
                return work.as_mut().poll(context);
            }
        }
        Poll::Pending
    })
    .await
}

/// Drives `work` to its end, and meanwhile `other`, as far as that comes.
pub(super) async fn beside<T>(work: impl Future<Output = T>, other: impl Future) -> T {
    let (mut work, mut other) = (pin!(work), pin!(other));
    let mut has_ended = false;
    poll_fn(move |context| {
        if let Poll::Ready(output) = work.as_mut().poll(context) {
            return Poll::Ready(output);
        }
        if !has_ended {
            has_ended = other.as_mut().poll(context).is_ready();
        }
        Poll::Pending
    })
    .await
}

/// Drives `work` until it ends, or `or` does: then the work is dropped, and there is no output.
pub(super) async fn unless<T>(work: impl Future<Output = T>, or: impl Future<Output = ()>) -> Option<T> {
    let (mut work, mut or) = (pin!(work), pin!(or));
    poll_fn(move |context| match work.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => or.as_mut().poll(context).map(|()| None),
    })
    .await
}
