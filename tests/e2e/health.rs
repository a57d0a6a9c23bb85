//! Whether the agent is alive, and whether it could take a job: for supervisors and load balancers.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::{Agent, Kind, Place, Response, backup, basic, file_store, wait_for};

/// Waits until the agent says that it is not ready, and says why.
#[track_caller]
fn wait_for_complaint(agent: &Agent, words: &[&str]) -> Response {
    wait_for(&format!("/readyz complains of {words:?}"), || {
        let response = agent.get("/readyz");
        let text = response.text();
        (response.status == 503 && words.iter().all(|word| text.contains(word))).then_some(response)
    })
}

#[track_caller]
fn wait_until_ready(agent: &Agent) {
    wait_for("the agent is ready", || {
        (agent.get("/readyz").status == 200).then_some(())
    });
}

#[test]
fn health_needs_no_credentials_and_tells_no_facts() {
    let agent = Agent::start(|_| {});
    let wrong = format!("Authorization: {}", basic("nobody", "nothing"));
    for headers in [vec![], vec![wrong.as_str()]] {
        let response = agent.call_as_stranger("GET", "/healthz", &headers, b"");
        assert_eq!(response.status, 200, "{headers:?}");
        assert_eq!(response.json(), json!({"message": "The agent is alive."}));
    }
    assert_eq!(agent.call_as_stranger("HEAD", "/healthz", &[], b"").status, 200);
    assert_eq!(
        agent.call_as_stranger("POST", "/healthz", &[], b"").status,
        401,
        "405 is a fact"
    );
}

#[test]
fn readiness_without_credentials_is_a_code_and_no_more() {
    let agent = Agent::start(|_| {});
    assert_eq!(agent.call_as_stranger("GET", "/readyz", &[], b"").status, 200);
    agent.place.remove_script("restore");
    let known = wait_for_complaint(&agent, &["restore"]);
    let scripts = agent.place.scripts();
    let path = scripts.to_str().expect("a path");
    assert!(known.text().contains(path), "{}", known.text());

    let stranger = agent.call_as_stranger("GET", "/readyz", &[], b"");
    assert_eq!(stranger.status, 503);
    assert_eq!(stranger.json()["problems"], json!([]));
    assert!(!stranger.text().contains(path), "{}", stranger.text());
    assert!(stranger.header("Retry-After").is_some());
    let wrong = format!("Authorization: {}", basic("nobody", "nothing"));
    assert_eq!(agent.call_as_stranger("GET", "/readyz", &[&wrong], b"").status, 401);
}

#[test]
fn whatever_would_fail_every_job_is_named_until_it_is_mended() {
    let agent = Agent::start(|_| {});
    wait_until_ready(&agent);

    for phase in ["pre-backup-lock", "post-restore-unlock"] {
        agent.place.remove_script(phase);
        wait_for_complaint(&agent, &[phase]);
        agent.place.usual_script(phase, "");
        wait_until_ready(&agent);
    }
    for directory in [agent.place.backup(), agent.place.restore()] {
        fs::remove_dir(&directory).expect("it is empty");
        wait_for_complaint(&agent, &[directory.to_str().expect("a path"), "make it"]);
        fs::write(&directory, "").expect("a file can be written");
        wait_for_complaint(&agent, &[directory.to_str().expect("a path")]);
        fs::remove_file(&directory).expect("it is there");
        fs::create_dir(&directory).expect("it can be made");
        wait_until_ready(&agent);
    }
}

#[test]
fn records_that_cannot_be_written_are_named() {
    let agent = Agent::start(|_| {});
    wait_until_ready(&agent);
    let open = agent.place.path("state/open");
    fs::remove_dir(&open).expect("there are no jobs");
    fs::write(&open, "in the way").expect("a file can be written");
    wait_for_complaint(&agent, &["state"]);
    fs::remove_file(&open).expect("it is there");
    wait_until_ready(&agent);
}

#[test]
fn too_little_room_is_named() {
    let agent = Agent::start(|env| {
        env.set("min_free_space", "8000000000GiB");
    });
    wait_for_complaint(&agent, &["min_free_space", "directory_backup", "directory_restore"]);
}

#[test]
fn scripts_that_never_were_there_are_all_named_at_once() {
    let agent = Agent::start_in(Place::without_scripts(), |_| {});
    let response = wait_for_complaint(&agent, &[]);
    for phase in Kind::ALL.iter().flat_map(|kind| kind.phases()) {
        assert!(response.text().contains(phase), "{phase} in {}", response.text());
    }
}

#[test]
fn a_stopping_agent_is_alive_but_not_ready() {
    let mut agent = Agent::start(|_| {});
    agent.place.hold(Kind::Backup, "job", "backup");
    agent.accept(Kind::Backup, &backup("job", &file_store(&agent.place)));
    agent.place.wait_held(Kind::Backup, "job", "backup");
    agent.signal(Signal::SIGTERM);
    wait_for_complaint(&agent, &["stopping"]);
    assert_eq!(agent.call_as_stranger("GET", "/healthz", &[], b"").status, 200);
    agent.place.release(Kind::Backup, "job", "backup");
    assert_eq!(agent.wait_for_exit().code(), Some(0));
}
