//! What the agent has put into `directory_restore` goes again.
//!
//! Nothing is removed that lies deeper, and nothing but by one name in an open directory: whatever
//! becomes of the way there meanwhile, nothing goes elsewhere.

use std::io;

use domain::ports::{PreparedRestore, RestoreDirectory, WorkspaceError};

use super::{
    files::{fault, look},
    restore::{Names, is_absence, name_of},
};
use crate::beneath::{OpenDirectory, identity};

/// Nobody else uses its name; where it is known which file it is, another is left alone all the same.
pub(super) fn discard_download(own: &OpenDirectory, prepared: &PreparedRestore) -> Result<(), WorkspaceError> {
    let name = name_of(prepared)?;
    match prepared.file {
        Some(file) => discard_file(own, name, file),
        None => remove(own, name),
    }
}

pub(super) fn discard_file(own: &OpenDirectory, name: &str, placed: (u64, u64)) -> Result<(), WorkspaceError> {
    match look(own, name)? {
        Some(found) if found.is_file() && identity(&found) == placed => remove(own, name),
        Some(_) | None => Ok(()),
    }
}

/// A link to a file that is not the agent's is not either.
pub(super) fn discard_links(
    names: &Names,
    own: Option<&OpenDirectory>,
    prepared: &PreparedRestore,
) -> Result<(), WorkspaceError> {
    let file = own.map(|own| look(own, &names.file)).transpose()?.flatten();
    let is_ours = file.is_none_or(|found| found.is_file() && Some(identity(&found)) == prepared.file);
    let link = names.link().filter(|_| is_ours).map(str::to_owned);
    let links = link.into_iter().chain(names.temporary_link(prepared));
    let points_there = |link: &String| names.root.read_link(link).is_ok_and(|target| target == names.target);
    links
        .filter(points_there)
        .try_for_each(|link| remove(&names.root, &link))
}

/// Only a directory that the agent made, or was about to make, and that nobody else uses.
pub(super) fn discard_directory(
    names: &Names,
    own: &OpenDirectory,
    made: RestoreDirectory,
) -> Result<(), WorkspaceError> {
    let path = own.path();
    let found = own.metadata();
    let found = found.map_err(|error| fault("cannot look at", path, &error))?;
    let is_ours = match made {
        RestoreDirectory::WasThere => false,
        RestoreDirectory::Planned => true,
        RestoreDirectory::Made(made) => identity(&found) == made,
    };
    if !is_ours {
        return Ok(());
    }
    match names.root.remove_directory(&names.directory) {
        Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty && !is_absence(&error) => {
            Err(fault("cannot remove", path, &error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn remove(directory: &OpenDirectory, name: &str) -> Result<(), WorkspaceError> {
    match directory.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(fault("cannot remove", &directory.at(name), &error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
