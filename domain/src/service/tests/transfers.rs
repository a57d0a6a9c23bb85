//! What is moved where, and what is told of it.

use super::bench::{Bench, Failing, SIZE, Setup};
use crate::{
    artifact::Sha256,
    job::{ArtifactReport, JobStatus},
    plan::{JobKind, Phase, Step, Transfer},
    testing::request,
};

const NAME: &str = "host_2018_11_06_db.tar.gz";

#[test]
fn a_backup_walks_its_plan_and_reports_the_stored_object() {
    let bench = Bench::new(Setup::default());
    let view = bench.run(request(JobKind::Backup, "j", Transfer::ByAgent));
    assert_eq!(view.status, JobStatus::Succeeded);
    assert_eq!(
        bench.diary(),
        [
            "pre-backup-lock",
            "pre-backup-check",
            "backup",
            &format!("upload /b/{NAME} to prefix/{NAME}"),
            "backup-cleanup",
            "post-backup-unlock"
        ]
    );
    let expected = ArtifactReport {
        filename: NAME.to_owned(),
        size_bytes: SIZE,
        sha256: Some(Sha256::from([7; 32])),
    };
    assert_eq!(view.artifact, Some(expected));
}

#[test]
fn a_restore_downloads_after_the_lock_and_leaves_nothing() {
    let bench = Bench::new(Setup::default());
    let view = bench.run(request(JobKind::Restore, "j", Transfer::ByAgent));
    assert_eq!(view.status, JobStatus::Succeeded);
    let object = "h_2018_11_06_db.tar.gz";
    assert_eq!(
        bench.diary(),
        [
            "pre-restore-lock",
            &format!("download prefix/{object} to /r/j/.part"),
            &format!("place {object}"),
            "restore",
            "restore-cleanup",
            "post-restore-unlock",
            &format!("discard {object}"),
        ]
    );
}

#[test]
fn without_storage_nothing_is_moved_and_an_artifact_is_told_of() {
    for kind in JobKind::ALL {
        let bench = Bench::new(Setup::default());
        let view = bench.run(request(kind, "j", Transfer::ByScripts));
        assert_eq!(view.status, JobStatus::Succeeded, "{kind}");
        let scripts: Vec<String> = kind.phases().iter().map(ToString::to_string).collect();
        assert_eq!(bench.diary(), scripts, "{kind}");
        assert_eq!(view.artifact.is_some(), kind == JobKind::Backup, "{kind}");
    }
}

#[test]
fn without_storage_no_artifact_is_needed() {
    let bench = Bench::new(Setup {
        broken: vec![(Step::FindArtifact, Failing::Error)],
        ..Setup::default()
    });
    let view = bench.run(request(JobKind::Backup, "j", Transfer::ByScripts));
    assert_eq!(view.status, JobStatus::Succeeded);
    assert_eq!(view.artifact, None);
}

#[test]
fn an_object_is_never_replaced() {
    let bench = Bench::new(Setup {
        taken: vec![
            format!("prefix/{NAME}"),
            "prefix/host_2018_11_06_db_2.tar.gz".to_owned(),
        ],
        ..Setup::default()
    });
    let view = bench.run(request(JobKind::Backup, "j", Transfer::ByAgent));
    let artifact = view.artifact.expect("it is stored");
    assert_eq!(artifact.filename, "host_2018_11_06_db_3.tar.gz");
    let uploads: Vec<String> = bench
        .diary()
        .into_iter()
        .filter(|entry| entry.starts_with("upload"))
        .collect();
    assert_eq!(
        uploads,
        [format!("upload /b/{NAME} to prefix/host_2018_11_06_db_3.tar.gz")]
    );
}

#[test]
fn every_call_around_a_transfer_that_fails_fails_its_step_and_unlocks() {
    let backup = ["pre-backup-lock", "pre-backup-check", "backup"];
    let after_backup = ["backup-cleanup", "post-backup-unlock"];
    let after_restore = ["restore-cleanup", "post-restore-unlock"];
    let download = "download prefix/h_2018_11_06_db.tar.gz to /r/j/.part";
    let discard = "discard h_2018_11_06_db.tar.gz";
    for (kind, call, step, diary) in [
        (
            JobKind::Backup,
            "staging",
            "backup",
            [&backup[..2], &after_backup].concat(),
        ),
        (
            JobKind::Backup,
            "find",
            "backup (upload)",
            [&backup[..], &after_backup].concat(),
        ),
        (JobKind::Restore, "check_restore", "preparation", vec![]),
        (
            JobKind::Restore,
            "plan_restore",
            "restore (download)",
            [&["pre-restore-lock"][..], &after_restore].concat(),
        ),
        (
            JobKind::Restore,
            "prepare_restore",
            "restore (download)",
            // What was planned may be there.
            [&["pre-restore-lock"][..], &after_restore, &[discard]].concat(),
        ),
        (
            JobKind::Restore,
            "place_restore",
            "restore (file)",
            [&["pre-restore-lock", download][..], &after_restore, &[discard]].concat(),
        ),
    ] {
        let bench = Bench::new(Setup {
            broken_call: Some(call),
            ..Setup::default()
        });
        let view = bench.run(request(kind, "j", Transfer::ByAgent));
        let message = view.error_message().unwrap_or_default();
        assert_eq!(message, format!("{step}: {call} did not work"));
        assert_eq!(bench.diary(), diary, "{call}");
        assert_eq!(view.artifact, None, "{call}");
    }
}

#[test]
fn an_unsent_artifact_is_kept_only_if_told_to_and_then_named() {
    for is_kept in [false, true] {
        let mut setup = Setup {
            broken: vec![(Step::Upload, Failing::Error)],
            ..Setup::default()
        };
        setup.settings.policy.keep_unsent_artifact = is_kept;
        let bench = Bench::new(setup);
        let view = bench.run(request(JobKind::Backup, "j", Transfer::ByAgent));
        let message = view.error_message().unwrap_or_default();
        assert_eq!(message.contains(&format!("/b/{NAME}")), is_kept, "{message}");
        let cleaned_up = bench.diary().contains(&Phase::BackupCleanup.to_string());
        assert_eq!(cleaned_up, !is_kept);
    }
}
