//! A job: one accepted request, its log of events, and the status derived from it.

mod event;
mod failure;
mod key;
mod live;
mod lock;
mod log;
mod pace;
mod past;
mod phases;
mod status;
mod view;

use chrono::{DateTime, Utc};

pub use event::{JobEvent, Settlement, StepReport};
pub use failure::{EX_TEMPFAIL, ExitReason, Failure, FailureCause, StopReason};
pub use key::{InvalidJobId, JobId, JobKey};
pub use live::{LiveLog, LiveStream};
pub use lock::LockRecord;
pub use log::{HeadAndTail, LOG_HEAD_BYTES, LOG_TAIL_BYTES, ScriptLog};
pub use pace::{Pace, Sample, Window, pace};
pub use past::PastJob;
pub use phases::{LockSpan, PhaseRecord, PhaseStatus};
pub use status::{IllegalTransition, JobStatus, Outcome};
pub use view::{JobView, Live, StepProgress};

use crate::{
    artifact::{ArtifactName, Sha256},
    plan::{FailurePolicy, JobKind, Phase, Step},
    ports::PreparedRestore,
    request::{JobRequest, Work},
};

/// The file that is safe in the store, or, without storage, the artifact that the scripts left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactReport {
    /// The name that was written, without the prefix.
    pub filename: String,
    /// Its length.
    pub size_bytes: u64,
    /// Its digest; none if the agent has not read it.
    pub sha256: Option<Sha256>,
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
    lock: LockRecord,
    transfer: TransferRecord,
    logs: Vec<(Phase, ScriptLog)>,
    notes: Vec<String>,
    ended_at: Option<DateTime<Utc>>,
}

/// What the agent has begun to put somewhere, and must remove should it not come to an end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransferRecord {
    /// The name of the object that is being uploaded, without the prefix.
    pub object: Option<String>,
    /// The store's names for uploads in parts, of which the last is at work.
    pub uploads: Vec<String>,
    /// The place of the file to restore.
    pub restore: Option<PreparedRestore>,
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
            lock: LockRecord::default(),
            transfer: TransferRecord::default(),
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
        let status = self.next_status(&event)?;
        let at_work = match &self.status {
            JobStatus::Running { step, .. } => Some(*step),
            JobStatus::Queued | JobStatus::Between { .. } | JobStatus::Succeeded | JobStatus::Failed { .. } => None,
        };
        self.lock = self.lock.after(&event, at_work, self.policy);
        match &event {
            JobEvent::Started { artifact_name } => self.artifact_name.clone_from(artifact_name),
            JobEvent::StepStarted { step } => self.phase = step.phase().or(self.phase),
            JobEvent::ObjectNamed { filename } => self.transfer.object = Some(filename.clone()),
            JobEvent::UploadOpened { upload_id } => self.transfer.uploads.push(upload_id.clone()),
            JobEvent::RestorePrepared { prepared } => self.transfer.restore = Some(prepared.clone()),
            JobEvent::StepSucceeded { step, report } | JobEvent::StepFailed { step, report, .. } => {
                self.keep_log(step.phase(), report.log.as_ref());
                if let Some(artifact) = &report.artifact {
                    self.artifact = Some(ArtifactReport::clone(artifact));
                }
                self.notes.extend(report.note.clone());
            }
            JobEvent::Finished { note } => {
                self.notes.extend(note.clone());
                self.ended_at = Some(at);
            }
            JobEvent::Abandoned { .. } => self.ended_at = Some(at),
            JobEvent::UnlockSettled { log, .. } => self.keep_log(Some(self.kind().unlock_phase()), log.as_ref()),
            JobEvent::Stopped { .. } | JobEvent::Interrupted => {}
        }
        self.status = status;
        self.events.push((at, event));
        Ok(())
    }

    fn next_status(&self, event: &JobEvent) -> Result<JobStatus, IllegalTransition> {
        // Whether an unlock is owed is known here only.
        if matches!(event, JobEvent::UnlockSettled { .. }) && !self.owes_unlock() {
            return Err(IllegalTransition {
                status: Box::new(self.status.clone()),
                event: Box::new(event.clone()),
            });
        }
        self.status.next(event, self.plan(), self.policy)
    }

    /// The last run of a phase counts: an unlock may need several.
    fn keep_log(&mut self, phase: Option<Phase>, log: Option<&ScriptLog>) {
        if let (Some(phase), Some(log)) = (phase, log) {
            self.logs.retain(|(of, _)| *of != phase);
            self.logs.push((phase, log.clone()));
        }
    }

    /// Since when the service may be locked; none if it is not, so far as the job knows.
    #[must_use]
    pub fn locked_since(&self) -> Option<DateTime<Utc>> {
        self.lock_begun_at().filter(|_| self.lock.is_released() == Some(false))
    }

    /// Whether the job has ended, but its service may still be locked and is to be unlocked.
    #[must_use]
    pub fn owes_unlock(&self) -> bool {
        self.status.is_finished() && self.lock == LockRecord::MayBeHeld
    }

    /// Whether nothing is left to do for this job: it has ended and owes no unlock.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.status.is_finished() && !self.owes_unlock()
    }

    /// The steps of the job, if nothing fails.
    #[must_use]
    pub fn plan(&self) -> &'static [Step] {
        self.kind().plan(self.request.transfer, self.policy.order)
    }

    /// Takes the secrets out of the request, which nobody needs any more.
    ///
    /// The job can still be replayed and shown, but no script of it can be run.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        self.request = self.request.without_secrets();
        self
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

    /// The operator's choices that were in force when the job was accepted.
    #[must_use]
    pub fn policy(&self) -> FailurePolicy {
        self.policy
    }

    /// What is known of the service's lock.
    #[must_use]
    pub fn lock(&self) -> LockRecord {
        self.lock
    }

    /// The file that is safe in the store, or that scripts left; none until it is.
    #[must_use]
    pub fn artifact(&self) -> Option<&ArtifactReport> {
        self.artifact.as_ref()
    }

    /// What was begun to be put somewhere.
    #[must_use]
    pub fn transfer(&self) -> &TransferRecord {
        &self.transfer
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
            host: self.request.service.host.clone(),
            database: self.request.service.database.clone(),
            locked_since: self.locked_since(),
            lock_span: self.lock_span(),
            phases: phases::phases(self.plan(), &self.status, &self.events),
            destination: self.request.destination.echo.clone(),
            transfer: self.request.transfer,
            compression: self.request.compression,
            restore_filename: match &self.request.work {
                Work::Backup => None,
                Work::Restore { filename, .. } => Some(filename.clone()),
            },
            status: self.status.clone(),
            phase: self.phase,
            artifact: self.artifact.clone(),
            lock: self.lock,
            owes_unlock: self.owes_unlock(),
            accepted_at: self.accepted_at,
            ended_at: self.ended_at,
            logs: self.logs.clone(),
            notes: self.notes.clone(),
            live: None,
        }
    }

    /// When the service was locked; none if no lock was taken.
    fn lock_span(&self) -> Option<LockSpan> {
        match self.lock {
            LockRecord::NotTaken => None,
            LockRecord::MayBeHeld | LockRecord::Kept | LockRecord::Released | LockRecord::GivenUp => {
                let since = self.lock_begun_at()?;
                let until = phases::released_at(&self.events);
                Some(LockSpan { since, until })
            }
        }
    }

    /// What clients see of where the job stands: who waits for news waits for a change of it.
    #[must_use]
    pub fn state(&self) -> (Option<Phase>, bool) {
        (self.phase, self.status.is_finished())
    }
}

#[cfg(test)]
mod tests;
