//! The scenes around the lock: twice, without, half way, and of two jobs.

use std::time::Duration;

use domain::{plan::JobKind, script::LockState};

use super::{
    rule::Rule,
    stage::{Stage, Stop, cleanup_phase, first_phase, last_phase},
};

/// Whatever may happen to a lock.
pub(super) async fn around_the_lock(stage: &mut Stage<'_>, kind: JobKind, can_lock: bool) -> Result<(), Stop> {
    let (lock, cleanup, unlock) = (first_phase(kind), cleanup_phase(kind), last_phase(kind));
    let filename = filename(kind);

    stage.scene(&format!("Cleanup and unlock of a {kind}, with nothing to do"));
    let mut idle = stage.job(kind, filename)?;
    idle.course.lock = LockState::Unknown;
    let played = stage.play(&mut idle, cleanup).await?;
    stage.must_succeed(Rule::CleanupAlone, &played, "without anything to remove");
    let played = stage.play(&mut idle, unlock).await?;
    stage.must_succeed(Rule::UnlockWithoutLock, &played, "without any lock");

    if !can_lock {
        for rule in [
            Rule::UnlockTwice,
            Rule::UnlockReleases,
            Rule::OwnLock,
            Rule::LockExcludes,
            Rule::UnlockAfterHalfALock,
        ] {
            stage
                .book
                .not_checked(rule, &format!("no lock could be taken and released for a {kind}"));
        }
        return Ok(());
    }

    stage.scene(&format!("A second {kind} comes while the first is locked"));
    let mut first = stage.job(kind, filename)?;
    let played = stage.play(&mut first, lock).await?;
    if !stage.must_succeed(Rule::UnlockReleases, &played, &format!("once more, after {unlock}")) {
        return Ok(());
    }
    let is_refused = second_lock(stage, kind).await?;
    let played = stage.play(&mut first, cleanup).await?;
    stage.must_succeed(Rule::CleanupAlone, &played, "after a lock alone");
    let played = stage.play(&mut first, unlock).await?;
    stage.must_succeed(Rule::Succeeds, &played, "after a lock alone");
    let played = stage.play(&mut first, unlock).await?;
    stage.must_succeed(Rule::UnlockTwice, &played, "the second time");
    if !is_refused {
        stage
            .book
            .not_checked(Rule::OwnLock, &format!("the lock of a {kind} keeps nobody out"));
    }

    killed_lock(stage, kind, played.elapsed / 2).await
}

/// A lock script that is ended half way; and as early as can be, should it be faster than that.
async fn killed_lock(stage: &mut Stage<'_>, kind: JobKind, half_way: Duration) -> Result<(), Stop> {
    const WHEN: &str = "after a lock script that was killed";
    for after in [half_way, Duration::ZERO] {
        stage.scene(&format!("The lock script of a {kind} is killed"));
        let mut job = stage.job(kind, filename(kind))?;
        let was_cut = stage.kill(&mut job, first_phase(kind), after).await?.was_cut();
        job.course.lock = LockState::Failed;
        for phase in [cleanup_phase(kind), last_phase(kind)] {
            let played = stage.play(&mut job, phase).await?;
            stage.must_succeed(Rule::UnlockAfterHalfALock, &played, WHEN);
        }
        lock_is_free(stage, kind, Rule::UnlockAfterHalfALock, WHEN).await?;
        if was_cut {
            return Ok(());
        }
    }
    let why = "a lock script had ended before it could be killed";
    stage.book.not_checked(Rule::UnlockAfterHalfALock, why);
    Ok(())
}

/// A job that comes while another holds the lock; whether it was kept out.
async fn second_lock(stage: &mut Stage<'_>, kind: JobKind) -> Result<bool, Stop> {
    let (lock, unlock) = (first_phase(kind), last_phase(kind));
    let mut second = stage.job(kind, filename(kind))?;
    let played = stage.play(&mut second, lock).await?;
    if played.is_success() {
        stage.book.hint(
            Rule::LockExcludes,
            format!(
                "{lock} succeeds although another {kind} holds the lock: the agent runs one job of a host and database at \
                 a time, but other agents and people are not kept out"
            ),
        );
    } else if played.says_lock_is_taken() {
        stage.book.kept(Rule::LockExcludes);
    } else {
        stage.book.hint(
            Rule::LockExcludes,
            format!(
                "{} while another holds the lock; with exit code 75 the agent would know that nothing was taken, and not \
                 run cleanup and unlock",
                played.how()
            ),
        );
    }
    let is_refused = !played.is_success();
    // As after a refusal other than 75, or by hand.
    let played = stage.play(&mut second, unlock).await?;
    stage.must_succeed(Rule::UnlockWithoutLock, &played, "of a job that was refused the lock");
    if !is_refused {
        return Ok(false);
    }
    let mut third = stage.job(kind, filename(kind))?;
    let played = stage.play(&mut third, lock).await?;
    if played.is_success() {
        let what = format!("{unlock} of a {kind} that was refused the lock has released the lock of another {kind}");
        stage.book.broken(Rule::OwnLock, what);
        stage.play(&mut third, unlock).await?;
    } else {
        stage.book.kept(Rule::OwnLock);
        if !played.says_lock_is_taken() {
            stage.play(&mut third, unlock).await?;
        }
    }
    Ok(true)
}

/// Takes the lock and releases it, to see that nobody else has it.
pub(super) async fn lock_is_free(stage: &mut Stage<'_>, kind: JobKind, rule: Rule, when: &str) -> Result<(), Stop> {
    let mut job = stage.job(kind, filename(kind))?;
    let played = stage.play(&mut job, first_phase(kind)).await?;
    if played.is_success() {
        stage.book.kept(rule);
    } else {
        stage
            .book
            .broken(rule, format!("{when}, the lock cannot be taken: {}", played.how()));
    }
    if !played.says_lock_is_taken() {
        let played = stage.play(&mut job, last_phase(kind)).await?;
        stage.must_succeed(Rule::Succeeds, &played, "after a lock alone");
    }
    Ok(())
}

/// The file that a restore without one is said to be about.
fn filename(kind: JobKind) -> Option<&'static str> {
    match kind {
        JobKind::Backup => None,
        JobKind::Restore => Some("rehearsal.tar.gz"),
    }
}
