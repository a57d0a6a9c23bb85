//! The scenes of a rehearsal, in the order in which they are played.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use domain::{
    artifact::{FileEntry, Found, choose},
    plan::{JobKind, Phase},
    ports::{RestorePlace, ScriptRunner, Workspace},
};

use super::{
    leftover,
    locks::{around_the_lock, lock_is_free},
    played::Played,
    rule::Rule,
    stage::{Job, Stage, Stop},
};

/// How long an artifact is watched after its script has ended.
const WATCH: Duration = Duration::from_millis(500);

/// What a usual backup has shown.
#[derive(Debug, Default)]
struct Usual {
    /// A copy of the artifact, and its name.
    artifact: Option<(PathBuf, String)>,
    /// How long the backup script took.
    took: Duration,
    /// Whether a lock could be taken and released; otherwise little else can be seen.
    can_lock: bool,
}

/// Plays all scenes. `copies` is a directory for copies of artifacts.
///
/// # Errors
///
/// If it did not come to its end; locks may be held then.
pub(super) async fn play(stage: &mut Stage<'_>, copies: &Path, with_restore: bool) -> Result<(), Stop> {
    let usual = usual_backup(stage, copies).await?;
    around_the_lock(stage, JobKind::Backup, usual.can_lock).await?;
    if usual.can_lock {
        bare(stage).await?;
    }
    match &usual.artifact {
        Some(_) if usual.can_lock => killed_backup(stage, usual.took).await?,
        Some(_) | None => stage.book.not_checked(Rule::KilledBackup, "no backup could be made"),
    }
    if with_restore {
        let can_lock = restores(stage, usual.artifact.as_ref()).await?;
        around_the_lock(stage, JobKind::Restore, can_lock).await?;
    }
    processes(stage);
    Ok(())
}

async fn usual_backup(stage: &mut Stage<'_>, copies: &Path) -> Result<Usual, Stop> {
    stage.scene("A backup, if all goes well");
    let mut usual = Usual::default();
    let mut job = stage.job(JobKind::Backup, None)?;
    let before_all = entries(stage);
    let lock = stage.play(&mut job, Phase::PreBackupLock).await?;
    let is_locked = stage.must_succeed(Rule::Succeeds, &lock, "of a usual backup");
    if lock.says_lock_is_taken() {
        return Ok(usual);
    }
    if is_locked {
        let check = stage.play(&mut job, Phase::PreBackupCheck).await?;
        if stage.must_succeed(Rule::Succeeds, &check, "of a usual backup") {
            (usual.artifact, usual.took) = backup(stage, &mut job, copies).await?;
        }
    }
    let cleanup = stage.play(&mut job, Phase::BackupCleanup).await?;
    if stage.must_succeed(Rule::Succeeds, &cleanup, "of a usual backup") {
        nothing_is_left(stage, &before_all, Rule::Cleanup, "after a usual backup");
    }
    let unlock = stage.play(&mut job, Phase::PostBackupUnlock).await?;
    let is_unlocked = stage.must_succeed(Rule::Succeeds, &unlock, "of a usual backup");
    usual.can_lock = is_locked && is_unlocked;
    Ok(usual)
}

/// The backup script, and what it leaves.
async fn backup(
    stage: &mut Stage<'_>,
    job: &mut Job,
    copies: &Path,
) -> Result<(Option<(PathBuf, String)>, Duration), Stop> {
    let before = stage.staging(job).await?;
    let backup = stage.play(job, Phase::Backup).await?;
    let took = backup.elapsed;
    if !stage.must_succeed(Rule::Succeeds, &backup, "of a usual backup") {
        return Ok((None, took));
    }
    let Some(name) = job.name.clone() else {
        return Ok((None, took));
    };
    let id = job.request.id.as_str().to_owned();
    let look = |after: &_| choose(&name, &id, &before, after).map_err(|none| none.to_string());
    let found = match look(&stage.staging(job).await?) {
        Ok(found) if found.entry().size_bytes == 0 => {
            let what = format!("backup ended with exit code 0, but {:?} is empty", found.entry().name);
            stage.book.broken(Rule::Artifact, what);
            return Ok((None, took));
        }
        Ok(found) => found,
        Err(reason) => {
            stage.book.broken(
                Rule::Artifact,
                format!("backup ended with exit code 0, but left {reason}"),
            );
            return Ok((None, took));
        }
    };
    stage.book.kept(Rule::Artifact);
    // What still writes would be seen to write now.
    tokio::time::sleep(WATCH).await;
    let is_same = |later: &Found| content(later.entry()) == content(found.entry());
    if look(&stage.staging(job).await?).is_ok_and(|later| is_same(&later)) {
        stage.book.kept(Rule::WholeAtTheEnd);
    } else {
        let what = format!("backup has ended, but {:?} still changes", found.entry().name);
        stage.book.broken(Rule::WholeAtTheEnd, what);
        return Ok((None, took));
    }
    let from = place_of(stage, job, &found);
    let copy = copies.join("artifact");
    let copied = fs::copy(&from, &copy);
    copied.map_err(|error| Stop::Fault(format!("copy {} to {}: {error}", from.display(), copy.display())))?;
    Ok((Some((copy, found.entry().name.clone())), took))
}

