//! Files of a directory that are no objects yet.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
    time::Duration,
};

use domain::artifact::ObjectKey;
use object_store::{local::LocalFileSystem, path::Path};
use tokio::{runtime::Handle, time::timeout};
use uuid::Uuid;

use super::{bucket::object_path, failure::Failure, file::failure, local::blocking};

/// All hidden names begin so, and end with a UUID.
const START: &str = ".unfinished-";
/// What an object of a directory may be used for: a dump holds all that its database holds.
const OBJECT_MODE: u32 = 0o600;

/// A file that has a hidden name until it is whole. Dropped, it is removed.
#[derive(Debug)]
pub(super) struct Hidden {
    pub(super) key: Path,
    files: [PathBuf; 2],
    is_gone: bool,
}

impl Hidden {
    /// A new name.
    pub(super) fn new(files: &LocalFileSystem) -> Result<Self, Failure> {
        Self::named(files, &format!("{START}{}", Uuid::new_v4()))
    }

    /// A name that was given earlier; no other is taken.
    pub(super) fn known(files: &LocalFileSystem, name: &str) -> Result<Self, Failure> {
        let is_ours = |id: &str| Uuid::try_parse(id).is_ok_and(|parsed| parsed.to_string() == id);
        if name.strip_prefix(START).is_some_and(is_ours) {
            Self::named(files, name)
        } else {
            Err(Failure::strange(format!(
                "{name:?} is no name of an unfinished file, so it was left alone; look at it yourself"
            )))
        }
    }

    fn named(files: &LocalFileSystem, name: &str) -> Result<Self, Failure> {
        let key = object_path(&ObjectKey::new("", name))?;
        let file = files
            .path_to_filesystem(&key)
            .map_err(|error| failure("creating the object", error))?;
        // The library writes to a name of its own, and removes that in the background, if at all.
        let mut staged = file.clone().into_os_string();
        staged.push("#1");
        Ok(Self {
            key,
            files: [staged.into(), file],
            is_gone: false,
        })
    }

    /// The name, by which the file is found again.
    pub(super) fn name(&self) -> &str {
        self.key.as_ref()
    }

    /// Whether the file got its name after all, and only what came after that failed.
    pub(super) async fn has_also_this_name(&self, name: PathBuf) -> bool {
        let [_, file] = self.files.clone();
        blocking(move || {
            let identity = |path| fs::symlink_metadata(path).map(|found: fs::Metadata| (found.dev(), found.ino()));
            matches!((identity(file), identity(name)), (Ok(one), Ok(other)) if one == other)
        })
        .await
    }

    /// The library makes files that everybody may read.
    pub(super) async fn keep_to_owner(&self) -> Result<(), Failure> {
        let [staged, _] = self.files.clone();
        let restricted = blocking(move || fs::set_permissions(staged, fs::Permissions::from_mode(OBJECT_MODE))).await;
        restricted.map_err(|error| Failure::directory("restricting the object to its owner", &error))
    }

    /// Removes it, and waits for that, but not for ever: the mount may be dead.
    pub(super) async fn remove(mut self, patience: Duration) {
        self.is_gone = true;
        let files = self.files.clone();
        let _ = timeout(patience, blocking(move || remove(&files))).await;
    }

    /// Removes what an earlier upload left under this name, if there is anything.
    pub(super) async fn discard(mut self) -> Result<(), Failure> {
        self.is_gone = true;
        let files = self.files.clone();
        blocking(move || {
            let removed = files.map(|file| ignore_absence(fs::remove_file(file)));
            removed.into_iter().collect::<io::Result<()>>()
        })
        .await
        .map_err(|error| Failure::directory("removing an unfinished file", &error))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if self.is_gone {
            return;
        }
        let files = self.files.clone();
        // A file may be large and a mount slow: not on a thread that serves others.
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || remove(&files))),
            Err(_) => remove(&files),
        }
    }
}

fn remove(files: &[PathBuf]) {
    for file in files {
        if let Err(error) = ignore_absence(fs::remove_file(file)) {
            tracing::warn!(path = %file.display(), %error, "an unfinished file stays behind");
        }
    }
}

fn ignore_absence(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
