//! Jobs in memory.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use domain::{
    job::{ArtifactReport, Job, JobKey, JobView, PastJob},
    ports::{BackupQuery, JobPage, JobStore, JobStoreError, PageQuery},
};

/// What the settled jobs' logs may take together; clients seldom remove jobs, and scripts may write
/// a megabyte each time.
pub(super) const MAX_LOG_BYTES: usize = 64 * 1024 * 1024;

/// Keeps jobs in memory: they are gone when the agent ends. Of settled jobs the newest stay.
#[derive(Debug)]
pub struct MemoryJobStore {
    max_finished: usize,
    jobs: Mutex<Jobs>,
}

#[derive(Debug, Default)]
struct Jobs {
    by_key: HashMap<JobKey, Job>,
    /// The settled ones, oldest first.
    finished: VecDeque<JobKey>,
    /// What the logs of the settled ones take.
    log_bytes: usize,
}

impl Jobs {
    fn finish(&mut self, job: &Job) {
        self.finished.push_back(job.key());
        self.log_bytes += log_bytes(job);
    }

    /// Forgets a settled job; one that is not stays.
    fn forget(&mut self, key: &JobKey) -> bool {
        if !self.by_key.get(key).is_some_and(Job::is_settled) {
            return false;
        }
        if let Some(job) = self.by_key.remove(key) {
            self.finished.retain(|finished| finished != key);
            self.log_bytes -= log_bytes(&job);
        }
        true
    }
}

fn log_bytes(job: &Job) -> usize {
    let logs = job.view().logs;
    logs.iter().map(|(_, log)| log.stdout.len() + log.stderr.len()).sum()
}

impl MemoryJobStore {
    /// A store that keeps at most so many settled jobs.
    #[must_use]
    pub fn new(max_finished: usize) -> Self {
        Self {
            max_finished,
            jobs: Mutex::default(),
        }
    }

    /// Every change below is complete before anything could panic, so a poisoned lock is still good.
    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl JobStore for MemoryJobStore {
    async fn insert(&self, job: &Job) -> Result<(), JobStoreError> {
        self.jobs().by_key.insert(job.key(), job.clone());
        Ok(())
    }

    async fn update(&self, job: &Job) -> Result<(), JobStoreError> {
        let mut jobs = self.jobs();
        // Whoever writes a settled job once more must not have it counted twice.
        jobs.forget(&job.key());
        if !job.is_settled() {
            jobs.by_key.insert(job.key(), job.clone());
            return Ok(());
        }
        jobs.by_key.insert(job.key(), job.clone().without_secrets());
        jobs.finish(job);
        // The newest always stays: somebody waits for it.
        while jobs.finished.len() > self.max_finished || (jobs.log_bytes > MAX_LOG_BYTES && jobs.finished.len() > 1) {
            let Some(oldest) = jobs.finished.front().cloned() else {
                break;
            };
            jobs.forget(&oldest);
        }
        Ok(())
    }

    async fn find(&self, key: &JobKey) -> Result<Option<Job>, JobStoreError> {
        Ok(self.jobs().by_key.get(key).cloned())
    }

    async fn view(&self, key: &JobKey) -> Result<Option<JobView>, JobStoreError> {
        Ok(self.jobs().by_key.get(key).map(Job::view))
    }

    async fn newest_backup(&self, wanted: BackupQuery) -> Result<Option<ArtifactReport>, JobStoreError> {
        let jobs = self.jobs();
        let found = jobs
            .by_key
            .values()
            .filter_map(|job| Some((job.accepted_at(), wanted.answer(job)?)));
        Ok(found.max_by_key(|(at, _)| *at).map(|(_, artifact)| artifact))
    }

    async fn settled(&self, wanted: PageQuery) -> Result<JobPage, JobStoreError> {
        let jobs = self.jobs();
        let settled = jobs.by_key.values().filter(|job| job.is_settled());
        Ok(wanted.page_of(settled.map(Job::view)))
    }

    async fn unsettled(&self) -> Result<Vec<Job>, JobStoreError> {
        let jobs = self.jobs();
        let mut unsettled: Vec<_> = jobs.by_key.values().filter(|job| !job.is_settled()).cloned().collect();
        unsettled.sort_by_key(|job| (job.accepted_at(), job.key()));
        Ok(unsettled)
    }

    async fn ended(&self, at_most: usize) -> Result<Vec<PastJob>, JobStoreError> {
        let mut ended: Vec<PastJob> = self.jobs().by_key.values().filter_map(PastJob::of).collect();
        ended.sort_by_key(|job| std::cmp::Reverse(job.ended_at));
        ended.truncate(at_most);
        Ok(ended)
    }

    async fn check(&self) -> Result<(), JobStoreError> {
        Ok(())
    }

    fn problems(&self) -> Vec<String> {
        Vec::new()
    }

    async fn remove(&self, key: &JobKey) -> Result<bool, JobStoreError> {
        Ok(self.jobs().forget(key))
    }
}