fn content(entry: &FileEntry) -> ((u64, u64), u64, i128) {
    (entry.identity, entry.size_bytes, entry.modified_ns)
}

fn place_of(stage: &Stage<'_>, job: &Job, found: &Found) -> PathBuf {
    let root = stage.settings.directories.backup.clone().unwrap_or_default();
    match found {
        Found::Named(entry) => root.join(&entry.name),
        Found::InOwnDirectory(entry) => root.join(job.request.id.as_str()).join(&entry.name),
    }
}

/// What lies in `directory_backup`, hidden files too.
fn entries(stage: &Stage<'_>) -> Vec<PathBuf> {
    let root = stage.settings.directories.backup.clone().unwrap_or_default();
    let listed = fs::read_dir(root).map(|found| found.flatten().map(|entry| entry.path()).collect());
    listed.unwrap_or_default()
}

fn nothing_is_left(stage: &mut Stage<'_>, before: &[PathBuf], rule: Rule, when: &str) {
    let now = entries(stage);
    let left: Vec<String> = now
        .iter()
        .filter(|path| !before.contains(path))
        .map(|path| path.display().to_string())
        .collect();
    if left.is_empty() {
        stage.book.kept(rule);
    } else {
        stage
            .book
            .broken(rule, format!("backup-cleanup leaves {} {when}", left.join(", ")));
    }
}

async fn bare(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.scene("Without what a login session has (HOME, USER, TERM, LANG ...)");
    let mut job = stage.job(JobKind::Backup, None)?;
    let mut all: Vec<Played> = Vec::new();
    for phase in [
        Phase::PreBackupLock,
        Phase::PreBackupCheck,
        Phase::BackupCleanup,
        Phase::PostBackupUnlock,
    ] {
        all.push(stage.play_bare(&mut job, phase).await?);
    }
    let failed: Vec<&Played> = all.iter().filter(|played| !played.is_success()).collect();
    if failed.is_empty() {
        stage.book.kept(Rule::Environment);
    }
    for played in failed {
        let what = format!(
            "{}: an agent that systemd or monit starts has no more than that",
            played.how()
        );
        stage.book.hint(Rule::Environment, what);
    }
    Ok(())
}

async fn killed_backup(stage: &mut Stage<'_>, took: Duration) -> Result<(), Stop> {
    let mut was_cut = false;
    // A script that is faster this time is killed as early as can be.
    for after in [took / 2, Duration::ZERO] {
        stage.scene("The backup script is killed half way");
        let before = entries(stage);
        let mut job = stage.job(JobKind::Backup, None)?;
        let lock = stage.play(&mut job, Phase::PreBackupLock).await?;
        if !stage.must_succeed(Rule::UnlockReleases, &lock, "once more, after post-backup-unlock") {
            return Ok(());
        }
        let check = stage.play(&mut job, Phase::PreBackupCheck).await?;
        stage.must_succeed(Rule::Succeeds, &check, "of a usual backup");
        was_cut = stage.kill(&mut job, Phase::Backup, after).await?.was_cut();
        let cleanup = stage.play(&mut job, Phase::BackupCleanup).await?;
        if stage.must_succeed(Rule::KilledBackup, &cleanup, "after a backup that was killed") {
            nothing_is_left(stage, &before, Rule::KilledBackup, "after a backup that was killed");
        }
        let unlock = stage.play(&mut job, Phase::PostBackupUnlock).await?;
        stage.must_succeed(Rule::KilledBackup, &unlock, "after a backup that was killed");
        lock_is_free(
            stage,
            JobKind::Backup,
            Rule::KilledBackup,
            "after a backup that was killed",
        )
        .await?;
        if was_cut {
            break;
        }
    }
    if !was_cut {
        stage.book.not_checked(
            Rule::KilledBackup,
            "the backup script had ended before it could be killed",
        );
    }
    Ok(())
}

