//! Runs the operator's scripts as processes.
//!
//! ```text
//!   ScriptCall ─→ lookup (which file, which program) ─→ spawn ─→ watch ─→ ScriptOutcome
//!                                                         │
//!                                  stdout, stderr ─→ output (bounded while the script runs,
//!                                                    thrown away once it has ended)
//! ```
//!
//! A script ends when its process exits. Nothing it leaves behind is waited for, signalled or cut
//! off from its output: a background session is the usual way to hold a database lock. So nothing
//! here may kill a child when its handle is dropped or when the agent ends.

mod lookup;
mod output;
mod start;

use std::{ffi::OsString, fmt, io, os::unix::process::ExitStatusExt, path::PathBuf, process::ExitStatus, sync::Arc};

use async_trait::async_trait;
use domain::{
    job::{ExitReason, ScriptLog},
    plan::Phase,
    ports::{ScriptError, ScriptOutcome, ScriptRunner},
    script::ScriptCall,
};
use tracing::Instrument;

use self::start::RunningScript;

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
}

impl fmt::Debug for ScriptRunnerSettings {
    /// Shows no values: an operator's environment may hold secrets that the agent knows nothing of.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptRunnerSettings")
            .field("scripts_path", &self.scripts_path)
            .field("interpreter", &self.interpreter)
            .field("inherited_environment", &self.inherited_environment.len())
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

    /// If the future is dropped, the script runs on and is watched to its end.
    async fn run(&self, call: &ScriptCall) -> Result<ScriptOutcome, ScriptError> {
        let phase = call.phase;
        let invocation = self.look(move |settings| lookup::invocation(settings, phase)).await?;
        let script =
            start::start(&invocation, call, &self.settings.inherited_environment).map_err(ScriptError::NotStarted)?;
        tracing::debug!(script = %invocation.script.display(), pid = script.child.id(), "script started");
        // In a task of its own, so that whoever stops waiting does not stop the script: a reader
        // that goes away is a SIGPIPE for the writer.
        let (exit, log) = tokio::spawn(watch(script).in_current_span())
            .await
            .map_err(io::Error::other)
            .and_then(|outcome| outcome)
            .map_err(|error| {
                let script = invocation.script.display();
                ScriptError::Lost(format!("how {script} ended is not known: {error}"))
            })?;
        tracing::debug!(script = %invocation.script.display(), %exit, "script ended");
        Ok(ScriptOutcome { exit, log })
    }
}

/// Waits until the script's own process has ended.
async fn watch(script: RunningScript) -> io::Result<(ExitReason, ScriptLog)> {
    let RunningScript {
        mut child,
        mut stdout,
        mut stderr,
    } = script;
    let status = tokio::select! {
        // First, so that output that never stops cannot hide the end.
        biased;
        status = child.wait() => status,
        _ = async { tokio::join!(stdout.pump(), stderr.pump()) } => child.wait().await,
    };
    // Also after an error: what holds the pipes is not to be cut off.
    let log = ScriptLog {
        stdout: stdout.finish(),
        stderr: stderr.finish(),
    };
    Ok((exit_reason(status?)?, log))
}

fn exit_reason(status: ExitStatus) -> io::Result<ExitReason> {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ok(ExitReason::Exited(code)),
        (None, Some(signal)) => Ok(ExitReason::Signaled(signal)),
        (None, None) => Err(io::Error::other(format!("it ended with {status}"))),
    }
}

#[cfg(test)]
mod tests;
