//! How many settled jobs are kept, and for how long.

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use aho_corasick::AhoCorasick;
use domain::{
    job::{ArtifactReport, PastJob},
    plan::JobKind,
    ports::BackupQuery,
};

use super::{
    FileJobStoreSettings,
    record::{Form, decode, key_of},
    writing::{TEMPORARY, advice, remove_quietly},
};

/// So many of the oldest are remembered between two looks at the directory.
const REMEMBERED: usize = 256;
/// A look at the directory finds nothing new to drop by age for so long.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);
/// Files take whole blocks.
const BLOCK_BYTES: u64 = 4096;

/// What a file takes of the disk, in bytes.
pub(super) fn on_disk(length: u64) -> u64 {
    length.next_multiple_of(BLOCK_BYTES)
}

/// The settled jobs: counted, but not held.
#[derive(Debug)]
pub(super) struct Finished {
    directory: PathBuf,
    max_bytes: u64,
    max_count: usize,
    retention: Duration,
    count: usize,
    bytes: u64,
    /// The oldest, as far as they are remembered, oldest first.
    oldest: VecDeque<Aged>,
    looked_at: Option<SystemTime>,
}

#[derive(Debug)]
struct Aged {
    since: SystemTime,
    path: PathBuf,
    bytes: u64,
}

impl Finished {
    pub(super) fn new(settings: &FileJobStoreSettings) -> Self {
        Self {
            directory: settings.directory.join("finished"),
            max_bytes: settings.max_state_size,
            max_count: settings.max_finished_jobs,
            retention: settings.job_retention,
            count: 0,
            bytes: 0,
            oldest: VecDeque::new(),
            looked_at: None,
        }
    }

    pub(super) fn added(&mut self, length: u64) {
        self.count += 1;
        self.bytes += on_disk(length);
    }

    pub(super) fn removed(&mut self, path: &Path, length: u64) {
        // A new one of this name is not old.
        self.oldest.retain(|aged| aged.path != path);
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(on_disk(length));
    }

    /// Drops the oldest beyond what may be kept beside `open_bytes` of open jobs, and tells their file
    /// names. Says whether all is within its bounds then.
    pub(super) fn sweep(&mut self, open_bytes: u64, mut dropped: impl FnMut(&str)) -> bool {
        // What cannot be removed must not be looked for again and again.
        let mut may_look = true;
        loop {
            let is_too_much = self.count > self.max_count || self.bytes + open_bytes > self.max_bytes;
            let is_stale = self
                .looked_at
                .is_none_or(|at| at.elapsed().is_ok_and(|age| age > LOOK_AGAIN.min(self.retention)));
            if may_look && self.oldest.is_empty() && self.count > 0 && (is_too_much || is_stale) {
                self.look();
                may_look = false;
            }
            let is_too_old = |aged: &Aged| aged.since.elapsed().is_ok_and(|age| age > self.retention);
            match self.oldest.front() {
                Some(aged) if is_too_much || is_too_old(aged) => {
                    let path = aged.path.clone();
                    may_look |= self.drop_oldest();
                    // Only now: who reads it meanwhile may still find it.
                    dropped(&path.file_name().unwrap_or_default().to_string_lossy());
                }
                Some(_) | None => return !is_too_much,
            }
        }
    }

    /// Says whether it is gone.
    fn drop_oldest(&mut self) -> bool {
        let Some(aged) = self.oldest.pop_front() else {
            return false;
        };
        match fs::remove_file(&aged.path) {
            Ok(()) => {
                self.removed(&aged.path, aged.bytes);
                true
            }
            // Somebody has removed it meanwhile, and it was counted out.
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => {
                tracing::warn!(path = %aged.path.display(), %error, "an old record cannot be removed");
                false
            }
        }
    }

    /// Counts anew, and remembers the oldest.
    pub(super) fn look(&mut self) {
        self.looked_at = Some(SystemTime::now());
        match look(&self.directory) {
            Ok(mut all) => {
                self.count = all.len();
                self.bytes = all.iter().map(|aged| on_disk(aged.bytes)).sum();
                all.sort_by_key(|aged| aged.since);
                all.truncate(REMEMBERED);
                self.oldest = all.into();
            }
            Err(error) => {
                tracing::warn!(directory = %self.directory.display(), %error, "finished jobs cannot be counted");
            }
        }
    }
}

/// What was left half written goes; only where nobody writes.
fn look(directory: &Path) -> io::Result<Vec<Aged>> {
    list(directory, remove_quietly)
}

fn list(directory: &Path, half_written: impl Fn(&Path)) -> io::Result<Vec<Aged>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            half_written(&entry.path());
            continue;
        }
        // It may have been removed since.
        let Ok(metadata) = entry.metadata() else { continue };
        all.push(Aged {
            since: metadata.modified()?,
            path: entry.path(),
            bytes: metadata.len(),
        });
    }
    Ok(all)
}

/// What the newest backup has stored of which that is true. Records that cannot be read are passed
/// over: whoever asks for them by their own id is told.
pub(super) fn newest_backup(directory: &Path, wanted: &BackupQuery) -> Result<Option<ArtifactReport>, String> {
    let landmark = serde_json::to_string(wanted.landmark()).map_err(|error| error.to_string())?;
    let landmark = AhoCorasick::new([landmark.trim_matches('"')]).map_err(|error| error.to_string())?;
    for aged in newest(directory, wanted.most_records())? {
        let name = aged.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(key) = key_of(&name).filter(|key| key.kind == JobKind::Backup) else {
            continue;
        };
        let Ok(bytes) = fs::read(&aged.path) else { continue };
        if landmark.is_match(&bytes)
            && let Ok(record) = decode(&bytes, &key, Form::Finished)
            && let Some(artifact) = wanted.answer(&record.job)
        {
            return Ok(Some(artifact));
        }
    }
    Ok(None)
}

/// What is left to tell of the newest settled jobs; records that cannot be read are passed over.
pub(super) fn ended(directory: &Path, at_most: usize) -> Result<Vec<PastJob>, String> {
    let read = |aged: &Aged| {
        let name = aged.path.file_name()?.to_string_lossy();
        let key = key_of(&name)?;
        let record = decode(&fs::read(&aged.path).ok()?, &key, Form::Finished).ok()?;
        PastJob::of(&record.job)
    };
    Ok(newest(directory, at_most)?.iter().filter_map(read).collect())
}

/// The newest records.
fn newest(directory: &Path, at_most: usize) -> Result<Vec<Aged>, String> {
    let all = list(directory, |_| {});
    let mut all = all.map_err(|error| format!("cannot read {}: {error}{}", directory.display(), advice(&error)))?;
    all.sort_by_key(|aged| std::cmp::Reverse(aged.since));
    all.truncate(at_most);
    Ok(all)
}
