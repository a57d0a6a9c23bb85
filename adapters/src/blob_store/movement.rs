//! When bytes last moved, and who ends a transfer in which none does.

use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until, timeout};

use super::failure::Failure;

/// When something last moved.
#[derive(Debug)]
pub(super) struct Movement(Mutex<Instant>);

impl Default for Movement {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Movement {
    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn seen(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Waits until nothing has moved for that long.
    pub(super) async fn ceases_for(&self, silence: Duration) {
        let mut end = self.last() + silence;
        while Instant::now() < end {
            sleep_until(end).await;
            end = self.last() + silence;
        }
    }
}

/// Ends what moves no byte, however often it is tried again.
#[derive(Debug)]
pub(super) struct Stall {
    limit: Duration,
    movement: Arc<Movement>,
}

impl Stall {
    pub(super) fn new(limit: Duration, movement: &Arc<Movement>) -> Self {
        Self {
            limit,
            movement: Arc::clone(movement),
        }
    }

    /// A byte was moved.
    pub(super) fn moved(&self) {
        self.movement.seen();
    }

    /// Where others, who work for the same transfer, tell that something moved.
    pub(super) fn movement(&self) -> Arc<Movement> {
        Arc::clone(&self.movement)
    }

    /// Waits, within watched work, for something that is not the store's to give. However long it takes,
    /// it does not count, as long as there is nothing else that should move meanwhile.
    pub(super) async fn excuse<T>(&self, is_all: impl Fn() -> bool, wait: impl Future<Output = T>) -> T {
        let mut wait = pin!(wait);
        loop {
            let waited = timeout(self.limit / 2, wait.as_mut()).await;
            if is_all() {
                self.moved();
            }
            if let Ok(value) = waited {
                return value;
            }
        }
    }

    /// Does some work, in which bytes must move. What was waited for before it does not count.
    pub(super) async fn watch<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        self.moved();
        let result = tokio::select! {
            result = work => result?,
            () = self.movement.ceases_for(self.limit) => return Err(Failure::stalled(self.limit)),
        };
        self.moved();
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn work_goes_on_as_long_as_something_moves() {
        let stall = Stall::new(LIMIT, &Arc::default());
        let start = Instant::now();
        let moving = async {
            while start.elapsed() < LIMIT * 2 {
                sleep(LIMIT / 20).await;
                stall.moved();
            }
            Ok(())
        };
        stall.watch(moving).await.unwrap();

        let waits = |is_all| {
            let waiting = stall.excuse(move || is_all, sleep(LIMIT * 2));
            stall.watch(async {
                waiting.await;
                Ok(())
            })
        };
        waits(true).await.unwrap();

        assert!(waits(false).await.is_err());

        let stuck = std::future::pending::<Result<(), Failure>>();
        let text = stall.watch(stuck).await.unwrap_err().to_string();
        assert!(
            text.starts_with("no byte was moved for 1s (transfer_stall_timeout); check"),
            "{text}"
        );
    }
}
