//! Starts a script's process.

use std::{
    ffi::{OsStr, OsString},
    io,
    process::Stdio,
};

use domain::script::ScriptCall;
use tokio::process::{Child, Command};

use super::{lookup::Invocation, output::Stream};

/// The most that Linux takes as one argument or variable, in bytes: 32 pages of 4 KiB.
const LARGEST_VALUE_BYTES: usize = 128 * 1024;

/// A script at work.
#[derive(Debug)]
pub(super) struct RunningScript {
    /// Its process.
    pub(super) child: Child,
    /// Its standard output.
    pub(super) stdout: Stream,
    /// Its standard error.
    pub(super) stderr: Stream,
}

/// Starts the script; after an error no process is there.
pub(super) fn start(
    invocation: &Invocation,
    call: &ScriptCall,
    inherited: &[(OsString, OsString)],
) -> Result<RunningScript, String> {
    try_to_start(invocation, call, inherited).map_err(|error| explain(&error, invocation, call, inherited))
}

/// The command, which holds our ends of the pipes for writing, is gone when this returns. Were it
/// not, the streams would never end.
fn try_to_start(
    invocation: &Invocation,
    call: &ScriptCall,
    inherited: &[(OsString, OsString)],
) -> io::Result<RunningScript> {
    let (stdout, stdout_writer) = io::pipe()?;
    let (stderr, stderr_writer) = io::pipe()?;
    let (stdout, stderr) = (Stream::new(stdout)?, Stream::new(stderr)?);
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
        .stdin(Stdio::null())
        .stdout(stdout_writer)
        .stderr(stderr_writer)
        .process_group(0);
    let child = command.spawn()?;
    Ok(RunningScript { child, stdout, stderr })
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
