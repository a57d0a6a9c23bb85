//! What is told, after what has happened.

use std::time::Duration;

use domain::{
    job::{Job, JobEvent},
    plan::{FailurePolicy, Phase, Step, Transfer},
    ports::Direction,
    request::StoreKind,
    testing::{request, request_for_database},
};

use super::*;

const BEGINNING: i64 = 1_541_523_939;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(BEGINNING + second, 0).expect("a time")
}

fn past(outcome: Outcome, second: i64) -> PastJob {
    PastJob {
        kind: JobKind::Backup,
        host: "h".to_owned(),
        database: "db".to_owned(),
        outcome,
        ended_at: at(second),
        artifact_bytes: (outcome == Outcome::Succeeded).then_some(1000 + second.unsigned_abs()),
    }
}

/// The value of a series by its name, without the namespace, and labels.
#[track_caller]
fn value(text: &str, series: &str) -> Option<f64> {
    let start = format!("osb_backup_agent_{series} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&start))?;
    Some(line.parse().expect("a number"))
}

fn told(metrics: &PrometheusMetrics) -> String {
    metrics.exposition(&[], 0)
}

#[test]
fn what_has_not_happened_yet_is_told_as_zero_but_of_no_database() {
    let text = told(&PrometheusMetrics::default());
    for series in [
        r#"jobs_total{kind="backup",outcome="succeeded"}"#,
        r#"jobs_total{kind="restore",outcome="interrupted"}"#,
        r#"unlock_failures_total{kind="restore"}"#,
        r#"unlocks_owed{kind="backup"}"#,
        r#"transferred_bytes_total{direction="upload",store="s3"}"#,
        r#"transfer_retries_total{direction="download",store="azure"}"#,
        "problems",
    ] {
        assert_eq!(value(&text, series), Some(0.0), "{series} in\n{text}");
    }
    let build = format!(r#"build_info{{version="{}"}}"#, env!("CARGO_PKG_VERSION"));
    assert_eq!(value(&text, &build), Some(1.0));
    assert!(!text.contains("database="), "{text}");
}

#[test]
fn every_metric_tells_what_it_means() {
    let metrics = PrometheusMetrics::default();
    metrics.observe(Observation::JobEnded {
        job: past(Outcome::Succeeded, 0),
        took: Duration::from_secs(90),
        phases: vec![(Phase::Backup, Duration::from_secs(60))],
    });
    let text = told(&metrics);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().expect("a name");
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(name);
        assert!(text.contains(&format!("# HELP {family} ")), "{family}");
    }
}

#[test]
fn the_end_of_a_job_is_counted_timed_and_kept() {
    let metrics = PrometheusMetrics::default();
    for (outcome, second) in [(Outcome::Succeeded, 10), (Outcome::Failed, 20)] {
        metrics.observe(Observation::JobEnded {
            job: past(outcome, second),
            took: Duration::from_secs(90),
            phases: vec![(Phase::Backup, Duration::from_secs(60))],
        });
    }
    let text = told(&metrics);
    let of_database = r#"{database="db",host="h",kind="backup"}"#;
    for (series, expected) in [
        (r#"jobs_total{kind="backup",outcome="succeeded"}"#.to_owned(), 1.0),
        (r#"jobs_total{kind="backup",outcome="failed"}"#.to_owned(), 1.0),
        (
            r#"job_duration_seconds_sum{kind="backup",outcome="failed"}"#.to_owned(),
            90.0,
        ),
        (r#"phase_duration_seconds_sum{phase="backup"}"#.to_owned(), 120.0),
        (r#"phase_duration_seconds_count{phase="backup"}"#.to_owned(), 2.0),
        (format!("last_success_timestamp_seconds{of_database}"), seconds(at(10))),
        (format!("last_failure_timestamp_seconds{of_database}"), seconds(at(20))),
        (r#"last_artifact_bytes{database="db",host="h"}"#.to_owned(), 1010.0),
    ] {
        assert_eq!(value(&text, &series), Some(expected), "{series} in\n{text}");
    }
}

#[test]
fn what_is_remembered_counts_as_no_job_and_never_replaces_what_is_newer() {
    let metrics = PrometheusMetrics::default();
    for second in [10, 30, 20] {
        metrics.observe(Observation::JobRemembered(past(Outcome::Succeeded, second)));
    }
    let text = told(&metrics);
    let series = r#"last_success_timestamp_seconds{database="db",host="h",kind="backup"}"#;
    assert_eq!(value(&text, series), Some(seconds(at(30))));
    assert_eq!(
        value(&text, r#"last_artifact_bytes{database="db",host="h"}"#),
        Some(1030.0)
    );
    assert_eq!(
        value(&text, r#"jobs_total{kind="backup",outcome="succeeded"}"#),
        Some(0.0)
    );
}

#[test]
fn a_job_that_somebody_cancelled_is_neither_a_success_nor_a_failure_of_its_database() {
    let metrics = PrometheusMetrics::default();
    metrics.observe(Observation::JobRemembered(past(Outcome::Cancelled, 10)));
    assert!(!told(&metrics).contains("database="));
    metrics.observe(Observation::JobRemembered(past(Outcome::Interrupted, 10)));
    assert!(told(&metrics).contains("last_failure_timestamp_seconds{database="));
}

#[test]
fn hostile_names_of_databases_stay_within_their_line_and_number() {
    let metrics = PrometheusMetrics::default();
    for number in 0..1000 {
        let mut job = past(Outcome::Succeeded, number);
        job.database = format!("\"}} 1\nosb_backup_agent_jobs_total 7\\{number}");
        metrics.observe(Observation::JobRemembered(job));
    }
    let text = told(&metrics);
    let series: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("osb_backup_agent_last_success_timestamp_seconds{"))
        .collect();
    assert_eq!(series.len(), databases::MOST + 1);
    assert!(
        !text
            .lines()
            .any(|line| line.starts_with("osb_backup_agent_jobs_total 7")),
        "{text}"
    );
    let others = r#"last_success_timestamp_seconds{database="_other",host="_other",kind="backup"}"#;
    assert_eq!(value(&text, others), Some(seconds(at(999))), "the newest of them");
}

#[test]
fn bytes_retries_locks_and_failed_unlocks_are_counted() {
    let metrics = PrometheusMetrics::default();
    let (direction, store) = (Direction::Download, StoreKind::Swift);
    for observation in [
        Observation::Moved {
            direction,
            store,
            bytes: 5,
        },
        Observation::Moved {
            direction,
            store,
            bytes: 6,
        },
        Observation::Retried { direction, store },
        Observation::UnlockFailed { kind: JobKind::Restore },
        Observation::LockReleased {
            kind: JobKind::Restore,
            held: Duration::from_secs(61),
        },
    ] {
        metrics.observe(observation);
    }
    let text = told(&metrics);
    for (series, expected) in [
        (r#"transferred_bytes_total{direction="download",store="swift"}"#, 11.0),
        (r#"transferred_bytes_total{direction="upload",store="swift"}"#, 0.0),
        (r#"transfer_retries_total{direction="download",store="swift"}"#, 1.0),
        (r#"unlock_failures_total{kind="restore"}"#, 1.0),
        (r#"lock_held_seconds_sum{kind="restore"}"#, 61.0),
        (r#"lock_held_seconds_bucket{kind="restore",le="60"}"#, 0.0),
        (r#"lock_held_seconds_bucket{kind="restore",le="300"}"#, 1.0),
    ] {
        assert_eq!(value(&text, series), Some(expected), "{series} in\n{text}");
    }
}

/// A backup of a database that has come as far as these events.
fn view(database: &str, events: &[(i64, JobEvent)]) -> JobView {
    let request = request_for_database(JobKind::Backup, database, database);
    let mut job = Job::accepted(request, FailurePolicy::default(), at(0));
    for (second, event) in events {
        job.apply(event.clone(), at(*second)).expect("an event that can happen");
    }
    job.view()
}

fn until_locked() -> Vec<(i64, JobEvent)> {
    let started = |step| JobEvent::StepStarted { step };
    vec![
        (1, JobEvent::Started { artifact_name: None }),
        (2, started(Step::Prepare)),
        (
            3,
            JobEvent::StepSucceeded {
                step: Step::Prepare,
                report: domain::job::StepReport::default(),
            },
        ),
        (4, started(Step::Script(Phase::PreBackupLock))),
    ]
}

#[test]
fn what_is_true_now_is_told_and_not_any_more_when_it_is_over() {
    let metrics = PrometheusMetrics::default();
    let mut owing = until_locked();
    owing.push((
        5,
        JobEvent::Abandoned {
            reason: "a panic".to_owned(),
        },
    ));
    let queued = Job::accepted(
        request(JobKind::Restore, "r", Transfer::ByAgent),
        FailurePolicy::default(),
        at(0),
    );
    let views = [view("running", &until_locked()), view("owing", &owing), queued.view()];
    let text = metrics.exposition(&views, 3);
    for (series, expected) in [
        (r#"jobs_running{kind="backup"}"#, 1.0),
        (r#"jobs_running{kind="restore"}"#, 0.0),
        (r#"jobs_queued{kind="restore"}"#, 1.0),
        (r#"jobs_queued{kind="backup"}"#, 0.0),
        (r#"unlocks_owed{kind="backup"}"#, 1.0),
        (r#"locks_held{kind="backup"}"#, 2.0),
        (
            r#"lock_held_since_timestamp_seconds{database="owing",host="host",kind="backup"}"#,
            seconds(at(4)),
        ),
        ("problems", 3.0),
    ] {
        assert_eq!(value(&text, series), Some(expected), "{series} in\n{text}");
    }
    let text = metrics.exposition(&[], 0);
    assert_eq!(value(&text, r#"locks_held{kind="backup"}"#), Some(0.0));
    assert!(!text.contains("lock_held_since_timestamp_seconds{"), "{text}");
}
