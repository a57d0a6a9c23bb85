//! The polling body: its members, their types, and what they say while a job runs and afterwards.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::harness::{
    AUTH_KEY, AUTH_SECRET, Agent, Body, Fault, Kind, S3Server, backup, file_store, restore, start, wait_until,
};

/// Asserts that all members of the kind's polling body are there, with their types.
#[track_caller]
pub(crate) fn assert_complete(kind: Kind, body: &Value, row: &str) {
    let (mut strings, booleans) = (
        vec!["status", "message", "state", "type", "start_time", "end_time"],
        ["compression", "skip_storage", "skipSSL"],
    );
    let only_of_backups = [
        "region",
        "endpoint",
        "bucket",
        "authUrl",
        "domain",
        "container_name",
        "project_name",
    ];
    let logs: Vec<String> = kind
        .phases()
        .iter()
        .map(|phase| phase.replace('-', "_"))
        .flat_map(|phase| [format!("{phase}_log"), format!("{phase}_errorlog")])
        .collect();
    strings.extend(logs.iter().map(String::as_str));
    match kind {
        Kind::Backup => {
            strings.extend(["filename", "filenamePrefix"]);
            assert!(body["filesize"]["size"].is_u64(), "{row}: filesize.size in {body}");
            assert_eq!(body["filesize"]["unit"], "byte", "{row}: filesize.unit in {body}");
        }
        Kind::Restore => {
            for name in only_of_backups
                .iter()
                .chain(&["filename", "filenamePrefix", "filesize"])
            {
                assert!(
                    body.get(name).is_none(),
                    "{row}: {name} is no member of a restore: {body}"
                );
            }
        }
    }
    for name in strings {
        assert!(body[name].is_string(), "{row}: {name} in {body}");
    }
    for name in booleans {
        assert!(body[name].is_boolean(), "{row}: {name} in {body}");
    }
    assert!(body["execution_time_ms"].is_u64(), "{row}: execution_time_ms in {body}");
    // These are omitted if they are empty.
    for name in only_of_backups.iter().chain(&["error_message"]) {
        if let Some(value) = body.get(name) {
            assert!(
                value.as_str().is_some_and(|text| !text.is_empty()),
                "{row}: {name} in {body}"
            );
        }
    }
    for other in kind.other().phases() {
        let name = format!("{}_log", other.replace('-', "_"));
        assert!(
            body.get(&name).is_none(),
            "{row}: {name} belongs to the other kind: {body}"
        );
    }
}

#[test]
fn a_finished_backup_says_all_that_is_known_of_it() {
    let (agent, store) = (Agent::start(|_| {}), S3Server::start());
    for phase in Kind::Backup.phases() {
        let work = if *phase == "backup" {
            "printf 12345678 >\"$BACKUP_AGENT_FILE\";"
        } else {
            ""
        };
        agent.place.script(
            phase,
            &format!("{work} echo \"out of $phase\"; echo \"err of $phase\" >&2"),
        );
    }
    let before = Utc::now().timestamp();
    let body = backup("job", &store.destination())
        .with("/compression", true)
        .with("/destination/filenamePrefix", "some/prefix-");
    let job = agent.succeed(Kind::Backup, &body);
    let after = Utc::now().timestamp();

    assert_complete(Kind::Backup, &job, "finished");
    for (member, value) in [
        ("status", json!("SUCCEEDED")),
        ("message", json!("backup successfully carried out")),
        ("state", json!("finished")),
        ("type", json!("S3")),
        ("compression", json!(true)),
        ("skip_storage", json!(false)),
        ("skipSSL", json!(false)),
        ("region", json!("us-east-1")),
        ("endpoint", json!(store.endpoint())),
        ("bucket", json!("bucket")),
        ("filenamePrefix", json!("some/prefix-")),
        ("filesize", json!({"size": 8, "unit": "byte"})),
    ] {
        assert_eq!(job[member], value, "{member}");
    }
    for member in ["error_message", "authUrl", "domain", "container_name", "project_name"] {
        assert!(job.get(member).is_none(), "{member} is empty and left out: {job}");
    }
    let filename = job["filename"].as_str().unwrap_or_default();
    assert!(
        filename.starts_with("db.example_") && filename.ends_with("_job.tar.gz"),
        "{filename}"
    );
    assert_eq!(store.keys(), [format!("some/prefix-{filename}")]);
    for phase in Kind::Backup.phases() {
        let member = phase.replace('-', "_");
        assert_eq!(job[format!("{member}_log")], format!("out of {phase}\n"), "{phase}");
        assert_eq!(
            job[format!("{member}_errorlog")],
            format!("err of {phase}\n"),
            "{phase}"
        );
    }
    let (begin, end) = (seconds(&job["start_time"]), seconds(&job["end_time"]));
    assert!(
        before <= begin && begin <= end && end <= after,
        "{before} {begin} {end} {after}"
    );
    let taken = job["execution_time_ms"].as_i64().unwrap_or_default();
    assert!(taken <= (after - before + 1) * 1000, "{taken}");
}

