//! The agent's own binary, as a process.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Lines},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    thread,
};

pub(crate) const USER: &str = "operator";
pub(crate) const PASSWORD: &str = "the-password-of-the-operator";

/// The names of all scripts.
pub(crate) const PHASES: [&str; 9] = [
    "pre-backup-lock",
    "pre-backup-check",
    "backup",
    "backup-cleanup",
    "post-backup-unlock",
    "pre-restore-lock",
    "restore",
    "restore-cleanup",
    "post-restore-unlock",
];

/// Starts it with its directories in this place, and returns when it has told its address.
pub(crate) fn start<'a>(place: &Path, settings: impl IntoIterator<Item = (&'a str, &'a OsStr)>) -> (Child, SocketAddr) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_osb-backup-agent"))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs([
            ("client_username", USER),
            ("client_password", PASSWORD),
            ("client_address", "127.0.0.1"),
            ("client_port", "0"),
        ])
        .env("directory_backup", place.join("backup"))
        .env("directory_restore", place.join("restore"))
        .env("scripts_path", place.join("scripts"))
        .env("state_directory", place.join("state"))
        .envs(settings)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the agent's binary can be run");
    let stderr = process.stderr.take().expect("it is piped");
    let mut lines = BufReader::new(stderr).lines();
    let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, address) = line.split_once("listening on http://")?;
        address.trim().parse::<SocketAddr>().ok()
    });
    drain(lines);
    (process, address.expect("the agent logs its address"))
}

/// Reads the log to its end, so that the agent never waits for a reader.
fn drain(lines: Lines<BufReader<ChildStderr>>) {
    thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
}
