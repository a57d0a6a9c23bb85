//! What a new agent makes of the jobs that a dead one has left.

use std::time::Duration;

use super::{
    bench::{Bench, Setup, key},
    control::Gated,
};
use crate::{
    job::{FailureCause, Job, JobEvent, JobStatus, LockRecord, Outcome, StepReport},
    plan::{FailurePolicy, JobKind, Order, Phase, Role, Step, Transfer},
    ports::{JobApi, JobStore, UnlockError},
    testing::{ManualClock, block_on, request},
};

#[test]
fn an_unlock_that_succeeds_at_last_releases_all_that_wait_for_the_same() {
    // As after a restart: two jobs of one database owe an unlock, and a third waits.
    let gated = Gated::new(|_| {});
    for id in ["a", "b"] {
        block_on(gated.jobs.insert(&owing(JobKind::Restore, id))).expect("writable");
    }
    block_on(gated.service.recover()).expect("readable");
    gated.spawner.run_until_stalled();
    let (a, b) = (key(JobKind::Restore, "a"), key(JobKind::Restore, "b"));
    assert_eq!(gated.started("a"), ["post-restore-unlock"], "it is tried at once");
    let busy = block_on(gated.service.unlock(&a));
    assert!(matches!(busy, Err(UnlockError::AtWork)), "{busy:?}");
    gated.scripts.let_end("a", Phase::PostRestoreUnlock);
    gated.spawner.run_until_stalled();
    assert_eq!(gated.view(&a).lock.is_released(), Some(true));
    assert_eq!(
        gated.view(&b).lock.is_released(),
        Some(true),
        "one unlock released both"
    );
    let not_owed = block_on(gated.service.unlock(&a));
    assert!(matches!(not_owed, Err(UnlockError::NotOwed(_))), "{not_owed:?}");
}

/// A job that has ended with its service locked.
fn owing(kind: JobKind, id: &str) -> Job {
    let mut job = at_step(kind, id, Order::default(), Step::Script(kind.unlock_phase()));
    let step = Step::Script(kind.unlock_phase());
    let failure = crate::job::Failure {
        step,
        cause: FailureCause::Error("it broke".to_owned()),
    };
    let report = StepReport::default();
    for event in [
        JobEvent::StepFailed { step, failure, report },
        JobEvent::Finished { note: None },
    ] {
        job.apply(event, job.accepted_at()).expect("it follows");
    }
    assert!(job.owes_unlock());
    job
}

/// A job whose step `at` has begun.
fn at_step(kind: JobKind, id: &str, order: Order, at: Step) -> Job {
    let clock = ManualClock::default();
    let now = crate::ports::Clock::now(&clock);
    let policy = FailurePolicy {
        order,
        ..FailurePolicy::default()
    };
    let mut job = Job::accepted(request(kind, id, Transfer::ByAgent), policy, now);
    job.apply(JobEvent::Started { artifact_name: None }, now)
        .expect("it begins");
    for step in job.plan() {
        job.apply(JobEvent::StepStarted { step: *step }, now)
            .expect("it follows");
        if *step == at {
            return job;
        }
        let report = StepReport::default();
        job.apply(JobEvent::StepSucceeded { step: *step, report }, now)
            .expect("it follows");
    }
    panic!("{at} is no step of the plan");
}

#[test]
fn a_job_that_was_at_work_when_the_agent_died_is_brought_to_its_end() {
    for kind in JobKind::ALL {
        for order in Order::ALL {
            for step in kind.plan(Transfer::ByAgent, order) {
                let bench = Bench::new(Setup::default());
                let mut job = at_step(kind, "j", order, *step);
                if *step == Step::Upload {
                    let now = job.accepted_at();
                    for event in [
                        JobEvent::ObjectNamed {
                            filename: "a.tar.gz".to_owned(),
                        },
                        JobEvent::UploadOpened {
                            upload_id: "u".to_owned(),
                        },
                    ] {
                        job.apply(event, now).expect("it uploads");
                    }
                }
                block_on(bench.jobs.insert(&job)).expect("writable");
                block_on(bench.service.recover()).expect("readable");
                assert!(
                    !bench.view(&job.key()).status.is_finished(),
                    "it is RUNNING from the first moment"
                );
                bench.spawner.run_until_stalled();
                let view = bench.view(&job.key());
                let case = format!("{kind} {order:?} {step}");
                assert_eq!(view.status.outcome(), Some(Outcome::Interrupted), "{case}");
                let message = view.error_message().unwrap_or_default();
                assert_eq!(
                    message,
                    format!("{step}: interrupted by a restart of the agent"),
                    "{case}"
                );
                let mut expected = vec![format!("end leftover of {kind}/j")];
                let plan = job.plan();
                let at = plan.iter().position(|known| known == step).expect("of the plan");
                if plan[..=at].iter().any(|step| step.role() == Some(Role::Lock)) {
                    let owed = plan[at..].iter().filter(|step| step.is_owed());
                    expected.extend(owed.map(ToString::to_string));
                }
                if *step == Step::Upload {
                    expected.push("discard upload of prefix/a.tar.gz [\"u\"]".to_owned());
                }
                assert_eq!(bench.diary(), expected, "{case}");
                let told = bench.variable(kind.unlock_phase(), "BACKUP_AGENT_LOCK");
                let unlocks = expected.contains(&kind.unlock_phase().to_string());
                assert_eq!(told.is_some(), unlocks, "{case}");
                assert!(told.is_none_or(|told| told == "unknown"), "{case}");
            }
        }
    }
}

