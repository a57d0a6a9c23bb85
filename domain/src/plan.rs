//! The order of things: phases, steps, plans, and what still runs after a failure.
//!
//! All of it is data, so that the unlock rule can be read aloud.

use std::fmt;

/// The two kinds of job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JobKind {
    /// From the database to the store.
    Backup,
    /// From the store to the database.
    Restore,
}

impl JobKind {
    /// Both kinds, for tables.
    pub const ALL: [Self; 2] = [Self::Backup, Self::Restore];

    /// The word on the wire, in paths and in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
        }
    }

    /// The phases of this kind, in order. A script is named after each.
    #[must_use]
    pub fn phases(self) -> &'static [Phase] {
        match self {
            Self::Backup => &[
                Phase::PreBackupLock,
                Phase::PreBackupCheck,
                Phase::Backup,
                Phase::BackupCleanup,
                Phase::PostBackupUnlock,
            ],
            Self::Restore => &[
                Phase::PreRestoreLock,
                Phase::Restore,
                Phase::RestoreCleanup,
                Phase::PostRestoreUnlock,
            ],
        }
    }

    /// The steps of a job of this kind, in order, if nothing fails.
    #[must_use]
    pub fn plan(self, transfer: Transfer) -> &'static [Step] {
        match (self, transfer) {
            (Self::Backup, Transfer::ByAgent) => BACKUP,
            (Self::Backup, Transfer::ByScripts) => BACKUP_WITHOUT_STORAGE,
            (Self::Restore, Transfer::ByAgent) => RESTORE,
            (Self::Restore, Transfer::ByScripts) => RESTORE_WITHOUT_STORAGE,
        }
    }
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who moves the bytes between the machine and the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transfer {
    /// The agent uploads and downloads.
    ByAgent,
    /// The scripts do; they get the destination in their environment.
    ByScripts,
}

/// A part of a job that clients see as `state`, and that a script is named after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Locks the service for a backup.
    PreBackupLock,
    /// Checks that a backup can be made.
    PreBackupCheck,
    /// Makes the artifact; its upload belongs to this phase.
    Backup,
    /// Removes what the backup left behind, the artifact included.
    BackupCleanup,
    /// Unlocks the service after a backup.
    PostBackupUnlock,
    /// Locks the service for a restore.
    PreRestoreLock,
    /// Restores; the download belongs to this phase.
    Restore,
    /// Removes what the restore left behind.
    RestoreCleanup,
    /// Unlocks the service after a restore.
    PostRestoreUnlock,
}

/// What a phase is there for, whatever the kind of job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Takes the lock.
    Lock,
    /// Looks before the work begins.
    Check,
    /// Does the work.
    Work,
    /// Tidies up.
    Cleanup,
    /// Releases the lock.
    Unlock,
}

impl Phase {
    /// All phases of both kinds, in order.
    pub const ALL: [Self; 9] = [
        Self::PreBackupLock,
        Self::PreBackupCheck,
        Self::Backup,
        Self::BackupCleanup,
        Self::PostBackupUnlock,
        Self::PreRestoreLock,
        Self::Restore,
        Self::RestoreCleanup,
        Self::PostRestoreUnlock,
    ];

    /// The name of the phase: the script's file name, and `state` on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreBackupLock => "pre-backup-lock",
            Self::PreBackupCheck => "pre-backup-check",
            Self::Backup => "backup",
            Self::BackupCleanup => "backup-cleanup",
            Self::PostBackupUnlock => "post-backup-unlock",
            Self::PreRestoreLock => "pre-restore-lock",
            Self::Restore => "restore",
            Self::RestoreCleanup => "restore-cleanup",
            Self::PostRestoreUnlock => "post-restore-unlock",
        }
    }

    /// What the phase is there for.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::PreBackupLock | Self::PreRestoreLock => Role::Lock,
            Self::PreBackupCheck => Role::Check,
            Self::Backup | Self::Restore => Role::Work,
            Self::BackupCleanup | Self::RestoreCleanup => Role::Cleanup,
            Self::PostBackupUnlock | Self::PostRestoreUnlock => Role::Unlock,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that the runner does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Looks whether all scripts are there, and for a restore whether its file would be in the way.
    /// Nothing has been touched yet: a failure here ends the job with nothing locked.
    Prepare,
    /// Runs the script of a phase.
    Script(Phase),
    /// Finds the file that the backup script made.
    FindArtifact,
    /// Sends the artifact to the store.
    Upload,
    /// Fetches the object from the store.
    Download,
}

impl Step {
    /// The phase that clients see while the step is at work; none before the first phase.
    #[must_use]
    pub fn phase(self) -> Option<Phase> {
        match self {
            Self::Prepare => None,
            Self::Script(phase) => Some(phase),
            Self::FindArtifact | Self::Upload => Some(Phase::Backup),
            Self::Download => Some(Phase::Restore),
        }
    }

    /// What the step's script is there for; none for steps without a script.
    #[must_use]
    pub fn role(self) -> Option<Role> {
        match self {
            Self::Script(phase) => Some(phase.role()),
            Self::Prepare | Self::FindArtifact | Self::Upload | Self::Download => None,
        }
    }