#[test]
fn a_finished_restore_says_all_that_is_known_of_it() {
    let (agent, store) = (Agent::start(|_| {}), S3Server::start());
    store.put("object", b"content");
    for phase in Kind::Restore.phases() {
        agent
            .place
            .script(phase, "echo \"out of $phase\"; echo \"err of $phase\" >&2");
    }
    let job = agent.succeed(Kind::Restore, &restore("job", &store.destination(), "object"));
    assert_complete(Kind::Restore, &job, "finished");
    assert_eq!(job["message"], "restore successfully carried out");
    assert_eq!(job["state"], "finished");
    assert!(job.get("error_message").is_none(), "{job}");
    assert!(seconds(&job["start_time"]) <= seconds(&job["end_time"]));
    for phase in Kind::Restore.phases() {
        let member = phase.replace('-', "_");
        assert_eq!(job[format!("{member}_log")], format!("out of {phase}\n"), "{phase}");
        assert_eq!(
            job[format!("{member}_errorlog")],
            format!("err of {phase}\n"),
            "{phase}"
        );
    }
}

#[test]
fn a_failed_job_has_the_same_members_and_an_error_message() {
    let agent = Agent::start(|_| {});
    for kind in Kind::ALL {
        let body = start(kind, "job", &file_store(&agent.place)).with(
            &format!("/{}/parameters", kind.name()),
            json!([{failure_of(kind.lock()): "exit 3"}]),
        );
        let (job, _) = agent.fail(kind, &body);
        assert_complete(kind, &job, "failed");
        assert_eq!(job["message"], format!("{} failed", kind.name()));
        assert_eq!(job["state"], "finished");
        assert!(seconds(&job["start_time"]) <= seconds(&job["end_time"]));
        if kind == Kind::Backup {
            assert_eq!((&job["filename"], &job["filesize"]["size"]), (&json!(""), &json!(0)));
        }
    }
}

#[test]
fn while_a_script_runs_the_state_is_the_name_of_its_phase() {
    let (agent, store) = (Agent::start(|_| {}), S3Server::start());
    store.put("object", b"content");
    for kind in Kind::ALL {
        for phase in kind.phases() {
            agent.place.hold(kind, "job", phase);
            if *phase != "backup" && *phase != "restore" {
                agent.place.script(phase, &format!("echo \"said by {phase}\""));
            }
        }
        agent.accept(kind, &start(kind, "job", &store.destination()));
        for (index, phase) in kind.phases().iter().enumerate() {
            agent.place.wait_held(kind, "job", phase);
            let job = agent.job(kind, "job");
            assert_complete(kind, &job, phase);
            assert_eq!(job["status"], "RUNNING", "{phase}");
            assert_eq!(job["message"], format!("{} is running", kind.name()), "{phase}");
            assert_eq!(job["state"], *phase);
            assert_eq!(job["end_time"], "", "{phase}");
            assert!(job.get("error_message").is_none(), "{phase}: {job}");
            seconds(&job["start_time"]);
            for earlier in &kind.phases()[..index] {
                let log = &job[format!("{}_log", earlier.replace('-', "_"))];
                let silent = *earlier == "backup" || *earlier == "restore";
                let said = if silent {
                    String::new()
                } else {
                    format!("said by {earlier}\n")
                };
                assert_eq!(*log, said, "the log of {earlier} during {phase}");
            }
            agent.place.release(kind, "job", phase);
        }
        assert_eq!(agent.finished(kind, "job")["status"], "SUCCEEDED");
    }
}

