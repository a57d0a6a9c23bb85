//! The log of all that happens to jobs.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{
    job::{ArtifactReport, Job, JobEvent, JobKey, JobStatus, JobView, PastJob, Settlement},
    plan::{Phase, Step},
    ports::{BackupQuery, JobPage, JobStore, JobStoreError, PageQuery},
};

/// A job store that tells the log of every change once it has handed it on.
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
        let result = self.inner.find(key).await;
        log_unread(key, &result);
        result
    }

    async fn view(&self, key: &JobKey) -> Result<Option<JobView>, JobStoreError> {
        let result = self.inner.view(key).await;
        log_unread(key, &result);
        result
    }

    async fn newest_backup(&self, wanted: BackupQuery) -> Result<Option<ArtifactReport>, JobStoreError> {
        self.inner.newest_backup(wanted).await
    }

    async fn settled(&self, wanted: PageQuery) -> Result<JobPage, JobStoreError> {
        let page = self.inner.settled(wanted).await;
        if let Err(error) = &page {
            tracing::error!(%error, "the list of jobs could not be read");
        }
        page
    }

    async fn unsettled(&self) -> Result<Vec<Job>, JobStoreError> {
        let unsettled = self.inner.unsettled().await?;
        tracing::debug!(count = unsettled.len(), "unsettled jobs read");
        Ok(unsettled)
    }

    async fn ended(&self, at_most: usize) -> Result<Vec<PastJob>, JobStoreError> {
        self.inner.ended(at_most).await
    }

    async fn check(&self) -> Result<(), JobStoreError> {
        self.inner.check().await
    }

    fn problems(&self) -> Vec<String> {
        self.inner.problems()
    }

    async fn remove(&self, key: &JobKey) -> Result<bool, JobStoreError> {
        let was_there = self.inner.remove(key).await?;
        if was_there {
            tracing::info!(job = %key, "job removed");
        }
        Ok(was_there)
    }
}

fn log_unread<T>(key: &JobKey, result: &Result<T, JobStoreError>) {
    if let Err(error) = result {
        tracing::error!(job = %key, %error, "the job's record could not be read");
    }
}

fn log_event(job: &Job, event: &JobEvent) {
    let key = job.key();
    match event {
        JobEvent::Started { .. } => tracing::info!(job = %key, "job left the queue"),
        JobEvent::StepStarted { step } => tracing::info!(job = %key, phase = phase(*step), %step, "step begins"),
        JobEvent::ObjectNamed { filename } => tracing::debug!(job = %key, filename, "object named"),
        JobEvent::UploadOpened { upload_id } => tracing::debug!(job = %key, upload_id, "upload opened"),
        JobEvent::RestorePrepared { prepared } => {
            tracing::debug!(job = %key, download = %prepared.download.display(), "restore prepared");
        }
        JobEvent::StepSucceeded { step, report } => {
            tracing::info!(job = %key, phase = phase(*step), %step, "step succeeded");
            warn_of(&key, report.note.as_deref());
        }
        JobEvent::StepFailed { step, failure, report } => {
            tracing::error!(job = %key, phase = phase(*step), %failure, "step failed");
            warn_of(&key, report.note.as_deref());
        }
        JobEvent::Stopped { step, reason } => {
            tracing::warn!(job = %key, phase = phase(*step), %step, %reason, "job is ended early");
        }
        JobEvent::Interrupted => tracing::warn!(job = %key, "job was interrupted by a restart of the agent"),
        JobEvent::Abandoned { reason } => {
            tracing::error!(job = %key, reason, "job abandoned");
            log_owed_unlock(job);
        }
        JobEvent::Finished { note } => {
            warn_of(&key, note.as_deref());
            log_end(&job.view());
            log_owed_unlock(job);
        }
        JobEvent::UnlockSettled { how, .. } => match how {
            Settlement::Released => tracing::info!(job = %key, "the lock was released at last"),
            Settlement::ReleasedByAnother => {
                tracing::info!(job = %key, "the lock was released by another job's unlock script");
            }
            Settlement::GivenUp => {
                tracing::warn!(job = %key, "the agent stops trying to unlock; the service may still be locked");
            }
        },
    }
}

fn log_end(job: &JobView) {
    let took_ms = job.ended_at.map(|end| (end - job.accepted_at).num_milliseconds());
    let held = job.lock_span.and_then(|span| Some(span.until? - span.since));
    let lock_held_ms = held.map(|held| held.num_milliseconds());
    let artifact = job.artifact.as_ref();
    let (filename, bytes) = (
        artifact.map(|made| made.filename.as_str()),
        artifact.map(|made| made.size_bytes),
    );
    if job.status == JobStatus::Succeeded {
        tracing::info!(job = %job.key, took_ms, lock_held_ms, filename, bytes, "job succeeded");
    } else {
        tracing::error!(
            job = %job.key,
            host = job.host,
            database = job.database,
            took_ms,
            lock_held_ms,
            error = job.error_message(),
            "job failed"
        );
    }
}

/// What clients see as the job's state during a step.
fn phase(step: Step) -> Option<&'static str> {
    step.phase().map(Phase::as_str)
}

fn log_owed_unlock(job: &Job) {
    if job.owes_unlock() {
        let service = &job.request().service;
        tracing::error!(
            job = %job.key(),
            host = service.host,
            database = service.database,
            script = %job.kind().unlock_phase(),
            "the lock was not released: the agent goes on trying; see to why the script fails, then run \
             `osb-backup-agent unlock` to have it tried at once"
        );
    }
}

fn warn_of(key: &JobKey, note: Option<&str>) {
    if let Some(note) = note {
        tracing::warn!(job = %key, "{note}");
    }
}
