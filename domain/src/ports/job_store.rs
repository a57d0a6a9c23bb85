use std::fmt;

use async_trait::async_trait;

use crate::job::{Job, JobKey, JobView};

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

    /// Brings what is kept of a job up to date: the events that it has had since it was last written.
    /// Once the job is [settled](Job::is_settled), its secrets are gone, and it may be dropped at any
    /// time from then on, the oldest first.
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

    /// What clients may see of the job as it was last written; none if there is none. They ask again and
    /// again, so a store may have it at hand where it has not the whole job.
    ///
    /// # Errors
    ///
    /// If the store could not be read.
    async fn view(&self, key: &JobKey) -> Result<Option<JobView>, JobStoreError> {
        Ok(self.find(key).await?.map(|job| job.view()))
    }

    /// All jobs that are not [settled](Job::is_settled), in the order in which they were accepted.
    ///
    /// # Errors
    ///
    /// If the store could not be read.
    async fn unsettled(&self) -> Result<Vec<Job>, JobStoreError>;

    /// What is wrong with the store and somebody should see to, one text each.
    fn problems(&self) -> Vec<String>;

    /// Forgets a settled job, and says whether it was there. A job that is not settled stays.
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
