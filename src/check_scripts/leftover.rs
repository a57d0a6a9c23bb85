//! Processes that scripts of a rehearsal have left behind.

use std::{fs, path::Path};

/// The name by which they can be told: they inherit it from their script.
const VARIABLE: &str = "BACKUP_AGENT_JOB_ID";

/// `name (pid)` of every process of a job whose id begins so, as far as their environments may be read.
pub(super) fn of(prefix: &str) -> Vec<String> {
    let mark = format!("{VARIABLE}={prefix}-");
    let Ok(found) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let processes = found.flatten().map(|entry| entry.path());
    processes
        .filter(|process| has_mark(process, mark.as_bytes()))
        .map(|process| {
            let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
            let pid = process.file_name().unwrap_or_default().to_string_lossy().into_owned();
            format!("{} ({pid})", name.trim())
        })
        .collect()
}

fn has_mark(process: &Path, mark: &[u8]) -> bool {
    let environment = fs::read(process.join("environ")).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .any(|variable| variable.starts_with(mark))
}
