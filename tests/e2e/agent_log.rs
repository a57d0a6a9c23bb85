//! What the agent's own log tells, and how its lines are tied to requests and jobs.

use serde_json::Value;

use crate::harness::{Agent, Connection, Kind, Place, backup, complete_environment, file_store, run_agent, wait_for};

/// The lines of a log in JSON, each of which must be an object.
#[track_caller]
fn objects(log: &str) -> Vec<Value> {
    log.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

/// The first line with this message.
#[track_caller]
fn line(agent: &Agent, message: &str) -> Value {
    wait_for(&format!("a line {message:?}"), || {
        objects(&agent.log())
            .into_iter()
            .find(|line| line["message"] == message)
    })
}

/// A field of a line, or of the spans that it is in.
fn field<'a>(line: &'a Value, name: &str) -> &'a Value {
    let spans = line["spans"].as_array().into_iter().flatten();
    std::iter::once(line)
        .chain(spans)
        .map(|of| &of[name])
        .find(|value| !value.is_null())
        .unwrap_or(&Value::Null)
}

#[test]
fn an_unknown_format_keeps_the_agent_from_starting_and_is_named() {
    let place = Place::new();
    let mut environment = complete_environment(&place);
    environment.set("log_format", "xml");
    let output = run_agent(&[], &environment, place.root());
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("log_format") && told.contains("text, json"), "{told}");
}

#[test]
fn in_json_every_line_is_an_object_that_says_of_which_job_and_phase_it_is() {
    let agent = Agent::start(|env| {
        env.set("log_format", "json").set("RUST_LOG", "debug");
    });
    agent.place.script("pre-backup-check", "exit 3");
    agent.fail(Kind::Backup, &backup("b1", &file_store(&agent.place)));
    let begins = line(&agent, "step begins");
    assert_eq!(
        (field(&begins, "kind"), field(&begins, "job_id")),
        (&"backup".into(), &"b1".into()),
        "{begins}"
    );
    let failed = line(&agent, "step failed");
    assert_eq!(
        (&failed["level"], field(&failed, "job_id")),
        (&"ERROR".into(), &"b1".into()),
        "{failed}"
    );
    assert_eq!(field(&failed, "phase"), "pre-backup-check", "{failed}");
    assert!(
        failed["failure"]
            .as_str()
            .is_some_and(|text| text.contains("exit code 3")),
        "{failed}"
    );
    assert!(failed["timestamp"].is_string(), "{failed}");
    // What libraries and adapters say is in the span of the job and the phase too.
    let script = line(&agent, "script started");
    assert_eq!(field(&script, "job_id"), "b1", "{script}");
    assert_eq!(field(&script, "phase"), "pre-backup-lock", "{script}");
}

#[test]
fn the_last_line_of_a_job_tells_what_became_of_it_and_how_long_it_took() {
    let agent = Agent::start(|env| {
        env.set("log_format", "json");
    });
    agent.succeed(Kind::Backup, &backup("b1", &file_store(&agent.place)));
    let succeeded = line(&agent, "job succeeded");
    for name in ["took_ms", "lock_held_ms", "bytes"] {
        assert!(
            succeeded[name].as_i64().is_some_and(|value| value > 0),
            "{name}: {succeeded}"
        );
    }
    let filename = succeeded["filename"].as_str().unwrap_or_default();
    assert!(filename.ends_with("_b1.tar.gz"), "{succeeded}");

    agent.place.script("backup", "exit 3");
    agent.fail(Kind::Backup, &backup("b2", &file_store(&agent.place)));
    let failed = line(&agent, "job failed");
    assert_eq!(
        (&failed["host"], &failed["database"]),
        (&"db.example".into(), &"b2".into()),
        "{failed}"
    );
    assert!(
        failed["lock_held_ms"].is_i64() && failed["took_ms"].is_i64(),
        "{failed}"
    );
    assert!(
        failed["error"]
            .as_str()
            .is_some_and(|text| text.contains("exit code 3")),
        "{failed}"
    );
}

#[test]
fn a_filter_that_lets_only_errors_through_leaves_them_their_ids() {
    // Without its address in the log nobody would find the agent.
    let agent = Agent::start(|env| {
        env.set("log_format", "json")
            .set("RUST_LOG", "error,osb_backup_agent=info");
    });
    agent.place.script("pre-backup-check", "exit 3");
    agent.fail(Kind::Backup, &backup("b1", &file_store(&agent.place)));
    assert_eq!(field(&line(&agent, "step failed"), "job_id"), "b1");
    assert!(!agent.log().contains("step begins"), "{}", agent.log());
}

#[test]
fn every_answer_has_a_request_id_that_its_lines_have_too() {
    let agent = Agent::start(|env| {
        env.set("log_format", "json");
    });
    let given = "X-Request-Id: broker-4711";
    let body = backup("b1", &file_store(&agent.place)).to_string();
    let response = agent.call("POST", "/backup", &[given], body.as_bytes());
    assert_eq!(response.status, 201, "{}", response.text());
    assert_eq!(response.header("X-Request-Id"), Some("broker-4711"));
    assert_eq!(field(&line(&agent, "job accepted"), "request_id"), "broker-4711");
    agent.finished(Kind::Backup, "b1");
    // A job is not its request: it goes on long after it.
    assert!(field(&line(&agent, "step begins"), "request_id").is_null());

    let mut seen = Vec::new();
    for (path, status) in [
        ("/status", 200),
        ("/backup/none", 404),
        ("/nothing", 404),
        ("/healthz", 200),
    ] {
        let response = agent.get(path);
        assert_eq!(response.status, status, "{path}");
        seen.push(response.header("X-Request-Id").expect(path).to_owned());
    }
    let refused = agent.call_as_stranger("GET", "/status", &[], b"");
    seen.push(refused.header("X-Request-Id").expect("a refusal has one").to_owned());
    assert!(seen.iter().all(|id| id.len() == 36), "{seen:?}");
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 5, "each its own");
}

#[test]
fn a_request_id_that_could_forge_a_line_is_replaced() {
    let agent = Agent::start(|_| {});
    for id in ["a b", "x job_id=other", "{\"a\":1}", "", &"x".repeat(129)] {
        let response = agent.call("GET", "/status", &[&format!("X-Request-Id: {id}")], b"");
        assert_eq!(response.status, 200, "{id}");
        let made = response.header("X-Request-Id").expect("there is one");
        assert!(made != id && made.len() == 36, "{id} became {made}");
    }
    // Two requests of one connection are two.
    let mut connection = Connection::open(agent.address());
    let mut ids = Vec::new();
    for _ in 0..2 {
        connection.send(format!("GET /status HTTP/1.1\r\nHost: x\r\n{}\r\n\r\n", agent.authorization()).as_bytes());
        ids.push(connection.receive(false).header("X-Request-Id").map(str::to_owned));
    }
    assert!(ids[0].is_some() && ids[0] != ids[1], "{ids:?}");
}
