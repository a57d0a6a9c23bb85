//! The file on this machine that a transfer reads or makes.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use bytes::Bytes;
use nix::fcntl::OFlag;
use tokio::task::spawn_blocking;

use super::{
    budget::{Budget, Buffer},
    failure::Failure,
};

/// So much of a download is collected before it is written.
const WRITE_BYTES: usize = 1024 * 1024;

/// Runs what blocks where it may.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// The file that is uploaded. It must stay as it was when it was found, or the object would be of no
/// single moment.
#[derive(Debug, Clone)]
pub(super) struct Source {
    file: Arc<File>,
    path: PathBuf,
    pub(super) size: u64,
    modified: SystemTime,
}

impl Source {
    pub(super) async fn open(path: &Path, size: u64) -> Result<Self, Failure> {
        let path = path.to_owned();
        blocking(move || {
            let open = || {
                // Whatever has taken the name meanwhile: a link is not followed, a pipe not waited for.
                let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
                let file = OpenOptions::new().read(true).custom_flags(flags).open(&path)?;
                let metadata = file.metadata()?;
                if !metadata.is_file() {
                    return Err(io::Error::other("it is not a regular file"));
                }
                Ok((file, metadata.len(), metadata.modified()?))
            };
            let opened = open().map_err(|error| Failure::local("opening", &path, &error));
            let (file, length, modified) = opened?;
            if length != size {
                return Err(Failure::changed_file(&path));
            }
            let file = Arc::new(file);
            Ok(Self {
                file,
                path,
                size,
                modified,
            })
        })
        .await
    }

    /// To be called when all is read, before the object is shown: a process that the backup script
    /// left behind may still be writing.
    pub(super) async fn refuse_if_changed(&self) -> Result<(), Failure> {
        let source = self.clone();
        blocking(move || {
            let look = || {
                let metadata = source.file.metadata()?;
                Ok(metadata.len() == source.size && metadata.modified()? == source.modified)
            };
            match look().map_err(|error| Failure::local("reading", &source.path, &error))? {
                true => Ok(()),
                false => Err(Failure::changed_file(&source.path)),
            }
        })
        .await
    }

    /// Reads a piece into memory of the budget.
    pub(super) async fn read(&self, offset: u64, length: usize, budget: &Arc<Budget>) -> Result<Bytes, Failure> {
        let mut buffer: Buffer = budget.lend(length).await;
        let source = self.clone();
        blocking(move || match source.file.read_exact_at(buffer.as_mut(), offset) {
            Ok(()) => Ok(Bytes::from_owner(buffer)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Failure::changed_file(&source.path)),
            Err(error) => Err(Failure::local("reading", &source.path, &error)),
        })
        .await
    }
}

/// The file that a download fills. It is another's, who also removes it if the download fails.
#[derive(Debug)]
pub(super) struct Target {
    file: Arc<File>,
    path: PathBuf,
    /// What has arrived and is not written yet.
    pending: Vec<u8>,
    written: u64,
}

impl Target {
    /// Opens the file, which must be there, and empties it.
    pub(super) async fn open(path: &Path) -> Result<Self, Failure> {
        let path = path.to_owned();
        blocking(move || {
            let open = || {
                // Whatever has taken the name meanwhile: a link is not followed, a pipe not waited for.
                let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
                let file = OpenOptions::new().write(true).custom_flags(flags).open(&path)?;
                if !file.metadata()?.is_file() {
                    return Err(io::Error::other("it is not a regular file"));
                }
                file.set_len(0)?;
                Ok(file)
            };
            let file = open().map_err(|error| Failure::local("opening", &path, &error))?;
            Ok(Self {
                file: Arc::new(file),
                path,
                pending: Vec::new(),
                written: 0,
            })
        })
        .await
    }

    /// How much has arrived.
    pub(super) fn length(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    /// Adds to the file, sooner or later.
    pub(super) async fn add(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.pending.extend_from_slice(piece);
        if self.pending.len() >= WRITE_BYTES {
            self.write().await?;
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), Failure> {
        let pending = std::mem::take(&mut self.pending);
        let (file, offset) = (Arc::clone(&self.file), self.written);
        let (mut pending, result) = blocking(move || {
            let result = file.write_all_at(&pending, offset);
            (pending, result)
        })
        .await;
        result.map_err(|error| Failure::local("writing", &self.path, &error))?;
        self.written += pending.len() as u64;
        pending.clear();
        self.pending = pending;
        Ok(())
    }

    /// Begins anew, with nothing.
    pub(super) fn restart(&mut self) {
        // What is written stays until it is written over: a file ends up at least as long as before,
        // and `finish` cuts it.
        self.pending.clear();
        self.written = 0;
    }

    /// Writes all to the disk.
    pub(super) async fn finish(mut self) -> Result<u64, Failure> {
        self.write().await?;
        let (file, length) = (Arc::clone(&self.file), self.written);
        let synced = blocking(move || {
            file.set_len(length)?;
            (&*file).flush()?;
            file.sync_all()
        })
        .await;
        synced.map_err(|error| Failure::local("writing", &self.path, &error))?;
        Ok(length)
    }
}
