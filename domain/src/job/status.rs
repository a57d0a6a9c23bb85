//! Where a job stands, and what may follow what.

use super::{Failure, FailureCause, JobEvent, StopReason};
use crate::plan::{FailurePolicy, Step, after_failure, after_interruption, after_stop};

/// The state of a job. Each variant holds what is true only then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobStatus {
    /// Accepted; waits for its turn.
    Queued,
    /// Between two steps.
    Between {
        /// The steps still to do, in order; none means that only the end is left.
        remaining: Vec<Step>,
        /// What has gone wrong so far, first failure first.
        failures: Vec<Failure>,
    },
    /// A step is at work.
    Running {
        /// The step.
        step: Step,
        /// The steps after it, if it succeeds.
        remaining: Vec<Step>,
        /// What has gone wrong so far, first failure first.
        failures: Vec<Failure>,
    },
    /// Every phase succeeded.
    Succeeded,
    /// Something failed.
    Failed {
        /// What went wrong, first failure first; never empty.
        failures: Vec<Failure>,
    },
}

/// How a job ended, for those who must tell a failure from a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Every phase succeeded.
    Succeeded,
    /// Something failed by itself.
    Failed,
    /// Nothing had failed until somebody cancelled it.
    Cancelled,
    /// Nothing had failed until the agent was stopped, or died.
    Interrupted,
}

impl Outcome {
    /// All of them, for tables.
    pub const ALL: [Self; 4] = [Self::Succeeded, Self::Failed, Self::Cancelled, Self::Interrupted];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }
}

/// An event that cannot happen in a state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a job in state {status:?} cannot take the event {event:?}")]
pub struct IllegalTransition {
    /// Where the job stood.
    pub status: Box<JobStatus>,
    /// What was to happen.
    pub event: Box<JobEvent>,
}

impl JobStatus {
    /// The state after `event`: the only place that decides what may follow what.
    ///
    /// Events that change no state, as that an upload was opened, are taken where they can happen.
    /// Whether an unlock is owed is not part of the state: see [`Job::owes_unlock`](super::Job::owes_unlock).
    ///
    /// # Errors
    ///
    /// If the event cannot happen in this state.
    pub fn next(&self, event: &JobEvent, plan: &[Step], policy: FailurePolicy) -> Result<Self, IllegalTransition> {
        let illegal = || IllegalTransition {
            status: Box::new(self.clone()),
            event: Box::new(event.clone()),
        };
        match self {
            Self::Queued => Self::after_queue(event, plan),
            Self::Between { remaining, failures } => Self::after_between(event, remaining, failures, policy),
            Self::Running {
                step,
                remaining,
                failures,
            } => Self::after_running(event, *step, remaining, failures, policy),
            Self::Succeeded => None,
            Self::Failed { failures } => matches!(event, JobEvent::UnlockSettled { .. }).then(|| Self::Failed {
                failures: failures.clone(),
            }),
        }
        .ok_or_else(illegal)
    }

    fn after_queue(event: &JobEvent, plan: &[Step]) -> Option<Self> {
        match event {
            JobEvent::Started { .. } => Some(Self::Between {
                remaining: plan.to_vec(),
                failures: Vec::new(),
            }),
            JobEvent::Stopped { step, reason } => Some(Self::Between {
                remaining: Vec::new(),
                failures: vec![stopped(*step, *reason)],
            }),
            JobEvent::Abandoned { reason } => Some(abandoned(Step::Prepare, &[], reason)),
            JobEvent::StepStarted { .. }
            | JobEvent::ObjectNamed { .. }
            | JobEvent::UploadOpened { .. }
            | JobEvent::RestorePrepared { .. }
            | JobEvent::StepSucceeded { .. }
            | JobEvent::StepFailed { .. }
            | JobEvent::Interrupted
            | JobEvent::Finished { .. }
            | JobEvent::UnlockSettled { .. } => None,
        }
    }

    fn after_between(
        event: &JobEvent,
        remaining: &[Step],
        failures: &[Failure],
        policy: FailurePolicy,
    ) -> Option<Self> {
        let next = remaining.first().copied();
        match event {
            JobEvent::StepStarted { step } if next == Some(*step) => Some(Self::Running {
                step: *step,
                remaining: remaining[1..].to_vec(),
                failures: failures.to_vec(),
            }),
            // A step that could not even be recorded as started fails from here.
            JobEvent::StepFailed { step, failure, .. } if next == Some(*step) && failure.step == *step => {
                Some(Self::Between {
                    remaining: after_failure(*step, failure.mode(), &remaining[1..], policy),
                    failures: and(failures, failure.clone()),
                })
            }
            JobEvent::Stopped { step, reason } => Some(Self::Between {
                remaining: after_stop(remaining),
                failures: and(failures, stopped(*step, *reason)),
            }),
            JobEvent::Interrupted => Some(Self::Between {
                remaining: after_stop(remaining),
                failures: and(failures, interrupted(next?)),
            }),
            JobEvent::Abandoned { reason } => Some(abandoned(next.unwrap_or(Step::Prepare), failures, reason)),
            JobEvent::Finished { .. } if remaining.is_empty() => Some(if failures.is_empty() {
                Self::Succeeded
            } else {
                Self::Failed {
                    failures: failures.to_vec(),
                }
            }),
            JobEvent::Started { .. }
            | JobEvent::StepStarted { .. }
            | JobEvent::ObjectNamed { .. }
            | JobEvent::UploadOpened { .. }
            | JobEvent::RestorePrepared { .. }
            | JobEvent::StepSucceeded { .. }
            | JobEvent::StepFailed { .. }
            | JobEvent::Finished { .. }
            | JobEvent::UnlockSettled { .. } => None,
        }
    }

