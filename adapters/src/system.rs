//! The clock and the spawner: the system's time and tokio's tasks.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::{
    job::JobKey,
    ports::{Clock, JobFuture, Spawner},
};
use tracing::Instrument;

/// The system's time of day.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// Drives each job in a task of its own, in a span that carries its kind and id.
///
/// Jobs must be spawned from within a tokio runtime.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioSpawner;

impl Spawner for TokioSpawner {
    fn spawn(&self, key: &JobKey, future: JobFuture) {
        // Of this level, so that no filter which lets any line through takes the id from it. It is no
        // part of what has begun it: that may be a request, or another job's end.
        let span = tracing::error_span!(parent: None, "job", kind = %key.kind, job_id = %key.id);
        drop(tokio::spawn(future.instrument(span)));
    }
}
