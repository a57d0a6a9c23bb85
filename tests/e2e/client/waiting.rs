//! How the client waits: for the end of a job, through a restart of the agent, until somebody has enough.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{assert_code, call, environment, fake::Fake, objects, options, running::Running, said, stdout};
use crate::harness::{Agent, Kind, Place, run_agent};

#[test]
fn who_does_not_wait_is_back_at_once_and_can_wait_later() {
    let agent = Agent::start(|_| {});
    let objects = objects(&agent);
    agent.place.hold(Kind::Backup, "job", "backup");
    let output = call(&agent, &[&options("job", &objects)[..], &["--no-wait"]].concat());
    assert_code(&output, 0, "status backup job --wait --url http://127.0.0.1");
    agent.place.wait_held(Kind::Backup, "job", "backup");
    assert_code(&call(&agent, &["status", "backup", "job"]), 0, "at work: backup");
    let output = call(&agent, &["status", "backup", "job", "--json"]);
    let body: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(body["status"], "RUNNING", "{body}");
    let mut waiting = Running::start(&agent, &["status", "backup", "job", "--wait"]);
    waiting.wait_until_it_says("… backup");
    agent.place.release(Kind::Backup, "job", "backup");
    assert_eq!(waiting.code(), Some(0), "{}", waiting.said());
}

#[test]
fn an_interruption_leaves_the_job_alone_and_says_how_to_look_again() {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let agent = Agent::start(|_| {});
        let objects = objects(&agent);
        agent.place.hold(Kind::Backup, "job", "backup");
        let mut client = Running::start(&agent, &options("job", &objects));
        client.wait_until_it_says("… backup");
        client.signal(signal);
        assert_eq!(client.code(), Some(code), "{}", client.said());
        client.wait_until_it_says("backup job goes on");
        client.wait_until_it_says("osb-backup-agent status backup job --wait --url");
        agent.place.wait_held(Kind::Backup, "job", "backup");
        assert_eq!(agent.job(Kind::Backup, "job")["status"], "RUNNING");
        agent.place.release(Kind::Backup, "job", "backup");
        assert_eq!(agent.finished(Kind::Backup, "job")["status"], "SUCCEEDED");
    }
}

#[test]
fn an_agent_that_is_started_again_is_asked_again() {
    let mut agent = Agent::start(|_| {});
    let port = agent.address().port().to_string();
    agent.configure(|env, _| {
        env.set("client_port", port);
    });
    let objects = objects(&agent);
    agent.place.hold(Kind::Backup, "job", "backup");
    let mut client = Running::start(&agent, &options("job", &objects));
    agent.place.wait_held(Kind::Backup, "job", "backup");
    client.wait_until_it_says("… backup");
    agent.die();
    client.wait_until_it_says("trying again");
    agent.start_again();
    assert_eq!(client.code(), Some(1), "{}", client.said());
    client.wait_until_it_says("the agent answers again");
    client.wait_until_it_says("backup job: interrupted");
}

#[test]
fn an_agent_that_stays_away_is_3_and_the_job_may_go_on() {
    let mut agent = Agent::start(|_| {});
    let objects = objects(&agent);
    agent.place.hold(Kind::Backup, "job", "backup");
    let arguments = [&options("job", &objects)[..], &["--patience", "1s"]].concat();
    let mut client = Running::start(&agent, &arguments);
    agent.place.wait_held(Kind::Backup, "job", "backup");
    client.wait_until_it_says("… backup");
    agent.die();
    assert_eq!(client.code(), Some(3), "{}", client.said());
    client.wait_until_it_says("what becomes of backup job is not known; look again");
}

#[test]
fn a_cancel_waits_until_the_job_has_ended() {
    let agent = Agent::start(|_| {});
    let objects = objects(&agent);
    agent.place.hold(Kind::Backup, "job", "backup");
    let mut client = Running::start(&agent, &options("job", &objects));
    agent.place.wait_held(Kind::Backup, "job", "backup");
    assert_code(&call(&agent, &["cancel", "backup", "job"]), 0, "backup job: cancelled");
    let job = agent.job(Kind::Backup, "job");
    assert_eq!(
        (&job["outcome"], &job["lock_released"]),
        (&json!("cancelled"), &json!(true))
    );
    assert_eq!(client.code(), Some(1), "{}", client.said());
    client.wait_until_it_says("backup job: cancelled");
}

