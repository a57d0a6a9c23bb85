//! How each phase of a job went, as its log of events tells.

use chrono::{DateTime, Utc};

use super::{ExitReason, FailureCause, JobEvent, JobStatus};
use crate::plan::{Phase, Role, Step};

/// How one phase of a job went, or goes.
///
/// A phase whose steps do not follow each other, as where a backup's upload comes after the unlock,
/// is told of twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhaseRecord {
    /// The phase.
    pub phase: Phase,
    /// Where it stands.
    pub status: PhaseStatus,
    /// When it began; none if it has not.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended; none if it has not.
    pub ended_at: Option<DateTime<Utc>>,
    /// How its script ended by itself; none if there was none, or it did not.
    pub exit: Option<ExitReason>,
    /// Whether the agent ended it because it, or the lock, took too long.
    pub timed_out: bool,
}

/// Where a phase stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PhaseStatus {
    /// Its turn is to come.
    Waiting,
    /// It is at work.
    Running,
    /// All of it succeeded.
    Succeeded,
    /// Something of it failed, or was not begun any more.
    Failed,
    /// It was left out.
    Skipped,
}

impl PhaseStatus {
    /// All of them, in the order in which they follow each other, for tables.
    pub const ALL: [Self; 5] = [
        Self::Waiting,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Skipped,
    ];

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// When a service was locked, or may have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockSpan {
    /// When the lock script was started.
    pub since: DateTime<Utc>,
    /// When an unlock script had succeeded; none if none has.
    pub until: Option<DateTime<Utc>>,
}

/// An entry of a job's log.
type Entry = (DateTime<Utc>, JobEvent);

/// Steps of one phase that follow each other in a plan, and how they went.
struct Slot {
    record: PhaseRecord,
    steps: Vec<Step>,
    succeeded: usize,
}

impl Slot {
    fn new(phase: Phase) -> Self {
        Self {
            record: PhaseRecord {
                phase,
                status: PhaseStatus::Waiting,
                started_at: None,
                ended_at: None,
                exit: None,
                timed_out: false,
            },
            steps: Vec::new(),
            succeeded: 0,
        }
    }

    fn begin(&mut self, at: DateTime<Utc>) {
        self.record.started_at.get_or_insert(at);
    }

    fn end(&mut self, at: DateTime<Utc>) {
        self.begin(at);
        self.record.ended_at = Some(at);
    }

    fn succeed(&mut self, step: Step, at: DateTime<Utc>) {
        self.end(at);
        self.succeeded += 1;
        if matches!(step, Step::Script(_)) {
            self.record.exit = Some(ExitReason::Exited(0));
        }
    }

    fn fail(&mut self, step: Step, cause: &FailureCause, at: DateTime<Utc>) {
        self.end(at);
        match cause {
            FailureCause::Exit(reason) if matches!(step, Step::Script(_)) => self.record.exit = Some(*reason),
            FailureCause::TimedOut(_) | FailureCause::LockedTooLong(_) => self.record.timed_out = true,
            FailureCause::Exit(_)
            | FailureCause::NotStarted(_)
            | FailureCause::Error(_)
            | FailureCause::Stopped(_)
            | FailureCause::Interrupted => {}
        }
    }

    /// The record, as of a time at which the steps `left` are at work or to come.
    fn finish(mut self, left: &[Step]) -> PhaseRecord {
        let is_left = self.steps.iter().any(|step| left.contains(step));
        self.record.status = match (self.record.started_at, is_left) {
            (None, true) => PhaseStatus::Waiting,
            (None, false) => PhaseStatus::Skipped,
            (Some(_), true) => PhaseStatus::Running,
            (Some(_), false) if self.succeeded == self.steps.len() => PhaseStatus::Succeeded,
            (Some(_), false) => PhaseStatus::Failed,
        };
        if is_left {
            self.record.ended_at = None;
        }
        self.record
    }
}

/// All phases of a plan, in its order.
pub(super) fn phases(plan: &[Step], status: &JobStatus, events: &[Entry]) -> Vec<PhaseRecord> {
    let mut slots = slots(plan);
    let mut at_work = None;
    for (at, event) in events {
        match event {
            JobEvent::StepStarted { step } => {
                at_work = Some(*step);
                if let Some(slot) = slot_of(&mut slots, *step) {
                    slot.begin(*at);
                }
            }
            JobEvent::StepSucceeded { step, .. } => {
                at_work = None;
                if let Some(slot) = slot_of(&mut slots, *step) {
                    slot.succeed(*step, *at);
                }
            }
            JobEvent::StepFailed { step, failure, .. } => {
                at_work = None;
                if let Some(slot) = slot_of(&mut slots, *step) {
                    slot.fail(*step, &failure.cause, *at);
                }
            }
            // Nobody knows how the step at work ended.
            JobEvent::Interrupted | JobEvent::Abandoned { .. } => {
                let slot = at_work.take().and_then(|step| slot_of(&mut slots, step));
                if let Some(slot) = slot {
                    slot.end(*at);
                }
            }
            JobEvent::Started { .. }
            | JobEvent::ObjectNamed { .. }
            | JobEvent::UploadOpened { .. }
            | JobEvent::RestorePrepared { .. }
            | JobEvent::Stopped { .. }
            | JobEvent::Finished { .. }
            | JobEvent::UnlockSettled { .. } => {}
        }
    }
    let left = left(plan, status);
    slots.into_iter().map(|slot| slot.finish(&left)).collect()
}

fn slots(plan: &[Step]) -> Vec<Slot> {
    let mut slots: Vec<Slot> = Vec::new();
    for step in plan {
        let Some(phase) = step.phase() else { continue };
        if slots.last().is_none_or(|slot| slot.record.phase != phase) {
            slots.push(Slot::new(phase));
        }
        if let Some(slot) = slots.last_mut() {
            slot.steps.push(*step);
        }
    }
    slots
}

fn slot_of(slots: &mut [Slot], step: Step) -> Option<&mut Slot> {
    slots.iter_mut().find(|slot| slot.steps.contains(&step))
}

/// The steps that are at work or to come.
fn left(plan: &[Step], status: &JobStatus) -> Vec<Step> {
    match status {
        JobStatus::Queued => plan.to_vec(),
        JobStatus::Between { remaining, .. } => remaining.clone(),
        JobStatus::Running { step, remaining, .. } => std::iter::once(step).chain(remaining).copied().collect(),
        JobStatus::Succeeded | JobStatus::Failed { .. } => Vec::new(),
    }
}

/// When the first unlock script had succeeded; none if none has.
pub(super) fn released_at(events: &[Entry]) -> Option<DateTime<Utc>> {
    let is_release = |event: &JobEvent| match event {
        JobEvent::StepSucceeded { step, .. } => step.role() == Some(Role::Unlock),
        JobEvent::UnlockSettled { how, .. } => how.is_release(),
        JobEvent::Started { .. }
        | JobEvent::StepStarted { .. }
        | JobEvent::ObjectNamed { .. }
        | JobEvent::UploadOpened { .. }
        | JobEvent::RestorePrepared { .. }
        | JobEvent::StepFailed { .. }
        | JobEvent::Stopped { .. }
        | JobEvent::Interrupted
        | JobEvent::Abandoned { .. }
        | JobEvent::Finished { .. } => false,
    };
    let release = events.iter().find(|(_, event)| is_release(event));
    release.map(|(at, _)| *at)
}

#[cfg(test)]
mod tests;
