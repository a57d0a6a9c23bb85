//! The scenes of a rehearsal that replace the content of the database.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    path::{Path, PathBuf},
};

use domain::{
    plan::{JobKind, Phase, Role},
    ports::{RestorePlace, Workspace},
};

use super::{
    played::Played,
    rehearsal::compare_with_session,
    rule::Rule,
    stage::{Stage, Stop},
};

/// First half of the artifact, which must fail, then all of it; says whether a lock could be taken and released.
///
/// The usual restore is the last, as it heals what those before it may have left undone.
pub(super) async fn restores(stage: &mut Stage<'_>, artifact: Option<&(PathBuf, String)>) -> Result<bool, Stop> {
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
    } else {
        let half = restore(stage, filename, copy, length / 2).await?;
        judge_all_but_the_work(stage, &half);
        match of_role(&half, Role::Work) {
            Some(restore) if restore.is_success() => {
                let what = "restore ended with exit code 0, though its file was only the first half of an artifact";
                stage.book.broken(Rule::DamagedFile, what.to_owned());
            }
            Some(_) => stage.book.kept(Rule::DamagedFile),
            None => {}
        }
    }
    stage.bare_scene("A restore without what a login session has (HOME, USER, TERM, LANG ...)");
    let bare = restore(stage, filename, copy, length).await?;
    stage.scene("A restore, if all goes well");
    let usual = restore(stage, filename, copy, length).await?;
    judge_all_but_the_work(stage, &usual);
    if let Some(restore) = of_role(&usual, Role::Work) {
        stage.must_succeed(Rule::Succeeds, restore, "of a usual restore");
    }
    compare_with_session(stage, &bare);
    Ok([Role::Lock, Role::Unlock]
        .iter()
        .all(|role| of_role(&usual, *role).is_some_and(Played::is_success)))
}

fn of_role(all: &[Played], role: Role) -> Option<&Played> {
    all.iter().find(|played| played.phase.role() == role)
}

fn judge_all_but_the_work(stage: &mut Stage<'_>, all: &[Played]) {
    for played in all.iter().filter(|played| played.phase.role() != Role::Work) {
        stage.must_succeed(Rule::Succeeds, played, "of a restore");
    }
}

/// A restore of the first `length` bytes of a file: all that was played, in order.
async fn restore(stage: &mut Stage<'_>, filename: &str, copy: &Path, length: u64) -> Result<Vec<Played>, Stop> {
    let mut job = stage.job(JobKind::Restore, Some(filename))?;
    let mut all = vec![stage.play(&mut job, Phase::PreRestoreLock).await?];
    if all[0].says_lock_is_taken() {
        return Ok(all);
    }
    if all[0].is_success() {
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
        all.push(stage.play(&mut job, Phase::Restore).await?);
        all.push(stage.play(&mut job, Phase::RestoreCleanup).await?);
        workspace.discard_restore(&place, &prepared).await?;
    } else {
        all.push(stage.play(&mut job, Phase::RestoreCleanup).await?);
    }
    all.push(stage.play(&mut job, Phase::PostRestoreUnlock).await?);
    Ok(all)
}

/// Writes the beginning of a file into one that is there already.
fn copy_part(from: &Path, length: u64, to: &Path) -> io::Result<u64> {
    let mut to = OpenOptions::new().write(true).truncate(true).open(to)?;
    io::copy(&mut File::open(from)?.take(length), &mut to)
}
