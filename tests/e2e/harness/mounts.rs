//! File systems that are full, or may not be written to.

use std::path::{Path, PathBuf};

/// Makes a directory read-only for all who open something in it from now on, until it is dropped.
#[derive(Debug)]
pub(crate) struct ReadOnly(PathBuf);

impl ReadOnly {
    /// None where nothing can be mounted.
    pub(crate) fn over(directory: &Path) -> Option<Self> {
        let mount = |arguments: &[&str]| {
            let mounted = std::process::Command::new("mount")
                .args(arguments)
                .arg(directory)
                .output();
            mounted.is_ok_and(|output| output.status.success())
        };
        let path = directory.to_str().expect("a temporary path is text");
        let is_over = mount(&["--bind", path]).then(|| Self(directory.to_owned()))?;
        mount(&["-o", "remount,bind,ro"]).then_some(is_over)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        unmount(&self.0);
    }
}

fn unmount(path: &Path) {
    let unmounted = std::process::Command::new("umount").arg("-l").arg(path).output();
    drop(unmounted);
}

/// A small file system that the test may fill; it vanishes with the value.
#[derive(Debug)]
pub(crate) struct Tmpfs {
    path: tempfile::TempDir,
}

impl Tmpfs {
    /// One of that size, in the words of `mount`; none where nothing can be mounted.
    pub(crate) fn new(size: &str) -> Option<Self> {
        let path = tempfile::tempdir().expect("a temporary directory can be made");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(path.path())
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then_some(Self { path })
    }
}

impl Tmpfs {
    pub(crate) fn path(&self) -> &Path {
        self.path.path()
    }

    /// Fills it to the last byte, by a file that the test may remove.
    pub(crate) fn fill(&self) -> PathBuf {
        let filler = self.path().join("filler");
        // Until nothing fits any more.
        let filled = std::process::Command::new("dd")
            .arg("if=/dev/zero")
            .arg(format!("of={}", filler.display()))
            .arg("bs=4k")
            .output();
        drop(filled);
        filler
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        unmount(self.path.path());
    }
}
