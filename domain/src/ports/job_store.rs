use std::fmt;

use async_trait::async_trait;

use crate::{
    job::{ArtifactReport, Job, JobKey, JobView, PastJob},
    plan::{JobKind, Transfer},
    ports::{JobPage, PageQuery},
    request::Store,
};

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

    /// What the newest backup has stored of which that is true, among those that are known; none if there
    /// is none.
    ///
    /// # Errors
    ///
    /// If the store could not be read.
    async fn newest_backup(&self, wanted: BackupQuery) -> Result<Option<ArtifactReport>, JobStoreError>;

    /// What clients may see of the [settled](Job::is_settled) jobs that are wanted, but for their logs,
    /// newest first. A store may look at a part of them only, so that no call takes long; then the page
    /// says where to go on.
    ///
    /// # Errors
    ///
    /// If the store could not be read.
    async fn settled(&self, wanted: PageQuery) -> Result<JobPage, JobStoreError>;

    /// All jobs that are not [settled](Job::is_settled), in the order in which they were accepted.
    ///
    /// # Errors
    ///
    /// If the store could not be read.
    async fn unsettled(&self) -> Result<Vec<Job>, JobStoreError>;

    /// What is left to tell of the jobs that have ended, the newest first, and of no more than so many.
    /// Records that cannot be read are passed over.
    ///
    /// # Errors
    ///
    /// If the store could not be read.
    async fn ended(&self, at_most: usize) -> Result<Vec<PastJob>, JobStoreError>;

    /// Whether a job could be written now.
    ///
    /// # Errors
    ///
    /// With why not.
    async fn check(&self) -> Result<(), JobStoreError>;

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

/// Which backup is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupQuery {
    /// The one that made this object. The store's secrets do not count.
    OfObject {
        /// Where it is.
        store: Store,
        /// Its name, without the prefix.
        filename: String,
    },
    /// Any of this database.
    OfDatabase {
        /// Its host.
        host: String,
        /// Its name.
        database: String,
    },
}

impl BackupQuery {
    /// What a job has stored, if it is what is looked for.
    #[must_use]
    pub fn answer(&self, job: &Job) -> Option<ArtifactReport> {
        let request = job.request();
        if job.kind() != JobKind::Backup || request.transfer != Transfer::ByAgent {
            return None;
        }
        let artifact = job.artifact()?;
        let is_it = match self {
            Self::OfObject { store, filename } => {
                artifact.filename == *filename && request.destination.store.is_same_place(store)
            }
            Self::OfDatabase { host, database } => {
                request.service.host == *host && request.service.database == *database
            }
        };
        is_it.then(|| artifact.clone())
    }

    /// A text that is in every record of what is looked for, by which the others need not be read.
    #[must_use]
    pub fn landmark(&self) -> &str {
        match self {
            Self::OfObject { filename, .. } => filename,
            Self::OfDatabase { database, .. } => database,
        }
    }

    /// How many of the newest records are looked at: whoever only wonders need not look at all.
    #[must_use]
    pub fn most_records(&self) -> usize {
        match self {
            Self::OfObject { .. } => usize::MAX,
            Self::OfDatabase { .. } => 100,
        }
    }
}
