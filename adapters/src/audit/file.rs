//! The file: appended to by a thread of its own, so that no request waits for a disk.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use nix::fcntl::OFlag;

/// So many lines may wait for a disk that hangs.
const QUEUE: usize = 1024;

/// A file that lines are appended to.
#[derive(Debug)]
pub(super) struct AuditFile {
    orders: SyncSender<Order>,
    shared: Arc<Shared>,
}

/// What both sides of the queue know.
#[derive(Debug, Default)]
struct Shared {
    problem: Mutex<Option<String>>,
    /// Lines that are in the log alone.
    lost: AtomicU64,
}

enum Order {
    Append(Vec<u8>),
    /// Tells when all lines before it are written.
    Flush(SyncSender<()>),
}

impl AuditFile {
    pub(super) fn start(path: PathBuf) -> Self {
        let (orders, received) = sync_channel(QUEUE);
        let shared = Arc::<Shared>::default();
        let mut appender = Appender {
            path,
            file: None,
            is_torn: false,
            shared: Arc::clone(&shared),
        };
        let started = thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || appender.work(&received));
        if let Err(error) = started {
            shared.trouble(format!(
                "audit_log_file cannot be written: no thread could be started: {error}"
            ));
        }
        Self { orders, shared }
    }

    pub(super) fn append(&self, line: Vec<u8>) {
        match self.orders.try_send(Order::Append(line)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.shared.lost.fetch_add(1, Ordering::Relaxed);
                self.shared
                    .trouble("audit_log_file does not keep up: its disk hangs; lines are in the log alone".to_owned());
            }
        }
    }

    pub(super) fn flush(&self, patience: Duration) {
        let (done, is_done) = sync_channel(1);
        if self.orders.try_send(Order::Flush(done)).is_ok() {
            // A disk that hangs must not hold the exit.
            let _ = is_done.recv_timeout(patience);
        }
    }

    pub(super) fn problem(&self) -> Option<String> {
        self.shared.problem().clone()
    }
}

impl Shared {
    fn problem(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what is wrong, and says so once.
    fn trouble(&self, problem: String) {
        let mut known = self.problem();
        if known.as_ref() != Some(&problem) {
            tracing::error!("{problem}");
            *known = Some(problem);
        }
    }

    fn well_again(&self) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let had_problem = self.problem().take().is_some();
        if had_problem || lost > 0 {
            tracing::warn!(
                lost,
                "audit_log_file can be written again; lines that it lacks are in the log"
            );
        }
    }
}

struct Appender {
    path: PathBuf,
    file: Option<File>,
    /// Whether the file ends within a line.
    is_torn: bool,
    shared: Arc<Shared>,
}

impl Appender {
    fn work(&mut self, orders: &Receiver<Order>) {
        // So that a wrong path is told at start, and not by the first who asks for something.
        let opened = self.open_if_moved();
        self.told(opened);
        for order in orders {
            match order {
                Order::Append(line) => {
                    let appended = self.append(&line);
                    if appended.is_err() {
                        self.shared.lost.fetch_add(1, Ordering::Relaxed);
                    }
                    self.told(appended);
                }
                Order::Flush(done) => drop(done.send(())),
            }
        }
    }

    fn told(&mut self, result: io::Result<()>) {
        match result {
            Ok(()) => self.shared.well_again(),
            Err(error) => {
                self.file = None;
                self.shared.trouble(format!(
                    "audit_log_file {} cannot be written: {error}; until it can, audit lines are in the log alone",
                    self.path.display()
                ));
            }
        }
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        self.open_if_moved()?;
        let Some(file) = &mut self.file else {
            return Err(io::Error::other("it is not open"));
        };
        // What a full disk, or a crash, has cut off stays a line of its own.
        let whole = if self.is_torn {
            [b"\n", line].concat()
        } else {
            line.to_owned()
        };
        self.is_torn = true;
        file.write_all(&whole)?;
        self.is_torn = false;
        Ok(())
    }

    /// Opens the file, unless it is open and still at its path: logrotate moves it away.
    fn open_if_moved(&mut self) -> io::Result<()> {
        if let Some(file) = &self.file
            && is_at(file, &self.path)?
        {
            return Ok(());
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .mode(0o600)
            // A pipe in its place would be waited for.
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(&self.path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let mut last = [b'\n'];
        if metadata.len() > 0 {
            file.read_exact_at(&mut last, metadata.len() - 1)?;
        }
        self.is_torn = last != [b'\n'];
        self.file = Some(file);
        Ok(())
    }
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
