//! Jobs in memory, and the log of their changes.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use domain::{
    job::{Job, JobEvent, JobKey, JobStatus},
    ports::{JobStore, JobStoreError},
};

/// What the finished jobs' logs may take together; clients seldom remove jobs, and scripts may write
/// a megabyte each time.
const MAX_LOG_BYTES: usize = 64 * 1024 * 1024;

/// Keeps jobs in memory: they are gone when the agent ends. Of finished jobs the newest stay.
#[derive(Debug)]
pub struct MemoryJobStore {
    max_finished: usize,
    jobs: Mutex<Jobs>,
}

#[derive(Debug, Default)]
struct Jobs {
    by_key: HashMap<JobKey, Job>,
    /// The finished ones, oldest first.
    finished: VecDeque<JobKey>,
    /// What the logs of the finished ones take.
    log_bytes: usize,
}

impl Jobs {
    fn finish(&mut self, job: &Job) {
        self.finished.push_back(job.key());
        self.log_bytes += log_bytes(job);
    }

    fn forget(&mut self, key: &JobKey) -> bool {
        let Some(job) = self.by_key.remove(key) else {
            return false;
        };
        if job.status().is_finished() {
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
    /// A store that keeps at most so many finished jobs.
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
        jobs.by_key.insert(job.key(), job.clone());
        if job.status().is_finished() {
            jobs.finish(job);
            // The newest always stays: somebody waits for it.
            while jobs.finished.len() > self.max_finished || (jobs.log_bytes > MAX_LOG_BYTES && jobs.finished.len() > 1)
            {
                if let Some(oldest) = jobs.finished.front().cloned() {
                    jobs.forget(&oldest);
                }
            }
        }
        Ok(())
    }

    async fn find(&self, key: &JobKey) -> Result<Option<Job>, JobStoreError> {
        Ok(self.jobs().by_key.get(key).cloned())
    }

    async fn remove(&self, key: &JobKey) -> Result<bool, JobStoreError> {
        Ok(self.jobs().forget(key))
    }
}

/// A job store that tells the log of every change before it hands it on.
///
/// All that happens to jobs goes through their store, so one place says it all. Arguments, output
/// and secrets are never among it.
#[derive(Debug)]
pub struct LoggedJobStore {
    inner: Arc<dyn JobStore>,
}

impl LoggedJobStore {
    /// Puts the log in front of `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn JobStore>) -> Self {
        Self { inner }
    }
}

#[async_trait]
impl JobStore for LoggedJobStore {
    async fn insert(&self, job: &Job) -> Result<(), JobStoreError> {
        self.inner.insert(job).await?;
        let request = job.request();
        tracing::info!(
            job = %job.key(),
            host = request.service.host,
            database = request.service.database,
            destination = %request.destination.store,
            "job accepted"
        );
        for warning in &request.warnings {
            tracing::warn!(job = %job.key(), "{warning}");
        }
        Ok(())
    }

    async fn update(&self, job: &Job) -> Result<(), JobStoreError> {
        let result = self.inner.update(job).await;
        if let Err(error) = &result {
            tracing::error!(job = %job.key(), %error, "the job's record could not be written");
        }
        if let Some((_, event)) = job.events().last() {
            log_event(job, event);
        }
        result
    }

    async fn find(&self, key: &JobKey) -> Result<Option<Job>, JobStoreError> {
        self.inner.find(key).await
    }

    async fn remove(&self, key: &JobKey) -> Result<bool, JobStoreError> {
        let was_there = self.inner.remove(key).await?;
        if was_there {
            tracing::info!(job = %key, "job removed");
        }
        Ok(was_there)
    }
}

fn log_event(job: &Job, event: &JobEvent) {
    match event {
        JobEvent::Started { .. } => tracing::info!("job left the queue"),
        JobEvent::StepStarted { step } => tracing::info!(%step, "step begins"),
        JobEvent::StepSucceeded { step, report } => {
            tracing::info!(%step, "step succeeded");
            warn_of(report.note.as_deref());
        }
        JobEvent::StepFailed { failure, report, .. } => {
            tracing::error!(%failure, "step failed");
            warn_of(report.note.as_deref());
        }
        JobEvent::Finished { note } => {
            warn_of(note.as_deref());
            match (job.status(), job.view().error_message()) {
                (JobStatus::Succeeded, _) => tracing::info!("job succeeded"),
                (_, error) => tracing::error!(error, "job failed"),
            }
        }
    }
}

fn warn_of(note: Option<&str>) {
    if let Some(note) = note {
        tracing::warn!("{note}");
    }
}

#[cfg(test)]
mod tests;
