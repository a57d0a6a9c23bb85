use std::time::Duration;

use super::*;
use crate::{
    job::{Failure, Job, Settlement, StepReport, StopReason},
    plan::{FailurePolicy, JobKind, Order, Transfer},
    testing::request,
};

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).expect("a time")
}

fn new_job(kind: JobKind, order: Order) -> Job {
    let policy = FailurePolicy {
        order,
        ..FailurePolicy::default()
    };
    Job::accepted(request(kind, "j", Transfer::ByAgent), policy, at(0))
}

/// Walks a job to its end; each step takes a second, and `broken` fails for this cause.
fn walked(mut job: Job, broken: Option<(Step, FailureCause)>) -> Job {
    let mut second = 1;
    let mut apply = |job: &mut Job, event| {
        job.apply(event, at(second)).expect("a legal event");
        second += 1;
    };
    apply(&mut job, JobEvent::Started { artifact_name: None });
    while let Some(step) = job.status().next_step() {
        apply(&mut job, JobEvent::StepStarted { step });
        let report = StepReport::default();
        let event = match &broken {
            Some((failing, cause)) if *failing == step => JobEvent::StepFailed {
                step,
                failure: Failure {
                    step,
                    cause: cause.clone(),
                },
                report,
            },
            Some(_) | None => JobEvent::StepSucceeded { step, report },
        };
        apply(&mut job, event);
    }
    apply(&mut job, JobEvent::Finished { note: None });
    job
}

fn told(job: &Job) -> Vec<(Phase, PhaseStatus)> {
    let phases = job.view().phases;
    phases.iter().map(|record| (record.phase, record.status)).collect()
}

#[test]
fn all_phases_are_told_in_the_plan_s_order_from_the_first_moment() {
    use PhaseStatus::{Succeeded, Waiting};
    for kind in JobKind::ALL {
        let in_order = |status| kind.phases().iter().map(move |phase| (*phase, status));
        let job = new_job(kind, Order::default());
        assert_eq!(told(&job), in_order(Waiting).collect::<Vec<_>>(), "{kind}");
        let job = walked(job, None);
        assert_eq!(told(&job), in_order(Succeeded).collect::<Vec<_>>(), "{kind}");
    }
}