/// First half of the artifact, which must fail, then all of it; says whether a lock could be taken and released.
async fn restores(stage: &mut Stage<'_>, artifact: Option<&(PathBuf, String)>) -> Result<bool, Stop> {
    let Some((copy, filename)) = artifact else {
        for rule in [Rule::DamagedFile, Rule::Succeeds] {
            stage.book.not_checked(rule, "there is no artifact to restore");
        }
        return Ok(false);
    };
    let length = fs::metadata(copy).map_err(|error| Stop::Fault(format!("look at {}: {error}", copy.display())))?;
    let length = length.len();
    stage.scene("A restore whose file is cut in half");
    if length < 2 {
        stage
            .book
            .not_checked(Rule::DamagedFile, "the artifact is too short to be cut");
    } else if let Some(restore) = restore(stage, filename, copy, length / 2).await?.0 {
        if restore.is_success() {
            let what = "restore ended with exit code 0, though its file was only the first half of an artifact";
            stage.book.broken(Rule::DamagedFile, what.to_owned());
        } else {
            stage.book.kept(Rule::DamagedFile);
        }
    }
    stage.scene("A restore, if all goes well");
    let (restore, can_lock) = restore(stage, filename, copy, length).await?;
    if let Some(restore) = restore {
        stage.must_succeed(Rule::Succeeds, &restore, "of a usual restore");
    }
    Ok(can_lock)
}

/// A restore of the first `length` bytes of a file: how its script ended, and whether it could lock and unlock.
async fn restore(
    stage: &mut Stage<'_>,
    filename: &str,
    copy: &Path,
    length: u64,
) -> Result<(Option<Played>, bool), Stop> {
    let mut job = stage.job(JobKind::Restore, Some(filename))?;
    let lock = stage.play(&mut job, Phase::PreRestoreLock).await?;
    let is_locked = stage.must_succeed(Rule::Succeeds, &lock, "of a usual restore");
    if lock.says_lock_is_taken() {
        return Ok((None, false));
    }
    let mut restored = None;
    if is_locked {
        let place = RestorePlace {
            id: job.request.id.clone(),
            filename: filename.to_owned(),
        };
        let workspace = stage.workspace.clone();
        let planned = workspace.plan_restore(&place).await?;
        let prepared = workspace.prepare_restore(&place, &planned).await?;
        let download = &prepared.download;
        let written = copy_part(copy, length, download);
        written.map_err(|error| Stop::Fault(format!("write {}: {error}", download.display())))?;
        workspace.place_restore(&place, &prepared).await?;
        // If somebody has had enough the file stays, for the cleanup at the end to find what the agent's would.
        let played = stage.play(&mut job, Phase::Restore).await?;
        let cleaned = stage.play(&mut job, Phase::RestoreCleanup).await?;
        workspace.discard_restore(&place, &prepared).await?;
        stage.must_succeed(Rule::Succeeds, &cleaned, "of a restore");
        restored = Some(played);
    } else {
        let cleanup = stage.play(&mut job, Phase::RestoreCleanup).await?;
        stage.must_succeed(Rule::Succeeds, &cleanup, "of a restore");
    }
    let unlock = stage.play(&mut job, Phase::PostRestoreUnlock).await?;
    let is_unlocked = stage.must_succeed(Rule::Succeeds, &unlock, "of a restore");
    Ok((restored, is_locked && is_unlocked))
}

/// Writes the beginning of a file into one that is there already.
fn copy_part(from: &Path, length: u64, to: &Path) -> io::Result<u64> {
    let mut to = OpenOptions::new().write(true).truncate(true).open(to)?;
    io::copy(&mut File::open(from)?.take(length), &mut to)
}

/// What still runs although every lock was released.
fn processes(stage: &mut Stage<'_>) {
    let left = leftover::of(&stage.prefix);
    if left.is_empty() {
        stage.book.kept(Rule::Processes);
    } else {
        let what = format!("these still run at the end: {}", left.join(", "));
        stage.book.hint(Rule::Processes, what);
    }
}

/// Whether scripts are there for all phases of these kinds.
pub(super) async fn scripts_are_there(stage: &mut Stage<'_>, with_restore: bool) -> bool {
    let mut phases = JobKind::Backup.phases().to_vec();
    if with_restore {
        phases.extend(JobKind::Restore.phases());
    }
    match stage.runner.check(&phases).await {
        Ok(()) => {
            stage.book.kept(Rule::Complete);
            true
        }
        Err(error) => {
            stage.book.broken(Rule::Complete, error.to_string());
            false
        }
    }
}
