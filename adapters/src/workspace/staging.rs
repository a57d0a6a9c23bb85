//! What lies where a backup script may put its artifact.

use std::{fs::Metadata, io, os::unix::fs::MetadataExt, path::Path};

use domain::{
    artifact::{FileEntry, FileKind, Staging},
    job::JobId,
    ports::WorkspaceError,
};

use super::files::{fault, look as look_at};
use crate::beneath::{OpenDirectory, identity};

/// The most entries of a job's directory that are looked at. A script makes one or two; who makes
/// more than this points the agent at something else.
const MAX_ENTRIES: usize = 10_000;

/// The entry `name` of `directory`, and those of the job's own directory in it.
pub(super) fn look(directory: &Path, id: &JobId, name: &str) -> Result<Staging, WorkspaceError> {
    let directory = match OpenDirectory::open(directory) {
        Ok(directory) => directory,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Staging::default()),
        Err(error) => return Err(fault("cannot look at", directory, &error)),
    };
    let named = look_at(&directory, name)?.map(|found| entry(name.to_owned(), &found));
    let own_directory = match directory.enter(id.as_str()) {
        Ok(own) => Some(entries(&own)?),
        Err(error) => match look_at(&directory, id.as_str())? {
            Some(found) if found.is_symlink() => {
                let own = directory.at(id.as_str());
                let own = own.display();
                return Err(WorkspaceError(format!(
                    "{own} is a symbolic link, which is not followed; a script's artifact must be in a real directory"
                )));
            }
            Some(found) if found.is_dir() => return Err(fault("cannot open", &directory.at(id.as_str()), &error)),
            Some(_) | None => None,
        },
    };
    Ok(Staging { named, own_directory })
}

fn entries(own: &OpenDirectory) -> Result<Vec<FileEntry>, WorkspaceError> {
    let names = own.names(MAX_ENTRIES + 1);
    let names = names.map_err(|error| fault("cannot list", own.path(), &error))?;
    if names.len() > MAX_ENTRIES {
        let own = own.path().display();
        return Err(WorkspaceError(format!(
            "{own} has more than {MAX_ENTRIES} entries; a script's artifact must be one of a few files"
        )));
    }
    let mut entries = Vec::with_capacity(names.len());
    for name in names {
        let found = own.look(&name);
        let found = found.map_err(|error| fault("cannot look at", &own.at(&name), &error))?;
        // It may have gone away since it was listed.
        let Some(found) = found else { continue };
        entries.push(match name.into_string() {
            Ok(name) => entry(name, &found),
            // By the text that stands for such a name the file could never be opened.
            Err(name) => FileEntry {
                kind: FileKind::Other,
                ..entry(name.to_string_lossy().into_owned(), &found)
            },
        });
    }
    entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

fn entry(name: String, found: &Metadata) -> FileEntry {
    let kind = found.file_type();
    FileEntry {
        name,
        kind: if kind.is_file() {
            FileKind::Regular
        } else if kind.is_symlink() {
            FileKind::Link
        } else {
            FileKind::Other
        },
        size_bytes: found.size(),
        identity: identity(found),
        modified_ns: i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec()),
    }
}
