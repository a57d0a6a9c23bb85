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
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink},
    path::{Path, PathBuf},
};

use domain::ports::{PreparedRestore, RestoreDirectory, RestorePlace, WorkspaceError};
use nix::libc;
use uuid::Uuid;

use super::{
    State,
    files::{Access, Replacing, check_free, fault, identity, kind, look, put, remove_quietly},
};

/// Names of downloads end so. They begin with a dot, so that none is taken for an artifact.
const DOWNLOAD_ENDING: &str = ".part";

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

    /// What is to be made.
    pub(super) fn plan(&self, place: &RestorePlace) -> Result<PreparedRestore, WorkspaceError> {
        let paths = self.paths(place)?;
        Ok(PreparedRestore {
            directory: match is_real_directory(&paths.directory)? {
                true => RestoreDirectory::WasThere,
                false => RestoreDirectory::Planned,
            },
            download: paths.directory.join(format!(".{}{DOWNLOAD_ENDING}", Uuid::new_v4())),
            file: None,
        })
    }

    /// Makes the job's own directory if need be, and an empty file in it.
    pub(super) fn prepare(
        &self,
        place: &RestorePlace,
        planned: PreparedRestore,
    ) -> Result<PreparedRestore, WorkspaceError> {
        let paths = self.paths(place)?;
        let directory = make_directory(&paths)?;
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&planned.download)
            .and_then(|file| file.metadata());
        match made {
            Ok(found) => Ok(PreparedRestore {
                file: Some(identity(&found)),
                directory,
                ..planned
            }),
            Err(error) => {
                if let RestoreDirectory::Made(_) = directory {
                    let _ = fs::remove_dir(&paths.directory);
                }
                Err(fault("cannot make", &planned.download, &error))
            }
        }
    }

    /// Gives the download its final name, and makes the link; returns why there is none.
    pub(super) fn place(
        &self,
        place: &RestorePlace,
        prepared: &PreparedRestore,
    ) -> Result<Option<String>, WorkspaceError> {
        let placed = self.paths(place).and_then(|paths| {
            let access = Access::of(&paths.root)?;
            place_file(&paths, prepared, access, self.replacing())?;
            Ok(place_link(&paths, prepared, access, self.replacing())
                .err()
                .map(|error| error.0))
        });
        placed.inspect_err(|_| {
            if let Err(error) = discard_download(prepared) {
                tracing::debug!(%error, "a download stays behind");
            }
        })
    }

    /// Removes link, files and directory, each only if it is still what the agent put there. One
    /// that cannot be removed does not keep the others.
    pub(super) fn discard(&self, place: &RestorePlace, prepared: &PreparedRestore) -> Result<(), WorkspaceError> {
        let paths = self.paths(place)?;
        let faults: Vec<String> = [
            discard_links(&paths, prepared),
            discard_download(prepared),
            // One that was only planned has no other name yet.
            prepared.file.map_or(Ok(()), |file| discard_file(&paths.file, file)),
            discard_directory(&paths.directory, prepared.directory),
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
}

fn make_directory(paths: &Paths) -> Result<RestoreDirectory, WorkspaceError> {
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
            Ok(RestoreDirectory::Made(identity(&made)))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            is_real_directory(&paths.directory)?;
            Ok(RestoreDirectory::WasThere)
        }
        Err(error) => Err(fault("cannot make", &paths.directory, &error)),
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

/// Where the link is made before it gets its name. The download's name, which nobody else has, tells
/// it, so that it is found again.
fn temporary_link(paths: &Paths, prepared: &PreparedRestore) -> Option<PathBuf> {
    let name = prepared.download.file_name()?.to_str()?.strip_suffix(DOWNLOAD_ENDING)?;
    Some(paths.root.join(format!("{name}.link")))
}

/// The file keeps what it is.
fn place_file(
    paths: &Paths,
    prepared: &PreparedRestore,
    access: Access,
    replacing: Replacing,
) -> Result<(), WorkspaceError> {
    let download = prepared.download.as_path();
    let cannot_set = |error: io::Error| fault("cannot set owner and permissions of", download, &error);
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(download)
        .map_err(|error| fault("cannot open", download, &error))?;
    let found = file.metadata().map_err(cannot_set)?;
    if !found.is_file() || Some(identity(&found)) != prepared.file {
        return Err(WorkspaceError(format!(
            "{}: {} has taken the place of the download, and was left alone; see who writes to this directory",
            download.display(),
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
    Ok(())
}

fn place_link(
    paths: &Paths,
    prepared: &PreparedRestore,
    access: Access,
    replacing: Replacing,
) -> Result<(), WorkspaceError> {
    let (Some(link), Some(temporary)) = (&paths.link, temporary_link(paths, prepared)) else {
        return Err(WorkspaceError(format!(
            "{}: the job's own directory is where the link would be",
            paths.directory.display()
        )));
    };
    check_free(link, replacing)?;
    // Made aside, as a link cannot replace anything by itself.
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

/// Nobody else uses its name; where it is known which file it is, another is left alone all the same.
fn discard_download(prepared: &PreparedRestore) -> Result<(), WorkspaceError> {
    match prepared.file {
        Some(file) => discard_file(&prepared.download, file),
        None => remove(&prepared.download),
    }
}

fn discard_file(path: &Path, placed: (u64, u64)) -> Result<(), WorkspaceError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() && identity(&found) == placed => remove(path),
        Ok(_) => Ok(()),
        Err(error) if is_absence(&error) => Ok(()),
        Err(error) => Err(fault("cannot look at", path, &error)),
    }
}

/// A link to a file that is not the agent's is not either.
fn discard_links(paths: &Paths, prepared: &PreparedRestore) -> Result<(), WorkspaceError> {
    let is_ours = match fs::symlink_metadata(&paths.file) {
        Ok(found) => found.is_file() && Some(identity(&found)) == prepared.file,
        Err(error) if is_absence(&error) => true,
        Err(error) => return Err(fault("cannot look at", &paths.file, &error)),
    };
    let link = paths.link.clone().filter(|_| is_ours);
    let links = link.into_iter().chain(temporary_link(paths, prepared));
    let points_there = |link: &PathBuf| fs::read_link(link).is_ok_and(|target| target == paths.target);
    links.filter(points_there).try_for_each(|link| remove(&link))
}

/// Only a directory that the agent made, or was about to make, and that nobody else uses.
fn discard_directory(directory: &Path, made: RestoreDirectory) -> Result<(), WorkspaceError> {
    let found = look(directory)?.filter(|found| found.is_dir());
    let is_ours = found.is_some_and(|found| match made {
        RestoreDirectory::WasThere => false,
        RestoreDirectory::Planned => true,
        RestoreDirectory::Made(made) => identity(&found) == made,
    });
    if !is_ours {
        return Ok(());
    }
    match fs::remove_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => {
            ignore_absence(Err(error)).map_err(|error| fault("cannot remove", directory, &error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether nothing has the name, or what leads to it is gone.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
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
