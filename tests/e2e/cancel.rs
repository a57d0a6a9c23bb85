//! Jobs that are ended before their time: cancelled, too slow, too long locked; and the agent that
//! stops under them.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::{Agent, Body, Fault, Kind, S3Server, backup, file_store, start, wait_until};

/// The phases that run if the job is ended in the script of `phase`.
fn expected(kind: Kind, phase: &str) -> Vec<&'static str> {
    let phases = kind.phases();
    let at = phases.iter().position(|known| *known == phase).expect("of this kind");
    let mut expected = phases[..=at].to_vec();
    expected.extend(
        phases[at + 1..]
            .iter()
            .filter(|later| [kind.cleanup(), kind.unlock()].contains(later)),
    );
    expected
}

#[test]
fn a_cancelled_job_ends_what_works_and_tidies_up_in_every_phase() {
    for kind in Kind::ALL {
        for phase in kind.phases() {
            let agent = Agent::start(|_| {});
            agent.place.write("store/objects/object", "content");
            agent.place.hold(kind, "job", phase);
            agent.accept(kind, &start(kind, "job", &file_store(&agent.place)));
            agent.place.wait_held(kind, "job", phase);
            let response = agent.cancel(kind, "job");
            assert_eq!(response.status, 202, "{phase}: {}", response.text());
            assert_eq!(response.json()["status"], "RUNNING", "{phase}");
            if [kind.cleanup(), kind.unlock()].contains(phase) {
                // What is owed is not ended.
                agent.place.release(kind, "job", phase);
            }
            let job = agent.finished(kind, "job");
            assert_eq!(
                (&job["status"], &job["outcome"]),
                (&json!("FAILED"), &json!("cancelled")),
                "{phase}: {job}"
            );
            assert_eq!(job["lock_released"], true, "{phase}: {job}");
            assert_eq!(agent.place.ran(kind, "job"), expected(kind, phase), "{phase}");
            let again = agent.cancel(kind, "job");
            assert_eq!(again.status, 409, "{phase}: {}", again.text());
            assert_eq!(again.json()["outcome"], "cancelled", "{phase}");
        }
    }
}

#[test]
fn a_cancel_is_answered_like_everything_else() {
    let agent = Agent::start(|_| {});
    for kind in Kind::ALL {
        assert_eq!(agent.cancel(kind, "unknown").status, 404);
        assert_eq!(agent.cancel(kind, "-x").status, 400);
        let path = format!("{}/job/cancel", kind.route());
        assert_eq!(agent.call_as_stranger("POST", &path, &[], b"").status, 401);
        assert_eq!(agent.call("GET", &path, &[], b"").status, 405);
    }
}

#[test]
fn a_queued_job_that_is_cancelled_runs_no_script() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    agent.place.hold(Kind::Backup, "first", "backup");
    agent.accept(Kind::Backup, &backup("first", &store));
    let second = backup("second", &store).with("/backup/database", "first");
    agent.accept(Kind::Backup, &second);
    assert_eq!(agent.cancel(Kind::Backup, "second").status, 202);
    let job = agent.finished(Kind::Backup, "second");
    assert_eq!(job["outcome"], "cancelled", "{job}");
    assert!(job.get("lock_released").is_none(), "no lock was tried: {job}");
    agent.place.wait_held(Kind::Backup, "first", "backup");
    agent.place.release(Kind::Backup, "first", "backup");
    assert_eq!(agent.finished(Kind::Backup, "first")["outcome"], "succeeded");
    assert!(agent.place.ran(Kind::Backup, "second").is_empty());
}

#[test]
fn a_cancelled_transfer_leaves_nothing_in_the_store() {
    let (agent, store) = (Agent::start(|_| {}), S3Server::start());
    agent
        .place
        .script("backup", "head -c 40000000 /dev/urandom >\"$BACKUP_AGENT_FILE\"");
    store.fault("PUT", 100, Fault::Hold);
    agent.accept(Kind::Backup, &backup("job", &store.destination()));
    store.wait_for_request("PUT");
    assert_eq!(agent.cancel(Kind::Backup, "job").status, 202);
    wait_until("the upload is told to stop", || {
        agent.job(Kind::Backup, "job")["state"] != "backup" || {
            store.release();
            false
        }
    });
    let job = agent.finished(Kind::Backup, "job");
    assert_eq!(job["outcome"], "cancelled", "{job}");
    wait_until("no part stays", || store.leftovers().is_empty());
    assert!(store.keys().is_empty(), "{:?}", store.keys());
    assert_eq!(agent.place.ran(Kind::Backup, "job"), Kind::Backup.phases());
}

