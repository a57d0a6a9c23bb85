//! Jobs that are ended from outside: cancelled, stopped, taken over from an agent that died; and
//! locks that are not released at once.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;

use super::bench::{Bench, Failing, Setup, key};
use crate::{
    job::{FailureCause, JobKey, JobStatus, JobView, LockRecord, Outcome},
    plan::{JobKind, Order, Phase, Role, Step, Transfer},
    ports::{CancelError, JobApi, JobStore, MockBlobStore, MockWorkspace, RemoveError, UnlockError},
    service::{JobService, Ports, ServiceSettings},
    testing::{
        FakeJobStore, GatedScriptRunner, ManualClock, ManualSpawner, Noticed, block_on, prepared_restore, request,
        shared,
    },
};

/// A service whose scripts end only when they are let, or are told to halt.
pub(super) struct Gated {
    pub(super) service: JobService,
    pub(super) spawner: Arc<ManualSpawner>,
    pub(super) scripts: Arc<GatedScriptRunner>,
    clock: Arc<ManualClock>,
    pub(super) jobs: Arc<FakeJobStore>,
    pub(super) noticed: Arc<Noticed>,
}

impl Gated {
    pub(super) fn new(change: impl FnOnce(&mut ServiceSettings)) -> Self {
        let (spawner, scripts, clock) = (
            shared::<ManualSpawner>(),
            shared::<GatedScriptRunner>(),
            shared::<ManualClock>(),
        );
        let (jobs, noticed) = (shared::<FakeJobStore>(), shared::<Noticed>());
        let mut workspace = MockWorkspace::new();
        workspace
            .expect_staging()
            .returning(|_, _| Ok(crate::artifact::Staging::default()));
        workspace.expect_check_restore().returning(|_| Ok(()));
        workspace.expect_free_bytes().returning(|_| Ok(None));
        workspace.expect_discard_restore().returning(|_, _| Ok(()));
        workspace.expect_place_restore().returning(|_, _| Ok(None));
        workspace.expect_plan_restore().returning(|_| Ok(prepared_restore()));
        workspace
            .expect_prepare_restore()
            .returning(|_, planned| Ok(planned.clone()));
        let mut settings = ServiceSettings::default();
        change(&mut settings);
        let ports = Ports {
            scripts: scripts.clone(),
            blobs: Arc::new(MockBlobStore::new()),
            jobs: jobs.clone(),
            workspace: Arc::new(workspace),
            clock: clock.clone(),
            spawner: spawner.clone(),
            observer: noticed.clone(),
        };
        Self {
            service: JobService::new(ports, settings),
            spawner,
            scripts,
            clock,
            jobs,
            noticed,
        }
    }

    pub(super) fn start(&self, kind: JobKind, id: &str) -> JobKey {
        block_on(self.service.start(request(kind, id, Transfer::ByScripts))).expect("the job is accepted");
        self.spawner.run_until_stalled();
        key(kind, id)
    }

    /// Lets the scripts before `phase` end, so that `phase` is at work.
    pub(super) fn reach(&self, kind: JobKind, id: &str, phase: Phase) {
        for earlier in kind.phases().iter().take_while(|earlier| **earlier != phase) {
            self.scripts.let_end(id, *earlier);
        }
        self.spawner.run_until_stalled();
    }

    pub(super) fn let_all_end(&self, kind: JobKind, id: &str) {
        for phase in kind.phases() {
            self.scripts.let_end(id, *phase);
        }
        self.spawner.run_until_stalled();
    }

    pub(super) fn wait(&self, duration: Duration) {
        self.clock.advance(TimeDelta::from_std(duration).expect("short"));
        self.spawner.run_until_stalled();
    }

    pub(super) fn view(&self, key: &JobKey) -> JobView {
        block_on(self.service.find(key)).expect("readable").expect("known")
    }

    pub(super) fn started(&self, id: &str) -> Vec<String> {
        let started = self.scripts.started();
        let of_job = started.iter().filter_map(|call| call.strip_prefix(&format!("{id} ")));
        of_job.map(str::to_owned).collect()
    }
}

/// The scripts that run if the job is ended while that of `phase` is at work.
fn expected(kind: JobKind, phase: Phase) -> Vec<String> {
    let phases = kind.phases();
    let at = phases.iter().position(|known| *known == phase).expect("of this kind");
    let way_out = phases
        .iter()
        .skip(at + 1)
        .filter(|phase| matches!(phase.role(), Role::Cleanup | Role::Unlock));
    phases[..=at].iter().chain(way_out).map(ToString::to_string).collect()
}

