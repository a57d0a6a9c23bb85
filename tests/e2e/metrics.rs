//! What Prometheus is told, by the running agent and by the one that is started after it.

use crate::harness::{Agent, Body, Fault, Kind, S3Server, backup, file_store, restore, wait_until};

/// The value of a series, by its name without the namespace and its labels in the order of their names.
#[track_caller]
fn value(agent: &Agent, series: &str) -> Option<f64> {
    let response = agent.get("/metrics");
    assert_eq!(response.status, 200, "{}", response.text());
    let start = format!("osb_backup_agent_{series} ");
    let text = response.text();
    let line = text.lines().find_map(|line| line.strip_prefix(&start))?;
    Some(line.parse().expect("a number"))
}

/// Waits until a series has that value.
#[track_caller]
fn wait_for_value(agent: &Agent, series: &str, expected: f64) {
    wait_until(&format!("{series} is {expected}"), || {
        value(agent, series) == Some(expected)
    });
}

fn now() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("the clock is right").as_secs_f64()
}

const LAST_SUCCESS: &str = r#"last_success_timestamp_seconds{database="job",host="db.example",kind="backup"}"#;
const LAST_ARTIFACT: &str = r#"last_artifact_bytes{database="job",host="db.example"}"#;
const ARTIFACT_BYTES: f64 = "artifact of backup.job".len() as f64;

