use std::fmt;

use async_trait::async_trait;

use crate::job::{Job, JobKey};

/// Keeps jobs. It is written to ahead of every effect and of everything that a client can see.
#[cfg_attr(any(test, feature = "test-doubles"), mockall::automock)]
#[async_trait]
pub trait JobStore: fmt::Debug + Send + Sync {
    /// Takes in a job that was just accepted. Once this returns, the job is known.
    ///
    /// # Errors
    ///
    /// If it could not be written; then the job is not known.
    async fn insert(&self, job: &Job) -> Result<(), JobStoreError>;

    /// Replaces what is kept of a job. Finished jobs may be dropped at any time from then on, the
    /// oldest first.
    ///
    /// # Errors
    ///
    /// If it could not be written; then what was kept before is still kept.
    async fn update(&self, job: &Job) -> Result<(), JobStoreError>;

    /// The job as it was last written; none if there is none.
    ///
    /// # Errors
    ///
    /// If the store could not be read.
    async fn find(&self, key: &JobKey) -> Result<Option<Job>, JobStoreError>;

    /// Forgets a job, and says whether it was there.
    ///
    /// # Errors
    ///
    /// If that could not be written; then the job is still known.
    async fn remove(&self, key: &JobKey) -> Result<bool, JobStoreError>;
}

/// The store could not do it; the text is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JobStoreError(pub String);
