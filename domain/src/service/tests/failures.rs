//! Every step of every plan, failing in every way, under every policy.

use super::bench::{Bench, Failing, Setup};
use crate::{
    job::JobStatus,
    plan::{FailurePolicy, JobKind, Order, Phase, Role, Step, Transfer},
    testing::request,
};

const POLICIES: [FailurePolicy; 8] = {
    let mut all = [FailurePolicy {
        unlock_after_failed_lock: true,
        unlock_after_failed_restore: true,
        keep_unsent_artifact: false,
        order: Order::ALL[0],
    }; 8];
    let mut bits = 0;
    while bits < 8 {
        all[bits].unlock_after_failed_lock = bits & 1 == 0;
        all[bits].unlock_after_failed_restore = bits & 2 == 0;
        all[bits].keep_unsent_artifact = bits & 4 != 0;
        bits += 1;
    }
    all
};

/// The scripts that must have been called, written down independently of the plan's own table.
fn expected_scripts(kind: JobKind, broken: Step, way: Failing, policy: FailurePolicy) -> Vec<Phase> {
    let not_begun = matches!(way, Failing::NotStarted);
    let (lock, cleanup, unlock) = match kind {
        JobKind::Backup => (Phase::PreBackupLock, Phase::BackupCleanup, Phase::PostBackupUnlock),
        JobKind::Restore => (Phase::PreRestoreLock, Phase::RestoreCleanup, Phase::PostRestoreUnlock),
    };
    let forward: Vec<Phase> = match broken {
        Step::Prepare => return vec![],
        Step::Script(phase) if phase == lock => vec![lock],
        Step::Script(Phase::PreBackupCheck) => vec![lock, Phase::PreBackupCheck],
        Step::Download | Step::PlaceFile => vec![lock],
        Step::Script(_) | Step::FindArtifact | Step::Upload => match kind {
            JobKind::Backup => vec![lock, Phase::PreBackupCheck, Phase::Backup],
            JobKind::Restore => vec![lock, Phase::Restore],
        },
    };
    let lock_failed = broken == Step::Script(lock);
    let took_nothing = lock_failed && (not_begun || way == Failing::Exit(75));
    // One that failed by itself says that it took nothing; one whose end is not known cannot.
    let is_unknown = matches!(way, Failing::Lost | Failing::Panic);
    let mut all = forward;
    if took_nothing || (lock_failed && !is_unknown && !policy.unlock_after_failed_lock) {
        return all;
    }
    if !(broken == Step::Upload && policy.keep_unsent_artifact) {
        all.push(cleanup);
    }
    if broken != Step::Script(Phase::Restore) || not_begun || policy.unlock_after_failed_restore {
        all.push(unlock);
    }
    all
}

fn scripts_called(bench: &Bench) -> Vec<String> {
    let diary = bench.diary();
    let is_script = |entry: &String| Phase::ALL.iter().any(|phase| phase.as_str() == entry);
    diary.into_iter().filter(is_script).collect()
}

fn names(phases: &[Phase]) -> Vec<String> {
    phases.iter().map(ToString::to_string).collect()
}

fn every_failure_of(kind: JobKind, step: Step) {
    let mut cases = 0;
    for policy in POLICIES {
        for way in Failing::ways_of(step) {
            let mut setup = Setup {
                broken: vec![(step, *way)],
                ..Setup::default()
            };
            setup.settings.policy = policy;
            let bench = Bench::new(setup);
            let view = bench.run(request(kind, "j", Transfer::ByAgent));
            let case = format!("{kind} {step} {way:?} {policy:?}");
            let JobStatus::Failed { failures } = &view.status else {
                panic!("{case}: {:?}", view.status);
            };
            assert_eq!(failures.len(), 1, "{case}");
            assert_eq!(failures[0].step, step, "{case}");
            assert_eq!(
                scripts_called(&bench),
                names(&expected_scripts(kind, step, *way, policy)),
                "{case}"
            );
            let message = view.error_message().unwrap_or_default();
            let may_be_locked = step.role() == Some(Role::Unlock);
            assert_eq!(view.owes_unlock, may_be_locked, "{case}");
            assert_eq!(
                message.starts_with("THE LOCK WAS NOT RELEASED"),
                may_be_locked,
                "{case}: {message}"
            );
            assert!(
                may_be_locked || message.contains(&format!("{step}: ")),
                "{case}: {message}"
            );
            if let Failing::Exit(code) = way {
                assert!(message.contains(&format!("exit code {code}")), "{case}: {message}");
            }
            if *way == Failing::Signal(9) {
                assert!(message.contains("SIGKILL"), "{case}: {message}");
            }
            // What was downloaded never stays, and nothing is called stored that is not.
            let was_placed = bench.diary().iter().any(|entry| entry.starts_with("place"));
            let was_discarded = bench.diary().iter().any(|entry| entry.starts_with("discard"));
            assert!(was_discarded || !was_placed, "{case}");
            assert_eq!(
                was_discarded,
                bench.diary().iter().any(|entry| entry.starts_with("download")),
                "{case}"
            );
            let is_stored = kind == JobKind::Backup && matches!(step.role(), Some(Role::Cleanup | Role::Unlock));
            assert_eq!(view.artifact.is_some(), is_stored, "{case}");
            assert_eq!(message.contains("safe in the store"), is_stored, "{case}: {message}");
            cases += 1;
        }
    }
    assert_eq!(cases, POLICIES.len() * Failing::ways_of(step).len());
}