#[test]
fn during_a_transfer_the_state_is_that_of_its_phase_and_nothing_is_promised() {
    let (agent, store) = (Agent::start(|_| {}), S3Server::start());
    store.fault("PUT", 1, Fault::Hold);
    agent.accept(Kind::Backup, &backup("job", &store.destination()));
    store.wait_for_request("PUT");
    let job = agent.job(Kind::Backup, "job");
    assert_eq!((&job["status"], &job["state"]), (&json!("RUNNING"), &json!("backup")));
    assert_eq!((&job["filename"], &job["filesize"]["size"]), (&json!(""), &json!(0)));
    store.release();
    let filename = agent.finished(Kind::Backup, "job")["filename"].clone();

    store.fault("GET", 9, Fault::Hold);
    let filename = filename.as_str().expect("the backup has a name");
    agent.accept(Kind::Restore, &restore("job", &store.destination(), filename));
    store.wait_for_request("GET");
    let job = agent.job(Kind::Restore, "job");
    assert_eq!((&job["status"], &job["state"]), (&json!("RUNNING"), &json!("restore")));
    store.release();
    assert_eq!(agent.finished(Kind::Restore, "job")["status"], "SUCCEEDED");
}

#[test]
fn every_answer_is_one_consistent_snapshot() {
    let agent = Agent::start(|_| {});
    for phase in Kind::Backup.phases() {
        let work = if *phase == "backup" {
            "printf 12345678 >\"$BACKUP_AGENT_FILE\";"
        } else {
            ""
        };
        agent.place.script(phase, &format!("{work} echo said"));
    }
    let store = file_store(&agent.place);
    let rounds = if crate::harness::wide() { 100 } else { 10 };
    for round in 0..rounds {
        let id = format!("job-{round}");
        let is_accepted = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    wait_until("the job is accepted", || is_accepted.load(Ordering::SeqCst));
                    while assert_consistent(&agent.job(Kind::Backup, &id)) {}
                });
            }
            agent.accept(Kind::Backup, &backup(&id, &store));
            is_accepted.store(true, Ordering::SeqCst);
        });
    }
}

/// Asserts that a snapshot contradicts itself in nothing; whether the job is still running.
#[track_caller]
fn assert_consistent(job: &Value) -> bool {
    assert_complete(Kind::Backup, job, "snapshot");
    let logs: Vec<bool> = Kind::Backup
        .phases()
        .iter()
        .map(|phase| job[format!("{}_log", phase.replace('-', "_"))] == "said\n")
        .collect();
    let state = job["state"].as_str().unwrap_or_default();
    if job["status"] == "RUNNING" {
        assert_eq!(job["end_time"], "", "{job}");
        let at_work = Kind::Backup
            .phases()
            .iter()
            .position(|phase| *phase == state)
            .unwrap_or_else(|| {
                assert_eq!(state, "queued", "{job}");
                0
            });
        assert!(
            logs[..at_work].iter().all(|said| *said),
            "earlier phases have their logs: {job}"
        );
        assert!(
            logs[at_work + 1..].iter().all(|said| !said),
            "later phases have none: {job}"
        );
        let (is_named, has_size) = (job["filename"] != "", job["filesize"]["size"] != 0);
        assert_eq!(is_named, has_size, "name and size come together: {job}");
        return true;
    }
    assert_eq!((&job["status"], state), (&json!("SUCCEEDED"), "finished"), "{job}");
    assert!(logs.iter().all(|said| *said), "{job}");
    assert_eq!(job["filesize"]["size"], 8, "{job}");
    assert_ne!(job["filename"], "", "{job}");
    seconds(&job["end_time"]);
    false
}

