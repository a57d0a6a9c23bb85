//! Open directories, and what lies below them.
//!
//! Names come from requests and from scripts, and other users of the machine may work where they
//! lead. A path is looked up anew each time it is used, through whatever link has come into it since;
//! a directory that is open stays the one it was. So only the first directory, which the operator
//! has named, is opened by its path, links and all. From there on, every name is looked up by itself
//! in an open directory, and none that is a link is followed.
//!
//! This is no adapter, but what adapters reach files by. The calls are rustix's: it was there already,
//! and all that is wanted of it is to pass names on to the system one by one.

use std::{
    ffi::{CStr, OsStr, OsString},
    fs::{self, File, Metadata},
    io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

use domain::ports::LocalFile;
use rustix::fs::{AtFlags, Dir, Gid, Mode, OFlags, RenameFlags, Uid};

/// Says where a thing is, and does nothing with it: pipes and devices are not touched by it.
const HANDLE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Whatever has taken the name meanwhile: a link is not followed, a pipe not waited for, a terminal
/// not made ours.
const CAREFUL: OFlags = OFlags::NOFOLLOW
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// Whether the system keeps users from making hard links to files that they may not write to.
const PROTECTED_HARDLINKS: &str = "/proc/sys/fs/protected_hardlinks";

/// Device and inode.
pub(crate) fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// A directory that stays the same, whatever becomes of its name.
#[derive(Debug)]
pub(crate) struct OpenDirectory {
    handle: File,
    /// The name it had, for messages.
    path: PathBuf,
}

impl OpenDirectory {
    /// Opens a directory that the operator has named; links are followed.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self {
            handle: handle.into(),
            path: path.to_owned(),
        })
    }

    /// Opens the directory that a file lies in; gives its name there, too.
    pub(crate) fn of(file: &LocalFile) -> io::Result<(Self, &str)> {
        let (name, way) = file.names.split_last().ok_or(io::ErrorKind::InvalidInput)?;
        let mut directory = Self::open(&file.directory)?;
        for step in way {
            directory = directory.enter(step)?;
        }
        Ok((directory, name.as_str()))
    }

    /// Opens a directory in this one.
    pub(crate) fn enter(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let name = single(name.as_ref())?;
        match rustix::fs::openat(&self.handle, name, HANDLE | OFlags::DIRECTORY, Mode::empty()) {
            Ok(handle) => Ok(Self {
                handle: handle.into(),
                path: self.at(name),
            }),
            Err(error) => match self.look(name) {
                Ok(Some(found)) if found.is_symlink() => Err(io::Error::new(
                    io::ErrorKind::NotADirectory,
                    format!("{} is a symbolic link, which is not followed", self.at(name).display()),
                )),
                Ok(_) | Err(_) => Err(error.into()),
            },
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What something in it is called, for messages.
    pub(crate) fn at(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.path.join(name.as_ref())
    }

    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        self.handle.metadata()
    }

    /// What has the name, a link being a link; none if nothing has.
    pub(crate) fn look(&self, name: impl AsRef<OsStr>) -> io::Result<Option<Metadata>> {
        match self.handle_of(name.as_ref()) {
            Ok(handle) => handle.metadata().map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn handle_of(&self, name: &OsStr) -> io::Result<File> {
        Ok(rustix::fs::openat(&self.handle, single(name)?, HANDLE, Mode::empty())?.into())
    }

    /// Opens a regular file to read it.
    pub(crate) fn read(&self, name: impl AsRef<OsStr>) -> io::Result<(File, Metadata)> {
        self.open_file(name.as_ref(), OFlags::RDONLY)
    }

    /// Opens a regular file to write to it, and read it again.
    pub(crate) fn write(&self, name: impl AsRef<OsStr>) -> io::Result<(File, Metadata)> {
        self.open_file(name.as_ref(), OFlags::RDWR)
    }

    fn open_file(&self, name: &OsStr, access: OFlags) -> io::Result<(File, Metadata)> {
        let refuse_others = |found: &Metadata| match found.file_type() {
            kind if kind.is_file() => Ok(()),
            kind if kind.is_symlink() => Err(io::Error::other(
                "it is not a regular file but a symbolic link, which is not followed",
            )),
            _ => Err(io::Error::other("it is not a regular file")),
        };
        // There are devices that do something as soon as they are opened, so there is a look before.
        refuse_others(&self.handle_of(name)?.metadata()?)?;
        let opened = rustix::fs::openat(&self.handle, single(name)?, access | CAREFUL, Mode::empty())?;
        let file = File::from(opened);
        let found = file.metadata()?;
        refuse_others(&found)?;
        Ok((file, found))
    }

    /// Makes a file that was not there, and that is its owner's alone.
    pub(crate) fn create(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | CAREFUL;
        let made = rustix::fs::openat(&self.handle, single(name.as_ref())?, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(made.into())
    }

    /// Makes a directory that was not there, and that is its owner's alone.
    pub(crate) fn create_directory(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.handle, single(name.as_ref())?, Mode::RWXU)?)
    }

    /// Makes a link that says `target`, and gives its handle.
    pub(crate) fn create_link(&self, target: &Path, name: impl AsRef<OsStr>) -> io::Result<Link> {
        let name = single(name.as_ref())?;
        rustix::fs::symlinkat(target, &self.handle, name)?;
        Ok(Link(self.handle_of(name)?))
    }

    /// What a link says.
    pub(crate) fn read_link(&self, name: impl AsRef<OsStr>) -> io::Result<PathBuf> {
        let target = rustix::fs::readlinkat(&self.handle, single(name.as_ref())?, Vec::<u8>::new())?;
        Ok(OsString::from_vec(target.into_bytes()).into())
    }

    /// Gives a file one more name, which must be free.
    pub(crate) fn link(&self, name: impl AsRef<OsStr>, other: impl AsRef<OsStr>) -> io::Result<()> {
        let (name, other) = (single(name.as_ref())?, single(other.as_ref())?);
        Ok(rustix::fs::linkat(
            &self.handle,
            name,
            &self.handle,
            other,
            AtFlags::empty(),
        )?)
    }

    /// Gives something another name; what has that is replaced, but for a directory.
    pub(crate) fn rename(&self, name: impl AsRef<OsStr>, other: impl AsRef<OsStr>) -> io::Result<()> {
        let (name, other) = (single(name.as_ref())?, single(other.as_ref())?);
        Ok(rustix::fs::renameat(&self.handle, name, &self.handle, other)?)
    }

    /// Gives something another name, which must be free.
    pub(crate) fn rename_if_free(&self, name: impl AsRef<OsStr>, other: impl AsRef<OsStr>) -> io::Result<()> {
        let (name, other) = (single(name.as_ref())?, single(other.as_ref())?);
        let free = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&self.handle, name, &self.handle, other, free) {
            // Some file systems cannot tell; then something could still come after the look.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => match self.look(other)? {
                Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
                None => self.rename(name, other),
            },
            renamed => Ok(renamed?),
        }
    }

    /// Removes a name, which must not be that of a directory.
    pub(crate) fn remove(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(
            &self.handle,
            single(name.as_ref())?,
            AtFlags::empty(),
        )?)
    }

    /// Removes an empty directory.
    pub(crate) fn remove_directory(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(
            &self.handle,
            single(name.as_ref())?,
            AtFlags::REMOVEDIR,
        )?)
    }

    /// The names in it, at most so many of them.
    pub(crate) fn names(&self, at_most: usize) -> io::Result<Vec<OsString>> {
        let is_name = |name: &CStr| !matches!(name.to_bytes(), b"." | b"..");
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.readable()?)? {
            let entry = entry?;
            if names.len() == at_most {
                break;
            }
            if is_name(entry.file_name()) {
                names.push(OsStr::from_bytes(entry.file_name().to_bytes()).to_owned());
            }
        }
        Ok(names)
    }

    /// Writes its names to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.readable()?.sync_all()
    }

    /// The same directory, to be read, synced and given away.
    pub(crate) fn readable(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.handle, c".", flags, Mode::empty())?.into())
    }

    /// An error if somebody may have put the file here whose it is not, and who may not read it.
    ///
    /// A second name can be given to any file of the same disk. Where the system does not keep its
    /// users from that, one of them could have the agent, who may read all, hand out what is another's.
    pub(crate) fn refuse_strangers_link(&self, file: &Metadata) -> io::Result<()> {
        if file.nlink() < 2 || fs::read_to_string(PROTECTED_HARDLINKS).is_ok_and(|set| set.trim() != "0") {
            return Ok(());
        }
        let (file, directory) = (Owner::of(file), Owner::of(&self.metadata()?));
        if may_be_strangers(file, directory, rustix::process::geteuid().as_raw()) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "it has several names (hard links), and may be somebody else's; copy it, or set the sysctl \
                 fs.protected_hardlinks to 1",
            ));
        }
        Ok(())
    }
}