#[test]
fn problems_of_the_agent_are_told_and_are_1() {
    let agent = Agent::start(|_| {});
    assert_code(&call(&agent, &["status"]), 0, "Client is running");
    agent.place.script("post-backup-unlock", r#"[ ! -e "$trace/stuck" ]"#);
    agent.place.write("trace/stuck", "");
    let objects = objects(&agent);
    assert_code(&call(&agent, &options("job", &objects)), 1, "THE LOCK WAS NOT RELEASED");
    assert_code(&call(&agent, &["status"]), 1, "PROBLEM: ");
    assert_code(
        &call(&agent, &["cancel", "backup", "job"]),
        1,
        "its unlock is tried no more",
    );
}

#[test]
fn a_job_that_is_cancelled_in_the_queue_has_locked_nothing() {
    let agent = Agent::start(|_| {});
    let objects = objects(&agent);
    agent.place.hold(Kind::Backup, "first", "backup");
    let first = [&options("first", &objects)[..], &["--no-wait"]].concat();
    assert_code(&call(&agent, &first), 0, "backup first is accepted");
    agent.place.wait_held(Kind::Backup, "first", "backup");
    let second = ["--id", "second", "--host", "db.example", "--database", "first"];
    let store = ["--type", "file", "--path", &objects, "--no-wait"];
    let output = call(&agent, &[&["backup"][..], &second, &store].concat());
    assert_code(&output, 0, "backup second is accepted");
    let output = call(&agent, &["cancel", "backup", "second"]);
    assert_code(&output, 0, "backup second is cancelled");
    assert!(!said(&output).contains("lock"), "{}", said(&output));
    agent.place.release(Kind::Backup, "first", "backup");
}

#[test]
fn an_id_that_is_taken_is_told_with_what_became_of_its_job() {
    let agent = Agent::start(|_| {});
    let objects = objects(&agent);
    let again = options("job", &objects);
    agent.place.hold(Kind::Backup, "job", "backup");
    let output = call(&agent, &[&again[..], &["--no-wait"]].concat());
    assert_code(&output, 0, "backup job is accepted");
    agent.place.wait_held(Kind::Backup, "job", "backup");
    assert_code(
        &call(&agent, &again),
        1,
        "the id job is taken, by a job that is at work: backup",
    );
    agent.place.release(Kind::Backup, "job", "backup");
    assert_code(&call(&agent, &["status", "backup", "job", "--wait"]), 0, "succeeded");
    for (arguments, part) in [
        (&again[..], "the id job is taken, by a job that has ended: succeeded"),
        (&["cancel", "backup", "job"], "the job has ended already: succeeded"),
    ] {
        let output = call(&agent, arguments);
        assert_code(&output, 1, part);
        assert!(!said(&output).contains("successfully carried out"), "{}", said(&output));
    }
}

#[test]
fn progress_is_told_where_the_agent_tells_it() {
    let running = json!({"status": "RUNNING", "state": "queued", "queue_position": 2});
    let moving = json!({"status": "RUNNING", "state": "backup", "progress": {"phase": "backup", "step": "upload",
        "bytes_done": 1024, "bytes_total": 4096, "bytes_per_second": 512, "eta_seconds": 6}});
    let over =
        json!({"status": "SUCCEEDED", "state": "finished", "filename": "a\u{1b}[2J", "filesize": {"size": 4096}});
    let fake = Fake::start(vec![
        (
            "/backup/job",
            vec![running.to_string(), moving.to_string(), over.to_string()],
        ),
        (
            "/jobs",
            vec![
                json!({"jobs": [{"kind": "backup", "id": "b1", "status": "RUNNING", "state": "backup"}],
                "next": "older"})
                .to_string(),
            ],
        ),
    ]);
    let place = Place::without_scripts();
    let run = |arguments: &[&str]| {
        run_agent(
            &[arguments, &["--url", &fake.url()]].concat(),
            &environment(),
            place.root(),
        )
    };
    let output = run(&["status", "backup", "job", "--wait"]);
    assert_code(&output, 0, "place 2 in the queue");
    let said = said(&output);
    for part in [
        "backup (upload)",
        "25 %",
        "1.0 KiB of 4.0 KiB",
        "512 bytes/s",
        "6.00 s left",
        "backup job succeeded",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    assert!(!said.contains('\u{1b}'), "{said}");
    let output = run(&["jobs"]);
    assert_code(&output, 0, "backup b1  backup");
    assert!(stdout(&output).contains("--cursor older"), "{output:?}");
    let output = run(&["jobs", "--json"]);
    assert_eq!(
        serde_json::from_str::<Value>(&stdout(&output)).expect("JSON")["next"],
        "older"
    );
}
