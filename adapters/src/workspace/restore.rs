//! A restore's file, from an empty place to its removal.
//!
//! ```text
//!   directory_restore/             owner, group and permissions that all below it gets
//!     <filename> ─→ <id>/<filename>     where scripts of the first generation look
//!     <id>/
//!       .<uuid>.part               the download
//!       <filename>                 the complete download
//! ```

use std::{
    collections::HashMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink},
    path::{Path, PathBuf},
    sync::{MutexGuard, PoisonError},
};

use domain::{
    job::JobId,
    ports::{PlacedFile, RestorePlace, WorkspaceError},
};
use nix::libc;
use uuid::Uuid;

use super::{
    State,
    files::{Access, Replacing, check_free, fault, identity, kind, look, put, remove_quietly},
};

/// The paths of one restore.
struct Paths {
    /// `directory_restore`
    root: PathBuf,
    /// The job's own directory.
    directory: PathBuf,
    /// The file.
    file: PathBuf,
    /// The link to it; none if the job's own directory is in its place.
    link: Option<PathBuf>,
    /// What the link says.
    target: PathBuf,
}

impl State {
    /// Whether nothing is in the way that may not be replaced.
    pub(super) fn check(&self, place: &RestorePlace) -> Result<(), WorkspaceError> {
        let paths = self.paths(place)?;
        Access::of(&paths.root)?;
        if is_real_directory(&paths.directory)? {
            check_free(&paths.file, self.replacing())?;
        }
        match &paths.link {
            Some(link) => check_free(link, self.replacing()),
            None => Ok(()),
        }
    }

    /// Makes the job's own directory if need be, and returns a free name in it.
    pub(super) fn prepare(&self, place: &RestorePlace) -> Result<PathBuf, WorkspaceError> {
        let paths = self.paths(place)?;
        let access = Access::of(&paths.root)?;
        // Nobody else comes in before it is as it has to be.
        match DirBuilder::new().mode(0o700).create(&paths.directory) {
            Ok(()) => {
                let made = open_directory(&paths.directory)
                    .and_then(|directory| {
                        access.give_to(&directory)?;
                        directory.metadata()
                    })
                    .map_err(|error| {
                        let _ = fs::remove_dir(&paths.directory);
                        fault("cannot set owner and permissions of", &paths.directory, &error)
                    })?;
                self.made().insert(place.id.clone(), identity(&made));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                is_real_directory(&paths.directory)?;
            }
            Err(error) => return Err(fault("cannot make", &paths.directory, &error)),
        }
        Ok(paths.directory.join(temporary_name("part")))
    }

    /// Gives the download its final name, and makes the link.
    pub(super) fn place(&self, place: &RestorePlace, download: &Path) -> Result<PlacedFile, WorkspaceError> {
        let placed = self.paths(place).and_then(|paths| {
            let access = Access::of(&paths.root)?;
            let identity = place_file(&paths, download, access, self.replacing())?;
            let link = place_link(&paths, access, self.replacing()).map_err(|error| error.0);
            Ok(PlacedFile { identity, link })
        });
        placed.inspect_err(|_| remove_quietly(download))
    }

    /// Removes link, file and directory, each only if it is still what the agent put there. One
    /// that cannot be removed does not keep the others.
    pub(super) fn discard(&self, place: &RestorePlace, placed: Option<&PlacedFile>) -> Result<(), WorkspaceError> {
        let paths = self.paths(place)?;
        let link = match (&paths.link, placed.map(|placed| &placed.link)) {
            (Some(link), Some(Ok(()))) => discard_link(link, &paths.target),
            (None | Some(_), None | Some(_)) => Ok(()),
        };
        let faults: Vec<String> = [
            link,
            placed.map_or(Ok(()), |placed| discard_file(&paths.file, placed.identity)),
            self.discard_directory(&paths.directory, &place.id),
        ]
        .into_iter()
        .filter_map(|result| result.err().map(|error| error.0))
        .collect();
        if faults.is_empty() {
            Ok(())
        } else {
            Err(WorkspaceError(faults.join("; ")))
        }
    }

