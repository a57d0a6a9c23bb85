//! What can happen to a job.

use super::{ArtifactReport, Failure, ScriptLog};
use crate::{artifact::ArtifactName, plan::Step};

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
    /// Nothing is left to do.
    Finished {
        /// Something the reader should know that is no failure.
        note: Option<String>,
    },
}

/// What a step leaves to tell, however it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepReport {
    /// The output of its script.
    pub log: Option<ScriptLog>,
    /// The file that is now safe in the store (or, without storage, that the scripts left).
    pub artifact: Option<ArtifactReport>,
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
