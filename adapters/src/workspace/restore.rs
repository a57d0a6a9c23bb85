//! A restore's file, from an empty place to its removal.
//!
//! ```text
//!   directory_restore/             owner, group and permissions that all below it gets
//!     <filename> ─→ <id>/<filename>     where scripts of the first generation look
//!     <id>/
//!       .<uuid>.part               the download
//!       <filename>                 the complete download
//! ```
//!
//! Both directories are opened, and all that is done in them is done through that, see
//! [`crate::beneath`].

use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use domain::ports::{PreparedRestore, RestoreDirectory, RestorePlace, WorkspaceError};
use uuid::Uuid;

use super::{
    State,
    discard::{discard_directory, discard_download, discard_file, discard_links},
    files::{Access, Replacing, check_free, fault, kind, look, put, remove_quietly},
};
use crate::beneath::{OpenDirectory, identity};

/// Names of downloads end so. They begin with a dot, so that none is taken for an artifact.
const DOWNLOAD_ENDING: &str = ".part";

/// `directory_restore`, and the names of one restore in it.
pub(super) struct Names {
    pub(super) root: OpenDirectory,
    /// The job's own directory.
    pub(super) directory: String,
    /// The file there.
    pub(super) file: String,
    /// What the link says.
    pub(super) target: PathBuf,
}

impl State {
    /// Whether nothing is in the way that may not be replaced.
    pub(super) fn check(&self, place: &RestorePlace) -> Result<(), WorkspaceError> {
        let names = self.names(place)?;
        if let Some(own) = names.own()? {
            check_free(&own, &names.file, self.replacing())?;
        }
        match names.link() {
            Some(link) => check_free(&names.root, link, self.replacing()),
            None => Ok(()),
        }
    }

    /// What is to be made.
    pub(super) fn plan(&self, place: &RestorePlace) -> Result<PreparedRestore, WorkspaceError> {
        let names = self.names(place)?;
        let download = format!(".{}{DOWNLOAD_ENDING}", Uuid::new_v4());
        Ok(PreparedRestore {
            directory: match names.own()? {
                Some(_) => RestoreDirectory::WasThere,
                None => RestoreDirectory::Planned,
            },
            download: names.root.at(&names.directory).join(download),
            file: None,
        })
    }

