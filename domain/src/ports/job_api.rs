use std::fmt;

use async_trait::async_trait;

use crate::{
    job::{JobKey, JobView},
    ports::JobStoreError,
    request::JobRequest,
};

/// What clients may ask of the agent: the driving port.
#[cfg_attr(any(test, feature = "test-doubles"), mockall::automock)]
#[async_trait]
pub trait JobApi: fmt::Debug + Send + Sync {
    /// Whether new jobs are taken; not so once the agent has been told to stop.
    fn takes_jobs(&self) -> bool;

    /// Accepts a job. Once this returns, the job can be found, and runs to its end by itself.
    ///
    /// The future must be driven to its end: dropped half-way it may leave the id taken.
    ///
    /// # Errors
    ///
    /// If the job was not accepted; then nothing of it stays, and its id is free.
    async fn start(&self, request: JobRequest) -> Result<(), StartError>;

    /// A snapshot of a job; none if it is not known. Never waits for a script or a store of
    /// artifacts.
    ///
    /// # Errors
    ///
    /// If the job store could not be read.
    async fn find(&self, key: &JobKey) -> Result<Option<JobView>, JobStoreError>;

    /// Forgets a finished job, and says whether there was one.
    ///
    /// # Errors
    ///
    /// If the job is unfinished, or the store failed; then the job is still known.
    async fn remove(&self, key: &JobKey) -> Result<bool, RemoveError>;
}

/// A job was not accepted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StartError {
    /// The agent is about to stop.
    #[error("the agent is stopping and takes no new jobs")]
    Stopping,
    /// There is a job of that kind and id.
    #[error("there is already a {} job with the id {}", .0.key.kind, .0.key.id)]
    Duplicate(Box<JobView>),
    /// As many jobs wait as may wait.
    #[error("{running} jobs are at work and {waiting} wait; the agent takes no more until one has ended")]
    Full {
        /// How many are at work.
        running: usize,
        /// How many wait.
        waiting: usize,
    },
    /// The job could not be recorded.
    #[error("the job could not be recorded: {0}")]
    Store(#[from] JobStoreError),
}

/// A job was not removed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RemoveError {
    /// It is at work, or waits.
    #[error("the job has not ended")]
    Unfinished(Box<JobView>),
    /// The store failed.
    #[error("the job could not be removed: {0}")]
    Store(#[from] JobStoreError),
}
