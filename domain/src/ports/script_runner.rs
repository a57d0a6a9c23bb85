use std::fmt;

use async_trait::async_trait;

use crate::{
    job::{ExitReason, JobKey, LiveLog, ScriptLog},
    plan::Phase,
    ports::Halt,
    script::ScriptCall,
};

/// Runs the operator's scripts.
#[cfg_attr(any(test, feature = "test-doubles"), mockall::automock)]
#[async_trait]
pub trait ScriptRunner: fmt::Debug + Send + Sync {
    /// Whether a script is there for each of these phases.
    ///
    /// # Errors
    ///
    /// If one is missing or cannot be read; the error names all of them.
    async fn check(&self, phases: &[Phase]) -> Result<(), ScriptError>;

    /// Finds what reads scripts that name no interpreter of their own; its path.
    ///
    /// # Errors
    ///
    /// If it is not there.
    async fn check_interpreter(&self) -> Result<String, ScriptError>;

    /// Runs a script and waits until it has ended.
    ///
    /// Processes that it leaves behind when it ends by itself stay alive and can go on writing to its
    /// output, unseen. When it is told to halt, the whole tree of processes that it has started is
    /// ended, at first gently. What it writes can be read in `live` at once.
    ///
    /// # Errors
    ///
    /// [`ScriptError::NotStarted`] if no process was started; any other error leaves unknown what
    /// the script has done.
    async fn run(&self, call: &ScriptCall, halt: &Halt, live: &LiveLog) -> Result<ScriptOutcome, ScriptError>;

    /// Ends what still lives of the script that was at work for this job when an earlier agent died,
    /// with all its processes; those that other scripts of the job have left behind stay.
    ///
    /// # Errors
    ///
    /// If something could not be ended within a bound; the error says what.
    async fn end_leftover(&self, job: &JobKey) -> Result<(), ScriptError>;
}

/// A script that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptOutcome {
    /// How.
    pub exit: ExitReason,
    /// What it had written by then.
    pub log: ScriptLog,
    /// Whether it ended because it was told to halt.
    pub was_halted: bool,
}

/// A script that could not be run to its end; each text is a whole message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// No process was started.
    #[error("{0}")]
    NotStarted(String),
    /// The process was started, but it is not known how it ended.
    #[error("{0}")]
    Lost(String),
}