#[test]
fn only_who_may_call_reads_metrics_unless_the_operator_lets_everybody() {
    let closed = Agent::start(|_| {});
    assert_eq!(closed.call_as_stranger("GET", "/metrics", &[], b"").status, 401);
    assert_eq!(closed.get("/metrics").status, 200);
    let open = Agent::start(|env| {
        env.set("metrics_without_auth", "true");
    });
    let response = open.call_as_stranger("GET", "/metrics", &[], b"");
    assert_eq!(response.status, 200);
    assert_eq!(
        response.header("Content-Type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    // Nothing else is open with it.
    for path in ["/status", "/openapi.json", "/backup/job"] {
        assert_eq!(open.call_as_stranger("GET", path, &[], b"").status, 401, "{path}");
    }
}

#[test]
fn a_failed_job_is_told_as_such_and_moves_nothing() {
    let agent = Agent::start(|_| {});
    agent.place.script("pre-backup-check", "exit 1");
    let before = now();
    agent.fail(Kind::Backup, &backup("job", &file_store(&agent.place)));
    wait_for_value(&agent, r#"jobs_total{kind="backup",outcome="failed"}"#, 1.0);
    let failed = r#"last_failure_timestamp_seconds{database="job",host="db.example",kind="backup"}"#;
    let at = value(&agent, failed).expect("when it failed");
    assert!((before - 1.0..=now() + 1.0).contains(&at), "{before} {at}");
    assert_eq!(value(&agent, LAST_SUCCESS), None);
    assert_eq!(value(&agent, LAST_ARTIFACT), None);
    assert_eq!(
        value(&agent, r#"transferred_bytes_total{direction="upload",store="file"}"#),
        Some(0.0)
    );
}

#[test]
fn a_job_that_succeeds_is_told_with_its_bytes_times_and_lock() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    agent.succeed(Kind::Backup, &backup("job", &store));
    let object = agent.place.object_names().remove(0);
    agent.succeed(Kind::Restore, &restore("job", &store, &object));
    for (series, expected) in [
        (r#"jobs_total{kind="backup",outcome="succeeded"}"#, 1.0),
        (r#"jobs_total{kind="restore",outcome="succeeded"}"#, 1.0),
        (
            r#"transferred_bytes_total{direction="upload",store="file"}"#,
            ARTIFACT_BYTES,
        ),
        (
            r#"transferred_bytes_total{direction="download",store="file"}"#,
            ARTIFACT_BYTES,
        ),
        (r#"job_duration_seconds_count{kind="backup",outcome="succeeded"}"#, 1.0),
        (r#"phase_duration_seconds_count{phase="pre-backup-check"}"#, 1.0),
        (r#"phase_duration_seconds_count{phase="restore"}"#, 1.0),
        (r#"lock_held_seconds_count{kind="backup"}"#, 1.0),
        (r#"lock_held_seconds_count{kind="restore"}"#, 1.0),
        (r#"locks_held{kind="backup"}"#, 0.0),
        (LAST_ARTIFACT, ARTIFACT_BYTES),
    ] {
        wait_for_value(&agent, series, expected);
    }
}

#[test]
fn a_job_at_work_one_that_waits_and_a_lock_are_told_while_they_are() {
    let agent = Agent::start(|env| {
        env.set("max_job_number", "1");
    });
    let store = file_store(&agent.place);
    agent.place.hold(Kind::Backup, "job", "backup");
    let before = now();
    agent.accept(Kind::Backup, &backup("job", &store));
    agent.place.wait_held(Kind::Backup, "job", "backup");
    agent.accept(Kind::Backup, &backup("next", &store));
    let since = r#"lock_held_since_timestamp_seconds{database="job",host="db.example",kind="backup"}"#;
    for (series, expected) in [
        (r#"jobs_running{kind="backup"}"#, 1.0),
        (r#"jobs_queued{kind="backup"}"#, 1.0),
        (r#"locks_held{kind="backup"}"#, 1.0),
        (r#"jobs_running{kind="restore"}"#, 0.0),
    ] {
        assert_eq!(value(&agent, series), Some(expected), "{series}");
    }
    let at = value(&agent, since).expect("a lock is held");
    assert!((before - 1.0..=now() + 1.0).contains(&at), "{before} {at}");
    agent.place.release(Kind::Backup, "job", "backup");
    agent.finished(Kind::Backup, "next");
    wait_for_value(&agent, r#"locks_held{kind="backup"}"#, 0.0);
    assert_eq!(value(&agent, since), None);
}

#[test]
fn an_unlock_that_fails_is_told_and_still_owed_after_a_restart() {
    let mut agent = Agent::start(|_| {});
    agent.place.script("post-backup-unlock", "exit 1");
    agent.fail(Kind::Backup, &backup("job", &file_store(&agent.place)));
    wait_for_value(&agent, r#"unlocks_owed{kind="backup"}"#, 1.0);
    assert!(value(&agent, r#"unlock_failures_total{kind="backup"}"#).is_some_and(|count| count >= 1.0));
    let since = r#"lock_held_since_timestamp_seconds{database="job",host="db.example",kind="backup"}"#;
    let locked = value(&agent, since).expect("the lock is held");

    agent.die_and_start_again();
    assert_eq!(
        value(&agent, r#"unlocks_owed{kind="backup"}"#),
        Some(1.0),
        "from the first moment on"
    );
    assert_eq!(value(&agent, since), Some(locked));
    agent.place.usual_script("post-backup-unlock", "");
    wait_until("the unlock succeeds, by hand or by the agent's own next try", || {
        agent.command(&["unlock", "backup", "job"]);
        value(&agent, r#"unlocks_owed{kind="backup"}"#) == Some(0.0)
    });
    assert_eq!(value(&agent, since), None);
}

#[test]
fn the_last_success_and_the_size_of_its_artifact_outlive_the_agent() {
    let mut agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    agent.succeed(Kind::Backup, &backup("job", &store));
    wait_until("the success is told", || value(&agent, LAST_SUCCESS).is_some());
    let success = value(&agent, LAST_SUCCESS);
    // A later failure takes nothing of it away.
    agent.place.script("pre-backup-check", "exit 1");
    agent.fail(Kind::Backup, &backup("later", &store).with("/backup/database", "job"));

    agent.die_and_start_again();
    wait_until("it is remembered", || value(&agent, LAST_SUCCESS).is_some());
    assert_eq!(value(&agent, LAST_SUCCESS), success);
    assert_eq!(value(&agent, LAST_ARTIFACT), Some(ARTIFACT_BYTES));
    // What this agent has done itself begins anew.
    assert_eq!(
        value(&agent, r#"jobs_total{kind="backup",outcome="succeeded"}"#),
        Some(0.0)
    );
}

#[test]
fn requests_that_are_made_again_are_counted_by_direction_and_store() {
    let (agent, store) = (Agent::start(|_| {}), S3Server::start());
    store.fault("PUT", 2, Fault::Answer(503, String::new()));
    agent.succeed(Kind::Backup, &backup("job", &store.destination()));
    let retries = |direction: &str| format!(r#"transfer_retries_total{{direction="{direction}",store="s3"}}"#);
    assert_eq!(value(&agent, &retries("upload")), Some(2.0));
    assert_eq!(value(&agent, &retries("download")), Some(0.0));
    assert_eq!(
        value(&agent, r#"transferred_bytes_total{direction="upload",store="s3"}"#),
        Some(ARTIFACT_BYTES)
    );
}
