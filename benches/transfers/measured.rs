//! Processes whose time and memory are taken.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};

use crate::own;

/// What a transfer took of its client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) wall_s: f64,
    /// User and system time of the process and of its children.
    pub(crate) cpu_s: f64,
    /// Of the largest of its processes.
    pub(crate) peak_bytes: f64,
}

/// Runs a command to its end, which must be a success. `scratch` is a directory for the result.
///
/// A child of this program stands between, because the kernel keeps one account for all children of
/// a process, and here it shall be that of this command alone.
pub(crate) fn run(command: &Command, scratch: &Path) -> Cost {
    let result = scratch.join("cost");
    let mut between = Command::new(own::path());
    between.arg("measure").arg(&result).arg(command.get_program());
    between.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => between.env(name, value),
            None => between.env_remove(name),
        };
    }
    let output = between
        .stdin(Stdio::null())
        .output()
        .expect("this program can be run again");
    assert!(
        output.status.success(),
        "{command:?} failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let text = fs::read_to_string(result).expect("the result was written");
    let numbers: Vec<f64> = text.split(' ').map(|word| word.parse().expect("a number")).collect();
    match numbers.as_slice() {
        [wall_s, cpu_s, peak_bytes] => Cost {
            wall_s: *wall_s,
            cpu_s: *cpu_s,
            peak_bytes: *peak_bytes,
        },
        _ => panic!("three numbers were to be written, not {text:?}"),
    }
}

/// The child's part of [`run`].
pub(crate) fn measure(result: &Path, command: &[&str]) -> ExitCode {
    let [program, arguments @ ..] = command else {
        panic!("the parent names a program");
    };
    let begin = Instant::now();
    let status = Command::new(program).args(arguments).status();
    let wall_s = begin.elapsed().as_secs_f64();
    let status = status.unwrap_or_else(|error| panic!("{program} cannot be run: {error}"));
    if !status.success() {
        return ExitCode::FAILURE;
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the kernel keeps accounts");
    let cpu_us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    let text = format!("{wall_s} {} {}", cpu_us as f64 / 1e6, usage.max_rss() * 1024);
    fs::write(result, text).expect("the result can be written");
    ExitCode::SUCCESS
}
