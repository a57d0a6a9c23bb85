//! Where the files lie that are moved.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// In memory: else the disk would be what is measured.
const MEMORY: &str = "/dev/shm";

/// A directory that goes away with this.
#[derive(Debug)]
pub(crate) struct Place(TempDir);

impl Place {
    /// In a place that takes this many bytes.
    pub(crate) fn new(wanted_bytes: u64) -> Self {
        let parent = match std::env::var_os("OSB_BENCH_DIRECTORY") {
            Some(directory) => PathBuf::from(directory),
            None if free_bytes(Path::new(MEMORY)) >= wanted_bytes => PathBuf::from(MEMORY),
            None => PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
        };
        fs::create_dir_all(&parent).expect("the directory can be made");
        let free = free_bytes(&parent);
        assert!(
            free >= wanted_bytes,
            "{} has {free} bytes free, {wanted_bytes} are needed; name another place in OSB_BENCH_DIRECTORY",
            parent.display()
        );
        let directory = tempfile::Builder::new().prefix("transfers-").tempdir_in(parent);
        Self(directory.expect("a directory can be made"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The kind of the file system, as `stat` calls it.
    pub(crate) fn file_system(&self) -> String {
        output_of("stat", &["--file-system", "--format=%T"], self.path())
    }

    /// A file of random bytes that no compression makes shorter.
    pub(crate) fn artifact(&self, bytes: u64) -> Artifact {
        let path = self.path().join(format!("artifact-{bytes}"));
        let random = fs::File::open("/dev/urandom").expect("the system has random bytes");
        let mut file = fs::File::create(&path).expect("a file can be made");
        let mut hash = Sha256::new();
        let mut rest = random.take(bytes);
        let mut piece = vec![0; 1 << 20];
        loop {
            let read = rest.read(&mut piece).expect("random bytes can be read");
            if read == 0 {
                break;
            }
            hash.update(&piece[..read]);
            file.write_all(&piece[..read]).expect("a file can be written");
        }
        let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Artifact { path, bytes, sha256 }
    }
}

/// A file to be moved; it goes away with this.
#[derive(Debug)]
pub(crate) struct Artifact {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

impl Drop for Artifact {
    fn drop(&mut self) {
        // The directory goes away too, in the end.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes what is to be made, or was made and checked.
pub(crate) fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{} stays: {error}", path.display()),
        Ok(()) | Err(_) => {}
    }
}

/// What may be written there; for a file system in memory no more than the memory that is free.
fn free_bytes(directory: &Path) -> u64 {
    let free = output_of("df", &["--output=avail", "--block-size=1"], directory);
    let free = free.lines().last().and_then(|line| line.trim().parse().ok());
    let free = free.unwrap_or(0);
    if directory != Path::new(MEMORY) {
        return free;
    }
    let memory = crate::machine::line_of("/proc/meminfo", "MemAvailable").unwrap_or_default();
    let kilobytes: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
    // The rest is for the processes.
    free.min(kilobytes * 1024 / 4 * 3)
}

fn output_of(program: &str, arguments: &[&str], path: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(path).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