    /// Makes the job's own directory if need be, and an empty file in it.
    pub(super) fn prepare(
        &self,
        place: &RestorePlace,
        planned: PreparedRestore,
    ) -> Result<PreparedRestore, WorkspaceError> {
        let names = self.names(place)?;
        let download = name_of(&planned)?;
        let (own, directory) = make_directory(&names)?;
        let made = own.create(download).and_then(|file| file.metadata());
        match made {
            Ok(found) => Ok(PreparedRestore {
                file: Some(identity(&found)),
                directory,
                ..planned
            }),
            Err(error) => {
                if let RestoreDirectory::Made(_) = directory {
                    let _ = names.root.remove_directory(&names.directory);
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
        let names = self.names(place)?;
        let gone = || {
            let own = names.root.at(&names.directory);
            fault("cannot open", &own, &io::ErrorKind::NotFound.into())
        };
        let own = names.own()?.ok_or_else(gone)?;
        let access = Access::of(&names.root)?;
        let placed = place_file(&own, &names, prepared, access, self.replacing());
        placed.inspect_err(|_| {
            if let Err(error) = discard_download(&own, prepared) {
                tracing::debug!(%error, "a download stays behind");
            }
        })?;
        let linked = place_link(&names, prepared, access, self.replacing());
        Ok(linked.err().map(|error| error.0))
    }

    /// Removes link, files and directory, each only if it is still what the agent put there. One
    /// that cannot be removed does not keep the others.
    pub(super) fn discard(&self, place: &RestorePlace, prepared: &PreparedRestore) -> Result<(), WorkspaceError> {
        let root = self.root_of(place, prepared)?;
        let root = match OpenDirectory::open(&root) {
            Ok(root) => root,
            Err(error) if is_absence(&error) => return Ok(()),
            Err(error) => return Err(fault("cannot open", &root, &error)),
        };
        let names = Names::new(root, place)?;
        let own = match names.root.enter(&names.directory) {
            Ok(own) => Some(own),
            // What is no directory, or a link, is not the agent's, and neither is what it leads to.
            Err(error) if is_absence(&error) => None,
            Err(error) => return Err(fault("cannot open", &names.root.at(&names.directory), &error)),
        };
        let mut results = vec![discard_links(&names, own.as_ref(), prepared)];
        if let Some(own) = &own {
            results.push(discard_download(own, prepared));
            // One that was only planned has no other name yet.
            results.extend(prepared.file.map(|file| discard_file(own, &names.file, file)));
            results.push(discard_directory(&names, own, prepared.directory));
        }
        let faults = results
            .into_iter()
            .filter_map(|result| result.err().map(|error| error.0));
        let faults: Vec<String> = faults.collect();
        if faults.is_empty() {
            Ok(())
        } else {
            Err(WorkspaceError(faults.join("; ")))
        }
    }

    /// The directory that is set, opened.
    fn names(&self, place: &RestorePlace) -> Result<Names, WorkspaceError> {
        let root = self.configured_root()?;
        let root = OpenDirectory::open(root).map_err(|error| match error.kind() {
            io::ErrorKind::NotADirectory => {
                WorkspaceError(format!("{} is not a directory; make it one", root.display()))
            }
            _ => fault("cannot look at", root, &error),
        })?;
        Names::new(root, place)
    }

    fn configured_root(&self) -> Result<&Path, WorkspaceError> {
        let root = self.settings.directories.restore.as_deref();
        root.ok_or_else(|| WorkspaceError("directory_restore is not set; set it".to_owned()))
    }

    /// The directory in which it was prepared, by an agent that may have been set up otherwise.
    fn root_of(&self, place: &RestorePlace, prepared: &PreparedRestore) -> Result<PathBuf, WorkspaceError> {
        let own = prepared.download.parent();
        let own = own.filter(|own| own.file_name().is_some_and(|name| name == place.id.as_str()));
        match own.and_then(Path::parent) {
            Some(root) => Ok(root.to_owned()),
            None => self.configured_root().map(Path::to_owned),
        }
    }

    fn replacing(&self) -> Replacing {
        if self.settings.allowed_to_delete_files {
            Replacing::Allowed
        } else {
            Replacing::Refused
        }
    }
}

impl Names {
    fn new(root: OpenDirectory, place: &RestorePlace) -> Result<Self, WorkspaceError> {
        let (id, filename) = (place.id.as_str(), place.filename.as_str());
        // Whoever made the place has checked this; but a mistake there would be written to disk here.
        if filename.is_empty() || filename.contains(['/', '\0']) || matches!(filename, "." | "..") {
            return Err(WorkspaceError(format!("{filename:?} is not a file name")));
        }
        Ok(Self {
            root,
            directory: id.to_owned(),
            file: filename.to_owned(),
            target: Path::new(id).join(filename),
        })
    }

    /// The link to the file; none if the job's own directory is in its place.
    pub(super) fn link(&self) -> Option<&str> {
        (self.file != self.directory).then_some(self.file.as_str())
    }

    /// The job's own directory, if it is there; an error if it is anything else, even a link to a
    /// directory.
    fn own(&self) -> Result<Option<OpenDirectory>, WorkspaceError> {
        match self.root.enter(&self.directory) {
            Ok(own) => Ok(Some(own)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(match look(&self.root, &self.directory)? {
                Some(found) if !found.is_dir() => WorkspaceError(format!(
                    "{}: {} is where the job's directory has to be; remove it",
                    self.root.at(&self.directory).display(),
                    kind(&found)
                )),
                Some(_) | None => fault("cannot open", &self.root.at(&self.directory), &error),
            }),
        }
    }

    /// Where the link is made before it gets its name. The download's name, which nobody else has,
    /// tells it, so that it is found again.
    pub(super) fn temporary_link(&self, prepared: &PreparedRestore) -> Option<String> {
        let name = prepared.download.file_name()?.to_str()?.strip_suffix(DOWNLOAD_ENDING)?;
        self.link().map(|_| format!("{name}.link"))
    }
}

/// The download's name in the job's own directory.
pub(super) fn name_of(prepared: &PreparedRestore) -> Result<&str, WorkspaceError> {
    let name = prepared.download.file_name().and_then(|name| name.to_str());
    name.ok_or_else(|| WorkspaceError(format!("{} is not the name of a download", prepared.download.display())))
}

fn make_directory(names: &Names) -> Result<(OpenDirectory, RestoreDirectory), WorkspaceError> {
    let access = Access::of(&names.root)?;
    let path = names.root.at(&names.directory);
    // Nobody else comes in before it is as it has to be.
    match names.root.create_directory(&names.directory) {
        Ok(()) => {
            let made = names.root.enter(&names.directory).and_then(|own| {
                let found = own.metadata()?;
                // Who may write to the directory above could have put one there that is not theirs. (On
                // some mounts nothing is ours, and on others everybody may write to all.)
                let is_ours = found.uid() == nix::unistd::geteuid().as_raw();
                if !is_ours && found.mode() & 0o022 != 0 {
                    return Err(io::Error::other("another directory has taken its place"));
                }
                access.give_to(&own.readable()?)?;
                Ok((own, RestoreDirectory::Made(identity(&found))))
            });
            made.map_err(|error| {
                let _ = names.root.remove_directory(&names.directory);
                fault("cannot set owner and permissions of", &path, &error)
            })
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match names.own()? {
            Some(own) => Ok((own, RestoreDirectory::WasThere)),
            None => Err(fault("cannot make", &path, &error)),
        },
        Err(error) => Err(fault("cannot make", &path, &error)),
    }
}

/// The file keeps what it is.
fn place_file(
    own: &OpenDirectory,
    names: &Names,
    prepared: &PreparedRestore,
    access: Access,
    replacing: Replacing,
) -> Result<(), WorkspaceError> {
    let download = name_of(prepared)?;
    let path = own.at(download);
    let cannot_open = |error: io::Error| fault("cannot open", &path, &error);
    let found = look(own, download)?.ok_or_else(|| cannot_open(io::ErrorKind::NotFound.into()))?;
    let is_ours = |found| Some(identity(found)) == prepared.file;
    let taken = || {
        WorkspaceError(format!(
            "{}: {} has taken the place of the download, and was left alone; see who writes to this directory",
            path.display(),
            kind(&found)
        ))
    };
    if !found.is_file() || !is_ours(&found) {
        return Err(taken());
    }
    let (file, opened) = own.read(download).map_err(cannot_open)?;
    if !is_ours(&opened) {
        return Err(taken());
    }
    let given = access.without_execution().give_to(&file);
    given.map_err(|error| fault("cannot set owner and permissions of", &path, &error))?;
    put(own, download, &names.file, replacing).map_err(|error| {
        // What came since the check has a better message than the system's.
        check_free(own, &names.file, replacing)
            .err()
            .unwrap_or_else(|| fault("cannot put the download at", &own.at(&names.file), &error))
    })?;
    sync(own);
    Ok(())
}

fn place_link(
    names: &Names,
    prepared: &PreparedRestore,
    access: Access,
    replacing: Replacing,
) -> Result<(), WorkspaceError> {
    let (Some(link), Some(temporary)) = (names.link(), names.temporary_link(prepared)) else {
        return Err(WorkspaceError(format!(
            "{}: the job's own directory is where the link would be",
            names.root.at(&names.directory).display()
        )));
    };
    check_free(&names.root, link, replacing)?;
    // Made aside, as a link cannot replace anything by itself.
    let made = names.root.create_link(&names.target, &temporary).and_then(|made| {
        access.give_to_link(&made)?;
        put(&names.root, &temporary, link, replacing)
    });
    made.map_err(|error| {
        remove_quietly(&names.root, &temporary);
        fault("cannot make the link", &names.root.at(link), &error)
    })?;
    sync(&names.root);
    Ok(())
}

/// Best effort: after a power cut the job is over, and its file is of no use.
fn sync(directory: &OpenDirectory) {
    if let Err(error) = directory.sync() {
        tracing::debug!(directory = %directory.path().display(), %error, "cannot sync a directory");
    }
}

/// Whether nothing has the name, or what leads to it is gone.
pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
