//! How long things may take.

use std::time::Duration;

use crate::plan::Phase;

/// What `phase_timeout` is, for the phases that have a limit, where the operator sets none.
const DEFAULT_PHASE_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// How long things may take, and how often they are tried again.
#[derive(Debug, Clone)]
pub struct TimeLimits {
    /// The longest that any phase may take. None: an hour for those that look, lock and tidy up; no
    /// limit for those that move data or bring a database back up.
    pub phase_timeout: Option<Duration>,
    /// The longest that a service may be locked. None: for as long as it takes.
    pub max_lock_time: Option<Duration>,
    /// How often a failed unlock script is run again before the job ends.
    pub unlock_retries: u32,
    /// The pause before the first of these; each is twice as long as the one before.
    pub unlock_pause: Duration,
    /// The pause between two tries after the job has ended.
    pub unlock_pause_after_end: Duration,
    /// How long a cleanup may take once the agent was told to stop, or the lock has lasted too long.
    pub stop_timeout: Duration,
    /// How long the unlock waits, after a restart, for what cannot be ended.
    pub recovery_patience: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self {
            phase_timeout: None,
            max_lock_time: None,
            unlock_retries: 5,
            unlock_pause: Duration::from_secs(2),
            unlock_pause_after_end: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(20),
            recovery_patience: Duration::from_secs(5 * 60),
        }
    }
}

impl TimeLimits {
    /// The longest that a phase may take.
    #[must_use]
    pub fn of_phase(&self, phase: Phase) -> Option<Duration> {
        self.phase_timeout.or(match phase {
            Phase::Backup | Phase::Restore | Phase::RestoreCleanup | Phase::PostRestoreUnlock => None,
            Phase::PreBackupLock
            | Phase::PreBackupCheck
            | Phase::BackupCleanup
            | Phase::PostBackupUnlock
            | Phase::PreRestoreLock => Some(DEFAULT_PHASE_TIMEOUT),
        })
    }
}
