use super::*;

fn names(steps: &[Step]) -> Vec<String> {
    steps.iter().map(ToString::to_string).collect()
}

#[test]
fn plans_are_the_documented_order() {
    assert_eq!(
        names(JobKind::Backup.plan(Transfer::ByAgent, Order::default())),
        [
            "preparation",
            "pre-backup-lock",
            "pre-backup-check",
            "backup",
            "backup (artifact)",
            "backup (upload)",
            "backup-cleanup",
            "post-backup-unlock"
        ]
    );
    assert_eq!(
        names(JobKind::Restore.plan(Transfer::ByAgent, Order::default())),
        [
            "preparation",
            "pre-restore-lock",
            "restore (download)",
            "restore (file)",
            "restore",
            "restore-cleanup",
            "post-restore-unlock"
        ]
    );
}

#[test]
fn without_storage_only_the_transfers_are_left_out() {
    for kind in JobKind::ALL {
        let expected: Vec<Step> = kind
            .plan(Transfer::ByAgent, Order::default())
            .iter()
            .copied()
            .filter(|step| !matches!(step, Step::Upload | Step::Download | Step::PlaceFile))
            .collect();
        assert_eq!(kind.plan(Transfer::ByScripts, Order::default()), expected, "{kind}");
    }
}

#[test]
fn every_phase_has_its_script_in_every_plan_of_its_kind() {
    for kind in JobKind::ALL {
        for transfer in [Transfer::ByAgent, Transfer::ByScripts] {
            let scripts: Vec<Phase> = kind
                .plan(transfer, Order::default())
                .iter()
                .filter_map(|step| match step {
                    Step::Script(phase) => Some(*phase),
                    Step::Prepare | Step::FindArtifact | Step::Upload | Step::Download | Step::PlaceFile => None,
                })
                .collect();
            assert_eq!(scripts, kind.phases(), "{kind} {transfer:?}");
        }
    }
}

/// What runs after each failure, spelled out: `C` cleanup, `U` unlock, `-` nothing. The columns are
/// the failure modes not-started, lock-is-taken, failed, ended.
const AFTER: &[(JobKind, &str, [&str; 4])] = &[
    (JobKind::Backup, "preparation", ["-", "-", "-", "-"]),
    (JobKind::Backup, "pre-backup-lock", ["-", "-", "CU", "CU"]),
    (JobKind::Backup, "pre-backup-check", ["CU", "CU", "CU", "CU"]),
    (JobKind::Backup, "backup", ["CU", "CU", "CU", "CU"]),
    (JobKind::Backup, "backup (artifact)", ["CU", "CU", "CU", "CU"]),
    (JobKind::Backup, "backup (upload)", ["CU", "CU", "CU", "CU"]),
    (JobKind::Backup, "backup-cleanup", ["U", "U", "U", "U"]),
    (JobKind::Backup, "post-backup-unlock", ["-", "-", "-", "-"]),
    (JobKind::Restore, "preparation", ["-", "-", "-", "-"]),
    (JobKind::Restore, "pre-restore-lock", ["-", "-", "CU", "CU"]),
    (JobKind::Restore, "restore (download)", ["CU", "CU", "CU", "CU"]),
    (JobKind::Restore, "restore (file)", ["CU", "CU", "CU", "CU"]),
    (JobKind::Restore, "restore", ["CU", "CU", "CU", "CU"]),
    (JobKind::Restore, "restore-cleanup", ["U", "U", "U", "U"]),
    (JobKind::Restore, "post-restore-unlock", ["-", "-", "-", "-"]),
];

fn what_runs(kind: JobKind, step: Step, mode: FailureMode, policy: FailurePolicy) -> String {
    let plan = kind.plan(Transfer::ByAgent, Order::default());
    let index = plan
        .iter()
        .position(|known| *known == step)
        .expect("a step of the plan");
    let after = after_failure(step, mode, &plan[index + 1..], policy);
    let letters: String = after
        .iter()
        .map(|step| match step.role() {
            Some(Role::Cleanup) => 'C',
            Some(Role::Unlock) => 'U',
            Some(Role::Lock | Role::Check | Role::Work) | None => '?',
        })
        .collect();
    if letters.is_empty() { "-".to_owned() } else { letters }
}

