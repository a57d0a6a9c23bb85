//! A PostgreSQL server of a test's own, on loopback, in a temporary directory.

use std::{
    ffi::OsString,
    fs,
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::Signal,
    unistd::{User, geteuid},
};
use tempfile::TempDir;

use crate::harness::{send_signal, wait_for, wait_until};

/// The password of the database user `postgres`.
pub(super) const PASSWORD: &str = "pg-password-of-the-test";

/// The user of the system that the server runs as if the tests run as root, which it refuses.
const OTHER_USER: &str = "postgres";

/// A running server; it ends with the value.
#[derive(Debug)]
pub(super) struct Server {
    process: Child,
    port: u16,
    programs: PathBuf,
    /// Removed after the server has ended.
    _directory: TempDir,
}

impl Server {
    /// Starts a server, or none if PostgreSQL is not installed.
    pub(super) fn start() -> Option<Self> {
        let programs = newest_programs()?;
        let directory = tempfile::Builder::new()
            .prefix("osb-e2e-pg-")
            .tempdir()
            .expect("a temporary directory can be made");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        if let Some(user) = other_user() {
            chown(directory.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw())).expect("we are root");
        }
        initialise(&programs, directory.path());
        // Somebody may take the port in between, so it may need more than one attempt.
        let (process, port) = wait_for("the database server starts", || launch(&programs, directory.path()));
        Some(Self {
            process,
            port,
            programs,
            _directory: directory,
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The system's user that the server runs as, if it is not the one who runs the tests.
    pub(super) fn other_user(&self) -> Option<&'static str> {
        geteuid().is_root().then_some(OTHER_USER)
    }

    /// A `PATH` on which this server's own tools come first.
    pub(super) fn path_variable(&self) -> OsString {
        let mut path = self.programs.clone().into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
        path
    }

    /// Runs statements; what they print, without the last newline.
    #[track_caller]
    pub(super) fn sql(&self, database: &str, statements: &str) -> String {
        let output = psql(&self.programs, self.port, database, statements)
            .output()
            .expect("psql can be run");
        assert!(
            output.status.success(),
            "{statements}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGINT: end all sessions, and then in order.
        send_signal(
            i32::try_from(self.process.id()).expect("process ids fit"),
            Signal::SIGINT,
        );
        self.process.wait().expect("the server is our child");
    }
}

fn newest_programs() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, programs)| programs.join("initdb").exists() && programs.join("postgres").exists())
        .collect();
    found.sort();
    Some(found.pop()?.1)
}

fn initialise(programs: &Path, directory: &Path) {
    let password_file = directory.join("password");
    fs::write(&password_file, PASSWORD).expect("a file can be written");
    let output = as_other_user(programs.join("initdb"))
        .args([
            "-U",
            "postgres",
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "-N",
            "-D",
        ])
        .arg(directory.join("data"))
        .arg("--pwfile")
        .arg(&password_file)
        .current_dir(directory)
        .output()
        .expect("initdb can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Starts the server on a port that is free now; `None` if it was taken meanwhile.
fn launch(programs: &Path, directory: &Path) -> Option<(Child, u16)> {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        listener.local_addr().expect("a bound socket has an address").port()
    };
    let log = fs::File::create(directory.join("log")).expect("a file can be made");
    let mut process = as_other_user(programs.join("postgres"))
        .arg("-D")
        .arg(directory.join("data"))
        .args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "fsync=off",
            "-c",
            "shared_buffers=32MB",
            "-p",
        ])
        .arg(port.to_string())
        .arg("-k")
        .arg(directory)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the database server can be run");
    let mut has_ended = false;
    wait_until("the database server answers", || {
        has_ended = matches!(process.try_wait(), Ok(Some(_)));
        has_ended
            || psql(programs, port, "postgres", "select 1")
                .output()
                .is_ok_and(|output| output.status.success())
    });
    (!has_ended).then_some((process, port))
}

fn psql(programs: &Path, port: u16, database: &str, statements: &str) -> Command {
    let mut command = Command::new(programs.join("psql"));
    command
        .args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-w",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
        ])
        .args(["-p", &port.to_string(), "-d", database, "-c", statements])
        .env("PGPASSWORD", PASSWORD)
        .stdin(Stdio::null());
    command
}

fn as_other_user(program: PathBuf) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C.UTF-8");
    if let Some(user) = other_user() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}

fn other_user() -> Option<User> {
    if !geteuid().is_root() {
        return None;
    }
    let user = User::from_name(OTHER_USER).expect("users can be looked up");
    Some(user.expect("the package made its user"))
}
