//! Trying again, for as long as there is hope.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{failure::Failure, tally};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long one transfer, whose requests may run side by side, bears faults.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    last_progress: Mutex<Instant>,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            last_progress: Mutex::new(Instant::now()),
        }
    }

    /// The transfer got further by so many bytes: it has all the time again.
    pub(super) fn renew(&self, bytes: u64) {
        tally::moved(bytes);
        *self.last_progress.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// The faults of one request, which has had none yet.
    pub(super) fn trouble(&self) -> Trouble<'_> {
        Trouble {
            patience: self,
            since: None,
            faults: 0,
        }
    }

    /// Makes a request again and again until it succeeds, fails for good, or patience is at an end.
    pub(super) async fn retry<T, F>(&self, mut request: impl FnMut() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut trouble = self.trouble();
        loop {
            match request().await {
                Ok(value) => return Ok(value),
                Err(failure) => trouble.bear(failure).await?,
            }
        }
    }
}

/// A run of faults of one request.
#[derive(Debug)]
pub(super) struct Trouble<'a> {
    patience: &'a Patience,
    since: Option<Instant>,
    faults: u32,
}

impl Trouble<'_> {
    /// Waits a little after a fault that may pass, or gives the failure back that the transfer ends with.
    ///
    /// The clock runs from the first fault, not from the request's start: a part that was on its way
    /// for longer than the whole patience deserves a second try.
    pub(super) async fn bear(&mut self, failure: Failure) -> Result<(), Failure> {
        if !failure.is_transient() {
            return Err(failure);
        }
        let now = Instant::now();
        let progress = *self
            .patience
            .last_progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let since = match self.since {
            Some(since) if since >= progress => since,
            // Others' progress gives new time, but a store that asks this one to slow down is heard.
            Some(_) | None => now,
        };
        self.since = Some(since);
        let left = (since + self.patience.limit).saturating_duration_since(now);
        if left.is_zero() {
            return Err(failure.given_up(now - since));
        }
        // The jitter comes on top, as others were told the same.
        let asked = failure.answer().and_then(|answer| answer.retry_after);
        let pause = asked.unwrap_or_default().saturating_add(pause(self.faults, random()));
        let pause = pause.min(left);
        self.faults = self.faults.saturating_add(1);
        tracing::debug!(fault = failure.summary(), pause_ms = pause.as_millis(), "trying again");
        sleep(pause).await;
        tally::retried();
        Ok(())
    }
}

/// Exponential back-off with full jitter, so that the agents of many machines do not come back all at
/// once to a store that just recovers.
fn pause(faults: u32, random: u64) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << faults.min(16)).min(LONGEST_PAUSE);
    let steps = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random % (steps + 1))
}

/// Random enough for that: the standard library seeds its hash maps so.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use reqwest::header::HeaderValue;

    use super::*;
    use crate::blob_store::fault::{Answer, Fault};

    fn failure(status: u16) -> Failure {
        Failure::from(Fault::Answer(Answer::new(status, None, "")))
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        for (faults, longest_ms) in [(0, 100), (1, 200), (3, 800), (6, 6_400), (7, 10_000), (99, 10_000)] {
            assert_eq!(pause(faults, longest_ms), Duration::from_millis(longest_ms), "{faults}");
            assert_eq!(pause(faults, longest_ms + 1), Duration::ZERO, "{faults}");
        }
    }

    #[tokio::test]
    async fn a_permanent_failure_is_not_tried_again() {
        let tries = Cell::new(0);
        let result: Result<(), _> = Patience::new(Duration::from_secs(60))
            .retry(|| {
                tries.set(tries.get() + 1);
                async { Err(failure(403)) }
            })
            .await;
        assert!(result.is_err());
        assert_eq!(tries.get(), 1);
    }

    #[tokio::test]
    async fn a_store_that_wants_to_be_left_alone_is_but_not_beyond_patience() {
        let busy = || {
            let answer = Answer::new(503, None, "").with_retry_after(Some(&HeaderValue::from_static("1")));
            Failure::from(Fault::Answer(answer))
        };
        for (limit_ms, least_ms, most_ms) in [(60_000, 1_000, 1_900), (200, 200, 900)] {
            let start = Instant::now();
            let patience = Patience::new(Duration::from_millis(limit_ms));
            patience.trouble().bear(busy()).await.unwrap();
            let waited = u64::try_from(start.elapsed().as_millis()).unwrap();
            assert!((least_ms..most_ms).contains(&waited), "{limit_ms}: {waited} ms");
        }
    }

    #[tokio::test]
    async fn patience_ends_without_progress_only() {
        let limit = Duration::from_millis(40);
        let patience = Patience::new(limit);
        let start = Instant::now();
        let result: Result<(), _> = patience
            .retry(|| {
                if start.elapsed() < limit * 5 {
                    patience.renew(1);
                }
                async { Err(failure(503)) }
            })
            .await;
        assert!(result.is_err());
        assert!(start.elapsed() >= limit * 5, "{:?}", start.elapsed());
    }
}