/// A symbolic link itself.
#[derive(Debug)]
pub(crate) struct Link(File);

impl Link {
    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        self.0.metadata()
    }

    /// Gives the link to others, and nothing else: had something taken its name before it was opened,
    /// it would be that, so what is no link is left alone.
    pub(crate) fn give_to(&self, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
        if !self.metadata()?.is_symlink() {
            return Err(io::Error::other("something else has taken the link's name"));
        }
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
        Ok(rustix::fs::chownat(&self.0, c"", uid, gid, flags)?)
    }
}

/// Whose something is, and whether others may change it.
#[derive(Debug, Clone, Copy)]
struct Owner {
    uid: u32,
    others_may_write: bool,
}

impl Owner {
    fn of(found: &Metadata) -> Self {
        Self {
            uid: found.uid(),
            others_may_write: found.mode() & 0o022 != 0,
        }
    }
}

/// Whether a file's second name may have been made by one who is neither its owner nor may do all.
fn may_be_strangers(file: Owner, directory: Owner, own_uid: u32) -> bool {
    let trusted = [0, own_uid, file.uid];
    directory.others_may_write || !trusted.contains(&directory.uid)
}

/// A name, and no way to anywhere else.
fn single(name: &OsStr) -> io::Result<&OsStr> {
    let bytes = name.as_bytes();
    if matches!(bytes, b"" | b"." | b"..") || bytes.iter().any(|byte| matches!(byte, b'/' | 0)) {
        let text = format!("{name:?} is not the name of a file");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(name)
}

#[cfg(test)]
pub(crate) mod swapper;
#[cfg(test)]
mod tests;