#[test]
fn a_service_is_not_locked_for_longer_than_it_may_be() {
    let agent = Agent::start(|env| {
        env.set("max_lock_time", "1s");
    });
    agent.place.script("backup", "sleep 1000");
    let begin = Instant::now();
    let (job, message) = agent.fail(Kind::Backup, &backup("job", &file_store(&agent.place)));
    assert!(message.contains("max_lock_time"), "{message}");
    assert_eq!(job["lock_released"], true);
    assert!(begin.elapsed() < Duration::from_secs(500));
}

#[test]
fn a_stopping_agent_ends_its_jobs_in_order_and_takes_the_rest_up_again() {
    let mut agent = Agent::start(|env| {
        env.set("drain_timeout", "1s").set("max_job_number", "1");
    });
    let store = file_store(&agent.place);
    agent.place.hold(Kind::Backup, "job", "backup");
    agent.accept(Kind::Backup, &backup("job", &store));
    agent.accept(Kind::Backup, &backup("waits", &store));
    agent.place.wait_held(Kind::Backup, "job", "backup");
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait_for_exit().code(), Some(0));
    assert_eq!(agent.place.ran(Kind::Backup, "job"), expected(Kind::Backup, "backup"));
    agent.start_again();
    let job = agent.job(Kind::Backup, "job");
    assert_eq!(job["outcome"], "interrupted", "{job}");
    assert_eq!(job["lock_released"], true, "{job}");
    assert_eq!(agent.finished(Kind::Backup, "waits")["outcome"], "succeeded");
}

#[test]
fn an_unlock_that_hangs_while_the_agent_stops_is_left_to_the_next() {
    let mut agent = Agent::start(|env| {
        env.set("drain_timeout", "1s").set("stop_timeout", "1s");
    });
    agent.place.hold(Kind::Backup, "job", "post-backup-unlock");
    agent.accept(Kind::Backup, &backup("job", &file_store(&agent.place)));
    agent.place.wait_held(Kind::Backup, "job", "post-backup-unlock");
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait_for_exit().code(), Some(0));
    agent.place.release(Kind::Backup, "job", "post-backup-unlock");
    agent.start_again();
    let job = agent.finished(Kind::Backup, "job");
    assert_eq!(
        (&job["outcome"], &job["lock_released"]),
        (&json!("interrupted"), &json!(true)),
        "{job}"
    );
}

#[test]
fn with_an_early_release_the_upload_runs_without_the_lock() {
    let agent = Agent::start(|env| {
        env.set("release_lock", "before_upload");
    });
    agent.succeed(Kind::Backup, &backup("job", &file_store(&agent.place)));
    let ran = agent.place.ran(Kind::Backup, "job");
    assert_eq!(
        ran,
        [
            "pre-backup-lock",
            "pre-backup-check",
            "backup",
            "post-backup-unlock",
            "backup-cleanup"
        ]
    );
    assert_eq!(agent.place.object_names().len(), 1);
}

#[test]
fn at_half_of_its_time_a_script_is_warned_of() {
    let agent = Agent::start(|env| {
        env.set("phase_timeout", "2s");
    });
    agent.place.script("pre-backup-check", "sleep 1000");
    agent.accept(Kind::Backup, &backup("job", &file_store(&agent.place)));
    agent.wait_for_log("half of the time");
    let log = agent.log();
    let warning = log
        .lines()
        .find(|line| line.contains("half of the time"))
        .unwrap_or_default();
    assert!(
        warning.contains("WARN") && warning.contains("pre-backup-check"),
        "{warning}"
    );
    assert_eq!(agent.finished(Kind::Backup, "job")["lock_released"], true);
}
