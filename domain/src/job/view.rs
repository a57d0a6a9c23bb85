//! A snapshot of a job.

use chrono::{DateTime, Utc};

use super::{ArtifactReport, Failure, JobKey, JobStatus, LockRecord, LockSpan, Pace, PhaseRecord, ScriptLog};
use crate::{
    plan::{Phase, Role, Step, Transfer},
    request::DestinationEcho,
};

/// All that a client may see of a job, as of one instant. It holds no secrets.
#[derive(Debug, Clone)]
pub struct JobView {
    /// Kind and id.
    pub key: JobKey,
    /// The host of the database.
    pub host: String,
    /// The database.
    pub database: String,
    /// Since when the service may be locked; none if it is not.
    pub locked_since: Option<DateTime<Utc>>,
    /// When the service was locked; none if no lock was taken.
    pub lock_span: Option<LockSpan>,
    /// How each phase went, in the order of the plan.
    pub phases: Vec<PhaseRecord>,
    /// What the client sent about the destination.
    pub destination: DestinationEcho,
    /// Who moves the bytes.
    pub transfer: Transfer,
    /// The request's `compression`, for the scripts.
    pub compression: bool,
    /// The object to restore from; none for a backup.
    pub restore_filename: Option<String>,
    /// Where the job stands.
    pub status: JobStatus,
    /// The phase at work, or the last that was; none before the first.
    pub phase: Option<Phase>,
    /// The file that is safe in the store; none until it is verified.
    pub artifact: Option<ArtifactReport>,
    /// What became of the service's lock.
    pub lock: LockRecord,
    /// Whether the job has ended, but the agent still tries to unlock the service.
    pub owes_unlock: bool,
    /// When the request was accepted.
    pub accepted_at: DateTime<Utc>,
    /// When the job ended; none while it is unfinished.
    pub ended_at: Option<DateTime<Utc>>,
    /// The output of the scripts that have run, in order.
    pub logs: Vec<(Phase, ScriptLog)>,
    /// What the reader should know that is no failure.
    pub notes: Vec<String>,
    /// What is true at this moment alone; none once the job has ended, and where nobody looked.
    pub live: Option<Box<Live>>,
}

/// What is true of an unfinished job at this moment alone, and is written down nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// The moment.
    pub as_of: DateTime<Utc>,
    /// Its place among those that wait, the first being 1; none if it does not wait.
    pub queue_position: Option<usize>,
    /// How far the step at work has come; none between two steps.
    pub progress: Option<StepProgress>,
}

/// How far a step has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepProgress {
    /// The step.
    pub step: Step,
    /// How many bytes have moved or, of a backup script, how long its artifact is; none where nobody
    /// counts.
    pub bytes_done: Option<u64>,
    /// How many there are in all; none if that is not known.
    pub bytes_total: Option<u64>,
    /// How fast they move, and how long it takes yet.
    pub pace: Pace,
}

impl JobView {
    /// What went wrong, first failure first, as one text; none if nothing did.
    #[must_use]
    pub fn error_message(&self) -> Option<String> {
        let failures = self.status.failures();
        let is_unlock = |failure: &&Failure| failure.step.role() == Some(Role::Unlock);
        let is_locked = self.status.is_finished() && self.lock.is_released() == Some(false);
        // What somebody must see to comes first.
        let (first, rest): (Vec<_>, Vec<_>) = failures.iter().partition(|failure| is_locked && is_unlock(failure));
        let mut told = first.iter().chain(&rest);
        let mut message = String::new();
        if is_locked {
            message.push_str(self.lock_notice());
        }
        message.push_str(&told.next()?.to_string());
        for later in told {
            message.push_str("; then ");
            message.push_str(&later.to_string());
        }
        // Whoever reads of a failed unlock at night should know what need not be done again.
        if let (Some(artifact), Transfer::ByAgent) = (&self.artifact, self.transfer) {
            message.push_str(&format!(
                "; the backup itself is safe in the store, as {:?} ({} bytes)",
                artifact.filename, artifact.size_bytes
            ));
        }
        for note in &self.notes {
            message.push_str("; ");
            message.push_str(note);
        }
        Some(message)
    }

    /// What is told of a lock that was not released, before all else.
    fn lock_notice(&self) -> &'static str {
        match self.lock {
            LockRecord::MayBeHeld => {
                "THE LOCK WAS NOT RELEASED, and the agent goes on trying (osb-backup-agent unlock tries at once): "
            }
            LockRecord::GivenUp => "THE LOCK WAS NOT RELEASED, and the agent was told to stop trying: ",
            LockRecord::Kept => {
                "the service stays locked, as unlock_after_failed_restore=false wants it after a failed restore: "
            }
            LockRecord::NotTaken | LockRecord::Released => "",
        }
    }

    /// The output of a phase's script, if it has run.
    #[must_use]
    pub fn log(&self, phase: Phase) -> Option<&ScriptLog> {
        self.logs.iter().find(|(of, _)| *of == phase).map(|(_, log)| log)
    }
}
