use std::{fmt, time::Duration};

use async_trait::async_trait;

use crate::{
    job::{JobKey, JobView},
    ports::{Finding, JobPage, JobStoreError, PageQuery},
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

    /// The same, at the next change of the job's phase, at its end, or after `patience`, whichever comes
    /// first; at once if there is no such job, or it has ended. The future can be dropped at any time.
    ///
    /// # Errors
    ///
    /// If the job store could not be read.
    async fn find_changed(&self, key: &JobKey, patience: Duration) -> Result<Option<JobView>, JobStoreError>;

    /// Snapshots of the jobs that are wanted, but for their logs, newest first.
    ///
    /// # Errors
    ///
    /// If the job store could not be read.
    async fn list(&self, wanted: PageQuery) -> Result<JobPage, JobStoreError>;

    /// Ends a job early, or stops trying to unlock its service. Returns a snapshot of the job while it
    /// is being stopped.
    ///
    /// # Errors
    ///
    /// If there is nothing to be cancelled.
    async fn cancel(&self, key: &JobKey) -> Result<JobView, CancelError>;

    /// Runs the unlock script that a job owes, now. Returns a snapshot of the job afterwards.
    ///
    /// # Errors
    ///
    /// If no unlock is owed, or the script did not succeed.
    async fn unlock(&self, key: &JobKey) -> Result<JobView, UnlockError>;

    /// All jobs that are at work, wait, or owe an unlock, in the order in which they were accepted.
    fn unsettled(&self) -> Vec<JobView>;

    /// What is wrong with the agent and somebody should see to, one text each.
    fn problems(&self) -> Vec<String>;

    /// Why a job would not be taken now, or would fail before it does anything, one text each; none if
    /// the agent is ready. Looks at directories, scripts and records, so it may wait for a disk.
    async fn shortcomings(&self) -> Vec<String>;

    /// Looks at all that jobs need, one thing after another, and for a request also at its destination.
    /// Runs no script, and leaves no object behind.
    async fn examine(&self, request: Option<JobRequest>) -> Vec<Finding>;

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

/// A job was not cancelled.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CancelError {
    /// There is no such job.
    #[error("there is no such job")]
    Unknown,
    /// It has ended already, and owes nothing.
    #[error("the job has ended already")]
    Ended(Box<JobView>),
    /// The end could not be recorded.
    #[error("the end of the job could not be recorded: {0}")]
    Store(#[from] JobStoreError),
}

/// An unlock that is owed was not run to success.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UnlockError {
    /// There is no such job.
    #[error("there is no such job")]
    Unknown,
    /// No unlock is owed for it: it is at work and will unlock by itself, or has done so.
    #[error("no unlock is owed for this job")]
    NotOwed(Box<JobView>),
    /// The script is at work for it at this moment.
    #[error("the unlock script is at work already; look again in a moment")]
    AtWork,
    /// The script did not succeed; the agent goes on trying.
    #[error("{0}")]
    Failed(String),
}
