//! A job: one accepted request, its log of events, and the status derived from it.

mod event;
mod failure;
mod key;
mod log;
mod status;
mod view;

use chrono::{DateTime, Utc};

pub use event::{JobEvent, StepReport};
pub use failure::{EX_TEMPFAIL, ExitReason, Failure, FailureCause};
pub use key::{InvalidJobId, JobId, JobKey};
pub use log::{HeadAndTail, LOG_HEAD_BYTES, LOG_TAIL_BYTES, ScriptLog};
pub use status::{IllegalTransition, JobStatus};
pub use view::JobView;

use crate::{
    artifact::ArtifactName,
    plan::{FailurePolicy, JobKind, Phase},
    request::{JobRequest, Work},
};

/// The file that is safe in the store, or, without storage, the artifact that the scripts left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactReport {
    /// The name that was written, without the prefix.
    pub filename: String,
    /// Its length.
    pub size_bytes: u64,
}

/// One accepted request and all that has happened to it.
///
/// The only writer is [`Job::apply`], and the only judge of it is [`JobStatus::next`]. A job is
/// rebuilt from its request and its events by [`Job::replay`].
#[derive(Debug, Clone)]
pub struct Job {
    request: JobRequest,
    policy: FailurePolicy,
    accepted_at: DateTime<Utc>,
    status: JobStatus,
    events: Vec<(DateTime<Utc>, JobEvent)>,
    phase: Option<Phase>,
    artifact_name: Option<ArtifactName>,
    artifact: Option<ArtifactReport>,
    logs: Vec<(Phase, ScriptLog)>,
    notes: Vec<String>,
    ended_at: Option<DateTime<Utc>>,
}

impl Job {
    /// A job that has just been accepted and waits for its turn.
    #[must_use]
    pub fn accepted(request: JobRequest, policy: FailurePolicy, at: DateTime<Utc>) -> Self {
        Self {
            status: JobStatus::Queued,
            request,
            policy,
            accepted_at: at,
            events: Vec::new(),
            phase: None,
            artifact_name: None,
            artifact: None,
            logs: Vec::new(),
            notes: Vec::new(),
            ended_at: None,
        }
    }

    /// Rebuilds a job from what was stored of it.
    ///
    /// # Errors
    ///
    /// If an event cannot follow the ones before it: the log is not one that this code wrote.
    pub fn replay(
        request: JobRequest,
        policy: FailurePolicy,
        accepted_at: DateTime<Utc>,
        events: impl IntoIterator<Item = (DateTime<Utc>, JobEvent)>,
    ) -> Result<Self, IllegalTransition> {
        let mut job = Self::accepted(request, policy, accepted_at);
        for (at, event) in events {
            job.apply(event, at)?;
        }
        Ok(job)
    }

    /// Writes `event` into the job.
    ///
    /// # Errors
    ///
    /// If the event cannot follow what the job has been through; the job is then as it was.
    pub fn apply(&mut self, event: JobEvent, at: DateTime<Utc>) -> Result<(), IllegalTransition> {
        let status = self.status.next(&event, self.request.plan(), self.policy)?;
        match &event {
            JobEvent::Started { artifact_name } => self.artifact_name.clone_from(artifact_name),
            JobEvent::StepSucceeded { step, report } | JobEvent::StepFailed { step, report, .. } => {
                if let (Some(phase), Some(log)) = (step.phase(), &report.log) {
                    self.logs.push((phase, log.clone()));
                }
                if report.artifact.is_some() {
                    self.artifact.clone_from(&report.artifact);
                }
                self.notes.extend(report.note.clone());
            }
            JobEvent::StepStarted { step } => self.phase = step.phase().or(self.phase),
            JobEvent::Finished { note } => {
                self.notes.extend(note.clone());
                self.ended_at = Some(at);
            }
        }
        self.status = status;
        self.events.push((at, event));
        Ok(())
    }

    /// Ends the job as failed where it stands, when nobody is left who could take it further.
    pub(crate) fn abandon(&mut self, reason: &str) {
        self.ended_at = self.events.last().map(|(at, _)| *at).or(Some(self.accepted_at));
        self.status = self.status.abandoned(reason);
    }

    /// What tells this job from all others.
    #[must_use]
    pub fn key(&self) -> JobKey {
        JobKey::new(self.kind(), self.request.id.clone())
    }

    /// Backup or restore.
    #[must_use]
    pub fn kind(&self) -> JobKind {
        self.request.kind()
    }

    /// The request that made the job.
    #[must_use]
    pub fn request(&self) -> &JobRequest {
        &self.request
    }

    /// Where the job stands.
    #[must_use]
    pub fn status(&self) -> &JobStatus {
        &self.status
    }

    /// The artifact's name; none before a backup has left the queue, and none for a restore.
    #[must_use]
    pub fn artifact_name(&self) -> Option<&ArtifactName> {
        self.artifact_name.as_ref()
    }

    /// All that has happened since the job was accepted, in order.
    #[must_use]
    pub fn events(&self) -> &[(DateTime<Utc>, JobEvent)] {
        &self.events
    }

    /// When the job was accepted.
    #[must_use]
    pub fn accepted_at(&self) -> DateTime<Utc> {
        self.accepted_at
    }

    /// A consistent snapshot for clients.
    #[must_use]
    pub fn view(&self) -> JobView {
        JobView {
            key: self.key(),
            destination: self.request.destination.echo.clone(),
            transfer: self.request.transfer,
            compression: self.request.compression,
            restore_filename: match &self.request.work {
                Work::Backup => None,
                Work::Restore { filename } => Some(filename.clone()),
            },
            status: self.status.clone(),
            phase: self.phase,
            artifact: self.artifact.clone(),
            accepted_at: self.accepted_at,
            ended_at: self.ended_at,
            logs: self.logs.clone(),
            notes: self.notes.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
