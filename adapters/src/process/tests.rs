//! Real scripts, run by the real bash.

mod background;
mod calls;
mod endings;
mod files;
mod halt;
mod leftover;
mod output;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use domain::{
    job::{ExitReason, JobId, ScriptLog},
    plan::JobKind,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use super::*;

/// A directory of scripts, and what the agent's environment would be.
struct Scripts {
    directory: TempDir,
    interpreter: Interpreter,
    inherited: Vec<(OsString, OsString)>,
    grace: Duration,
}

impl Scripts {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            interpreter: Interpreter::Bash,
            inherited: vec![("PATH".into(), std::env::var_os("PATH").unwrap())],
            grace: TERMINATE_GRACE,
        }
    }

    /// A directory with only a backup script.
    fn with_backup(text: &str) -> Self {
        let scripts = Self::new();
        scripts.write("backup", 0o644, text);
        scripts
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file by another process: were it open for writing in this one, a process that
    /// another test starts at that moment would inherit it, and nobody could execute the file.
    fn write(&self, name: &str, mode: u32, text: &str) {
        let path = self.path(name);
        let status = Command::new("bash")
            .args(["-c", r#"printf %s "$2" > "$1" && chmod "$3" "$1""#, "bash"])
            .arg(path)
            .arg(text)
            .arg(format!("{mode:o}"))
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// The directory of the records, which the runner makes.
    fn records(&self) -> PathBuf {
        self.path("records")
    }

    /// The record of the job of [`call`].
    fn record(&self) -> PathBuf {
        record::path(&self.records(), &job())
    }

    fn runner(&self) -> TokioScriptRunner {
        TokioScriptRunner::new(ScriptRunnerSettings {
            scripts_path: self.directory.path().to_owned(),
            interpreter: self.interpreter,
            inherited_environment: self.inherited.clone(),
            records_directory: self.records(),
            terminate_grace: self.grace,
        })
    }

    async fn run(&self, call: &ScriptCall) -> Result<ScriptOutcome, ScriptError> {
        self.runner().run(call, &Halt::default(), &LiveLog::default()).await
    }

    /// Runs the backup script without arguments.
    async fn backup(&self) -> ScriptOutcome {
        self.run(&call(&[], &[])).await.unwrap()
    }
}

fn job() -> JobKey {
    JobKey::new(JobKind::Backup, JobId::parse("a-job").unwrap())
}

/// A call of the backup script.
fn call(arguments: &[&str], environment: &[(&str, &str)]) -> ScriptCall {
    ScriptCall {
        job: job(),
        phase: Phase::Backup,
        arguments: arguments.iter().map(OsString::from).collect(),
        environment: environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), OsString::from(value)))
            .collect(),
        redacted: Vec::new(),
        warn_after: None,
    }
}

/// Waits until something is so, and says what was waited for if it never is.
async fn until<T>(what: &str, mut is_so: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = is_so() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a script has written a whole line to a file, and returns it.
async fn line_of(path: &Path) -> String {
    until(&format!("a line in {}", path.display()), || {
        let text = fs::read_to_string(path).ok()?;
        Some(text.strip_suffix('\n')?.to_owned())
    })
    .await
}

/// A process that a script left behind; ended when the test ends, however it does.
struct LeftBehind(Pid);

impl LeftBehind {
    async fn of(pid_file: &Path) -> Self {
        Self(Pid::from_raw(line_of(pid_file).await.parse().unwrap()))
    }

    /// Its state, as in `ps`; none if it is gone.
    fn state(&self) -> Option<char> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    }

    fn is_alive(&self) -> bool {
        self.state().is_some_and(|state| state != 'Z')
    }
}

impl Drop for LeftBehind {
    fn drop(&mut self) {
        // If it is gone already, so much the better.
        let _ = kill(self.0, Signal::SIGKILL);
    }
}

/// Whether a program can be called in a test of this machine.
fn is_installed(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