    fn after_running(
        event: &JobEvent,
        running: Step,
        remaining: &[Step],
        failures: &[Failure],
        policy: FailurePolicy,
    ) -> Option<Self> {
        let unchanged = || Self::Running {
            step: running,
            remaining: remaining.to_vec(),
            failures: failures.to_vec(),
        };
        match event {
            JobEvent::ObjectNamed { .. } | JobEvent::UploadOpened { .. } if running == Step::Upload => {
                Some(unchanged())
            }
            JobEvent::RestorePrepared { .. } if running == Step::Download => Some(unchanged()),
            JobEvent::StepSucceeded { step, .. } if running == *step => Some(Self::Between {
                remaining: remaining.to_vec(),
                failures: failures.to_vec(),
            }),
            JobEvent::StepFailed { step, failure, .. } if running == *step && failure.step == *step => {
                Some(Self::Between {
                    remaining: after_failure(*step, failure.mode(), remaining, policy),
                    failures: and(failures, failure.clone()),
                })
            }
            JobEvent::Interrupted => Some(Self::Between {
                remaining: after_interruption(running, remaining, policy),
                failures: and(failures, interrupted(running)),
            }),
            JobEvent::Abandoned { reason } => Some(abandoned(running, failures, reason)),
            JobEvent::Started { .. }
            | JobEvent::StepStarted { .. }
            | JobEvent::ObjectNamed { .. }
            | JobEvent::UploadOpened { .. }
            | JobEvent::RestorePrepared { .. }
            | JobEvent::StepSucceeded { .. }
            | JobEvent::StepFailed { .. }
            | JobEvent::Stopped { .. }
            | JobEvent::Finished { .. }
            | JobEvent::UnlockSettled { .. } => None,
        }
    }

    /// Whether the job is at its end. An unlock may still be owed.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.outcome().is_some()
    }

    /// How the job ended; none while it is unfinished.
    ///
    /// The first thing that went wrong decides: a cancel that comes while a failed job tidies up does
    /// not make a failure a wish.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Queued | Self::Between { .. } | Self::Running { .. } => None,
            Self::Succeeded => Some(Outcome::Succeeded),
            Self::Failed { failures } => Some(match failures.first().map(|failure| &failure.cause) {
                Some(FailureCause::Stopped(StopReason::Cancelled)) => Outcome::Cancelled,
                Some(FailureCause::Stopped(StopReason::AgentStopping) | FailureCause::Interrupted) => {
                    Outcome::Interrupted
                }
                Some(
                    FailureCause::Exit(_)
                    | FailureCause::NotStarted(_)
                    | FailureCause::Error(_)
                    | FailureCause::TimedOut(_)
                    | FailureCause::LockedTooLong(_),
                )
                | None => Outcome::Failed,
            }),
        }
    }

    /// What is to be done now; none while a step is at work, and when only the end is left.
    #[must_use]
    pub fn next_step(&self) -> Option<Step> {
        match self {
            Self::Between { remaining, .. } => remaining.first().copied(),
            Self::Queued | Self::Running { .. } | Self::Succeeded | Self::Failed { .. } => None,
        }
    }

    /// What has gone wrong so far, first failure first.
    #[must_use]
    pub fn failures(&self) -> &[Failure] {
        match self {
            Self::Queued | Self::Succeeded => &[],
            Self::Between { failures, .. } | Self::Running { failures, .. } | Self::Failed { failures } => failures,
        }
    }
}

fn and(failures: &[Failure], failure: Failure) -> Vec<Failure> {
    let mut failures = failures.to_vec();
    failures.push(failure);
    failures
}

fn stopped(step: Step, reason: StopReason) -> Failure {
    Failure {
        step,
        cause: FailureCause::Stopped(reason),
    }
}

fn interrupted(step: Step) -> Failure {
    Failure {
        step,
        cause: FailureCause::Interrupted,
    }
}

/// The end of a job that nobody can take further: failed in the step at work, or before the next.
fn abandoned(step: Step, failures: &[Failure], reason: &str) -> JobStatus {
    let failure = Failure {
        step,
        cause: FailureCause::Error(reason.to_owned()),
    };
    JobStatus::Failed {
        failures: and(failures, failure),
    }
}
