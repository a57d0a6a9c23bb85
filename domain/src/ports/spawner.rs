use std::{fmt, future::Future, pin::Pin};

use crate::job::JobKey;

/// The course of one job.
pub type JobFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Lets a job run beside everything else.
pub trait Spawner: fmt::Debug + Send + Sync {
    /// Starts driving `future` to its end and returns at once. The key is for logs.
    fn spawn(&self, key: &JobKey, future: JobFuture);
}
