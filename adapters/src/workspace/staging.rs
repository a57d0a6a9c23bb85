//! What lies where a backup script may put its artifact.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

use domain::{
    artifact::{FileEntry, FileKind, Staging},
    job::JobId,
    ports::WorkspaceError,
};

use super::files::{fault, identity, look as look_at};

/// The most entries of a job's directory that are looked at. A script makes one or two; who makes
/// more than this points the agent at something else.
const MAX_ENTRIES: usize = 10_000;

/// The entry `name` of `directory`, and those of the job's own directory in it.
pub(super) fn look(directory: &Path, id: &JobId, name: &str) -> Result<Staging, WorkspaceError> {
    let named = look_at(&directory.join(name))?.map(|found| entry(name.to_owned(), &found));
    let own = directory.join(id.as_str());
    let own_directory = match look_at(&own)? {
        Some(found) if found.is_dir() => Some(entries(&own)?),
        Some(found) if found.is_symlink() => {
            let own = own.display();
            return Err(WorkspaceError(format!(
                "{own} is a symbolic link, which is not followed; a script's artifact must be in a real directory"
            )));
        }
        Some(_) | None => None,
    };
    Ok(Staging { named, own_directory })
}

fn entries(directory: &Path) -> Result<Vec<FileEntry>, WorkspaceError> {
    let cannot_list = |error: io::Error| fault("cannot list", directory, &error);
    let mut entries = Vec::new();
    let list = match fs::read_dir(directory) {
        Ok(list) => list,
        // It went away since it was seen.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(entries),
        Err(error) => return Err(cannot_list(error)),
    };
    for item in list {
        let item = item.map_err(cannot_list)?;
        if entries.len() == MAX_ENTRIES {
            let directory = directory.display();
            return Err(WorkspaceError(format!(
                "{directory} has more than {MAX_ENTRIES} entries; a script's artifact must be one of a few files"
            )));
        }
        // The entry itself: this does not follow links.
        let found = match item.metadata() {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(fault("cannot look at", &item.path(), &error)),
        };
        entries.push(match item.file_name().into_string() {
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