    /// Whether the step must run even if it could not be recorded: a lock must be released.
    #[must_use]
    pub fn is_owed(self) -> bool {
        matches!(self.role(), Some(Role::Cleanup | Role::Unlock))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepare => f.write_str("preparation"),
            Self::Script(phase) => write!(f, "{phase}"),
            Self::FindArtifact => f.write_str("backup (artifact)"),
            Self::Upload => f.write_str("backup (upload)"),
            Self::Download => f.write_str("restore (download)"),
        }
    }
}

const BACKUP: &[Step] = &[
    Step::Prepare,
    Step::Script(Phase::PreBackupLock),
    Step::Script(Phase::PreBackupCheck),
    Step::Script(Phase::Backup),
    Step::FindArtifact,
    Step::Upload,
    Step::Script(Phase::BackupCleanup),
    Step::Script(Phase::PostBackupUnlock),
];

const BACKUP_WITHOUT_STORAGE: &[Step] = &[
    Step::Prepare,
    Step::Script(Phase::PreBackupLock),
    Step::Script(Phase::PreBackupCheck),
    Step::Script(Phase::Backup),
    Step::FindArtifact,
    Step::Script(Phase::BackupCleanup),
    Step::Script(Phase::PostBackupUnlock),
];

const RESTORE: &[Step] = &[
    Step::Prepare,
    Step::Script(Phase::PreRestoreLock),
    Step::Download,
    Step::Script(Phase::Restore),
    Step::Script(Phase::RestoreCleanup),
    Step::Script(Phase::PostRestoreUnlock),
];

const RESTORE_WITHOUT_STORAGE: &[Step] = &[
    Step::Prepare,
    Step::Script(Phase::PreRestoreLock),
    Step::Script(Phase::Restore),
    Step::Script(Phase::RestoreCleanup),
    Step::Script(Phase::PostRestoreUnlock),
];

const NOTHING: &[Step] = &[];

/// How a step failed, as far as it decides what still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureMode {
    /// It did not begin: nothing of its effect can be there.
    NotStarted,
    /// A lock script said that another holds the lock and that it took nothing.
    LockIsTaken,
    /// It began, and failed somewhere.
    Failed,
}

impl FailureMode {
    /// All modes, for tables.
    pub const ALL: [Self; 3] = [Self::NotStarted, Self::LockIsTaken, Self::Failed];
}

/// The operator's choices about what runs after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailurePolicy {
    /// Cleanup and unlock run after a lock script that failed: it may have locked half.
    pub unlock_after_failed_lock: bool,
    /// Unlock runs after a restore script that failed; if not, the service stays locked.
    pub unlock_after_failed_restore: bool,
    /// After a failed upload the cleanup is left out, so that the artifact stays.
    pub keep_unsent_artifact: bool,
}

impl Default for FailurePolicy {
    fn default() -> Self {
        Self {
            unlock_after_failed_lock: true,
            unlock_after_failed_restore: true,
            keep_unsent_artifact: false,
        }
    }
}

/// The steps that still run after `step` failed, given those that the plan had left.
///
/// This is the unlock rule: once the lock script has been started, cleanup and unlock run whatever
/// happens, but for a lock script that took nothing and for what the operator switched off.
#[must_use]
pub fn after_failure(
    step: Step,
    mode: FailureMode,
    remaining: &'static [Step],
    policy: FailurePolicy,
) -> &'static [Step] {
    match step {
        Step::Prepare => NOTHING,
        Step::Script(phase) => match phase.role() {
            Role::Lock => match mode {
                FailureMode::NotStarted | FailureMode::LockIsTaken => NOTHING,
                FailureMode::Failed if !policy.unlock_after_failed_lock => NOTHING,
                FailureMode::Failed => cleanup_and_unlock(remaining),
            },
            Role::Work if phase == Phase::Restore && !policy.unlock_after_failed_restore => cleanup_only(remaining),
            Role::Check | Role::Work => cleanup_and_unlock(remaining),
            // The failure came on the way out: what was to follow still follows.
            Role::Cleanup | Role::Unlock => remaining,
        },
        Step::Upload if policy.keep_unsent_artifact => unlock_only(remaining),
        Step::FindArtifact | Step::Upload | Step::Download => cleanup_and_unlock(remaining),
    }
}

fn cleanup_and_unlock(remaining: &'static [Step]) -> &'static [Step] {
    from_first(remaining, Role::Cleanup)
}

fn unlock_only(remaining: &'static [Step]) -> &'static [Step] {
    from_first(remaining, Role::Unlock)
}

fn cleanup_only(remaining: &'static [Step]) -> &'static [Step] {
    let tail = cleanup_and_unlock(remaining);
    let end = tail
        .iter()
        .position(|step| step.role() == Some(Role::Unlock))
        .unwrap_or(tail.len());
    &tail[..end]
}

fn from_first(remaining: &'static [Step], role: Role) -> &'static [Step] {
    let start = remaining
        .iter()
        .position(|step| step.role() == Some(role))
        .unwrap_or(remaining.len());
    &remaining[start..]
}

#[cfg(test)]
mod tests;
