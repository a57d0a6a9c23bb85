//! A panic of an adapter becomes an ordinary failure: a lock must be released all the same.

use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
};

/// Drives `future` to its end; a panic in it becomes an error that says so.
///
/// What the future borrowed is used afterwards only where every panic leaves it sound.
pub(super) async fn catch_panic<F: Future>(future: F) -> Result<F::Output, String> {
    let mut future = pin!(future);
    poll_fn(
        move |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(payload) => std::task::Poll::Ready(Err(describe(payload.as_ref()))),
        },
    )
    .await
}

fn describe(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message");
    format!("internal error (a panic: {text}); this is a defect of the agent, please report it")
}
