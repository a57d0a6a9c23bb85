//! How the agent stops: it takes no new jobs, and ends those it has.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::{Agent, Connection, Kind, PATIENCE, backup, file_store, processes_with, wait_for, wait_until};

#[test]
fn an_idle_agent_stops_at_once_with_exit_code_0() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut agent = Agent::start(|_| {});
        assert_eq!(agent.get("/status").status, 200);
        agent.signal(signal);
        assert_eq!(agent.wait_for_exit().code(), Some(0), "{signal}");
    }
}

#[test]
fn a_connection_that_idles_does_not_keep_the_agent_from_stopping() {
    let mut agent = Agent::start(|_| {});
    let mut connection = Connection::open(agent.address());
    connection.send(format!("GET /status HTTP/1.1\r\nHost: x\r\n{}\r\n\r\n", agent.authorization()).as_bytes());
    assert_eq!(connection.receive(false).status, 200);
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait_for_exit().code(), Some(0));
}

#[test]
fn a_stopping_agent_takes_no_jobs_but_ends_its_own_and_still_answers() {
    let mut agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    agent.place.hold(Kind::Backup, "job", "backup");
    agent.accept(Kind::Backup, &backup("job", &store));
    agent.place.wait_held(Kind::Backup, "job", "backup");
    agent.signal(Signal::SIGTERM);

    // As long as the signal has not arrived, a job may still be accepted: it is one more to be ended.
    let mut attempt = 0;
    let refusal = wait_for("new jobs are refused", || {
        attempt += 1;
        let response = agent.request(Kind::Backup, &backup(&format!("new-{attempt}"), &store));
        (response.status != 201).then_some(response)
    });
    assert_eq!(refusal.status, 503, "{}", refusal.text());
    for member in ["message", "state", "error_message"] {
        assert!(refusal.json()[member].is_string(), "{member} in {}", refusal.text());
    }
    for (method, path, body, status) in [
        ("PUT", "/restore", "{}", 503),
        ("POST", "/backup", "no json", 503),
        ("GET", "/nope", "", 404),
        ("PATCH", "/backup", "", 405),
        ("GET", "/status", "", 200),
        ("GET", "/backup/unknown", "", 404),
    ] {
        assert_eq!(
            agent.call(method, path, &[], body.as_bytes()).status,
            status,
            "{method} {path} while stopping"
        );
    }
    assert_eq!(agent.call_as_stranger("POST", "/backup", &[], b"{}").status, 401);
    let job = agent.job(Kind::Backup, "job");
    assert_eq!((&job["status"], &job["state"]), (&json!("RUNNING"), &json!("backup")));

    agent.place.release(Kind::Backup, "job", "backup");
    assert_eq!(agent.wait_for_exit().code(), Some(0));
    assert_eq!(agent.place.ran(Kind::Backup, "job"), Kind::Backup.phases());
    assert!(
        agent.place.object_names().iter().any(|name| name.contains("_job")),
        "the artifact is stored"
    );
}

#[test]
fn nothing_is_left_running_when_the_agent_has_stopped() {
    let mut agent = Agent::start(|_| {});
    agent.succeed(Kind::Backup, &backup("job", &file_store(&agent.place)));
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait_for_exit().code(), Some(0));
    let mark = format!("E2E_PLACE={}", agent.place.root().display());
    wait_until(&format!("all processes end within {PATIENCE:?}"), || {
        processes_with(&mark).is_empty()
    });
}
