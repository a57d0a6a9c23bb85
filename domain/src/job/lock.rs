//! What became of a service's lock, as far as a job knows.

use super::{Failure, JobEvent, Settlement};
use crate::plan::{FailurePolicy, LockAfterFailure, Role, Step, lock_after_failure};

/// What became of the service's lock, as far as the job knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LockRecord {
    /// No lock script of the job has run, or it took nothing.
    #[default]
    NotTaken,
    /// The lock script was started, so the service may be locked, until an unlock script succeeds.
    MayBeHeld,
    /// The service stays locked, because the operator wants it so after a failed restore.
    Kept,
    /// An unlock script has succeeded.
    Released,
    /// No unlock script has succeeded, and a person told the agent to stop trying.
    GivenUp,
}

impl LockRecord {
    /// What is known after `event`, which was found to be possible.
    pub(super) fn after(self, event: &JobEvent, at_work: Option<Step>, policy: FailurePolicy) -> Self {
        let failed = |step, mode| match lock_after_failure(step, mode, policy) {
            LockAfterFailure::NotTaken => Self::NotTaken,
            LockAfterFailure::Kept => Self::Kept,
            LockAfterFailure::ToBeReleased => self,
        };
        match event {
            JobEvent::StepStarted { step } if step.role() == Some(Role::Lock) => Self::MayBeHeld,
            JobEvent::StepSucceeded { step, .. } if step.role() == Some(Role::Unlock) => Self::Released,
            JobEvent::StepFailed {
                failure: failure @ Failure { step, .. },
                ..
            } => failed(*step, failure.mode()),
            JobEvent::Interrupted => at_work.map_or(self, |step| failed(step, crate::plan::FailureMode::Ended)),
            JobEvent::UnlockSettled { how, .. } => match how {
                Settlement::Released | Settlement::ReleasedByAnother => Self::Released,
                Settlement::GivenUp => Self::GivenUp,
            },
            JobEvent::Started { .. }
            | JobEvent::StepStarted { .. }
            | JobEvent::ObjectNamed { .. }
            | JobEvent::UploadOpened { .. }
            | JobEvent::RestorePrepared { .. }
            | JobEvent::StepSucceeded { .. }
            | JobEvent::Stopped { .. }
            | JobEvent::Abandoned { .. }
            | JobEvent::Finished { .. } => self,
        }
    }

    /// For clients: whether the lock was released; none if none was taken.
    #[must_use]
    pub fn is_released(self) -> Option<bool> {
        match self {
            Self::NotTaken => None,
            Self::MayBeHeld | Self::Kept | Self::GivenUp => Some(false),
            Self::Released => Some(true),
        }
    }
}
