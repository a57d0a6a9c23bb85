//! A core in which nothing ever happens.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use domain::{
    job::{JobKey, JobView},
    ports::{CancelError, Finding, JobApi, JobPage, JobStoreError, PageQuery, RemoveError, StartError, UnlockError},
    request::JobRequest,
};
use tokio::sync::Notify;

use super::*;

/// Who waits for news, or for a look at a disk, waits for ever.
#[derive(Debug, Default)]
pub(in crate::http) struct Still {
    /// Told of each wait for news that has begun.
    pub(in crate::http) waits: Arc<Notify>,
    looks: AtomicUsize,
}

impl Still {
    /// How many looks have begun.
    pub(in crate::http) fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl JobApi for Still {
    fn takes_jobs(&self) -> bool {
        true
    }

    async fn shortcomings(&self) -> Vec<String> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }

    async fn examine(&self, _: Option<JobRequest>) -> Vec<Finding> {
        std::future::pending().await
    }

    async fn start(&self, _: JobRequest) -> Result<(), StartError> {
        Ok(())
    }

    async fn find(&self, key: &JobKey) -> Result<Option<JobView>, JobStoreError> {
        Ok(Some(view(key.kind)))
    }

    async fn find_changed(&self, _: &JobKey, _: Duration) -> Result<Option<JobView>, JobStoreError> {
        self.waits.notify_one();
        std::future::pending().await
    }

    async fn list(&self, _: PageQuery) -> Result<JobPage, JobStoreError> {
        Ok(JobPage::default())
    }

    async fn cancel(&self, _: &JobKey) -> Result<JobView, CancelError> {
        Err(CancelError::Unknown)
    }

    async fn unlock(&self, _: &JobKey) -> Result<JobView, UnlockError> {
        Err(UnlockError::Unknown)
    }

    fn unsettled(&self) -> Vec<JobView> {
        Vec::new()
    }

    fn problems(&self) -> Vec<String> {
        Vec::new()
    }

    async fn remove(&self, _: &JobKey) -> Result<bool, RemoveError> {
        Ok(false)
    }
}
