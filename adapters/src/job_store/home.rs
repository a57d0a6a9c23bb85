//! The state directory: that it is there, is ours, and is used by nobody else.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::{
    FileJobStoreSettings,
    seal::SealKey,
    writing::{TEMPORARY, advice, remove, write_whole},
};

/// How long a lock that another holds is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Where things are in the state directory.
#[derive(Debug, Clone)]
pub(super) struct Places(PathBuf);

impl Places {
    pub(super) fn open(&self) -> PathBuf {
        self.0.join("open")
    }

    pub(super) fn finished(&self) -> PathBuf {
        self.0.join("finished")
    }

    pub(super) fn damaged(&self) -> PathBuf {
        self.0.join("damaged")
    }

    /// Writes something where records are written, and removes it again.
    pub(super) fn check(&self) -> Result<(), String> {
        let directory = self.open();
        let name = format!("{TEMPORARY}{}", Uuid::new_v4());
        let written = write_whole(&directory, &name, b"looked whether this can be written\n");
        let removed = written.and_then(|()| remove(&directory, &name));
        removed.map(drop).map_err(|error| {
            let advice = advice(&error);
            format!("jobs cannot be recorded in {}: {error}{advice}", self.0.display())
        })
    }
}

/// The state directory, for as long as this agent uses it.
#[derive(Debug)]
pub(super) struct Home {
    directory: PathBuf,
    key_file: PathBuf,
    key: SealKey,
    /// Held, and so locked, for as long as it is open.
    lock: File,
    /// Device and inode of `open/`, by which one that was made anew by somebody else is told.
    identity: (u64, u64),
}

impl Home {
    /// Makes what is missing, and locks the directory.
    pub(super) fn enter(settings: &FileJobStoreSettings) -> Result<Self, String> {
        let directory = settings.directory.clone();
        make_directories(&directory)?;
        let lock = lock(&directory)?;
        let key_file = settings.key_file.clone().unwrap_or_else(|| directory.join("key"));
        let key = match SealKey::read(&key_file)? {
            Some(key) => key,
            None => make_key(&directory, &key_file)?,
        };
        let identity = identity(&directory.join("open")).map_err(|error| unusable(&directory, &error))?;
        Ok(Self {
            directory,
            key_file,
            key,
            lock,
            identity,
        })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn places(&self) -> Places {
        Places(self.directory.clone())
    }

    pub(super) fn key(&self) -> &SealKey {
        &self.key
    }

    /// Whether the directory is the one that was entered.
    pub(super) fn is_there(&self) -> bool {
        identity(&self.places().open()).is_ok_and(|found| found == self.identity)
    }

    /// Makes the directory again, with the key that is in use.
    pub(super) fn enter_again(&mut self) -> Result<(), String> {
        make_directories(&self.directory)?;
        let own = self.lock.metadata().map(|found| (found.dev(), found.ino()));
        let there = identity(&self.directory.join("lock"));
        if !matches!((own, there), (Ok(own), Ok(there)) if own == there) {
            self.lock = lock(&self.directory)?;
        }
        match SealKey::read(&self.key_file)? {
            Some(key) if key.is_same(&self.key) => {}
            Some(_) => {
                return Err(format!(
                    "the key file {} is not the one in use",
                    self.key_file.display()
                ));
            }
            None => self.key.write(&self.key_file)?,
        }
        self.identity = identity(&self.places().open()).map_err(|error| unusable(&self.directory, &error))?;
        Ok(())
    }
}

/// Whether an agent could keep its records in a directory that is there. Nothing that lasts is changed.
///
/// # Errors
///
/// With what would keep it from starting, but for another agent that is at work there.
pub fn check_state_directory(settings: &FileJobStoreSettings) -> Result<(), String> {
    let directory = &settings.directory;
    refuse_strangers(directory)?;
    uid_of_what_we_make(directory).map_err(|error| unusable(directory, &error))?;
    let key_file = settings.key_file.clone().unwrap_or_else(|| directory.join("key"));
    let is_first_start = !directory.join("open").exists();
    match SealKey::read(&key_file)? {
        None if !is_first_start => refuse_new_key(directory, &key_file),
        Some(_) | None => Ok(()),
    }
}

fn make_directories(directory: &Path) -> Result<(), String> {
    let make = |path: PathBuf| {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|error| format!("cannot make {}: {error}{}", path.display(), advice(&error)))
    };
    make(directory.to_owned())?;
    refuse_strangers(directory)?;
    shut_out_others(directory)?;
    ["open", "finished", "damaged"]
        .into_iter()
        .try_for_each(|name| make(directory.join(name)))
}

