//! The real agent, as a child process.

use std::{
    fmt::Display,
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

use super::{
    failure::{Failure, while_doing},
    scratch::Scratch,
};

/// What the agent logs once it can be called, before the address.
const LISTENING: &str = "listening on http://";
const START_TIME_LIMIT: Duration = Duration::from_secs(20);
const LOG_READ_INTERVAL: Duration = Duration::from_millis(20);
/// The agent lets work end that nearly has; a person who pressed Ctrl-C waits no longer than this.
const STOP_TIME_LIMIT: Duration = Duration::from_secs(15);

/// All that the agent gets of the demo's own environment: how to find bash and tar, and whom to trust as a store.
const PASSED_ON: [&str; 10] = [
    "PATH",
    "HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// User and password of the agent's API.
pub(super) struct Credentials {
    pub(super) username: String,
    pub(super) password: String,
}

impl Credentials {
    /// Good for one run.
    pub(super) fn random() -> Self {
        Self {
            username: "demo".to_owned(),
            password: Uuid::new_v4().to_string(),
        }
    }
}

/// A running agent. Dropped without [`Agent::stop`] it is killed.
#[derive(Debug)]
pub(super) struct Agent {
    child: Child,
    log: PathBuf,
}

/// How the agent ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// On request, in its own way.
    Stopped,
    /// Before it was asked to, or not as asked.
    Unexpected(String),
}

impl Agent {
    /// Starts this very program as the agent of the scratch directory.
    pub(super) fn spawn(scratch: &Scratch, credentials: &Credentials) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(while_doing("find the program's own file"))?;
        let log = scratch.log();
        // A file and no pipe: the agent can write whether or not the demo reads, and whether or not it lives.
        let output = File::create(&log).map_err(while_doing("make the agent's log"))?;
        let errors = output.try_clone().map_err(while_doing("make the agent's log"))?;

        let mut command = Command::new(program);
        command
            .arg("serve")
            .current_dir(scratch.root())
            .env_clear()
            .envs(
                PASSED_ON
                    .into_iter()
                    .filter_map(|name| Some((name, std::env::var_os(name)?))),
            )
            .env("client_username", &credentials.username)
            .env("client_password", &credentials.password)
            .env("client_address", "127.0.0.1")
            .env("client_port", "0")
            .env("directory_backup", scratch.backup())
            .env("directory_restore", scratch.restore())
            .env("state_directory", scratch.state())
            .env("scripts_path", scratch.scripts())
            .env("allowed_file_roots", scratch.destination())
            // A store that is not there should not keep anybody waiting for minutes.
            .env("transfer_retry_timeout", "20s")
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            // A terminal's Ctrl-C is for the demo alone. The agent would take it and the demo's SIGTERM as two signals,
            // and the second one tells it to leave its scripts behind.
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn().map_err(while_doing("start the agent"))?;
        Ok(Self { child, log })
    }

    /// Waits until the agent says where it listens.
    pub(super) async fn address(&mut self) -> Result<SocketAddr, Failure> {
        let deadline = Instant::now() + START_TIME_LIMIT;
        loop {
            let ended = self.child.try_wait().map_err(while_doing("look after the agent"))?;
            if let Some(address) = find_address(&String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default())) {
                return Ok(address);
            }
            if let Some(status) = ended {
                return Err(Failure::broken(format_args!("the agent ended at its start ({status})")));
            }
            if Instant::now() > deadline {
                let limit = START_TIME_LIMIT.as_secs();
                return Err(Failure::broken(format_args!(
                    "the agent did not say within {limit} s where it listens"
                )));
            }
            sleep(LOG_READ_INTERVAL).await;
        }
    }

    /// Stops the agent: asked at first, killed if it does not listen. Afterwards it is gone.
    pub(super) async fn stop(mut self) -> Ending {
        match self.child.try_wait() {
            Ok(Some(status)) => return Ending::Unexpected(format!("the agent had ended by itself ({status})")),
            // Not reaped yet, so the number is still this child's.
            Ok(None) => {
                if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
                    // It fails only for a process that is gone, and that is what the wait finds out.
                    let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
                }
            }
            Err(error) => return self.kill(error).await,
        }
        match timeout(STOP_TIME_LIMIT, self.child.wait()).await {
            Ok(Ok(status)) => ending(status),
            Ok(Err(error)) => self.kill(error).await,
            Err(_) => {
                self.kill(format_args!("not gone {} s after SIGTERM", STOP_TIME_LIMIT.as_secs()))
                    .await
            }
        }
    }

    async fn kill(mut self, why: impl Display) -> Ending {
        let killed = self.child.kill().await;
        let result = killed
            .err()
            .map_or_else(|| "killed".to_owned(), |error| error.to_string());
        Ending::Unexpected(format!("the agent would not stop: {why}; {result}"))
    }
}

fn ending(status: ExitStatus) -> Ending {
    if status.success() {
        Ending::Stopped
    } else {
        Ending::Unexpected(format!("the agent did not stop as asked ({status})"))
    }
}

/// The last lines of the agent's log.
pub(super) fn log_tail(log: &Path, lines: usize) -> Vec<String> {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..]
        .iter()
        .map(|&line| line.to_owned())
        .collect()
}

/// Looks only at whole lines: of the last one a half may be written.
fn find_address(log: &str) -> Option<SocketAddr> {
    let whole = &log[..=log.rfind('\n')?];
    whole.lines().find_map(|line| {
        let (_, address) = line.split_once(LISTENING)?;
        let end = address
            .find(|c: char| !c.is_ascii_hexdigit() && !".:[]".contains(c))
            .unwrap_or(address.len());
        address[..end].parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_once_its_line_is_whole() {
        for (log, expected) in [
            ("", None),
            ("INFO starting\n", None),
            ("INFO listening on http://127.0.0.1:4123", None),
            ("INFO listening on http://127.0.0.1:41234\n", Some("127.0.0.1:41234")),
            (
                "x\nINFO listening on http://127.0.0.1:41234 tls=false\ny",
                Some("127.0.0.1:41234"),
            ),
            ("{\"message\":\"listening on http://[::1]:80\"}\n", Some("[::1]:80")),
        ] {
            let expected = expected.map(|address: &str| address.parse().expect("an address"));
            assert_eq!(find_address(log), expected, "{log:?}");
        }
    }

    #[test]
    fn the_tail_is_the_end_of_the_log() {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("log");
        assert_eq!(log_tail(&log, 2), Vec::<String>::new());
        fs::write(&log, "one\ntwo\nthree\n").expect("written");
        assert_eq!(log_tail(&log, 2), ["two", "three"]);
        assert_eq!(log_tail(&log, 9), ["one", "two", "three"]);
    }
}
