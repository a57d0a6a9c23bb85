//! Why a step failed.

use std::{fmt, time::Duration};

use crate::plan::{FailureMode, Role, Step};

/// The exit code by which a lock script says "another holds the lock, I took nothing":
/// `EX_TEMPFAIL` of `sysexits.h`.
pub const EX_TEMPFAIL: i32 = 75;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitReason {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal of this number.
    Signaled(i32),
}

impl ExitReason {
    /// Whether it is what a script says when all is well.
    #[must_use]
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit code {code}"),
            Self::Signaled(signal) => match signal_name(*signal) {
                Some(name) => write!(f, "signal {signal} ({name})"),
                None => write!(f, "signal {signal}"),
            },
        }
    }
}

/// The names that a person at night knows; numbers as on Linux.
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        _ => return None,
    })
}

/// Why a job is to end early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// A client or a person cancelled it.
    Cancelled,
    /// The agent was told to stop.
    AgentStopping,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled => "cancelled on request",
            Self::AgentStopping => "interrupted, because the agent was told to stop",
        })
    }
}

/// What went wrong in a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureCause {
    /// The script ended by itself, but not with 0.
    Exit(ExitReason),
    /// The step never began, for this reason.
    NotStarted(String),
    /// The step began and failed, for this reason.
    Error(String),
    /// The agent ended it, because it took longer than a phase may.
    TimedOut(Duration),
    /// The agent ended it, because the service was locked for longer than it may be.
    LockedTooLong(Duration),
    /// The agent ended it, or did not begin it, because the job is to end early.
    Stopped(StopReason),
    /// The agent died meanwhile.
    Interrupted,
}

/// A step that failed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The step.
    pub step: Step,
    /// The cause.
    pub cause: FailureCause,
}

impl Failure {
    /// How it bears on what still runs.
    #[must_use]
    pub fn mode(&self) -> FailureMode {
        match &self.cause {
            FailureCause::NotStarted(_) => FailureMode::NotStarted,
            FailureCause::Exit(ExitReason::Exited(EX_TEMPFAIL)) if self.step.role() == Some(Role::Lock) => {
                FailureMode::LockIsTaken
            }
            // How the script ended is not known, so it cannot have tidied up after itself.
            FailureCause::Error(_) if matches!(self.step, Step::Script(_)) => FailureMode::Ended,
            FailureCause::Exit(_) | FailureCause::Error(_) => FailureMode::Failed,
            FailureCause::TimedOut(_)
            | FailureCause::LockedTooLong(_)
            | FailureCause::Stopped(_)
            | FailureCause::Interrupted => FailureMode::Ended,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            FailureCause::Exit(reason) => {
                write!(f, "{}: the script ended with {reason}", self.step)?;
                if self.mode() == FailureMode::LockIsTaken {
                    f.write_str(" (another holds the lock; nothing was locked)")?;
                }
                Ok(())
            }
            FailureCause::NotStarted(reason) | FailureCause::Error(reason) => {
                write!(f, "{}: {reason}", self.step)
            }
            FailureCause::TimedOut(limit) => write!(
                f,
                "{}: ended by the agent after {}, the longest that this phase may take (phase_timeout)",
                self.step,
                Short(*limit)
            ),
            FailureCause::LockedTooLong(limit) => write!(
                f,
                "{}: ended by the agent, as the service had been locked for {} (max_lock_time)",
                self.step,
                Short(*limit)
            ),
            FailureCause::Stopped(reason) => write!(f, "{}: {reason}", self.step),
            FailureCause::Interrupted => write!(f, "{}: interrupted by a restart of the agent", self.step),
        }
    }
}

/// A duration as operators write it: `90s`, `10m`, `2h`.
struct Short(Duration);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            0 => write!(f, "{}ms", self.0.as_millis()),
            seconds if seconds % 3600 == 0 => write!(f, "{}h", seconds / 3600),
            seconds if seconds % 60 == 0 => write!(f, "{}m", seconds / 60),
            seconds => write!(f, "{seconds}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Phase;

    #[test]
    fn only_a_lock_script_says_that_the_lock_is_taken() {
        for phase in Phase::ALL {
            let failure = Failure {
                step: Step::Script(phase),
                cause: FailureCause::Exit(ExitReason::Exited(EX_TEMPFAIL)),
            };
            let expected = match phase.role() {
                Role::Lock => FailureMode::LockIsTaken,
                Role::Check | Role::Work | Role::Cleanup | Role::Unlock => FailureMode::Failed,
            };
            assert_eq!(failure.mode(), expected, "{phase}");
        }
    }

    #[test]
    fn a_failure_names_the_phase_and_the_way_it_ended() {
        for (cause, text) in [
            (
                FailureCause::Exit(ExitReason::Exited(3)),
                "backup: the script ended with exit code 3",
            ),
            (
                FailureCause::Exit(ExitReason::Signaled(9)),
                "backup: the script ended with signal 9 (SIGKILL)",
            ),
            (
                FailureCause::Exit(ExitReason::Signaled(40)),
                "backup: the script ended with signal 40",
            ),
            (FailureCause::NotStarted("no bash".to_owned()), "backup: no bash"),
        ] {
            let failure = Failure {
                step: Step::Script(Phase::Backup),
                cause,
            };
            assert_eq!(failure.to_string(), text);
        }
    }
}
