//! The file on this machine that a transfer reads or makes.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use bytes::Bytes;
use domain::{artifact::Sha256, ports::LocalFile};
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinHandle, spawn_blocking},
};

use super::{
    budget::{Budget, Buffer},
    digest::Digest,
    failure::Failure,
    movement::Stall,
    parts::Part,
};
use crate::beneath::{OpenDirectory, identity};

/// So much is hashed and then written at a time: it is still in the processor's cache.
const STEP_BYTES: usize = 256 * 1024;

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

    /// Begins to write the file, from its beginning.
    pub(super) fn write(&self, stall: &Stall) -> Writing {
        let file = Arc::clone(&self.file);
        Writing::begin(&self.path, stall, move |bytes, at| file.write_all_at(bytes, at))
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

/// A file that is being written, from its beginning to its end, and hashed on the way: what was hashed
/// is what was written, and need not be read again.
#[derive(Debug)]
pub(super) struct Writing {
    orders: mpsc::Sender<Order>,
    /// Buffers that were taken and are not written yet.
    pending: Arc<AtomicUsize>,
    work: JoinHandle<io::Result<Sha256>>,
    path: PathBuf,
}

#[derive(Debug)]
enum Order {
    /// The first bytes of the buffer come after all that came before.
    Append {
        buffer: Buffer,
        length: usize,
        back: oneshot::Sender<Buffer>,
    },
    /// What comes next is the file's beginning.
    BeginAgain,
}

impl Writing {
    /// What the disk takes counts as movement: a slow one is waited for, a dead one is not.
    fn begin<W>(path: &Path, stall: &Stall, write_at: W) -> Self
    where
        W: Fn(&[u8], u64) -> io::Result<()> + Send + 'static,
    {
        // One waits while another is written; more would only hold memory.
        let (orders, mut queue) = mpsc::channel(1);
        let movement = stall.movement();
        let pending = Arc::new(AtomicUsize::new(0));
        let written = Arc::clone(&pending);
        let work = spawn_blocking(move || {
            let (mut digest, mut at) = (Digest::default(), 0);
            while let Some(order) = queue.blocking_recv() {
                match order {
                    Order::Append { buffer, length, back } => {
                        for step in buffer.as_ref()[..length].chunks(STEP_BYTES) {
                            digest.update(step);
                            write_at(step, at)?;
                            at += step.len() as u64;
                            movement.seen();
                        }
                        // Who does not want it back leaves it to the budget.
                        let _ = back.send(buffer);
                        written.fetch_sub(1, Ordering::Relaxed);
                    }
                    Order::BeginAgain => (digest, at) = (Digest::default(), 0),
                }
            }
            Ok(digest.value())
        });
        Self {
            orders,
            pending,
            work,
            path: path.to_owned(),
        }
    }

    /// Appends the first bytes of a buffer, and returns as soon as they wait for their turn. The buffer
    /// comes back when they are written.
    ///
    /// # Errors
    ///
    /// Once something could not be written nothing more is taken; the cause is what
    /// [`finish`](Self::finish) fails with. The same holds for all others.
    pub(super) async fn append(&self, buffer: Buffer, length: usize) -> Result<oneshot::Receiver<Buffer>, Failure> {
        let (back, written) = oneshot::channel();
        self.pending.fetch_add(1, Ordering::Relaxed);
        self.order(Order::Append { buffer, length, back }).await?;
        Ok(written)
    }

    /// Appends the first bytes of a buffer, and gives it back when they are written.
    pub(super) async fn write(&self, buffer: Buffer, length: usize) -> Result<Buffer, Failure> {
        let written = self.append(buffer, length).await?;
        written.await.map_err(|_| self.has_failed())
    }

    /// Whether there is nothing that the disk should take now.
    pub(super) fn is_idle(&self) -> bool {
        self.pending.load(Ordering::Relaxed) == 0 || self.work.is_finished()
    }

    /// Writes the file anew.
    pub(super) async fn begin_again(&self) -> Result<(), Failure> {
        self.order(Order::BeginAgain).await
    }

    /// The digest of all bytes, when they are written.
    pub(super) async fn finish(self) -> Result<Sha256, Failure> {
        let Self { orders, work, path, .. } = self;
        drop(orders);
        match work.await {
            Ok(digest) => digest.map_err(|error| Failure::local("writing", &path, &error)),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    async fn order(&self, order: Order) -> Result<(), Failure> {
        self.orders.send(order).await.map_err(|_| self.has_failed())
    }

    fn has_failed(&self) -> Failure {
        Failure::local("writing", &self.path, &io::Error::other("it has failed"))
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc::channel, thread, time::Duration};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);
    const LENGTH: usize = 8 * STEP_BYTES;

    async fn append(writing: &Writing) -> Result<(), Failure> {
        let budget = Arc::new(Budget::new(u64::MAX));
        writing.append(budget.lend(LENGTH).await, LENGTH).await.map(|_| ())
    }

    async fn write_all(writing: Writing) -> Result<Sha256, Failure> {
        for _ in 0..3 {
            append(&writing).await?;
        }
        writing.finish().await
    }

    #[tokio::test]
    async fn a_slow_disk_is_waited_for() {
        let stall = Stall::new(LIMIT, &Arc::default());
        let writing = Writing::begin(Path::new("slow"), &stall, |_, _| {
            thread::sleep(LIMIT / 16);
            Ok(())
        });
        stall.watch(write_all(writing)).await.unwrap();
    }

    #[tokio::test]
    async fn a_file_is_idle_when_all_is_written_or_nothing_more_will_be() {
        let stall = Stall::new(LIMIT, &Arc::default());
        for works in [true, false] {
            let (alive, waits) = channel::<()>();
            let writing = Writing::begin(Path::new("a"), &stall, move |_, _| match waits.recv() {
                _ if works => Ok(()),
                _ => Err(io::Error::other("broken")),
            });
            assert!(writing.is_idle());
            append(&writing).await.unwrap();
            append(&writing).await.unwrap();
            assert!(!writing.is_idle());
            drop(alive);
            while !writing.is_idle() {
                tokio::task::yield_now().await;
            }
            assert_eq!(writing.finish().await.is_ok(), works);
        }
    }

    #[tokio::test]
    async fn a_disk_that_hangs_is_given_up() {
        let stall = Stall::new(LIMIT, &Arc::default());
        let (alive, hangs) = channel::<()>();
        let writing = Writing::begin(Path::new("hanging"), &stall, move |_, _| {
            let _ = hangs.recv();
            Ok(())
        });
        let text = stall.watch(write_all(writing)).await.unwrap_err().to_string();
        drop(alive);
        assert!(text.contains("no byte was moved") && text.contains("disk"), "{text}");
    }
}
