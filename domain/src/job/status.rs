//! Where a job stands, and what may follow what.

use super::{Failure, FailureCause, JobEvent};
use crate::plan::{FailurePolicy, Step, after_failure};

/// The state of a job. Each variant holds what is true only then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobStatus {
    /// Accepted; waits for its turn.
    Queued,
    /// Between two steps.
    Between {
        /// The steps still to do, in order; none means that only the end is left.
        remaining: &'static [Step],
        /// What has gone wrong so far, first failure first.
        failures: Vec<Failure>,
    },
    /// A step is at work.
    Running {
        /// The step.
        step: Step,
        /// The steps after it, if it succeeds.
        remaining: &'static [Step],
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
    /// # Errors
    ///
    /// If the event cannot happen in this state.
    pub fn next(
        &self,
        event: &JobEvent,
        plan: &'static [Step],
        policy: FailurePolicy,
    ) -> Result<Self, IllegalTransition> {
        match (self, event) {
            (Self::Queued, JobEvent::Started { .. }) => Ok(Self::Between {
                remaining: plan,
                failures: Vec::new(),
            }),
            (Self::Between { remaining, failures }, JobEvent::StepStarted { step })
                if remaining.first() == Some(step) =>
            {
                Ok(Self::Running {
                    step: *step,
                    remaining: &remaining[1..],
                    failures: failures.clone(),
                })
            }
            (
                Self::Running {
                    step: running,
                    remaining,
                    failures,
                },
                JobEvent::StepSucceeded { step, .. },
            ) if running == step => Ok(Self::Between {
                remaining,
                failures: failures.clone(),
            }),
            (
                Self::Running {
                    step: running,
                    remaining,
                    failures,
                },
                JobEvent::StepFailed { step, failure, .. },
            ) if running == step && failure.step == *step => {
                let mut failures = failures.clone();
                failures.push(failure.clone());
                Ok(Self::Between {
                    remaining: after_failure(*step, failure.mode(), remaining, policy),
                    failures,
                })
            }
            // A step that could not even be recorded as started fails from here.
            (Self::Between { remaining, failures }, JobEvent::StepFailed { step, failure, .. })
                if remaining.first() == Some(step) && failure.step == *step =>
            {
                let mut failures = failures.clone();
                failures.push(failure.clone());
                Ok(Self::Between {
                    remaining: after_failure(*step, failure.mode(), &remaining[1..], policy),
                    failures,
                })
            }
            (
                Self::Between {
                    remaining: [],
                    failures,
                },
                JobEvent::Finished { .. },
            ) => Ok(if failures.is_empty() {
                Self::Succeeded
            } else {
                Self::Failed {
                    failures: failures.clone(),
                }
            }),
            (
                Self::Queued | Self::Between { .. } | Self::Running { .. } | Self::Succeeded | Self::Failed { .. },
                JobEvent::Started { .. }
                | JobEvent::StepStarted { .. }
                | JobEvent::StepSucceeded { .. }
                | JobEvent::StepFailed { .. }
                | JobEvent::Finished { .. },
            ) => Err(IllegalTransition {
                status: Box::new(self.clone()),
                event: Box::new(event.clone()),
            }),
        }
    }

    /// The end of a job that nobody can take further: failed in the step at work, or before the next.
    pub(super) fn abandoned(&self, reason: &str) -> Self {
        let step = match self {
            Self::Running { step, .. } => Some(*step),
            Self::Queued | Self::Between { .. } | Self::Succeeded | Self::Failed { .. } => self.next_step(),
        };
        let mut failures = self.failures().to_vec();
        failures.push(Failure {
            step: step.unwrap_or(Step::Prepare),
            cause: FailureCause::Error(reason.to_owned()),
        });
        Self::Failed { failures }
    }

    /// Whether the job is at its end.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match self {
            Self::Queued | Self::Between { .. } | Self::Running { .. } => false,
            Self::Succeeded | Self::Failed { .. } => true,
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
