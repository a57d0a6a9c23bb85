//! The course of one job: a loop over its plan.

use super::{JobService, catch_panic, perform::Hands};
use crate::{
    job::{Failure, FailureCause, Job, JobEvent, StepReport},
    plan::{JobKind, Step},
    ports::JobStoreError,
};

/// A job at work. It alone writes to its job.
pub(super) struct JobRun {
    service: JobService,
    job: Job,
    hands: Hands,
}

/// The course of a job to its end. Steps and records catch panics where they happen; should one
/// escape all the same, the job still ends, as failed, and makes room.
pub(super) async fn course(service: JobService, job: Job) {
    let key = job.key();
    let run = JobRun {
        service: service.clone(),
        job,
        hands: Hands::default(),
    };
    if let Err(panic) = catch_panic(run.walk()).await {
        service.inner.registry().abandon(&key, &panic);
        service.begin_what_can_begin();
    }
}

impl JobRun {
    /// Walks the plan to its end, whatever fails on the way, and makes room for the next job.
    async fn walk(mut self) {
        let started = self.started();
        self.record_or_keep(started).await;
        while let Some(step) = self.job.status().next_step() {
            self.take(step).await;
        }
        let note = self.discard().await;
        self.finish(note).await;
    }

    fn started(&self) -> JobEvent {
        let request = self.job.request();
        let now = self.service.inner.ports.clock.now();
        let pattern = &self.service.inner.settings.name_pattern;
        let artifact_name = match request.kind() {
            JobKind::Backup => Some(pattern.name(&request.service.host, &request.service.database, &request.id, now)),
            JobKind::Restore => None,
        };
        JobEvent::Started { artifact_name }
    }

    /// Records that `step` begins, performs it, and records how it ended.
    async fn take(&mut self, step: Step) {
        if let Err(error) = self.record(JobEvent::StepStarted { step }).await {
            if !step.is_owed() {
                let cause = FailureCause::NotStarted(format!("its start could not be recorded: {error}"));
                return self.record_or_keep(failed(step, cause, StepReport::default())).await;
            }
            // A lock must be released even if nothing can be written.
            self.keep(JobEvent::StepStarted { step });
        }
        let Self { service, job, hands } = self;
        let outcome = catch_panic(hands.perform(step, service, job)).await;
        let event = match outcome {
            Ok(Ok(report)) => JobEvent::StepSucceeded { step, report },
            Ok(Err((cause, report))) => failed(step, cause, report),
            Err(panic) => failed(step, FailureCause::Error(panic), StepReport::default()),
        };
        self.record_or_keep(event).await;
    }

    /// Removes what the agent put into `directory_restore`.
    /// What cannot be removed is said, and the job's outcome stands.
    async fn discard(&mut self) -> Option<String> {
        let Self { service, job, hands } = self;
        catch_panic(hands.discard(service, job)).await.unwrap_or_else(Err).err()
    }

    async fn finish(mut self, note: Option<String>) {
        let event = JobEvent::Finished { note };
        let key = self.job.key();
        match self.record(event.clone()).await {
            Ok(()) => self.service.inner.registry().forget(&key),
            Err(_) => {
                // The end is shown as long as the agent lives.
                self.keep(event);
                self.service.inner.registry().retire(&key);
            }
        }
        self.service.begin_what_can_begin();
    }

    /// Writes an event to the store, and only then shows it.
    async fn record(&mut self, event: JobEvent) -> Result<(), JobStoreError> {
        let next = self.with(event);
        let jobs = &self.service.inner.ports.jobs;
        catch_panic(jobs.update(&next))
            .await
            .unwrap_or_else(|panic| Err(JobStoreError(panic)))?;
        self.show(next);
        Ok(())
    }

    /// Writes an event to the store; if that fails it is kept in memory, and is written with the
    /// next one, as the store always gets the whole job.
    async fn record_or_keep(&mut self, event: JobEvent) {
        if self.record(event.clone()).await.is_err() {
            self.keep(event);
        }
    }

    fn keep(&mut self, event: JobEvent) {
        let next = self.with(event);
        self.show(next);
    }

    fn with(&self, event: JobEvent) -> Job {
        let mut next = self.job.clone();
        next.apply(event, self.service.inner.ports.clock.now())
            .expect("the run makes only the events that the job's state asks for");
        next
    }

    fn show(&mut self, job: Job) {
        self.job = job;
        self.service.inner.registry().publish(&self.job);
    }
}

fn failed(step: Step, cause: FailureCause, report: StepReport) -> JobEvent {
    JobEvent::StepFailed {
        step,
        failure: Failure { step, cause },
        report,
    }
}
