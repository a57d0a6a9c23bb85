//! The order of things: phases, steps, plans, and what still runs after a failure.
//!
//! All of it is data, so that the unlock rule can be read aloud.

mod failure;

use std::fmt;

pub use failure::{
    FailureMode, FailurePolicy, LockAfterFailure, after_failure, after_interruption, after_stop, lock_after_failure,
};

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
    pub fn plan(self, transfer: Transfer, order: Order) -> &'static [Step] {
        match (self, transfer) {
            (Self::Backup, Transfer::ByAgent) if order.unlock_before_upload => BACKUP_WITH_EARLY_UNLOCK,
            (Self::Backup, Transfer::ByAgent) => BACKUP,
            (Self::Backup, Transfer::ByScripts) => BACKUP_WITHOUT_STORAGE,
            (Self::Restore, Transfer::ByAgent) if order.download_before_lock => RESTORE_WITH_EARLY_DOWNLOAD,
            (Self::Restore, Transfer::ByAgent) => RESTORE,
            (Self::Restore, Transfer::ByScripts) => RESTORE_WITHOUT_STORAGE,
        }
    }

    /// The phase that takes the lock.
    #[must_use]
    pub fn lock_phase(self) -> Phase {
        match self {
            Self::Backup => Phase::PreBackupLock,
            Self::Restore => Phase::PreRestoreLock,
        }
    }

    /// The phase that releases it.
    #[must_use]
    pub fn unlock_phase(self) -> Phase {
        match self {
            Self::Backup => Phase::PostBackupUnlock,
            Self::Restore => Phase::PostRestoreUnlock,
        }
    }
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The operator's choices about the order of steps: how long a service is locked for. Where scripts
/// move the bytes there is nothing to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Order {
    /// A backup's lock is released right after the backup script, and not after upload and cleanup as
    /// documented for the original: the database is locked for the dump, not for the network.
    pub unlock_before_upload: bool,
    /// A restore's object is downloaded, and checked, before the lock is taken, and not after as
    /// documented: a service is locked neither for a download nor for one that turns out broken.
    pub download_before_lock: bool,
}

impl Order {
    /// The documented one, and the one with the shortest locks, for tables.
    pub const ALL: [Self; 2] = [
        Self {
            unlock_before_upload: false,
            download_before_lock: false,
        },
        Self {
            unlock_before_upload: true,
            download_before_lock: true,
        },
    ];
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
    /// Fetches the object from the store, to a place where no script finds it.
    Download,
    /// Puts what was downloaded where the restore script looks for it.
    PlaceFile,
}

impl Step {
    /// The phase that clients see while the step is at work; none before the first phase.
    #[must_use]
    pub fn phase(self) -> Option<Phase> {
        match self {
            Self::Prepare => None,
            Self::Script(phase) => Some(phase),
            Self::FindArtifact | Self::Upload => Some(Phase::Backup),
            Self::Download | Self::PlaceFile => Some(Phase::Restore),
        }
    }

    /// What the step's script is there for; none for steps without a script.
    #[must_use]
    pub fn role(self) -> Option<Role> {
        match self {
            Self::Script(phase) => Some(phase.role()),
            Self::Prepare | Self::FindArtifact | Self::Upload | Self::Download | Self::PlaceFile => None,
        }
    }

    /// Whether the step is owed once the lock script has been started: it runs whatever happened, and
    /// even if it could not be recorded.
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
            Self::PlaceFile => f.write_str("restore (file)"),
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

const BACKUP_WITH_EARLY_UNLOCK: &[Step] = &[
    Step::Prepare,
    Step::Script(Phase::PreBackupLock),
    Step::Script(Phase::PreBackupCheck),
    Step::Script(Phase::Backup),
    Step::Script(Phase::PostBackupUnlock),
    Step::FindArtifact,
    Step::Upload,
    Step::Script(Phase::BackupCleanup),
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
    Step::PlaceFile,
    Step::Script(Phase::Restore),
    Step::Script(Phase::RestoreCleanup),
    Step::Script(Phase::PostRestoreUnlock),
];

const RESTORE_WITH_EARLY_DOWNLOAD: &[Step] = &[
    Step::Prepare,
    Step::Download,
    Step::Script(Phase::PreRestoreLock),
    Step::PlaceFile,
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

#[cfg(test)]
mod tests;
