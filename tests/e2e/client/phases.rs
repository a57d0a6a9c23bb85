//! What is told of phases: in the order in which they ran, and how each went, as the agent says.

use serde_json::{Value, json};

use super::{environment, fake::Fake, stdout};
use crate::harness::{Place, run_agent};

/// The member `phases`, each with a time of its own.
fn phases(all: &[(&str, &str)]) -> Value {
    let entry = |(index, (name, status)): (usize, &(&str, &str))| {
        let is_over = matches!(*status, "succeeded" | "failed");
        let time = is_over.then_some((index + 1) * 1000);
        json!({"name": name, "status": status, "duration_ms": time})
    };
    all.iter().enumerate().map(entry).collect()
}

/// What the client says of a job's phases, a line each, with single spaces.
fn told(kind: &str, bodies: &[Value]) -> Vec<String> {
    let path = if kind == "backup" {
        "/backup/job"
    } else {
        "/restore/job"
    };
    let fake = Fake::start(vec![(path, bodies.iter().map(Value::to_string).collect())]);
    let place = Place::without_scripts();
    let arguments = ["status", kind, "job", "--wait", "--url", &fake.url()];
    let output = run_agent(&arguments, &environment(), place.root());
    let lines = stdout(&output);
    let lines = lines
        .lines()
        .filter(|line| ["✓", "✗", "·"].iter().any(|mark| line.trim().starts_with(mark)));
    lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn a_lock_that_is_released_before_the_upload_is_told_before_it() {
    let names = [
        "pre-backup-lock",
        "pre-backup-check",
        "backup",
        "post-backup-unlock",
        "backup",
        "backup-cleanup",
    ];
    let with = |statuses: [&str; 6]| phases(&std::array::from_fn::<_, 6, _>(|index| (names[index], statuses[index])));
    let done = "succeeded";
    let uploading = json!({"status": "RUNNING", "state": "backup", "backup_log": "dumped\n",
        "phases": with([done, done, done, done, "running", "waiting"])});
    let good = json!({"status": "SUCCEEDED", "state": "finished", "backup_log": "dumped\n", "filename": "a.tar.gz",
        "filesize": {"size": 2048}, "phases": with([done; 6])});
    let bad = json!({"status": "FAILED", "state": "finished", "backup_log": "dumped\n",
        "error_message": "backup (upload): no route", "phases": with([done, done, done, done, "failed", done])});
    let until_the_upload = [
        "✓ pre-backup-lock 1.00 s",
        "✓ pre-backup-check 2.00 s",
        "✓ backup 3.00 s dumped",
        "✓ post-backup-unlock 4.00 s",
    ];
    for (end, upload) in [
        (good, "✓ backup (upload) 5.00 s a.tar.gz, 2.0 KiB"),
        (bad, "✗ backup (upload) 5.00 s"),
    ] {
        let expected = [&until_the_upload[..], &[upload, "✓ backup-cleanup 6.00 s"]].concat();
        assert_eq!(told("backup", &[uploading.clone(), end]), expected);
    }
}

#[test]
fn an_upload_that_failed_is_no_success_of_its_phase() {
    let phases = phases(&[
        ("pre-backup-lock", "succeeded"),
        ("pre-backup-check", "succeeded"),
        ("backup", "failed"),
        ("backup-cleanup", "succeeded"),
        ("post-backup-unlock", "succeeded"),
    ]);
    // A message need not name the phase, as that of a job that was cancelled.
    for (error_message, note) in [("backup (upload): no route", " (upload)"), ("cancelled on request", "")] {
        let end = json!({"status": "FAILED", "state": "finished", "backup_log": "dumped\n",
            "error_message": error_message, "phases": phases});
        assert_eq!(
            told("backup", &[end]),
            [
                "✓ pre-backup-lock 1.00 s",
                "✓ pre-backup-check 2.00 s",
                &format!("✗ backup 3.00 s{note}"),
                "✓ backup-cleanup 4.00 s",
                "✓ post-backup-unlock 5.00 s",
            ]
        );
    }
}

#[test]
fn a_download_before_the_lock_is_told_before_it() {
    let with = |[download, lock, restore, cleanup, unlock]: [&'static str; 5]| {
        phases(&[
            ("restore", download),
            ("pre-restore-lock", lock),
            ("restore", restore),
            ("restore-cleanup", cleanup),
            ("post-restore-unlock", unlock),
        ])
    };
    let (waiting, skipped) = ("waiting", "skipped");
    let downloading = json!({"status": "RUNNING", "state": "restore",
        "phases": with(["running", waiting, waiting, waiting, waiting])});
    let locking = json!({"status": "RUNNING", "state": "pre-restore-lock",
        "phases": with(["succeeded", "running", waiting, waiting, waiting])});
    let good = json!({"status": "SUCCEEDED", "state": "finished", "restore_log": "loaded\n",
        "phases": with(["succeeded"; 5])});
    assert_eq!(
        told("restore", &[downloading.clone(), locking, good]),
        [
            "✓ restore (download) 1.00 s complete",
            "✓ pre-restore-lock 2.00 s",
            "✓ restore 3.00 s loaded",
            "✓ restore-cleanup 4.00 s",
            "✓ post-restore-unlock 5.00 s",
        ]
    );
    let bad = json!({"status": "FAILED", "state": "finished", "error_message": "restore (download): broken",
        "phases": with(["failed", skipped, skipped, skipped, skipped])});
    assert_eq!(
        told("restore", &[downloading, bad]),
        [
            "✗ restore (download) 1.00 s",
            "· pre-restore-lock left out",
            "· restore left out",
            "· restore-cleanup left out",
            "· post-restore-unlock left out",
        ]
    );
}
