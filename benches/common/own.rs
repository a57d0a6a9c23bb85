//! The benchmark's own program, run again.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

pub(crate) fn path() -> PathBuf {
    std::env::current_exe().expect("this program has a path")
}

/// Starts what serves until its standard input ends, and returns when it has told its address.
pub(crate) fn serve(command: &mut Command) -> (Child, SocketAddr) {
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program can be run again");
    let mut line = String::new();
    let stdout = process.stdout.take().expect("it is piped");
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("it tells its address");
    let address = line.trim().parse().expect("it tells its address");
    (process, address)
}
