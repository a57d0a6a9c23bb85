//! How files get onto the disk so that they are still there after a crash.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// What temporary names begin with; no record's name does.
pub(super) const TEMPORARY: &str = ".tmp-";

/// Makes the file `name` in `directory`, or replaces it: complete, or not at all.
pub(super) fn write_whole(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = directory.join(format!("{TEMPORARY}{name}"));
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&temporary, directory.join(name))?;
        sync_directory(directory)
    };
    write().inspect_err(|_| remove_quietly(&temporary))
}

/// Makes new, changed and removed names of a directory survive a crash.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Removes a file and says whether it was there.
pub(super) fn remove(directory: &Path, name: &str) -> io::Result<bool> {
    match fs::remove_file(directory.join(name)) {
        Ok(()) => sync_directory(directory).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes what is of no use any more; there is an error to report that matters more.
pub(super) fn remove_quietly(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(path = %path.display(), %error, "cannot remove a temporary file");
    }
}

/// What helps against an error of the disk, to be put behind its text.
pub(super) fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; give the agent's user access to it",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free space there, or set another state_directory"
        }
        io::ErrorKind::ReadOnlyFilesystem => "; mount the disk so that it can be written to",
        io::ErrorKind::NotADirectory => "; a file is where a directory should be: remove the file",
        _ => "; see to the disk",
    }
}