/// One test for each step of each plan, each over every way to fail and every policy.
macro_rules! every_failure {
    ($($name:ident: $kind:ident, $step:expr;)*) => {
        $(
            #[test]
            fn $name() {
                every_failure_of(JobKind::$kind, $step);
            }
        )*

        #[test]
        fn no_step_of_any_plan_is_left_out() {
            let tested = [$((JobKind::$kind, $step)),*];
            for kind in JobKind::ALL {
                for step in kind.plan(Transfer::ByAgent, Order::default()) {
                    assert!(tested.contains(&(kind, *step)), "{kind} {step}");
                }
            }
        }
    };
}

every_failure! {
    a_backup_that_fails_in_preparation_touches_nothing: Backup, Step::Prepare;
    a_backup_whose_lock_fails_unlocks_if_it_may_have_locked: Backup, Step::Script(Phase::PreBackupLock);
    a_backup_whose_check_fails_unlocks: Backup, Step::Script(Phase::PreBackupCheck);
    a_backup_whose_script_fails_unlocks: Backup, Step::Script(Phase::Backup);
    a_backup_without_an_artifact_unlocks: Backup, Step::FindArtifact;
    a_backup_whose_upload_fails_unlocks: Backup, Step::Upload;
    a_backup_whose_cleanup_fails_unlocks: Backup, Step::Script(Phase::BackupCleanup);
    a_backup_whose_unlock_fails_is_failed: Backup, Step::Script(Phase::PostBackupUnlock);
    a_restore_that_fails_in_preparation_touches_nothing: Restore, Step::Prepare;
    a_restore_whose_lock_fails_unlocks_if_it_may_have_locked: Restore, Step::Script(Phase::PreRestoreLock);
    a_restore_whose_download_fails_unlocks: Restore, Step::Download;
    a_restore_whose_file_cannot_be_placed_unlocks: Restore, Step::PlaceFile;
    a_restore_whose_script_fails_unlocks_unless_told_not_to: Restore, Step::Script(Phase::Restore);
    a_restore_whose_cleanup_fails_unlocks: Restore, Step::Script(Phase::RestoreCleanup);
    a_restore_whose_unlock_fails_is_failed: Restore, Step::Script(Phase::PostRestoreUnlock);
}

#[test]
fn every_pair_of_failures_is_told_in_order_and_unlock_still_runs() {
    for kind in JobKind::ALL {
        let plan = kind.plan(Transfer::ByAgent, Order::default());
        let way_out = plan.iter().filter(|step| step.is_owed());
        for late in way_out {
            // The lock script has succeeded, so whatever fails, unlock must be tried.
            for early in plan.iter().skip(2).take_while(|step| *step != late) {
                let setup = Setup {
                    broken: vec![(*early, Failing::ways_of(*early)[0]), (*late, Failing::Exit(3))],
                    ..Setup::default()
                };
                let bench = Bench::new(setup);
                let view = bench.run(request(kind, "j", Transfer::ByAgent));
                let steps: Vec<Step> = view.status.failures().iter().map(|failure| failure.step).collect();
                assert_eq!(steps, [*early, *late], "{kind}");
                let unlock = kind.phases().last().expect("a plan ends with unlock");
                assert_eq!(
                    bench.diary().iter().filter(|entry| *entry == unlock.as_str()).count(),
                    1,
                    "{kind}"
                );
            }
        }
    }
}

#[test]
fn cleanup_and_unlock_are_told_what_happened() {
    let rows = [
        (JobKind::Backup, None, ["succeeded", "", "taken"]),
        (
            JobKind::Backup,
            Some(Step::Script(Phase::PreBackupLock)),
            ["failed", "pre-backup-lock", "failed"],
        ),
        (JobKind::Backup, Some(Step::Upload), ["failed", "backup", "taken"]),
        (JobKind::Restore, Some(Step::Download), ["failed", "restore", "taken"]),
        (
            JobKind::Restore,
            Some(Step::Script(Phase::RestoreCleanup)),
            ["failed", "restore-cleanup", "taken"],
        ),
    ];
    for (kind, broken, told) in rows {
        let broken = broken
            .map(|step| (step, Failing::ways_of(step)[0]))
            .into_iter()
            .collect();
        let bench = Bench::new(Setup {
            broken,
            ..Setup::default()
        });
        bench.run(request(kind, "j", Transfer::ByAgent));
        let unlock = *kind.phases().last().expect("a plan ends with unlock");
        let variables = ["OUTCOME", "FAILED_PHASE", "LOCK"].map(|name| {
            bench
                .variable(unlock, &format!("BACKUP_AGENT_{name}"))
                .unwrap_or_default()
        });
        assert_eq!(variables, told, "{kind}");
    }
}

#[test]
fn a_failed_script_s_output_is_kept_with_that_of_all_others() {
    let broken = Step::Script(Phase::Backup);
    let bench = Bench::new(Setup {
        broken: vec![(broken, Failing::Exit(1))],
        ..Setup::default()
    });
    let view = bench.run(request(JobKind::Backup, "j", Transfer::ByAgent));
    let of = |phase| view.log(phase).map(|log| log.stdout.to_string());
    assert_eq!(of(Phase::PreBackupLock).as_deref(), Some("pre-backup-lock out"));
    assert_eq!(of(Phase::Backup).as_deref(), Some("broken out"));
    assert_eq!(of(Phase::PostBackupUnlock).as_deref(), Some("post-backup-unlock out"));
}