    /// Only a directory that the agent made, and that nobody else uses.
    fn discard_directory(&self, directory: &Path, id: &JobId) -> Result<(), WorkspaceError> {
        let Some(made) = self.made().remove(id) else {
            return Ok(());
        };
        // A number alone is not enough: that of what was removed is soon given to something new.
        if look(directory)?.is_none_or(|found| !found.is_dir() || identity(&found) != made) {
            return Ok(());
        }
        match fs::remove_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => {
                ignore_absence(Err(error)).map_err(|error| fault("cannot remove", directory, &error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn paths(&self, place: &RestorePlace) -> Result<Paths, WorkspaceError> {
        let root = self
            .settings
            .directories
            .restore
            .clone()
            .ok_or_else(|| WorkspaceError("directory_restore is not set; set it".to_owned()))?;
        let (id, filename) = (place.id.as_str(), place.filename.as_str());
        // Whoever made the place has checked this; but a mistake there would be written to disk here.
        if filename.is_empty() || filename.contains(['/', '\0']) || matches!(filename, "." | "..") {
            return Err(WorkspaceError(format!("{filename:?} is not a file name")));
        }
        let directory = root.join(id);
        Ok(Paths {
            file: directory.join(filename),
            link: (filename != id).then(|| root.join(filename)),
            target: Path::new(id).join(filename),
            directory,
            root,
        })
    }

    fn replacing(&self) -> Replacing {
        if self.settings.allowed_to_delete_files {
            Replacing::Allowed
        } else {
            Replacing::Refused
        }
    }

    fn made(&self) -> MutexGuard<'_, HashMap<JobId, (u64, u64)>> {
        // Each change is one call, so whoever panicked left nothing half-done.
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens what was just made, so that owner and mode go to it, and not to what took its place.
fn open_directory(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
        .open(path)
}

/// Whether a directory is there; an error if it is anything else, even a link to a directory.
fn is_real_directory(path: &Path) -> Result<bool, WorkspaceError> {
    match look(path)? {
        None => Ok(false),
        Some(found) if found.is_dir() => Ok(true),
        Some(found) => Err(WorkspaceError(format!(
            "{}: {} is where the job's directory has to be; remove it",
            path.display(),
            kind(&found)
        ))),
    }
}

/// A name that nobody else has, and that begins with a dot, so that it is no artifact either.
fn temporary_name(ending: &str) -> String {
    format!(".{}.{ending}", Uuid::new_v4())
}

/// Returns the identity of the file, which is under its final name then.
fn place_file(
    paths: &Paths,
    download: &Path,
    access: Access,
    replacing: Replacing,
) -> Result<(u64, u64), WorkspaceError> {
    let cannot_set = |error: io::Error| fault("cannot set owner and permissions of", download, &error);
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(download)
        .map_err(|error| fault("cannot open", download, &error))?;
    let found = file.metadata().map_err(cannot_set)?;
    if !found.is_file() {
        let download = download.display();
        return Err(WorkspaceError(format!(
            "{download}: {} is not a download",
            kind(&found)
        )));
    }
    access.without_execution().give_to(&file).map_err(cannot_set)?;
    put(download, &paths.file, replacing).map_err(|error| {
        // What came since the check has a better message than the system's.
        check_free(&paths.file, replacing)
            .err()
            .unwrap_or_else(|| fault("cannot put the download at", &paths.file, &error))
    })?;
    sync_directory(&paths.directory);
    Ok(identity(&found))
}

fn place_link(paths: &Paths, access: Access, replacing: Replacing) -> Result<(), WorkspaceError> {
    let Some(link) = &paths.link else {
        return Err(WorkspaceError(format!(
            "{}: the job's own directory is where the link would be",
            paths.directory.display()
        )));
    };
    check_free(link, replacing)?;
    // Made aside, as a link cannot replace anything by itself.
    let temporary = paths.root.join(temporary_name("link"));
    symlink(&paths.target, &temporary)
        .and_then(|()| {
            access.give_to_link(&temporary)?;
            put(&temporary, link, replacing)
        })
        .map_err(|error| {
            remove_quietly(&temporary);
            fault("cannot make the link", link, &error)
        })?;
    sync_directory(&paths.root);
    Ok(())
}

/// Best effort: after a power cut the job is over, and its file is of no use.
fn sync_directory(directory: &Path) {
    if let Err(error) = File::open(directory).and_then(|directory| directory.sync_all()) {
        tracing::debug!(directory = %directory.display(), %error, "cannot sync a directory");
    }
}

fn discard_file(path: &Path, placed: (u64, u64)) -> Result<(), WorkspaceError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() && identity(&found) == placed => remove(path),
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(()),
        Err(error) => Err(fault("cannot look at", path, &error)),
    }
}

fn discard_link(link: &Path, target: &Path) -> Result<(), WorkspaceError> {
    match fs::read_link(link) {
        Ok(found) if found == target => remove(link),
        // Another link, or something that is no link, or nothing.
        Ok(_) | Err(_) => Ok(()),
    }
}

fn remove(path: &Path) -> Result<(), WorkspaceError> {
    ignore_absence(fs::remove_file(path)).map_err(|error| fault("cannot remove", path, &error))
}

fn ignore_absence(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