#[test]
fn a_cancelled_job_ends_its_work_and_runs_what_is_owed_at_every_phase() {
    for kind in JobKind::ALL {
        for phase in kind.phases() {
            let gated = Gated::new(|_| {});
            let key = gated.start(kind, "j");
            gated.reach(kind, "j", *phase);
            let view = block_on(gated.service.cancel(&key)).expect("it is at work");
            assert!(!view.status.is_finished(), "{phase}");
            gated.spawner.run_until_stalled();
            gated.let_all_end(kind, "j");
            let view = gated.view(&key);
            assert_eq!(view.status.outcome(), Some(Outcome::Cancelled), "{phase}");
            assert_eq!(gated.started("j"), expected(kind, *phase), "{phase}");
            assert_eq!(view.lock, LockRecord::Released, "{phase}");
            let message = view.error_message().unwrap_or_default();
            assert_eq!(message, format!("{phase}: cancelled on request"), "{phase}");
            let again = block_on(gated.service.cancel(&key));
            assert!(matches!(again, Err(CancelError::Ended(_))), "{phase}: {again:?}");
        }
    }
}

#[test]
fn a_queued_job_that_is_cancelled_just_ends() {
    let gated = Gated::new(|settings| settings.limits.at_work = 1);
    gated.start(JobKind::Backup, "a");
    let key = gated.start(JobKind::Backup, "b");
    gated.jobs.fail(true);
    let refused = block_on(gated.service.cancel(&key));
    assert!(matches!(refused, Err(CancelError::Store(_))), "{refused:?}");
    gated.jobs.fail(false);
    let view = block_on(gated.service.cancel(&key)).expect("it waits");
    assert_eq!(view.status.outcome(), Some(Outcome::Cancelled));
    assert_eq!(view.lock.is_released(), None);
    gated.let_all_end(JobKind::Backup, "a");
    assert!(gated.started("b").is_empty());
    let unknown = block_on(gated.service.cancel(&super::bench::key(JobKind::Backup, "c")));
    assert!(matches!(unknown, Err(CancelError::Unknown)), "{unknown:?}");
}

#[test]
fn a_phase_that_takes_too_long_is_ended_and_what_is_owed_runs() {
    for kind in JobKind::ALL {
        for phase in kind.phases() {
            let limit = Duration::from_secs(90);
            let gated = Gated::new(|settings| {
                settings.times.phase_timeout = Some(limit);
                settings.times.unlock_retries = 0;
            });
            let key = gated.start(kind, "j");
            gated.reach(kind, "j", *phase);
            gated.wait(limit - Duration::from_secs(1));
            assert!(!gated.view(&key).status.is_finished(), "{phase}");
            assert!(gated.view(&key).status.failures().is_empty(), "{phase}");
            gated.wait(Duration::from_secs(1));
            gated.let_all_end(kind, "j");
            let view = gated.view(&key);
            assert_eq!(view.status.outcome(), Some(Outcome::Failed), "{phase}");
            assert_eq!(
                view.status.failures()[0].cause,
                FailureCause::TimedOut(limit),
                "{phase}"
            );
            assert_eq!(gated.started("j"), expected(kind, *phase), "{phase}");
            assert_eq!(view.owes_unlock, phase.role() == Role::Unlock, "{phase}");
        }
    }
}

#[test]
fn a_lock_that_lasts_too_long_ends_what_is_at_work_but_never_an_unlock() {
    for kind in JobKind::ALL {
        for phase in kind.phases() {
            let limit = Duration::from_secs(30);
            let gated = Gated::new(|settings| settings.times.max_lock_time = Some(limit));
            let key = gated.start(kind, "j");
            gated.reach(kind, "j", *phase);
            gated.wait(limit);
            let was_ended = !gated.view(&key).status.failures().is_empty();
            assert_eq!(was_ended, phase.role() != Role::Unlock, "{phase}");
            gated.let_all_end(kind, "j");
            let view = gated.view(&key);
            assert_eq!(view.lock, LockRecord::Released, "{phase}");
            if was_ended {
                assert_eq!(
                    view.status.failures()[0].cause,
                    FailureCause::LockedTooLong(limit),
                    "{phase}"
                );
            } else {
                assert_eq!(view.status, JobStatus::Succeeded, "{phase}");
            }
        }
    }
}

