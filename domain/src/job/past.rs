//! What is left to tell of a job that has ended, and of how long its parts took.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Job, JobEvent, Outcome};
use crate::{
    plan::{JobKind, Phase, Role},
    ports::Observation,
};

/// A job that has ended, as those see it who watch many of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastJob {
    /// Backup or restore.
    pub kind: JobKind,
    /// The host of the database.
    pub host: String,
    /// The database.
    pub database: String,
    /// How it ended.
    pub outcome: Outcome,
    /// When.
    pub ended_at: DateTime<Utc>,
    /// The length of a backup's artifact; none where there is none that is safe.
    pub artifact_bytes: Option<u64>,
}

impl PastJob {
    /// What is told of a job; none as long as it is unfinished.
    #[must_use]
    pub fn of(job: &Job) -> Option<Self> {
        let artifact = job.artifact.as_ref().filter(|_| job.kind() == JobKind::Backup);
        Some(Self {
            kind: job.kind(),
            host: job.request.service.host.clone(),
            database: job.request.service.database.clone(),
            outcome: job.status.outcome()?,
            ended_at: job.ended_at?,
            artifact_bytes: artifact.map(|artifact| artifact.size_bytes),
        })
    }
}

impl Job {
    /// What the last event means to those who watch.
    #[must_use]
    pub fn observations(&self) -> Vec<Observation> {
        let Some((at, event)) = self.events.last() else {
            return Vec::new();
        };
        let (has_ended, is_released) = match event {
            JobEvent::Finished { .. } | JobEvent::Abandoned { .. } => (true, false),
            JobEvent::StepSucceeded { step, .. } => (false, step.role() == Some(Role::Unlock)),
            JobEvent::UnlockSettled { how, .. } => (false, how.is_release()),
            JobEvent::Started { .. }
            | JobEvent::StepStarted { .. }
            | JobEvent::ObjectNamed { .. }
            | JobEvent::UploadOpened { .. }
            | JobEvent::RestorePrepared { .. }
            | JobEvent::StepFailed { .. }
            | JobEvent::Stopped { .. }
            | JobEvent::Interrupted => (false, false),
        };
        let released = self.lock_begun_at().filter(|_| is_released);
        let released = released.map(|since| Observation::LockReleased {
            kind: self.kind(),
            held: between(since, *at),
        });
        let ended = PastJob::of(self).filter(|_| has_ended);
        let ended = ended.map(|job| Observation::JobEnded {
            took: between(self.accepted_at, job.ended_at),
            phases: self.phase_times(),
            job,
        });
        released.into_iter().chain(ended).collect()
    }

    /// When the lock script was started; none if it was not.
    pub(super) fn lock_begun_at(&self) -> Option<DateTime<Utc>> {
        let is_lock =
            |event: &JobEvent| matches!(event, JobEvent::StepStarted { step } if step.role() == Some(Role::Lock));
        let begun = self.events.iter().find(|(_, event)| is_lock(event));
        begun.map(|(at, _)| *at)
    }

    /// How long each phase was at work, in the order in which they began. What nobody saw the end of,
    /// because the agent died, is not counted.
    fn phase_times(&self) -> Vec<(Phase, Duration)> {
        let mut times: Vec<(Phase, Duration)> = Vec::new();
        let mut begun = None;
        for (at, event) in &self.events {
            match event {
                JobEvent::StepStarted { step } => begun = Some((*step, *at)),
                JobEvent::StepSucceeded { step, .. } | JobEvent::StepFailed { step, .. } => {
                    let since = begun.take().filter(|(started, _)| started == step);
                    let (Some((_, since)), Some(phase)) = (since, step.phase()) else {
                        continue;
                    };
                    let took = between(since, *at);
                    match times.iter_mut().find(|(known, _)| *known == phase) {
                        Some((_, sum)) => *sum += took,
                        None => times.push((phase, took)),
                    }
                }
                JobEvent::Started { .. }
                | JobEvent::ObjectNamed { .. }
                | JobEvent::UploadOpened { .. }
                | JobEvent::RestorePrepared { .. }
                | JobEvent::Stopped { .. }
                | JobEvent::Interrupted
                | JobEvent::Abandoned { .. }
                | JobEvent::Finished { .. }
                | JobEvent::UnlockSettled { .. } => {}
            }
        }
        times
    }
}

/// The time of day may have been set back meanwhile.
fn between(since: DateTime<Utc>, until: DateTime<Utc>) -> Duration {
    (until - since).to_std().unwrap_or_default()
}
