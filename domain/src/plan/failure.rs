//! The unlock rule: what still runs when a step failed, a job was stopped, or the agent died.

use super::{Order, Phase, Role, Step};

/// How a step failed, as far as it decides what still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureMode {
    /// It did not begin: nothing of its effect can be there.
    NotStarted,
    /// A lock script said that another holds the lock and that it took nothing.
    LockIsTaken,
    /// It began, and failed by itself.
    Failed,
    /// It began, and was ended by the agent, or with it: how far it had come is not known.
    Ended,
}

impl FailureMode {
    /// All modes, for tables.
    pub const ALL: [Self; 4] = [Self::NotStarted, Self::LockIsTaken, Self::Failed, Self::Ended];
}

/// The operator's choices about what runs, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailurePolicy {
    /// Cleanup and unlock run after a lock script that failed: it may have locked half.
    pub unlock_after_failed_lock: bool,
    /// Unlock runs after a restore script that failed or was ended; if not, the service stays locked.
    pub unlock_after_failed_restore: bool,
    /// After a failed upload the cleanup is left out, so that the artifact stays.
    pub keep_unsent_artifact: bool,
    /// The order of steps.
    pub order: Order,
}

impl Default for FailurePolicy {
    fn default() -> Self {
        Self {
            unlock_after_failed_lock: true,
            unlock_after_failed_restore: true,
            keep_unsent_artifact: false,
            order: Order::default(),
        }
    }
}

/// What becomes of the service's lock when a step fails: the part of the unlock rule that decides
/// between releasing and leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockAfterFailure {
    /// Nothing was locked by this job, so far as anybody can know.
    NotTaken,
    /// It may be locked: it is to be released.
    ToBeReleased,
    /// It is locked, and the operator wants it to stay so.
    Kept,
}

/// What becomes of the lock after `step` failed, had it been taken before.
#[must_use]
pub fn lock_after_failure(step: Step, mode: FailureMode, policy: FailurePolicy) -> LockAfterFailure {
    match (step.role(), mode) {
        (Some(Role::Lock), FailureMode::NotStarted | FailureMode::LockIsTaken) => LockAfterFailure::NotTaken,
        // The operator's scripts take nothing when they fail; one that was ended cannot have tidied up.
        (Some(Role::Lock), FailureMode::Failed) if !policy.unlock_after_failed_lock => LockAfterFailure::NotTaken,
        (_, FailureMode::Failed | FailureMode::Ended)
            if step == Step::Script(Phase::Restore) && !policy.unlock_after_failed_restore =>
        {
            LockAfterFailure::Kept
        }
        (None | Some(Role::Lock | Role::Check | Role::Work | Role::Cleanup | Role::Unlock), _) => {
            LockAfterFailure::ToBeReleased
        }
    }
}

/// The steps that still run after `step` failed, given those that the plan had left.
///
/// This is the unlock rule: once the lock script has been started, cleanup and unlock run whatever
/// happens, but for a lock script that took nothing and for what the operator switched off.
#[must_use]
pub fn after_failure(step: Step, mode: FailureMode, remaining: &[Step], policy: FailurePolicy) -> Vec<Step> {
    // The failure came on the way out: what was to follow still follows.
    if step.is_owed() {
        return remaining.to_vec();
    }
    if lock_is_ahead(remaining) {
        return Vec::new();
    }
    let left_out = |role| match lock_after_failure(step, mode, policy) {
        LockAfterFailure::NotTaken => true,
        LockAfterFailure::Kept => role == Role::Unlock,
        LockAfterFailure::ToBeReleased => role == Role::Cleanup && step == Step::Upload && policy.keep_unsent_artifact,
    };
    owed(remaining, left_out)
}

/// The steps that still run when a job is stopped between two steps.
#[must_use]
pub fn after_stop(remaining: &[Step]) -> Vec<Step> {
    let nothing_is_owed = lock_is_ahead(remaining);
    owed(remaining, |_| nothing_is_owed)
}

fn lock_is_ahead(remaining: &[Step]) -> bool {
    remaining.iter().any(|step| step.role() == Some(Role::Lock))
}

/// The steps that still run when the agent died at `step` and a new one takes over. A cleanup or
/// unlock that was at work runs again.
#[must_use]
pub fn after_interruption(step: Step, remaining: &[Step], policy: FailurePolicy) -> Vec<Step> {
    if step.is_owed() {
        let mut steps = vec![step];
        steps.extend(owed(remaining, |_| false));
        return steps;
    }
    after_failure(step, FailureMode::Ended, remaining, policy)
}

fn owed(remaining: &[Step], left_out: impl Fn(Role) -> bool) -> Vec<Step> {
    let is_owed = |step: &&Step| step.is_owed() && step.role().is_some_and(|role| !left_out(role));
    remaining.iter().filter(is_owed).copied().collect()
}