#[test]
fn a_stopping_agent_ends_what_works_gives_a_cleanup_little_time_and_leaves_an_unlock_alone() {
    for kind in JobKind::ALL {
        for phase in kind.phases() {
            let gated = Gated::new(|_| {});
            let key = gated.start(kind, "j");
            gated.reach(kind, "j", *phase);
            gated.service.stop_taking_jobs();
            gated.service.interrupt();
            gated.spawner.run_until_stalled();
            // The cleanup at work, now or by now, hangs.
            gated.wait(Duration::from_secs(20));
            let unlock = kind.unlock_phase();
            assert_eq!(gated.started("j"), expected(kind, *phase), "{phase}");
            assert_eq!(
                gated.service.at_work(),
                std::slice::from_ref(&key),
                "{phase}: the unlock is at work"
            );
            gated.wait(Duration::from_secs(1800));
            assert_eq!(
                gated.service.at_work(),
                std::slice::from_ref(&key),
                "{phase}: the unlock is not ended"
            );
            gated.scripts.let_end("j", unlock);
            gated.spawner.run_until_stalled();
            assert!(gated.service.at_work().is_empty(), "{phase}");
            assert_eq!(gated.view(&key).status.outcome(), Some(Outcome::Interrupted), "{phase}");
        }
    }
}

#[test]
fn a_failed_unlock_is_tried_again_with_growing_pauses_then_once_a_minute_until_it_is_given_up() {
    let mut setup = Setup {
        broken: vec![(Step::Script(Phase::PostBackupUnlock), Failing::Exit(1))],
        ..Setup::default()
    };
    setup.settings.times.unlock_retries = 3;
    let bench = Bench::new(setup);
    let key = key(JobKind::Backup, "j");
    block_on(bench.service.start(request(JobKind::Backup, "j", Transfer::ByAgent))).expect("accepted");
    let unlocks = || {
        bench
            .diary()
            .iter()
            .filter(|entry| *entry == "post-backup-unlock")
            .count()
    };
    let wait = |seconds| {
        bench.clock.advance(TimeDelta::seconds(seconds));
        bench.spawner.run_until_stalled();
    };
    wait(0);
    for (pause, count) in [(0, 1), (1, 1), (1, 2), (3, 2), (1, 3), (7, 3), (1, 4)] {
        wait(pause);
        assert_eq!(unlocks(), count, "after {pause} s more");
    }
    let view = bench.view(&key);
    assert_eq!(view.status.outcome(), Some(Outcome::Failed));
    assert!(view.owes_unlock);
    assert_eq!(view.lock.is_released(), Some(false));
    let message = view.error_message().unwrap_or_default();
    assert!(message.starts_with("THE LOCK WAS NOT RELEASED"), "{message}");
    assert!(message.contains("run 4 times"), "{message}");
    // It holds no place, but its database; it cannot be removed, nor its id be taken.
    assert!(bench.service.at_work().is_empty());
    assert!(matches!(
        block_on(bench.service.remove(&key)),
        Err(RemoveError::Unfinished(_))
    ));
    block_on(bench.service.start(request(JobKind::Backup, "next", Transfer::ByAgent))).expect("it waits");
    for count in 5..8 {
        wait(60);
        assert_eq!(unlocks(), count);
    }
    let by_hand = block_on(bench.service.unlock(&key));
    assert!(matches!(by_hand, Err(UnlockError::Failed(_))), "{by_hand:?}");
    assert_eq!(bench.service.at_work().len(), 0, "the next job still waits");
    let view = block_on(bench.service.cancel(&key)).expect("it owes an unlock");
    assert_eq!(view.lock, LockRecord::GivenUp);
    wait(0);
    assert!(
        bench.view(&super::bench::key(JobKind::Backup, "next")).phase.is_some(),
        "the next has begun"
    );
    assert!(block_on(bench.service.remove(&key)).expect("it is settled"));
}

#[test]
fn an_end_that_could_not_be_recorded_is_recorded_later() {
    let bench = Bench::new(Setup::default());
    let key = key(JobKind::Backup, "j");
    block_on(bench.service.start(request(JobKind::Backup, "j", Transfer::ByAgent))).expect("accepted");
    bench.jobs.fail(true);
    bench.spawner.run_until_stalled();
    bench.jobs.fail(false);
    bench.clock.advance(TimeDelta::seconds(60));
    bench.spawner.run_until_stalled();
    assert!(bench.spawner.unfinished().is_empty());
    let stored = block_on(bench.jobs.find(&key)).expect("readable").expect("known");
    assert!(stored.is_settled());
}

#[test]
fn a_release_before_the_upload_is_a_success_with_the_scripts_in_that_order() {
    let mut setup = Setup::default();
    setup.settings.policy.order = Order::ALL[1];
    let bench = Bench::new(setup);
    let view = bench.run(request(JobKind::Backup, "j", Transfer::ByAgent));
    assert_eq!(view.status, JobStatus::Succeeded, "{:?}", view.error_message());
    let scripts: Vec<String> = bench
        .diary()
        .iter()
        .map(|entry| entry.split(' ').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        scripts,
        [
            "pre-backup-lock",
            "pre-backup-check",
            "backup",
            "post-backup-unlock",
            "upload",
            "backup-cleanup"
        ]
    );
}
