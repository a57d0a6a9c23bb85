//! The demo's place on the disk: a scratch directory with all that the agent needs, and nothing outside it.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::failure::{Failure, while_doing};

/// The very files that people copy into production.
const SCRIPTS: [(&str, &str); 10] = [
    ("common", include_str!("../../deploy/scripts/directory/common")),
    (
        "pre-backup-lock",
        include_str!("../../deploy/scripts/directory/pre-backup-lock"),
    ),
    (
        "pre-backup-check",
        include_str!("../../deploy/scripts/directory/pre-backup-check"),
    ),
    ("backup", include_str!("../../deploy/scripts/directory/backup")),
    (
        "backup-cleanup",
        include_str!("../../deploy/scripts/directory/backup-cleanup"),
    ),
    (
        "post-backup-unlock",
        include_str!("../../deploy/scripts/directory/post-backup-unlock"),
    ),
    (
        "pre-restore-lock",
        include_str!("../../deploy/scripts/directory/pre-restore-lock"),
    ),
    ("restore", include_str!("../../deploy/scripts/directory/restore")),
    (
        "restore-cleanup",
        include_str!("../../deploy/scripts/directory/restore-cleanup"),
    ),
    (
        "post-restore-unlock",
        include_str!("../../deploy/scripts/directory/post-restore-unlock"),
    ),
];

/// The scratch directory. It goes when this is dropped, unless it was kept.
#[derive(Debug)]
pub(super) struct Scratch {
    directory: TempDir,
    /// Absolute and without links: the agent compares destinations with the roots it allows.
    root: PathBuf,
}

impl Scratch {
    /// Makes the directory with its subdirectories and scripts; the data comes later.
    pub(super) fn create() -> Result<Self, Failure> {
        let directory = tempfile::Builder::new()
            .prefix("osb-backup-agent-demo-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .map_err(while_doing("make a scratch directory"))?;
        let filled = fs::canonicalize(directory.path()).and_then(|root| {
            let scratch = Self { directory, root };
            scratch.fill()?;
            Ok(scratch)
        });
        filled.map_err(while_doing("fill the scratch directory"))
    }

    fn fill(&self) -> io::Result<()> {
        for directory in [
            self.scripts(),
            self.backup(),
            self.restore(),
            self.state(),
            self.destination(),
        ] {
            fs::create_dir(directory)?;
        }
        for (name, text) in SCRIPTS {
            fs::write(self.scripts().join(name), text)?;
        }
        Ok(())
    }

    /// The scratch directory itself.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What is backed up, destroyed and restored.
    pub(super) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// The agent's `scripts_path`.
    pub(super) fn scripts(&self) -> PathBuf {
        self.root.join("scripts")
    }

    /// The agent's `directory_backup`.
    pub(super) fn backup(&self) -> PathBuf {
        self.root.join("backup")
    }

    /// The agent's `directory_restore`.
    pub(super) fn restore(&self) -> PathBuf {
        self.root.join("restore")
    }

    /// The agent's `state_directory`.
    pub(super) fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// Where artifacts go, if not into a bucket.
    pub(super) fn destination(&self) -> PathBuf {
        self.root.join("destination")
    }

    /// The agent's output.
    pub(super) fn log(&self) -> PathBuf {
        self.root.join("agent.log")
    }

    /// Makes paths in a text short: those below the scratch directory become relative to it.
    pub(super) fn shorten(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.root.display()), "")
    }

    /// Leaves the directory where it is for ever.
    pub(super) fn keep(&mut self) {
        self.directory.disable_cleanup(true);
    }

    /// Removes the directory now, so that a fault can be told.
    pub(super) fn remove(self) -> io::Result<()> {
        self.directory.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_carries_every_script_of_the_set_that_people_copy() {
        let set = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/scripts/directory");
        let mut files: Vec<_> = fs::read_dir(set)
            .expect("the set is part of the sources")
            .map(|entry| entry.expect("readable").file_name().into_string().expect("plain names"))
            .collect();
        files.sort();
        let mut carried = SCRIPTS.map(|(name, _)| name);
        carried.sort_unstable();
        assert_eq!(files, carried);
    }

    #[test]
    fn paths_below_the_scratch_directory_are_shown_relative_to_it() {
        let scratch = Scratch::create().expect("a scratch directory");
        let text = format!("from {} to /srv/data", scratch.data().display());
        assert_eq!(scratch.shorten(&text), "from data to /srv/data");
    }
}
