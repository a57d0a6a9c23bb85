//! Starts a script's process.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::Path,
    process::Stdio,
    time::Duration,
};

use domain::{
    job::{JobKey, LiveLog},
    plan::Phase,
    script::ScriptCall,
};
use tokio::process::{Child, Command};

use super::{
    ScriptRunnerSettings,
    lookup::Invocation,
    output::Stream,
    record::{self, Record},
    redact::Secrets,
    supervisor::{self, PidPlace, Status},
    tree::MARKER,
};

/// The most that Linux takes as one argument or variable, in bytes: 32 pages of 4 KiB.
const LARGEST_VALUE_BYTES: usize = 128 * 1024;

/// A script at work.
#[derive(Debug)]
pub(super) struct RunningScript {
    /// The process that stands over the script's.
    pub(super) supervisor: Child,
    /// What it tells.
    pub(super) status: Status,
    /// The script's standard output.
    pub(super) stdout: Stream,
    /// Its standard error.
    pub(super) stderr: Stream,
    /// What is written down of it; none if that was not possible.
    pub(super) record: Option<Record>,
    /// What its processes carry in their environment.
    pub(super) marker: String,
    /// What is said if it takes long.
    pub(super) warning: Warning,
}

/// Says that a script takes long.
#[derive(Debug)]
pub(super) struct Warning {
    after: Option<Duration>,
    job: JobKey,
    phase: Phase,
}

impl Warning {
    /// Waits, and says it.
    pub(super) async fn give(&self) {
        if let Some(after) = self.after {
            tokio::time::sleep(after).await;
            let (job, phase) = (&self.job, self.phase);
            tracing::warn!(%job, %phase, ?after, "the script is still at work, and half of the time that it may take is over");
        }
    }
}

/// Starts the script; after an error no process is there.
pub(super) fn start(
    invocation: &Invocation,
    call: &ScriptCall,
    settings: &ScriptRunnerSettings,
    live: &LiveLog,
) -> Result<RunningScript, String> {
    let secrets = Secrets::new(&call.redacted)?;
    let marker = uuid::Uuid::new_v4().to_string();
    let (record, place) = write_down(&settings.records_directory, call, &marker)?;
    match try_to_start(
        invocation,
        call,
        &settings.inherited_environment,
        (secrets, live),
        &marker,
        place,
    ) {
        Ok((supervisor, status, stdout, stderr)) => Ok(RunningScript {
            supervisor,
            status,
            stdout,
            stderr,
            record,
            marker,
            warning: Warning {
                after: call.warn_after,
                job: call.job.clone(),
                phase: call.phase,
            },
        }),
        Err(error) => {
            if let Some(record) = record {
                record.remove();
            }
            Err(explain(&error, invocation, call, &settings.inherited_environment))
        }
    }
}

/// Writes the record; that it could not be written is no error where the script is owed.
fn write_down(directory: &Path, call: &ScriptCall, marker: &str) -> Result<(Option<Record>, Option<PidPlace>), String> {
    match Record::create(directory, call, marker) {
        Ok((record, place)) => Ok((Some(record), Some(place))),
        Err(error) => {
            let path = record::path(directory, &call.job);
            let fault = format!(
                "cannot write {}, by which the script's processes are found after a crash of the agent: {error}; \
                 make the directory writable for the agent's user, and see that there is room",
                path.display()
            );
            if record::is_required(call.phase) {
                return Err(format!("{} was not started: {fault}", call.phase));
            }
            tracing::warn!(job = %call.job, phase = %call.phase, "going on unrecorded: {fault}");
            Ok((None, None))
        }
    }
}

/// The command, which holds our ends of the pipes for writing, is gone when this returns. Were it
/// not, the streams would never end.
fn try_to_start(
    invocation: &Invocation,
    call: &ScriptCall,
    inherited: &[(OsString, OsString)],
    (secrets, live): (Secrets, &LiveLog),
    marker: &str,
    place: Option<PidPlace>,
) -> io::Result<(Child, Status, Stream, Stream)> {
    let (stdout, stdout_writer) = io::pipe()?;
    let (stderr, stderr_writer) = io::pipe()?;
    let stdout = Stream::new(stdout, secrets.clone(), live.stdout.clone())?;
    let stderr = Stream::new(stderr, secrets, live.stderr.clone())?;
    let mut command = match &invocation.bash {
        Some(bash) => {
            let mut command = Command::new(bash);
            command.arg(&invocation.script);
            command
        }
        None => Command::new(&invocation.script),
    };
    command
        .args(&call.arguments)
        .env_clear()
        .envs(inherited.iter().map(|(name, value)| (name, value)))
        .envs(call.environment.iter().map(|(name, value)| (name, value)))
        .env(MARKER, marker)
        .stdin(Stdio::null())
        .stdout(stdout_writer)
        .stderr(stderr_writer);
    let status = supervisor::supervise(&mut command, place)?;
    Ok((command.spawn()?, status, stdout, stderr))
}

/// Says what an operator can do about it. Names and sizes only: the values may be secrets.
fn explain(
    error: &io::Error,
    invocation: &Invocation,
    call: &ScriptCall,
    inherited: &[(OsString, OsString)],
) -> String {
    let script = invocation.script.display();
    let reason = match error.kind() {
        io::ErrorKind::ArgumentListTooLong => {
            let (name, size) = largest(call, inherited);
            let limit = if size > LARGEST_VALUE_BYTES {
                "one value may have 128 KiB"
            } else {
                "arguments and environment together may have a quarter of the stack's limit (ulimit -s), usually 2 MiB"
            };
            format!("its arguments and environment are too large: {limit}; the largest is {name} with {size} bytes")
        }
        io::ErrorKind::NotFound => match &invocation.bash {
            Some(bash) => format!("{} or the agent's working directory is gone", bash.display()),
            None => "it is gone, or the program in its first line (#!) is not there".to_owned(),
        },
        io::ErrorKind::ExecutableFileBusy => "it is being written to; try again when that is done".to_owned(),
        io::ErrorKind::InvalidInput => format!("{error}; a value of the request cannot be passed to a process"),
        io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => {
            format!("{error}; the machine, or the agent's user, has no room for another process")
        }
        _ => error.to_string(),
    };
    format!("cannot start {script}: {reason}")
}

/// The largest argument or variable, and how large the system finds it.
fn largest(call: &ScriptCall, inherited: &[(OsString, OsString)]) -> (String, usize) {
    let variable = |name: &OsStr, value: &OsStr| {
        // `name=value`, and the zero at its end.
        (format!("the variable {}", name.display()), name.len() + value.len() + 2)
    };
    let arguments = call
        .arguments
        .iter()
        .enumerate()
        .map(|(index, value)| (format!("argument {}", index + 1), value.len() + 1));
    let called = call
        .environment
        .iter()
        .map(|(name, value)| variable(name.as_ref(), value));
    let inherited = inherited.iter().map(|(name, value)| variable(name, value));
    arguments
        .chain(called)
        .chain(inherited)
        .max_by_key(|(_, size)| *size)
        .unwrap_or_default()
}
