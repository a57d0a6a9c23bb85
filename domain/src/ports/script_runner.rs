use std::fmt;

use async_trait::async_trait;

use crate::{
    job::{ExitReason, ScriptLog},
    plan::Phase,
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

    /// Runs a script and waits until it has ended by itself.
    ///
    /// Processes that it leaves behind stay alive and can go on writing to its output, unseen.
    ///
    /// # Errors
    ///
    /// [`ScriptError::NotStarted`] if no process was started; any other error leaves unknown what
    /// the script has done.
    async fn run(&self, call: &ScriptCall) -> Result<ScriptOutcome, ScriptError>;
}

/// A script that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptOutcome {
    /// How.
    pub exit: ExitReason,
    /// What it had written by then.
    pub log: ScriptLog,
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