#[test]
fn after_every_failure_of_every_step_runs_what_the_table_says() {
    let mut rows = 0;
    for (kind, name, expected) in AFTER {
        let step = *kind
            .plan(Transfer::ByAgent, Order::default())
            .iter()
            .find(|step| step.to_string() == *name)
            .expect(name);
        for (mode, expected) in FailureMode::ALL.into_iter().zip(expected) {
            let actual = what_runs(*kind, step, mode, FailurePolicy::default());
            assert_eq!(actual, *expected, "{kind} {name} {mode:?}");
            rows += 1;
        }
    }
    let steps: usize = JobKind::ALL
        .iter()
        .map(|kind| kind.plan(Transfer::ByAgent, Order::default()).len())
        .sum();
    assert_eq!(rows, steps * FailureMode::ALL.len(), "a step is not in the table");
}

#[test]
fn each_switch_changes_its_own_row_and_no_other() {
    let default = FailurePolicy::default();
    let switches = [
        (
            FailurePolicy {
                unlock_after_failed_lock: false,
                ..default
            },
            vec![
                (
                    JobKind::Backup,
                    Step::Script(Phase::PreBackupLock),
                    FailureMode::Failed,
                    "-",
                ),
                (
                    JobKind::Restore,
                    Step::Script(Phase::PreRestoreLock),
                    FailureMode::Failed,
                    "-",
                ),
            ],
        ),
        (
            FailurePolicy {
                unlock_after_failed_restore: false,
                ..default
            },
            FailureMode::ALL
                .into_iter()
                .filter(|mode| matches!(mode, FailureMode::Failed | FailureMode::Ended))
                .map(|mode| (JobKind::Restore, Step::Script(Phase::Restore), mode, "C"))
                .collect(),
        ),
        (
            FailurePolicy {
                keep_unsent_artifact: true,
                ..default
            },
            FailureMode::ALL
                .into_iter()
                .map(|mode| (JobKind::Backup, Step::Upload, mode, "U"))
                .collect(),
        ),
    ];
    for (policy, changed) in switches {
        for kind in JobKind::ALL {
            for step in kind.plan(Transfer::ByAgent, Order::default()) {
                for mode in FailureMode::ALL {
                    let row = changed.iter().find(|row| (row.0, row.1, row.2) == (kind, *step, mode));
                    let expected = row.map_or_else(|| what_runs(kind, *step, mode, default), |row| row.3.to_owned());
                    let actual = what_runs(kind, *step, mode, policy);
                    assert_eq!(actual, expected, "{kind} {step} {mode:?} {policy:?}");
                }
            }
        }
    }
}

#[test]
fn the_shortest_locks_are_without_upload_and_download() {
    assert_eq!(
        names(JobKind::Backup.plan(Transfer::ByAgent, Order::ALL[1])),
        [
            "preparation",
            "pre-backup-lock",
            "pre-backup-check",
            "backup",
            "post-backup-unlock",
            "backup (artifact)",
            "backup (upload)",
            "backup-cleanup"
        ]
    );
    assert_eq!(
        names(JobKind::Restore.plan(Transfer::ByAgent, Order::ALL[1])),
        [
            "preparation",
            "restore (download)",
            "pre-restore-lock",
            "restore (file)",
            "restore",
            "restore-cleanup",
            "post-restore-unlock"
        ]
    );
    for (kind, transfer) in [
        (JobKind::Backup, Transfer::ByScripts),
        (JobKind::Restore, Transfer::ByScripts),
    ] {
        let [late, early] = Order::ALL.map(|order| kind.plan(transfer, order));
        assert_eq!(late, early, "{kind} {transfer:?}");
    }
}

#[test]
fn whatever_stops_a_job_under_a_lock_leaves_exactly_what_is_owed() {
    for kind in JobKind::ALL {
        for order in Order::ALL {
            let plan = kind.plan(Transfer::ByAgent, order);
            for (index, step) in plan.iter().enumerate() {
                let (ahead, behind) = (&plan[index..], &plan[..index]);
                let is_locked = behind.iter().any(|step| step.role() == Some(Role::Lock));
                let owed: Vec<Step> = ahead.iter().filter(|step| step.is_owed()).copied().collect();
                let expected = if is_locked { owed.clone() } else { Vec::new() };
                assert_eq!(after_stop(ahead), expected, "{kind} {order:?} before {step}");
                // An interrupted lock script may have locked; an interrupted cleanup or unlock runs again.
                let may_be_locked = is_locked || step.role() == Some(Role::Lock);
                let expected = if may_be_locked { owed } else { Vec::new() };
                let after = after_interruption(*step, &ahead[1..], FailurePolicy::default());
                assert_eq!(after, expected, "{kind} {order:?} in {step}");
            }
        }
    }
}
