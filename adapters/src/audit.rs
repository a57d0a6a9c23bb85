//! Who asked for what: one line for each, in the agent's log under the target `audit`, and, if the
//! operator wants it, as JSON in a file of its own.
//!
//! ```text
//!   record ─→ flood (refused logins alone) ─→ line ─┬→ the log
//!                                                   └→ a bounded queue ─→ a thread ─→ the file
//! ```

mod file;
mod flood;
mod line;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::ports::{AuditAction, AuditEntry, AuditLog};
use file::AuditFile;
use flood::Flood;
use line::Line;

/// The target of audit lines in the log.
pub const TARGET: &str = "audit";

/// Keeps audit lines.
#[derive(Debug)]
pub struct AuditTrail {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: Option<AuditFile>,
    flood: Mutex<Flood>,
}

impl AuditTrail {
    /// A trail in the log, and in a file if one is named. A file that cannot be opened is told in
    /// the log, and tried again with every line.
    #[must_use]
    pub fn new(file: Option<PathBuf>) -> Self {
        let inner = Inner {
            file: file.map(AuditFile::start),
            flood: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Writes what is still on its way, but waits no longer than this.
    pub fn flush(&self, patience: Duration) {
        self.inner.write_counted();
        if let Some(file) = &self.inner.file {
            file.flush(patience);
        }
    }
}

impl AuditLog for AuditTrail {
    fn record(&self, entry: AuditEntry) {
        match entry.action {
            AuditAction::Login => self.refused_login(entry),
            AuditAction::Trigger
            | AuditAction::Check
            | AuditAction::Cancel
            | AuditAction::Delete
            | AuditAction::Unlock
            | AuditAction::GiveUp => self.inner.write(&Line::of(&entry)),
        }
    }

    fn problem(&self) -> Option<String> {
        self.inner.file.as_ref()?.problem()
    }
}

impl AuditTrail {
    /// Strangers decide how many of these there are, so their lines are bounded.
    fn refused_login(&self, entry: AuditEntry) {
        let (line, begins) = self.inner.flood().refused(entry);
        if let Some(line) = line {
            self.inner.write(&line);
        }
        if begins {
            let inner = Arc::clone(&self.inner);
            tokio::spawn(async move {
                let mut pause = Some(flood::SHORTEST_PAUSE);
                while let Some(time) = pause {
                    tokio::time::sleep(time).await;
                    pause = inner.write_counted();
                }
            });
        }
    }
}

impl Inner {
    fn flood(&self) -> MutexGuard<'_, Flood> {
        self.flood.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what was only counted so far; says how long to count now, if refusals go on.
    fn write_counted(&self) -> Option<Duration> {
        let (lines, pause) = self.flood().counted();
        for line in &lines {
            self.write(line);
        }
        pause
    }

    fn write(&self, line: &Line) {
        line.log();
        if let Some(file) = &self.file {
            file.append(line.to_json());
        }
    }
}

#[cfg(test)]
mod tests;
