//! What is recorded, and when clients can see it.

use super::bench::{Bench, Setup, key};
use std::future::Future;

use crate::{
    job::{Job, JobEvent, JobStatus},
    plan::{FailurePolicy, JobKind, Order, Phase, Step, Transfer},
    ports::{JobApi, RemoveError, StartError},
    testing::{block_on, request},
};

#[test]
fn every_step_is_recorded_before_it_begins_and_when_it_has_ended() {
    for kind in JobKind::ALL {
        let bench = Bench::new(Setup::default());
        bench.run(request(kind, "j", Transfer::ByAgent));
        let writes = bench.jobs.writes();
        let steps = kind.plan(Transfer::ByAgent, Order::default()).len();
        // The object's name; the download's place as planned and as made.
        let of_transfer = match kind {
            JobKind::Backup => 1,
            JobKind::Restore => 2,
        };
        // Accepted, started, two for each step, finished.
        assert_eq!(writes.len(), 3 + 2 * steps + of_transfer, "{kind}");
        for (index, job) in writes.iter().enumerate() {
            assert_eq!(job.events().len(), index, "each write has one event more");
        }
        assert!(writes.last().is_some_and(|job| job.status().is_finished()));
    }
}

#[test]
fn every_record_replays_to_the_job_that_was_written() {
    let bench = Bench::new(Setup::default());
    bench.run(request(JobKind::Backup, "j", Transfer::ByAgent));
    for job in bench.jobs.writes() {
        let replayed = Job::replay(
            job.request().clone(),
            FailurePolicy::default(),
            job.accepted_at(),
            job.events().iter().cloned(),
        );
        let replayed = replayed.expect("what was written can be replayed");
        assert_eq!(replayed.status(), job.status());
        assert_eq!(replayed.artifact_name(), job.artifact_name());
    }
}

#[test]
fn a_job_that_cannot_be_recorded_is_not_accepted_and_its_id_stays_free() {
    let bench = Bench::new(Setup::default());
    bench.jobs.fail(true);
    let refused = block_on(bench.service.start(request(JobKind::Backup, "j", Transfer::ByAgent)));
    assert!(matches!(refused, Err(StartError::Store(_))), "{refused:?}");
    assert!(
        block_on(bench.service.find(&key(JobKind::Backup, "j")))
            .expect("it can be read")
            .is_none()
    );
    bench.jobs.fail(false);
    let view = bench.run(request(JobKind::Backup, "j", Transfer::ByAgent));
    assert_eq!(view.status, JobStatus::Succeeded);
}

#[test]
fn if_nothing_can_be_written_nothing_forward_begins() {
    let bench = Bench::new(Setup::default());
    block_on(bench.service.start(request(JobKind::Backup, "j", Transfer::ByAgent))).expect("it is accepted");
    bench.jobs.fail(true);
    bench.spawner.run_until_stalled();
    assert!(bench.diary().is_empty(), "{:?}", bench.diary());
    let view = bench.view(&key(JobKind::Backup, "j"));
    let message = view.error_message().unwrap_or_default();
    assert!(message.contains("could not be recorded: the disk is full"), "{message}");
}

#[test]
fn an_end_that_could_not_be_recorded_is_shown_and_can_be_removed() {
    let bench = Bench::new(Setup::default());
    let key = key(JobKind::Backup, "j");
    block_on(bench.service.start(request(JobKind::Backup, "j", Transfer::ByAgent))).expect("it is accepted");
    bench.jobs.fail(true);
    bench.spawner.run_until_stalled();
    assert!(bench.view(&key).status.is_finished());
    assert!(bench.service.at_work().is_empty());
    bench.jobs.fail(false);
    let again = block_on(bench.service.start(request(JobKind::Backup, "j", Transfer::ByAgent)));
    assert!(matches!(again, Err(StartError::Duplicate(_))), "{again:?}");
    assert!(block_on(bench.service.remove(&key)).expect("it has ended"));
    assert!(!block_on(bench.service.remove(&key)).expect("it is gone"));
    bench.run(request(JobKind::Backup, "j", Transfer::ByAgent));
}