#[test]
fn a_phase_that_comes_in_two_pieces_is_told_twice() {
    let [_, shortest] = Order::ALL;
    let names = |kind| {
        let phases = walked(new_job(kind, shortest), None).view().phases;
        phases
            .into_iter()
            .map(|record| (record.phase.as_str(), record.exit.is_some()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(JobKind::Backup),
        [
            ("pre-backup-lock", true),
            ("pre-backup-check", true),
            ("backup", true),
            ("post-backup-unlock", true),
            // The upload, without a script.
            ("backup", false),
            ("backup-cleanup", true),
        ]
    );
    assert_eq!(
        names(JobKind::Restore)[..2],
        [("restore", false), ("pre-restore-lock", true)]
    );
}

#[test]
fn a_phase_lasts_from_its_first_step_to_its_last() {
    let phases = walked(new_job(JobKind::Backup, Order::default()), None).view().phases;
    let backup = phases
        .iter()
        .find(|record| record.phase == Phase::Backup)
        .expect("it is there");
    // Started, then two events each for preparation, lock and check.
    assert_eq!((backup.started_at, backup.ended_at), (Some(at(8)), Some(at(13))));
    assert_eq!(backup.exit, Some(ExitReason::Exited(0)));
}

#[test]
fn a_failure_tells_how_it_ended_and_what_was_left_out() {
    use PhaseStatus::{Failed, Skipped, Succeeded};
    let script = Step::Script(Phase::PreBackupCheck);
    let limit = Duration::from_secs(1);
    for (step, cause, exit, timed_out) in [
        (
            script,
            FailureCause::Exit(ExitReason::Exited(3)),
            Some(ExitReason::Exited(3)),
            false,
        ),
        (
            script,
            FailureCause::Exit(ExitReason::Signaled(9)),
            Some(ExitReason::Signaled(9)),
            false,
        ),
        (script, FailureCause::TimedOut(limit), None, true),
        (script, FailureCause::LockedTooLong(limit), None, true),
        (script, FailureCause::NotStarted("no bash".to_owned()), None, false),
        (script, FailureCause::Stopped(StopReason::Cancelled), None, false),
    ] {
        let job = walked(new_job(JobKind::Backup, Order::default()), Some((step, cause.clone())));
        let statuses: Vec<_> = told(&job).into_iter().map(|(_, status)| status).collect();
        assert_eq!(
            statuses,
            [Succeeded, Failed, Skipped, Succeeded, Succeeded],
            "{cause:?}"
        );
        let check = job.view().phases[1];
        assert_eq!((check.exit, check.timed_out), (exit, timed_out), "{cause:?}");
    }
}

#[test]
fn an_upload_that_fails_makes_its_phase_fail_though_the_script_did_not() {
    let cause = FailureCause::Error("the store is down".to_owned());
    let job = walked(new_job(JobKind::Backup, Order::default()), Some((Step::Upload, cause)));
    let backup = job.view().phases[2];
    assert_eq!(
        (backup.status, backup.exit),
        (PhaseStatus::Failed, Some(ExitReason::Exited(0)))
    );
}

#[test]
fn a_phase_is_running_between_its_steps_and_has_no_end_yet() {
    let mut job = new_job(JobKind::Backup, Order::default());
    job.apply(JobEvent::Started { artifact_name: None }, at(1))
        .expect("it begins");
    while let Some(step) = job.status().next_step() {
        if step == Step::Upload {
            break;
        }
        job.apply(JobEvent::StepStarted { step }, at(2))
            .expect("the step begins");
        let report = StepReport::default();
        job.apply(JobEvent::StepSucceeded { step, report }, at(3))
            .expect("the step ends");
    }
    let backup = job.view().phases[2];
    assert_eq!((backup.status, backup.ended_at), (PhaseStatus::Running, None));
    let (step, reason) = (Step::Upload, StopReason::Cancelled);
    job.apply(JobEvent::Stopped { step, reason }, at(4))
        .expect("it is stopped");
    let backup = job.view().phases[2];
    assert_eq!((backup.status, backup.ended_at), (PhaseStatus::Failed, Some(at(3))));
}

#[test]
fn what_was_at_work_when_the_agent_died_has_failed() {
    let mut job = new_job(JobKind::Backup, Order::default());
    job.apply(JobEvent::Started { artifact_name: None }, at(1))
        .expect("it begins");
    for step in [Step::Prepare, Step::Script(Phase::PreBackupLock)] {
        job.apply(JobEvent::StepStarted { step }, at(2))
            .expect("the step begins");
        if step == Step::Prepare {
            let report = StepReport::default();
            job.apply(JobEvent::StepSucceeded { step, report }, at(3))
                .expect("it ends");
        }
    }
    job.apply(JobEvent::Interrupted, at(9)).expect("it is interrupted");
    let lock = job.view().phases[0];
    assert_eq!(
        (lock.status, lock.ended_at, lock.exit),
        (PhaseStatus::Failed, Some(at(9)), None)
    );
}

#[test]
fn the_lock_lasts_from_the_start_of_its_script_to_the_end_of_the_unlock() {
    let job = new_job(JobKind::Backup, Order::default());
    assert_eq!(job.view().lock_span, None);
    let done = walked(job.clone(), None);
    let unlocked = done.view().phases[4].ended_at;
    let span = done.view().lock_span.expect("it was locked");
    assert_eq!((span.since, span.until), (at(4), unlocked));

    let unlock = Step::Script(Phase::PostBackupUnlock);
    let mut owing = walked(job.clone(), Some((unlock, FailureCause::Exit(ExitReason::Exited(1)))));
    assert_eq!(owing.view().lock_span.and_then(|span| span.until), None);
    let how = Settlement::Released;
    owing
        .apply(JobEvent::UnlockSettled { how, log: None }, at(1000))
        .expect("it is owed");
    assert_eq!(owing.view().lock_span.and_then(|span| span.until), Some(at(1000)));

    let lock = Step::Script(Phase::PreBackupLock);
    let taken = FailureCause::Exit(ExitReason::Exited(crate::job::EX_TEMPFAIL));
    assert_eq!(
        walked(job, Some((lock, taken))).view().lock_span,
        None,
        "another held it"
    );
}