#[test]
fn the_type_is_echoed_in_upper_case_and_other_members_as_they_were_sent() {
    let (agent, store) = (Agent::start(|_| {}), S3Server::start());
    for (id, spelling) in [("a", "S3"), ("b", "s3")] {
        let job = agent.succeed(Kind::Backup, &backup(id, &store.destination().with("/type", spelling)));
        assert_eq!(job["type"], "S3", "{spelling}");
    }
    for (id, spelling) in [("c", "FILE"), ("d", "file"), ("e", "File")] {
        let job = agent.succeed(
            Kind::Backup,
            &backup(id, &file_store(&agent.place).with("/type", spelling)),
        );
        assert_eq!(job["type"], "FILE", "{spelling}");
    }
    let destination = store
        .destination()
        .with("/skipSSL", true)
        .with("/region", "eu-central-1");
    let job = agent.succeed(Kind::Backup, &backup("f", &destination));
    assert_eq!(
        (&job["skipSSL"], &job["region"]),
        (&json!(true), &json!("eu-central-1"))
    );
}

#[test]
fn no_secret_appears_in_an_answer_or_in_the_agents_log() {
    let (agent, store) = (Agent::start(|_| {}), S3Server::start());
    store.put("object", b"content");
    let secrets = [
        "db-password-3f",
        "encryption-key-7c",
        AUTH_KEY,
        AUTH_SECRET,
        crate::harness::PASSWORD,
    ];
    let echo = format!(
        "<Error><Code>SignatureDoesNotMatch</Code><Message>no match</Message><AWSAccessKeyId>{AUTH_KEY}</AWSAccessKeyId>\
         <StringToSign>{AUTH_SECRET}</StringToSign></Error>"
    );
    let mut seen = String::new();
    for (id, fails) in [("good", false), ("bad", true)] {
        for kind in Kind::ALL {
            if fails {
                for method in ["GET", "PUT", "HEAD", "POST"] {
                    store.fault(method, 5, Fault::Answer(403, echo.clone()));
                }
            }
            agent.place.hold(kind, id, kind.unlock());
            let body = start(kind, id, &store.destination())
                .with("/encryption_key", "encryption-key-7c")
                .with(&format!("/{}/password", kind.name()), "db-password-3f");
            agent.accept(kind, &body);
            agent.place.wait_held(kind, id, kind.unlock());
            seen.push_str(&agent.job(kind, id).to_string());
            seen.push_str(&agent.request(kind, &body).text());
            agent.place.release(kind, id, kind.unlock());
            let job = agent.finished(kind, id);
            assert_eq!(job["status"] == "FAILED", fails, "{job}");
            seen.push_str(&job.to_string());
        }
    }
    seen.push_str(&agent.log());
    for secret in secrets {
        assert!(!seen.contains(secret), "{secret} is in {seen}");
    }
}

/// The parameter that makes the script of a phase fail.
pub(crate) fn failure_of(phase: &str) -> String {
    format!("FAIL_{}", phase.replace('-', "_"))
}

/// A time of the contract's form, as seconds since the epoch.
#[track_caller]
fn seconds(time: &Value) -> i64 {
    let text = time.as_str().unwrap_or_default();
    let parsed: DateTime<Utc> = text
        .parse()
        .unwrap_or_else(|error| panic!("{text:?} is no time: {error}"));
    assert_eq!(parsed.format("%Y-%m-%dT%H:%M:%S+00:00").to_string(), text);
    parsed.timestamp()
}
