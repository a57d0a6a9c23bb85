//! The scenes of a rehearsal, in the order in which they are played.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use domain::{
    artifact::{FileEntry, Found, Staging, choose},
    plan::{JobKind, Phase},
    ports::ScriptRunner,
};

use super::{
    leftover,
    locks::{around_the_lock, lock_is_free},
    played::Played,
    restores::restores,
    rule::{Rule, Verdict},
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
        bare_backup(stage).await?;
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
    let found = match artifact_of(stage, job, &before).await? {
        Ok(found) => found,
        Err(reason) => {
            stage.book.broken(Rule::Artifact, reason);
            return Ok((None, took));
        }
    };
    stage.book.kept(Rule::Artifact);
    // What still writes would be seen to write now.
    tokio::time::sleep(WATCH).await;
    let later = artifact_of(stage, job, &before).await?;
    if later.is_ok_and(|later| content(later.entry()) == content(found.entry())) {
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

/// What a backup script has left that is not empty, or why there is none.
async fn artifact_of(stage: &Stage<'_>, job: &Job, before: &Staging) -> Result<Result<Found, String>, Stop> {
    let after = stage.staging(job).await?;
    let name = job.name.as_ref().expect("a backup's artifact has a name");
    Ok(match choose(name, job.request.id.as_str(), before, &after) {
        Ok(found) if found.entry().size_bytes == 0 => Err(format!(
            "backup ended with exit code 0, but {:?} is empty",
            found.entry().name
        )),
        Ok(found) => Ok(found),
        Err(none) => Err(format!("backup ended with exit code 0, but left {none}")),
    })
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

async fn bare_backup(stage: &mut Stage<'_>) -> Result<(), Stop> {
    stage.bare_scene("A backup without what a login session has (HOME, USER, TERM, LANG ...)");
    let mut job = stage.job(JobKind::Backup, None)?;
    let before_all = entries(stage);
    let mut all = vec![stage.play(&mut job, Phase::PreBackupLock).await?];
    let mut missing = None;
    if all[0].is_success() {
        let check = stage.play(&mut job, Phase::PreBackupCheck).await?;
        let may_go_on = check.is_success();
        all.push(check);
        if may_go_on {
            let before = stage.staging(&job).await?;
            let backup = stage.play(&mut job, Phase::Backup).await?;
            if backup.is_success() {
                missing = artifact_of(stage, &job, &before).await?.err();
            }
            all.push(backup);
        }
    }
    if !all[0].says_lock_is_taken() {
        let cleanup = stage.play(&mut job, Phase::BackupCleanup).await?;
        if cleanup.is_success() {
            nothing_is_left(
                stage,
                &before_all,
                Rule::Cleanup,
                "after a backup without a login session",
            );
        }
        all.push(cleanup);
        all.push(stage.play(&mut job, Phase::PostBackupUnlock).await?);
    }
    compare_with_session(stage, &all);
    // Where there never is an artifact, that was said already.
    if let Some(reason) = missing
        && stage.book.of(Rule::Artifact).0 == Verdict::Kept
    {
        let what = format!("without what a login session has, {reason}");
        stage.book.hint(Rule::Environment, what);
    }
    Ok(())
}

/// Notes what fails without a login session's variables, but not with them.
pub(super) fn compare_with_session(stage: &mut Stage<'_>, bare: &[Played]) {
    let failed: Vec<&Played> = bare.iter().filter(|played| !played.is_success()).collect();
    if failed.is_empty() {
        stage.book.kept(Rule::Environment);
    }
    for played in failed {
        let is_same = |other: &Played| other.phase == played.phase && other.scene != played.scene;
        let succeeds_otherwise = stage.played.iter().any(|other| is_same(other) && other.is_success());
        if succeeds_otherwise {
            let what = format!(
                "{}: an agent that systemd or monit starts has no more than that",
                played.how()
            );
            stage.book.hint(Rule::Environment, what);
        } else {
            let why = format!("{} fails with a login session, too", played.phase);
            stage.book.not_checked(Rule::Environment, &why);
        }
    }
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
