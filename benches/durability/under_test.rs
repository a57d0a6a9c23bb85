//! Processes that are measured; each ends with its value.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    agent::{self, PHASES},
    machine, own,
    server::Kind,
};

/// The directories of one agent, on the disk on which all else is built.
#[derive(Debug)]
pub(crate) struct Place(TempDir);

impl Place {
    /// Without jobs, and with scripts that do nothing.
    pub(crate) fn new() -> Self {
        let parent = env!("CARGO_TARGET_TMPDIR");
        fs::create_dir_all(parent).expect("the directory can be made");
        let root = tempfile::Builder::new()
            .prefix("durability-")
            .tempdir_in(parent)
            .expect("a directory can be made");
        fs::create_dir(root.path().join("scripts")).expect("a directory can be made");
        for phase in PHASES {
            fs::write(root.path().join("scripts").join(phase), "").expect("a script can be written");
        }
        Self(root)
    }

    /// With so many finished jobs in its state directory.
    pub(crate) fn filled(count: usize) -> Self {
        let place = Self::new();
        let status = Command::new(own::path())
            .arg("fill")
            .arg(place.path())
            .arg(count.to_string())
            .status()
            .expect("this program can be run again");
        assert!(status.success(), "the state directory was not filled: {status}");
        place
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// A process that listens.
#[derive(Debug)]
pub(crate) struct UnderTest {
    process: Child,
    address: SocketAddr,
}

impl Drop for UnderTest {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl UnderTest {
    /// A child of this program.
    pub(crate) fn start(kind: Kind, place: &Place, count: usize) -> Self {
        let mut command = Command::new(own::path());
        command
            .args(["serve", kind.name()])
            .arg(place.path())
            .arg(count.to_string());
        let (process, address) = own::serve(&mut command);
        Self { process, address }
    }

    /// The agent's own binary, and how long it took until it was there for clients.
    pub(crate) fn start_agent(place: &Place) -> (Self, Duration) {
        let begin = Instant::now();
        let (process, address) = agent::start(place.path(), []);
        TcpStream::connect(address).expect("it takes connections");
        let taken = begin.elapsed();
        (Self { process, address }, taken)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has in memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> f64 {
        let path = format!("/proc/{}/status", self.process.id());
        let text = machine::line_of(&path, "VmRSS").expect("it is at work");
        let kilobytes: f64 = text.trim_end_matches(" kB").parse().expect("it is a number");
        kilobytes * 1024.0
    }
}
