//! The file on this machine that a transfer reads or makes.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{Arc, mpsc},
    time::SystemTime,
};

use bytes::Bytes;
use domain::{artifact::Sha256, ports::LocalFile};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{
    budget::{Budget, Buffer},
    digest::Digest,
    failure::Failure,
    parts::Part,
};
use crate::beneath::{OpenDirectory, identity};

/// So much of a file is hashed at a time. Every download has a buffer of this length, which no budget
/// counts.
const HASH_BYTES: usize = 64 * 1024;

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
    named: Arc<LocalFile>,
    pub(super) size: u64,
    modified: SystemTime,
}

impl Source {
    /// Opens the file that was found, and no other that has taken its place since.
    pub(super) async fn open(named: &LocalFile, size: u64) -> Result<Self, Failure> {
        let named = Arc::new(named.clone());
        blocking(move || {
            let open = || {
                let (directory, name) = OpenDirectory::of(&named)?;
                let (file, found) = directory.read(name)?;
                directory.refuse_strangers_link(&found)?;
                Ok((file, found.modified()?, found))
            };
            let opened = open().map_err(|error| Failure::local("opening", &named.path(), &error));
            let (file, modified, found) = opened?;
            if found.len() != size || identity(&found) != named.identity {
                return Err(Failure::changed_file(&named.path()));
            }
            Ok(Self {
                file: Arc::new(file),
                named,
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
                let read = source.file.metadata()?;
                // Another file may have taken the name, which is then the one that counts.
                let named = match OpenDirectory::of(&source.named) {
                    Ok((directory, name)) => directory.look(name)?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                    Err(error) => return Err(error),
                };
                let is_same = named.is_some_and(|named| identity(&named) == source.named.identity);
                Ok(is_same && read.len() == source.size && read.modified()? == source.modified)
            };
            match look().map_err(|error| Failure::local("reading", &source.named.path(), &error))? {
                true => Ok(()),
                false => Err(Failure::changed_file(&source.named.path())),
            }
        })
        .await
    }

    /// Reads the next piece into memory of the budget, and adds it to the digest.
    pub(super) async fn read(&self, part: Part, budget: &Arc<Budget>, digest: &Digest) -> Result<Bytes, Failure> {
        let mut buffer: Buffer = budget.lend(part.length).await;
        let (source, digest) = (self.clone(), digest.clone());
        blocking(move || match source.file.read_exact_at(buffer.as_mut(), part.offset) {
            Ok(()) => {
                digest.update(buffer.as_ref());
                Ok(Bytes::from_owner(buffer))
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(Failure::changed_file(&source.named.path()))
            }
            Err(error) => Err(Failure::local("reading", &source.named.path(), &error)),
        })
        .await
    }
}

/// The file that a download fills. It is another's, who also removes it if the download fails.
#[derive(Debug, Clone)]
pub(super) struct Target {
    file: Arc<File>,
    path: PathBuf,
}

impl Target {
    /// Opens the file that was made for it, and empties it.
    pub(super) async fn open(named: &LocalFile) -> Result<Self, Failure> {
        let (named, path) = (named.clone(), named.path());
        blocking(move || {
            let open = || {
                let (directory, name) = OpenDirectory::of(&named)?;
                let (file, found) = directory.write(name)?;
                if identity(&found) != named.identity {
                    return Err(io::Error::other(
                        "another file has taken its place, and was left alone; see who writes to this directory",
                    ));
                }
                file.set_len(0)?;
                Ok(file)
            };
            let file = open().map_err(|error| Failure::local("opening", &path, &error))?;
            Ok(Self {
                file: Arc::new(file),
                path,
            })
        })
        .await
    }

    /// Writes the first bytes of a buffer, and gives it back.
    pub(super) async fn write(&self, offset: u64, buffer: Buffer, length: usize) -> Result<Buffer, Failure> {
        let file = Arc::clone(&self.file);
        let (buffer, result) = blocking(move || {
            let result = file.write_all_at(&buffer.as_ref()[..length], offset);
            (buffer, result)
        })
        .await;
        result.map_err(|error| Failure::local("writing", &self.path, &error))?;
        Ok(buffer)
    }

    /// Begins to hash what is written, from its beginning.
    pub(super) fn hash(&self) -> Hashing {
        let (written, ends) = mpsc::channel::<u64>();
        let file = Arc::clone(&self.file);
        let work = spawn_blocking(move || {
            let digest = Digest::default();
            let (mut buffer, mut at) = (vec![0; HASH_BYTES], 0);
            for end in ends {
                while at < end {
                    let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(HASH_BYTES);
                    file.read_exact_at(&mut buffer[..length], at)?;
                    digest.update(&buffer[..length]);
                    at += length as u64;
                }
            }
            Ok(digest.value())
        });
        Hashing {
            written,
            work,
            path: self.path.clone(),
        }
    }

    /// Cuts the file to its length, and writes all to the disk.
    pub(super) async fn finish(&self, length: u64) -> Result<(), Failure> {
        let file = Arc::clone(&self.file);
        let synced = blocking(move || {
            file.set_len(length)?;
            file.sync_all()
        })
        .await;
        synced.map_err(|error| Failure::local("writing", &self.path, &error))
    }
}

/// The digest of a file that is being written. It is read again for that, from the system's memory:
/// parts may come in any order, and none of them need be held. Dropped, it comes to nothing.
#[derive(Debug)]
pub(super) struct Hashing {
    written: mpsc::Sender<u64>,
    work: JoinHandle<io::Result<Sha256>>,
    path: PathBuf,
}

impl Hashing {
    /// All up to here is written.
    pub(super) fn up_to(&self, end: u64) {
        // If it broke off, `value` tells why.
        let _ = self.written.send(end);
    }

    /// The digest of all that was written.
    pub(super) async fn value(self) -> Result<Sha256, Failure> {
        let Self { written, work, path } = self;
        drop(written);
        match work.await {
            Ok(digest) => digest.map_err(|error| Failure::local("reading", &path, &error)),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