/// All in the directory is believed, and found by its name. Another user whose it is, or whose link
/// leads there, could have the agent write elsewhere.
fn refuse_strangers(directory: &Path) -> Result<(), String> {
    let unusable = |error: io::Error| unusable(directory, &error);
    let (named, found) = (fs::symlink_metadata(directory), fs::metadata(directory));
    let (named, found) = (named.map_err(unusable)?, found.map_err(unusable)?);
    let own = nix::unistd::geteuid().as_raw();
    for uid in [named.uid(), found.uid()] {
        if uid != 0 && uid != own && uid != uid_of_what_we_make(directory).map_err(unusable)? {
            return Err(format!(
                "the state_directory {} belongs to another user (uid {uid}), who could lead the agent astray there; \
                 give it to the agent's user, or name another directory",
                directory.display()
            ));
        }
    }
    Ok(())
}

fn shut_out_others(directory: &Path) -> Result<(), String> {
    let unusable = |error: io::Error| unusable(directory, &error);
    let found = fs::metadata(directory).map_err(unusable)?;
    if found.uid() == nix::unistd::geteuid().as_raw() && found.mode() & 0o022 != 0 {
        tracing::warn!(directory = %directory.display(), "others could write to the state_directory; now they cannot");
        fs::set_permissions(directory, Permissions::from_mode(found.mode() & 0o755)).map_err(unusable)?;
    }
    Ok(())
}

/// On some mounts, what we make belongs to another.
fn uid_of_what_we_make(directory: &Path) -> io::Result<u32> {
    let path = directory.join(format!(".{}", Uuid::new_v4()));
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    fs::remove_file(path)?;
    Ok(made.metadata()?.uid())
}

/// A key is made only where nothing lies that another has encrypted.
fn make_key(directory: &Path, key_file: &Path) -> Result<SealKey, String> {
    refuse_new_key(directory, key_file)?;
    let key = SealKey::random()?;
    key.write(key_file)?;
    Ok(key)
}

fn refuse_new_key(directory: &Path, key_file: &Path) -> Result<(), String> {
    let mut open = fs::read_dir(directory.join("open")).map_err(|error| unusable(directory, &error))?;
    if open.next().is_some() {
        return Err(format!(
            "the key file {} is missing, but there are jobs in {} that were encrypted with it, and their unlock may \
             be owed; bring the file back (is its disk mounted?). If it is lost, run the unlock scripts by hand and \
             move these jobs away",
            key_file.display(),
            directory.join("open").display()
        ));
    }
    Ok(())
}

fn lock(directory: &Path) -> Result<File, String> {
    let path = directory.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(&path)
        .map_err(|error| unusable(directory, &error))?;
    match try_lock_for(&file, LOCK_PATIENCE) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            return Err(format!(
                "the state_directory {} is used by another agent (process {}); give each agent one of its own",
                directory.display(),
                holder.trim()
            ));
        }
        Err(TryLockError::Error(error)) => return Err(unusable(directory, &error)),
    }
    // For people, and for the message above; the lock holds without it.
    let told = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    if let Err(error) = told {
        tracing::debug!(%error, "the lock file does not name this process");
    }
    Ok(file)
}

/// A process that a killed agent had just forked may hold the lock for a moment longer.
fn try_lock_for(file: &File, patience: Duration) -> Result<(), TryLockError> {
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if start.elapsed() < patience => thread::sleep(LOCK_PAUSE),
            result => return result,
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

fn unusable(directory: &Path, error: &io::Error) -> String {
    let directory = directory.display();
    format!(
        "the state_directory {directory} cannot be used: {error}{}",
        advice(error)
    )
}
