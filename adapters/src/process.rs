//! Runs the operator's scripts as processes.
//!
//! ```text
//!   ScriptCall ─→ lookup (which file, which program) ─→ spawn ─→ watch ─→ ScriptOutcome
//!                                                         │
//!                                  stdout, stderr ─→ output (bounded while the script runs,
//!                                                    thrown away once it has ended)
//! ```
//!
//! A script ends when its process exits. When it ends by itself, nothing it leaves behind is waited
//! for, signalled or cut off from its output: a background session is the usual way to hold a
//! database lock. So nothing here may kill a child when its handle is dropped or when the agent ends.
//!
//! When it is told to end, or is found at work by a later agent, all that comes of it is ended: a
//! `supervisor` stands over each script, and a `record` tells a later agent where. `tree` says what
//! belongs to a script and ends it, by the processes' `table`.

#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod leftover;
mod lookup;
mod output;
mod record;
mod redact;
mod start;
mod supervisor;
mod table;
mod tree;
mod watch;

use std::{ffi::OsString, fmt, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    job::{JobKey, LiveLog},
    plan::Phase,
    ports::{Halt, ScriptError, ScriptOutcome, ScriptRunner},
    script::ScriptCall,
};
use tracing::Instrument;

/// Who reads a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interpreter {
    /// Always bash, whatever the file's mode and first line.
    #[default]
    Bash,
    /// A file that may be executed and begins with `#!` is executed; any other goes to bash.
    Shebang,
}

/// How scripts are found and started.
#[derive(Clone)]
pub struct ScriptRunnerSettings {
    /// The directory of the scripts.
    pub scripts_path: PathBuf,
    /// Who reads them.
    pub interpreter: Interpreter,
    /// The part of the agent's environment that they get, which has none of the agent's secrets.
    pub inherited_environment: Vec<(OsString, OsString)>,
    /// The directory for the records of scripts at work; made if missing. For the agent alone.
    pub records_directory: PathBuf,
    /// How long processes that are told to end may take before they are killed.
    pub terminate_grace: Duration,
}

/// What [`ScriptRunnerSettings::terminate_grace`] usually is.
pub const TERMINATE_GRACE: Duration = Duration::from_secs(10);

impl fmt::Debug for ScriptRunnerSettings {
    /// Shows no values: an operator's environment may hold secrets that the agent knows nothing of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptRunnerSettings")
            .field("scripts_path", &self.scripts_path)
            .field("interpreter", &self.interpreter)
            .field("inherited_environment", &self.inherited_environment.len())
            .field("records_directory", &self.records_directory)
            .field("terminate_grace", &self.terminate_grace)
            .finish()
    }
}

/// Runs scripts as processes of the machine.
#[derive(Debug, Clone)]
pub struct TokioScriptRunner {
    settings: Arc<ScriptRunnerSettings>,
}

impl TokioScriptRunner {
    /// A runner; nothing is looked at yet.
    #[must_use]
    pub fn new(settings: ScriptRunnerSettings) -> Self {
        Self {
            settings: Arc::new(settings),
        }
    }

    /// Looks at files where waiting for a disk does no harm.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&ScriptRunnerSettings) -> Result<T, String> + Send + 'static,
    ) -> Result<T, ScriptError> {
        let settings = Arc::clone(&self.settings);
        tokio::task::spawn_blocking(move || look(&settings))
            .await
            .unwrap_or_else(|error| Err(format!("cannot look for scripts: {error}")))
            .map_err(ScriptError::NotStarted)
    }
}

#[async_trait]
impl ScriptRunner for TokioScriptRunner {
    async fn check(&self, phases: &[Phase]) -> Result<(), ScriptError> {
        let phases = phases.to_vec();
        self.look(move |settings| lookup::check(&settings.scripts_path, &phases))
            .await
    }

    async fn check_interpreter(&self) -> Result<String, ScriptError> {
        let found = self.look(lookup::interpreter).await?;
        Ok(found.display().to_string())
    }

    /// If the future is dropped, the script runs on and is watched to its end.
    async fn run(&self, call: &ScriptCall, halt: &Halt, live: &LiveLog) -> Result<ScriptOutcome, ScriptError> {
        let span = tracing::error_span!("script", phase = %call.phase);
        self.start_and_watch(call, halt, live).instrument(span).await
    }

    async fn end_leftover(&self, job: &JobKey) -> Result<(), ScriptError> {
        leftover::end(&self.settings.records_directory, job, self.settings.terminate_grace)
            .await
            .map_err(ScriptError::Lost)
    }
}

impl TokioScriptRunner {
    async fn start_and_watch(
        &self,
        call: &ScriptCall,
        halt: &Halt,
        live: &LiveLog,
    ) -> Result<ScriptOutcome, ScriptError> {
        let phase = call.phase;
        let invocation = self.look(move |settings| lookup::invocation(settings, phase)).await?;
        let script = start::start(&invocation, call, &self.settings, live).map_err(ScriptError::NotStarted)?;
        tracing::debug!(script = %invocation.script.display(), supervisor = script.supervisor.id(), "script started");
        // In a task of its own, so that whoever stops waiting does not stop the script: a reader
        // that goes away is a SIGPIPE for the writer.
        let watching = watch::watch(script, halt.clone(), self.settings.terminate_grace).in_current_span();
        let outcome = tokio::spawn(watching)
            .await
            .unwrap_or_else(|error| Err(error.to_string()))
            .map_err(|error| {
                let script = invocation.script.display();
                ScriptError::Lost(format!("how {script} ended is not known: {error}"))
            })?;
        tracing::debug!(script = %invocation.script.display(), exit = %outcome.exit, "script ended");
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests;
