//! What is done to single files.

use std::{
    fs::{self, File, Metadata, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
    path::Path,
};

use domain::ports::WorkspaceError;
use nix::{
    libc,
    unistd::{AccessFlags, access},
};

use crate::beneath::{Link, OpenDirectory};

/// Whether what is at a place may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replacing {
    /// Anything but a directory.
    Allowed,
    /// Nothing.
    Refused,
}

/// What has a name in a directory, a link being a link; none if nothing has.
pub(super) fn look(directory: &OpenDirectory, name: &str) -> Result<Option<Metadata>, WorkspaceError> {
    let found = directory.look(name);
    found.map_err(|error| fault("cannot look at", &directory.at(name), &error))
}

/// An error if something has the name that may not be replaced.
pub(super) fn check_free(directory: &OpenDirectory, name: &str, replacing: Replacing) -> Result<(), WorkspaceError> {
    let Some(found) = look(directory, name)? else {
        return Ok(());
    };
    let (what, path) = (kind(&found), directory.at(name));
    let path = path.display();
    if found.is_dir() {
        return Err(WorkspaceError(format!(
            "{path}: {what} is in the way, which is never replaced; remove it"
        )));
    }
    match replacing {
        Replacing::Allowed => Ok(()),
        Replacing::Refused => Err(WorkspaceError(format!(
            "{path}: {what} is in the way; remove it, or set allowed_to_delete_files=true to have it replaced"
        ))),
    }
}

/// An error if no file could be made in a directory that the operator has named. Asks the system, and
/// makes none: scripts work there.
pub(super) fn check_writable(path: &Path) -> Result<(), WorkspaceError> {
    let check = || match fs::metadata(path)?.is_dir() {
        true => access(path, AccessFlags::W_OK | AccessFlags::X_OK).map_err(io::Error::from),
        false => Err(io::ErrorKind::NotADirectory.into()),
    };
    check().map_err(|error| fault("cannot make files in", path, &error))
}

/// What something is, for a person.
pub(super) fn kind(found: &Metadata) -> &'static str {
    let kind = found.file_type();
    if kind.is_file() {
        "a file"
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else {
        "a special file"
    }
}

/// Gives `temporary` its final name; what is replaced is there until the new file is.
pub(super) fn put(directory: &OpenDirectory, temporary: &str, name: &str, replacing: Replacing) -> io::Result<()> {
    match replacing {
        // Over a directory the system itself refuses that.
        Replacing::Allowed => directory.rename(temporary, name),
        Replacing::Refused => match directory.link(temporary, name) {
            Ok(()) => directory
                .remove(temporary)
                .inspect_err(|_| remove_quietly(directory, name)),
            Err(error) if has_no_hard_links(&error) => directory.rename_if_free(temporary, name),
            Err(error) => Err(error),
        },
    }
}

/// A second name is how a file comes to a place without replacing anything; some file systems know
/// no second names, and the system may refuse one for a file that was given away.
fn has_no_hard_links(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EPERM | libc::EOPNOTSUPP | libc::ENOSYS | libc::EMLINK)
    )
}

/// Removes what is of no use any more; there is an error to report that matters more.
pub(super) fn remove_quietly(directory: &OpenDirectory, name: &str) {
    if let Err(error) = directory.remove(name)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(path = %directory.at(name).display(), %error, "cannot remove a temporary file");
    }
}

/// Owner, group and permission bits, to be handed on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Access {
    uid: u32,
    gid: u32,
    mode: u32,
}

impl Access {
    /// Those of a directory.
    pub(super) fn of(directory: &OpenDirectory) -> Result<Self, WorkspaceError> {
        let found = directory.metadata();
        let found = found.map_err(|error| fault("cannot look at", directory.path(), &error))?;
        Ok(Self {
            uid: found.uid(),
            gid: found.gid(),
            mode: found.mode() & 0o7777,
        })
    }

    /// For a file in the directory: who may list it may read it, but nobody executes it.
    pub(super) fn without_execution(self) -> Self {
        Self {
            mode: self.mode & 0o666,
            ..self
        }
    }

    /// Gives them to an open file or directory. The mode comes last: a new owner may cost bits.
    pub(super) fn give_to(self, file: &File) -> io::Result<()> {
        let found = file.metadata()?;
        self.give_away(&found, |uid, gid| fchown(file, uid, gid))?;
        file.set_permissions(Permissions::from_mode(self.mode))
    }

    /// Gives owner and group to a link itself; it has no permissions.
    pub(super) fn give_to_link(self, link: &Link) -> io::Result<()> {
        let found = link.metadata()?;
        self.give_away(&found, |uid, gid| link.give_to(uid, gid))
    }

    /// Only root gives files away; another agent shares at least the group, if it is in it, and
    /// else goes on with its own: the mode may be enough.
    fn give_away(self, found: &Metadata, chown: impl Fn(Option<u32>, Option<u32>) -> io::Result<()>) -> io::Result<()> {
        let uid = (found.uid() != self.uid).then_some(self.uid);
        let gid = (found.gid() != self.gid).then_some(self.gid);
        let attempt = |uid: Option<u32>, gid: Option<u32>| match (uid, gid) {
            (None, None) => Ok(true),
            _ => match chown(uid, gid) {
                Ok(()) => Ok(true),
                Err(error) if error.raw_os_error() == Some(libc::EPERM) => Ok(false),
                Err(error) => Err(error),
            },
        };
        if !attempt(uid, gid)? {
            attempt(None, gid)?;
        }
        Ok(())
    }
}

/// A whole message: what was being done, to what, why it did not work, and what helps.
pub(super) fn fault(doing: &str, path: &Path, error: &io::Error) -> WorkspaceError {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => "; give the agent's user access to it",
        io::ErrorKind::NotFound => "; make it, or what leads to it",
        io::ErrorKind::NotADirectory => "; a file is where a directory should be: remove the file",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room on the disk",
        io::ErrorKind::ReadOnlyFilesystem => "; mount the disk so that it can be written to",
        _ => "",
    };
    WorkspaceError(format!("{doing} {}: {error}{advice}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_give_files_away_shares_the_group_or_nothing() {
        let root = tempfile::tempdir().unwrap();
        let found = std::fs::metadata(root.path()).unwrap();
        let access = Access {
            uid: found.uid() + 1,
            gid: found.gid() + 1,
            mode: 0o700,
        };
        let (uid, gid) = (Some(access.uid), Some(access.gid));
        let denied = || Err(io::Error::from_raw_os_error(libc::EPERM));
        for (group_is_denied, expected) in [(false, Ok(())), (true, Ok(()))] {
            let calls = std::cell::RefCell::new(Vec::new());
            let result = access.give_away(&found, |uid, gid| {
                calls.borrow_mut().push((uid, gid));
                if uid.is_some() || group_is_denied {
                    denied()
                } else {
                    Ok(())
                }
            });
            assert_eq!(result.map_err(|error| error.to_string()), expected);
            assert_eq!(calls.into_inner(), [(uid, gid), (None, gid)]);
        }
        let broken = access.give_away(&found, |_, _| Err(io::ErrorKind::ReadOnlyFilesystem.into()));
        assert_eq!(broken.unwrap_err().kind(), io::ErrorKind::ReadOnlyFilesystem);
        let same = Access {
            uid: found.uid(),
            gid: found.gid(),
            mode: 0o700,
        };
        same.give_away(&found, |_, _| panic!("nothing differs")).unwrap();
    }
}
