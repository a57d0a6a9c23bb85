//! The agent's binary as a command, with an environment that holds nothing but what a test sets.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    path::Path,
    process::{Command, Output, Stdio},
};

use super::Place;

/// The variables that the agent is started with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment(BTreeMap<String, OsString>);

impl Environment {
    pub(crate) fn set(&mut self, name: &str, value: impl AsRef<OsStr>) -> &mut Self {
        self.0.insert(name.to_owned(), value.as_ref().to_owned());
        self
    }

    pub(crate) fn unset(&mut self, name: &str) -> &mut Self {
        self.0.remove(name);
        self
    }
}

/// An environment with which the agent starts in `place`, on a port that the system chooses.
pub(crate) fn complete_environment(place: &Place) -> Environment {
    let mut environment = Environment::default();
    environment
        .set("client_username", super::USER)
        .set("client_password", super::PASSWORD)
        .set("client_address", "127.0.0.1")
        .set("client_port", "0")
        .set("directory_backup", place.backup())
        .set("directory_restore", place.restore())
        .set("scripts_path", place.scripts())
        .set("state_directory", place.path("state"))
        .set("allowed_file_roots", place.store())
        // A failed unlock is tried again by an agent that is not told otherwise, for a minute.
        .set("unlock_retries", "0")
        .set("terminate_grace", "1s")
        .set("E2E_PLACE", place.root());
    environment
}

/// The agent as a command that has not been started.
pub(crate) fn agent_command(arguments: &[&str], environment: &Environment, directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_osb-backup-agent"));
    command
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env(
            "PATH",
            std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()),
        )
        .envs(&environment.0)
        .stdin(Stdio::null());
    command
}

/// Runs the agent to its end, for calls that end by themselves.
pub(crate) fn run_agent(arguments: &[&str], environment: &Environment, directory: &Path) -> Output {
    agent_command(arguments, environment, directory)
        .output()
        .expect("the agent's binary can be run")
}
