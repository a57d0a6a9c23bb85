//! What it was measured on.

use std::{fs, process::Command};

/// How much others have to do here, as the kernel tells it.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// A list of what the numbers depend on; `load_before` is that from before the first measurement.
pub(crate) fn description(load_before: &str) -> String {
    let cpu = line_of("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let memory = line_of("/proc/meminfo", "MemTotal").unwrap_or_else(|| "unknown".to_owned());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "| | |\n|---|---|\n\
         | machine | {cores} cores, {memory} of memory, {} |\n\
         | CPU | {cpu} |\n\
         | kernel | {} |\n\
         | rustc | {} |\n\
         | load of 1, 5 and 15 minutes when it began | {load_before} |\n\
         | date | {} |\n\
         | commit | {} |\n",
        std::env::consts::ARCH,
        kernel.trim(),
        output("rustc", &["--version"]),
        chrono::Utc::now().format("%Y-%m-%d"),
        output("git", &["describe", "--always", "--dirty", "--exclude=*"]),
    )
}

/// The value of the first `name: value` of a file.
pub(crate) fn line_of(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    output.map_or_else(
        |error| format!("unknown ({error})"),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
