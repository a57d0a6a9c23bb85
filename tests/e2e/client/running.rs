//! A client that is still at work.

use std::{
    io::Read,
    path::Path,
    process::{Child, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use nix::sys::signal::Signal;

use super::{environment, url};
use crate::harness::{Agent, agent_command, send_signal, wait_until};

/// A client at work.
pub(super) struct Running {
    process: Child,
    said: Arc<Mutex<String>>,
}

impl Running {
    pub(super) fn start(agent: &Agent, arguments: &[&str]) -> Self {
        Self::start_at(&url(agent), agent.place.root(), arguments)
    }

    /// Of an agent that is none of the harness.
    pub(super) fn start_at(url: &str, directory: &Path, arguments: &[&str]) -> Self {
        let arguments = [arguments, &["--url", url]].concat();
        let mut process = agent_command(&arguments, &environment(), directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the client can be run");
        let said = Arc::new(Mutex::new(String::new()));
        collect(process.stdout.take().expect("piped"), &said);
        collect(process.stderr.take().expect("piped"), &said);
        Self { process, said }
    }

    pub(super) fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[track_caller]
    pub(super) fn wait_until_it_says(&self, part: &str) {
        wait_until(&format!("the client says {part:?}"), || self.said().contains(part));
    }

    pub(super) fn signal(&self, signal: Signal) {
        send_signal(i32::try_from(self.process.id()).expect("process ids fit"), signal);
    }

    /// Its exit code, when it has ended.
    pub(super) fn code(&mut self) -> Option<i32> {
        self.process.wait().expect("it is our child").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn collect(mut stream: impl Read + Send + 'static, said: &Arc<Mutex<String>>) {
    let said = Arc::clone(said);
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut chunk) {
            let text = String::from_utf8_lossy(&chunk[..length]).into_owned();
            said.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
        }
    });
}