#[test]
fn a_job_that_waited_when_the_agent_died_waits_again_and_runs() {
    let bench = Bench::new(Setup::default());
    let now = crate::ports::Clock::now(bench.clock.as_ref());
    let job = Job::accepted(
        request(JobKind::Backup, "j", Transfer::ByAgent),
        FailurePolicy::default(),
        now,
    );
    block_on(bench.jobs.insert(&job)).expect("writable");
    block_on(bench.service.recover()).expect("readable");
    bench.spawner.run_until_stalled();
    assert_eq!(bench.view(&job.key()).status, JobStatus::Succeeded);
}

/// An agent that has just taken over a job that owes an unlock, and is at work on it.
fn unlocking(id: &str) -> Gated {
    let gated = Gated::new(|_| {});
    block_on(gated.jobs.insert(&owing(JobKind::Backup, id))).expect("writable");
    block_on(gated.service.recover()).expect("readable");
    gated.spawner.run_until_stalled();
    assert_eq!(gated.started(id), ["post-backup-unlock"]);
    gated
}

#[test]
fn an_unlock_that_is_given_up_while_its_script_is_at_work_frees_the_database_only_when_that_has_ended() {
    let gated = unlocking("a");
    let a = key(JobKind::Backup, "a");
    block_on(
        gated
            .service
            .start(request(JobKind::Backup, "next", Transfer::ByScripts)),
    )
    .expect("accepted");
    let view = block_on(gated.service.cancel(&a)).expect("it owes an unlock");
    assert!(view.owes_unlock, "the script is still at work");
    assert!(
        gated.started("next").is_empty(),
        "it would lose its lock to that script"
    );
    gated.spawner.run_until_stalled();
    assert_eq!(gated.view(&a).lock, LockRecord::GivenUp);
    assert_eq!(gated.started("next"), ["pre-backup-lock"]);
}

#[test]
fn a_second_try_does_not_run_beside_one_that_is_at_work() {
    let gated = Gated::new(|_| {});
    block_on(gated.jobs.insert(&owing(JobKind::Restore, "a"))).expect("writable");
    block_on(gated.service.recover_only(&key(JobKind::Restore, "a"))).expect("readable");
    let a = key(JobKind::Restore, "a");
    let by_hand = gated.service.unlock(&a);
    let mut by_hand = std::pin::pin!(by_hand);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(by_hand.as_mut().poll(&mut context).is_pending());
    for _ in 0..3 {
        // As the minute's try does.
        block_on(gated.service.try_again(&a));
        gated.wait(Duration::from_secs(60));
        let again = block_on(gated.service.unlock(&a));
        assert!(matches!(again, Err(UnlockError::AtWork)), "{again:?}");
    }
    assert_eq!(gated.started("a"), ["post-restore-unlock"]);
    gated.scripts.let_end("a", Phase::PostRestoreUnlock);
    assert!(by_hand.as_mut().poll(&mut context).is_ready());
    assert_eq!(gated.view(&a).lock, LockRecord::Released);
}

#[test]
fn an_unlock_by_hand_first_ends_what_the_dead_agent_left_at_work() {
    let bench = Bench::new(Setup::default());
    let job = owing(JobKind::Backup, "j");
    block_on(bench.jobs.insert(&job)).expect("writable");
    block_on(bench.service.recover_only(&job.key())).expect("readable");
    block_on(bench.service.unlock(&job.key())).expect("the script succeeds");
    assert_eq!(bench.diary(), ["end leftover of backup/j", "post-backup-unlock"]);
}
