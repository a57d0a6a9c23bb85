//! What those who watch are told.

use chrono::TimeDelta;

use super::{
    bench::{Bench, Failing, SIZE, Setup, key},
    control::Gated,
};
use crate::{
    job::{Outcome, PastJob},
    plan::{JobKind, Phase, Step, Transfer},
    ports::{JobApi, Observation},
    testing::{block_on, request},
};

/// The jobs that have ended, as they were told.
fn ended(bench: &Bench) -> Vec<PastJob> {
    let all = bench.noticed.all().into_iter();
    all.filter_map(|observation| match observation {
        Observation::JobEnded { job, .. } => Some(job),
        Observation::JobRemembered(_)
        | Observation::LockReleased { .. }
        | Observation::UnlockFailed { .. }
        | Observation::Moved { .. }
        | Observation::Retried { .. } => None,
    })
    .collect()
}

fn count(bench: &Bench, is_meant: impl Fn(&Observation) -> bool) -> usize {
    bench.noticed.all().iter().filter(|told| is_meant(told)).count()
}

fn is_release(told: &Observation) -> bool {
    matches!(told, Observation::LockReleased { .. })
}

fn is_failed_unlock(told: &Observation) -> bool {
    matches!(told, Observation::UnlockFailed { .. })
}

#[test]
fn the_end_of_every_job_is_told_once_with_how_it_ended() {
    let lock = |kind: JobKind| Step::Script(kind.lock_phase());
    for kind in JobKind::ALL {
        for (broken, outcome, releases) in [
            (vec![], Outcome::Succeeded, 1),
            (vec![(lock(kind), Failing::Exit(75))], Outcome::Failed, 0),
            (vec![(lock(kind), Failing::Panic)], Outcome::Failed, 1),
            (
                vec![(Step::Script(kind.unlock_phase()), Failing::Exit(1))],
                Outcome::Failed,
                0,
            ),
        ] {
            let row = format!("{kind} {broken:?}");
            let bench = Bench::new(Setup {
                broken,
                ..Setup::default()
            });
            bench.run(request(kind, "j", Transfer::ByAgent));
            let told = ended(&bench);
            assert_eq!(told.len(), 1, "{row}: {told:?}");
            assert_eq!((told[0].kind, told[0].outcome), (kind, outcome), "{row}");
            assert_eq!((&*told[0].host, &*told[0].database), ("host", "db"), "{row}");
            assert_eq!(count(&bench, is_release), releases, "{row}");
        }
    }
}

#[test]
fn the_length_of_an_artifact_is_told_where_it_is_safe_and_of_backups_alone() {
    let cleanup = Step::Script(Phase::BackupCleanup);
    for (kind, broken, expected) in [
        (JobKind::Backup, None, Some(SIZE)),
        (JobKind::Backup, Some(cleanup), Some(SIZE)),
        (JobKind::Backup, Some(Step::Upload), None),
        (JobKind::Restore, None, None),
    ] {
        let bench = Bench::new(Setup {
            broken: broken.map(|step| (step, Failing::Error)).into_iter().collect(),
            ..Setup::default()
        });
        bench.run(request(kind, "j", Transfer::ByAgent));
        assert_eq!(ended(&bench)[0].artifact_bytes, expected, "{kind} {broken:?}");
    }
}

#[test]
fn every_run_of_an_unlock_script_that_fails_is_told() {
    let mut setup = Setup {
        broken: vec![(Step::Script(Phase::PostBackupUnlock), Failing::Exit(1))],
        ..Setup::default()
    };
    setup.settings.times.unlock_retries = 0;
    let bench = Bench::new(setup);
    bench.run(request(JobKind::Backup, "j", Transfer::ByAgent));
    assert_eq!(count(&bench, is_failed_unlock), 1, "in the job");
    // By hand, and by the agent itself after a while.
    assert!(block_on(bench.service.unlock(&key(JobKind::Backup, "j"))).is_err());
    assert_eq!(count(&bench, is_failed_unlock), 2, "by hand");
    bench.clock.advance(TimeDelta::minutes(2));
    bench.spawner.run_until_stalled();
    assert_eq!(count(&bench, is_failed_unlock), 3, "after the end");
    assert_eq!(count(&bench, is_release), 0);
}

#[test]
fn a_job_that_is_cancelled_in_the_queue_is_told_too() {
    let gated = Gated::new(|settings| settings.limits.at_work = 1);
    for id in ["first", "second"] {
        block_on(gated.service.start(request(JobKind::Backup, id, Transfer::ByScripts))).expect("it is taken");
    }
    block_on(gated.service.cancel(&key(JobKind::Backup, "second"))).expect("it waits");
    let told = gated.noticed.all();
    assert!(
        matches!(&told[..], [Observation::JobEnded { job, phases, .. }]
            if job.outcome == Outcome::Cancelled && phases.is_empty()),
        "{told:?}"
    );
}

#[test]
fn what_ended_before_is_told_as_such_newest_first() {
    let before = Bench::new(Setup::default());
    for id in ["old", "new"] {
        before.run(request(JobKind::Backup, id, Transfer::ByAgent));
        before.clock.advance(TimeDelta::hours(1));
    }
    block_on(before.service.remember()).expect("the store can be read");
    let told: Vec<_> = before.noticed.all();
    let remembered: Vec<_> = told
        .iter()
        .filter_map(|told| match told {
            Observation::JobRemembered(job) => Some(job.ended_at),
            Observation::JobEnded { .. }
            | Observation::LockReleased { .. }
            | Observation::UnlockFailed { .. }
            | Observation::Moved { .. }
            | Observation::Retried { .. } => None,
        })
        .collect();
    assert_eq!(remembered.len(), 2);
    assert!(remembered[0] > remembered[1], "{remembered:?}");
}

#[test]
fn whatever_keeps_jobs_from_running_is_named() {
    let all_is_well = block_on(Bench::new(Setup::default()).service.shortcomings());
    assert_eq!(all_is_well, Vec::<String>::new());

    let full = Bench::new(Setup {
        free_bytes: Some(41),
        ..Setup::default()
    });
    assert_eq!(
        block_on(full.service.shortcomings()),
        Vec::<String>::new(),
        "nothing is to stay free"
    );
    let mut setup = Setup {
        free_bytes: Some(41),
        ..Setup::default()
    };
    setup.settings.min_free_space = 42;
    let found = block_on(Bench::new(setup).service.shortcomings()).join("\n");
    for words in ["directory_backup", "directory_restore", "41 bytes", "min_free_space"] {
        assert!(found.contains(words), "{words}: {found}");
    }

    let unwritable = Bench::new(Setup {
        broken_call: Some("check_writable"),
        ..Setup::default()
    });
    assert_eq!(block_on(unwritable.service.shortcomings()).len(), 2, "both directories");

    let unscripted = Bench::new(Setup {
        broken: vec![(Step::Prepare, Failing::Error)],
        ..Setup::default()
    });
    assert_eq!(block_on(unscripted.service.shortcomings()).len(), 2, "both kinds");

    let unrecorded = Bench::new(Setup::default());
    unrecorded.jobs.fail(true);
    assert_eq!(block_on(unrecorded.service.shortcomings()), ["the disk is full"]);

    let stopping = Bench::new(Setup::default());
    stopping.service.stop_taking_jobs();
    let found = block_on(stopping.service.shortcomings());
    assert!(found.len() == 1 && found[0].contains("stopping"), "{found:?}");
}
