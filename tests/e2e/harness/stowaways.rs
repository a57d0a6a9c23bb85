//! Processes that a test has started by way of the agent and its scripts.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::PATIENCE;

/// The ids of all processes whose environment has `text` in it. They are found however far they
/// have wandered from the process that started them, as scripts inherit the agent's environment.
pub(crate) fn processes_with(text: &str) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|id| has_in_environment(*id, text))
        .collect()
}

fn has_in_environment(id: i32, text: &str) -> bool {
    let environment = fs::read(Path::new("/proc").join(id.to_string()).join("environ")).unwrap_or_default();
    environment.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Ends all these processes and waits until they are gone, as they may be starting others. It gives
/// up after a while rather than spoil the message of a test that has failed already.
pub(crate) fn end_all_with(text: &str) {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let ids = processes_with(text);
        if ids.is_empty() {
            return;
        }
        for id in ids {
            send_signal(id, Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal to one process, which may have ended meanwhile.
pub(crate) fn send_signal(id: i32, signal: Signal) {
    // A process that is gone needs no signal.
    let _ = kill(Pid::from_raw(id), signal);
}