#[test]
fn a_finished_job_is_known_until_it_is_removed() {
    let bench = Bench::new(Setup::default());
    let key = key(JobKind::Backup, "j");
    bench.run(request(JobKind::Backup, "j", Transfer::ByAgent));
    let again = block_on(bench.service.start(request(JobKind::Backup, "j", Transfer::ByAgent)));
    assert!(matches!(again, Err(StartError::Duplicate(view)) if view.status == JobStatus::Succeeded));
    assert!(block_on(bench.service.remove(&key)).expect("it has ended"));
    assert!(!block_on(bench.service.remove(&key)).expect("it is gone"));
    bench.run(request(JobKind::Backup, "j", Transfer::ByAgent));
}

#[test]
fn an_unfinished_job_is_not_removed() {
    let bench = Bench::new(Setup::default());
    let key = key(JobKind::Backup, "j");
    block_on(bench.service.start(request(JobKind::Backup, "j", Transfer::ByAgent))).expect("it is accepted");
    let refused = block_on(bench.service.remove(&key));
    assert!(matches!(refused, Err(RemoveError::Unfinished(_))), "{refused:?}");
    assert!(block_on(bench.service.find(&key)).expect("it can be read").is_some());
}

#[test]
fn a_job_whose_course_breaks_off_is_failed_and_makes_room() {
    let mut setup = Setup::default();
    setup.settings.limits.at_work = 1;
    let bench = Bench::new(setup);
    for id in ["a", "b"] {
        block_on(bench.service.start(request(JobKind::Backup, id, Transfer::ByAgent))).expect("it is accepted");
    }
    bench.clock.break_once();
    bench.spawner.run_until_stalled();
    let view = bench.view(&key(JobKind::Backup, "a"));
    assert!(matches!(view.status, JobStatus::Failed { .. }), "{:?}", view.status);
    assert!(view.error_message().is_some_and(|text| text.contains("a panic")));
    assert_eq!(bench.view(&key(JobKind::Backup, "b")).status, JobStatus::Succeeded);
    assert!(bench.service.at_work().is_empty());
}

#[test]
fn a_job_neither_begins_nor_is_seen_before_it_is_recorded() {
    let bench = Bench::new(Setup::default());
    let key = key(JobKind::Backup, "j");
    let mut gate = bench.jobs.hold_inserts();
    let start = bench.service.start(request(JobKind::Backup, "j", Transfer::ByAgent));
    let mut start = std::pin::pin!(start);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(start.as_mut().poll(&mut context).is_pending());
    bench.spawner.run_until_stalled();
    assert!(bench.diary().is_empty(), "{:?}", bench.diary());
    assert!(block_on(bench.service.find(&key)).expect("it can be read").is_none());
    // Whether the id is free is not known yet: who asks for it waits.
    let again = bench.service.start(request(JobKind::Backup, "j", Transfer::ByAgent));
    let mut again = std::pin::pin!(again);
    assert!(again.as_mut().poll(&mut context).is_pending());
    gate.open();
    assert!(start.as_mut().poll(&mut context).is_ready());
    let std::task::Poll::Ready(again) = again.as_mut().poll(&mut context) else {
        panic!("it is known now");
    };
    assert!(matches!(again, Err(StartError::Duplicate(_))), "{again:?}");
    bench.spawner.run_until_stalled();
    assert_eq!(bench.view(&key).status, JobStatus::Succeeded);
}

#[test]
fn the_artifact_is_named_after_the_day_on_which_the_job_leaves_the_queue() {
    let mut setup = Setup::default();
    setup.settings.limits.at_work = 1;
    let bench = Bench::new(setup);
    block_on(bench.service.start(request(JobKind::Backup, "a", Transfer::ByAgent))).expect("it is accepted");
    bench.clock.advance(chrono::TimeDelta::days(1));
    bench.spawner.run_until_stalled();
    let view = bench.view(&key(JobKind::Backup, "a"));
    assert_eq!(
        view.artifact.expect("it is stored").filename,
        "host_2018_11_07_db.tar.gz"
    );
    assert_eq!(view.accepted_at.to_rfc3339(), "2018-11-06T17:05:39+00:00");
}

#[test]
fn what_happened_is_in_the_log_of_events() {
    let bench = Bench::new(Setup::default());
    bench.run(request(JobKind::Restore, "j", Transfer::ByAgent));
    let job = bench.jobs.writes().pop().expect("it was written");
    let begun = job.events().iter().filter_map(|(_, event)| match event {
        JobEvent::StepStarted { step } => Some(*step),
        _ => None,
    });
    assert_eq!(
        begun.collect::<Vec<Step>>(),
        JobKind::Restore.plan(Transfer::ByAgent, Order::default())
    );
    assert!(job.view().log(Phase::Restore).is_some());
}
