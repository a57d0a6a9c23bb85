//! What can happen to a job.

use super::{ArtifactReport, Failure, ScriptLog, StopReason};
use crate::{artifact::ArtifactName, plan::Step, ports::PreparedRestore};

/// An entry of a job's log. The job's status is derived from these and from nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEvent {
    /// The job left the queue. A backup's artifact gets its name here, once.
    Started {
        /// The name, for a backup.
        artifact_name: Option<ArtifactName>,
    },
    /// A step is about to begin.
    StepStarted {
        /// Which one.
        step: Step,
    },
    /// The object that is about to be uploaded has got its name.
    ObjectNamed {
        /// The name, without the prefix.
        filename: String,
    },
    /// The store has begun to keep parts of the upload, which somebody must complete or remove.
    UploadOpened {
        /// The store's own name for the upload.
        upload_id: String,
    },
    /// A place is about to be made for the file to restore, or was made.
    RestorePrepared {
        /// By which it is recognised when it is to be removed.
        prepared: PreparedRestore,
    },
    /// A step ended well.
    StepSucceeded {
        /// Which one.
        step: Step,
        /// What it left to tell.
        report: StepReport,
    },
    /// A step failed.
    StepFailed {
        /// Which one.
        step: Step,
        /// Why.
        failure: Failure,
        /// What it left to tell.
        report: StepReport,
    },
    /// Somebody wants the job to end early: what is owed still runs, and nothing else.
    Stopped {
        /// The step at which it came.
        step: Step,
        /// Who, and why.
        reason: StopReason,
    },
    /// The agent died while the job was at work, and a new one takes over.
    Interrupted,
    /// Nobody is left who could take the job further: it ends where it stands.
    Abandoned {
        /// What happened.
        reason: String,
    },
    /// Nothing is left to do, but perhaps an unlock that did not succeed yet.
    Finished {
        /// Something the reader should know that is no failure.
        note: Option<String>,
    },
    /// The unlock that was owed after the end is owed no longer.
    UnlockSettled {
        /// How.
        how: Settlement,
        /// The output of the unlock script that succeeded, if it was this job's.
        log: Option<ScriptLog>,
    },
}

impl JobEvent {
    /// One of each, in the order of their declaration; `step` is named where one is needed.
    #[cfg(any(test, feature = "test-doubles"))]
    #[must_use]
    pub fn samples(step: Step) -> Vec<Self> {
        use super::FailureCause;

        let report = StepReport::default;
        let cause = FailureCause::Error("it broke".to_owned());
        let prepared = crate::testing::prepared_restore();
        vec![
            Self::Started { artifact_name: None },
            Self::StepStarted { step },
            Self::ObjectNamed {
                filename: "a.tar.gz".to_owned(),
            },
            Self::UploadOpened {
                upload_id: "u".to_owned(),
            },
            Self::RestorePrepared { prepared },
            Self::StepSucceeded { step, report: report() },
            Self::StepFailed {
                step,
                failure: Failure { step, cause },
                report: report(),
            },
            Self::Stopped {
                step,
                reason: StopReason::Cancelled,
            },
            Self::Interrupted,
            Self::Abandoned {
                reason: "a panic".to_owned(),
            },
            Self::Finished { note: None },
            Self::UnlockSettled {
                how: Settlement::Released,
                log: None,
            },
        ]
    }
}

/// How an unlock that was owed is owed no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Settlement {
    /// The unlock script succeeded at last.
    Released,
    /// The unlock script of another job of the same kind, host and database succeeded.
    ReleasedByAnother,
    /// A person told the agent to stop trying; the service may still be locked.
    GivenUp,
}

impl Settlement {
    /// Whether the service is unlocked.
    #[must_use]
    pub fn is_release(self) -> bool {
        match self {
            Self::Released | Self::ReleasedByAnother => true,
            Self::GivenUp => false,
        }
    }
}

/// What a step leaves to tell, however it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepReport {
    /// The output of its script.
    pub log: Option<ScriptLog>,
    /// The file that is now safe in the store (or, without storage, that the scripts left).
    pub artifact: Option<Box<ArtifactReport>>,
    /// Something the reader of the job should know that is no failure.
    pub note: Option<String>,
}

impl StepReport {
    /// Nothing but a script's output.
    #[must_use]
    pub fn of_log(log: ScriptLog) -> Self {
        Self {
            log: Some(log),
            ..Self::default()
        }
    }
}
