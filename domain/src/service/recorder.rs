//! The one writer of a job at work.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{JobService, activity::Activity, catch_panic};
use crate::{
    job::{Job, JobEvent},
    ports::{JobStoreError, Tally, UploadJournal},
};

/// Writes what happens to a job: to the store first, and then where clients see it.
///
/// There is one for each job at work, and it is used by one at a time.
pub(super) struct Recorder {
    service: JobService,
    job: Mutex<Job>,
    activity: Activity,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("job", &self.job().key()).finish()
    }
}

impl Recorder {
    pub(super) fn new(service: JobService, job: Job) -> Self {
        let activity = service.inner.registry().activity(&job.key());
        Self {
            service,
            job: Mutex::new(job),
            activity,
        }
    }

    /// What can be seen of the step at work.
    pub(super) fn activity(&self) -> &Activity {
        &self.activity
    }

    /// The job as it stands.
    pub(super) fn job(&self) -> Job {
        self.locked().clone()
    }

    /// Writes an event to the store, and only then shows it. After an error nothing has changed.
    pub(super) async fn record(&self, event: JobEvent) -> Result<(), JobStoreError> {
        let next = self.with(event);
        self.service.write(&next).await?;
        self.show(next);
        Ok(())
    }

    /// Writes an event to the store; if that fails it is kept in memory, and is written with the
    /// next one, as the store always gets the whole job. Says whether it was written.
    pub(super) async fn record_or_keep(&self, event: JobEvent) -> bool {
        let is_written = self.record(event.clone()).await.is_ok();
        if !is_written {
            self.keep(event);
        }
        is_written
    }

    /// Shows an event that could not be written.
    pub(super) fn keep(&self, event: JobEvent) {
        let next = self.with(event);
        self.show(next);
    }

    fn with(&self, event: JobEvent) -> Job {
        let mut next = self.job();
        next.apply(event, self.service.inner.ports.clock.now())
            .expect("the run makes only the events that the job's state asks for");
        next
    }

    fn show(&self, job: Job) {
        self.service.inner.registry().publish(&job);
        self.service.tell(&job);
        *self.locked() = job;
    }

    /// A job is replaced whole, so a poisoned lock holds a good one.
    fn locked(&self) -> MutexGuard<'_, Job> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl JobService {
    /// Writes a job to the store; a panic in there is an error like any other.
    pub(super) async fn write(&self, job: &Job) -> Result<(), JobStoreError> {
        catch_panic(self.inner.ports.jobs.update(job))
            .await
            .unwrap_or_else(|panic| Err(JobStoreError(panic)))
    }
}

#[async_trait]
impl UploadJournal for Recorder {
    async fn opened(&self, upload_id: &str) -> Result<(), String> {
        let upload_id = upload_id.to_owned();
        let recorded = self.record(JobEvent::UploadOpened { upload_id }).await;
        recorded.map_err(|error| format!("the upload could not be recorded: {error}"))
    }

    fn tally(&self) -> Tally {
        self.activity.tally()
    }
}
