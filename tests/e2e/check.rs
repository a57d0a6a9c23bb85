//! The pre-flight: what it finds, by command and over HTTP, and that it leaves nothing behind.

use std::process::Output;

use serde_json::Value;

use crate::harness::{
    Agent, Body, Kind, Place, S3Server, backup, complete_environment, file_store, restore, run_agent,
};

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The line of a subject.
#[track_caller]
fn line(output: &Output, subject: &str) -> String {
    let told = text(output);
    let line = told.lines().find(|line| line.contains(&format!("  {subject} (")));
    line.unwrap_or_else(|| panic!("no {subject} in\n{told}")).to_owned()
}

/// The findings of `POST /check`, which must be answered with 200.
#[track_caller]
fn posted(agent: &Agent, body: &Value) -> Value {
    let response = agent.call("POST", "/check", &[], body.to_string().as_bytes());
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

#[track_caller]
fn finding<'a>(report: &'a Value, subject: &str) -> &'a Value {
    let findings = report["findings"].as_array().expect("a list");
    let found = findings.iter().find(|finding| finding["subject"] == subject);
    found.unwrap_or_else(|| panic!("no {subject} in {report}"))
}

#[test]
fn faults_of_the_configuration_are_findings_one_each() {
    let place = Place::new();
    let mut environment = complete_environment(&place);
    environment.unset("client_username").set("client_port", "x");
    let output = run_agent(&["check"], &environment, place.root());
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output);
    for name in ["client_username", "client_port"] {
        let line = told.lines().find(|line| line.contains(name)).unwrap_or_default();
        assert!(line.starts_with("BAD  configuration ("), "{name} in\n{told}");
    }
}

#[test]
fn before_the_first_start_directories_are_told_as_those_that_will_be_made() {
    let place = Place::new();
    for directory in [place.backup(), place.restore()] {
        std::fs::remove_dir(directory).expect("it is empty");
    }
    let mut environment = complete_environment(&place);
    environment.set("state_directory", place.root().join("not-there/state"));
    let output = run_agent(&["check"], &environment, place.root());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    for subject in ["state_directory", "directory_backup", "directory_restore"] {
        let line = line(&output, subject);
        assert!(line.contains("will be made in "), "{line}");
    }
    // Where they cannot be made there is no agent either.
    environment.set("directory_backup", place.scripts().join("backup/not-there"));
    let output = run_agent(&["check"], &environment, place.root());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(
        line(&output, "directory_backup").starts_with("BAD"),
        "{}",
        text(&output)
    );
}

#[test]
fn modes_are_told_and_who_could_replace_an_artifact() {
    let agent = Agent::start(|_| {});
    let set_mode = |mode| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(agent.place.backup(), mode).expect("it is ours");
    };
    for (mode, told, is_warned) in [(0o750, "mode 0750, ", false), (0o777, "mode 0777, ", true)] {
        set_mode(mode);
        let line = line(&agent.command(&["check"]), "directory_backup");
        assert!(line.contains(told) && line.contains("o-w") == is_warned, "{line}");
    }
}

#[test]
fn what_is_missing_is_told_with_how_to_mend_it_and_exit_code_1() {
    let agent = Agent::start(|_| {});
    assert_eq!(
        agent.command(&["check"]).status.code(),
        Some(0),
        "{}",
        text(&agent.command(&["check"]))
    );
    agent.place.remove_script("backup");
    std::fs::remove_dir(agent.place.restore()).expect("it is empty");
    let output = agent.command(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    for (subject, words) in [("script backup", "backup"), ("directory_restore", "make it")] {
        let line = line(&output, subject);
        assert!(line.starts_with("BAD") && line.contains(words), "{line}");
    }
    for subject in [
        "configuration",
        "state_directory",
        "directory_backup",
        "bash",
        "script restore",
    ] {
        assert!(
            line(&output, subject).starts_with("ok"),
            "{subject} in\n{}",
            text(&output)
        );
    }
}

#[test]
fn a_destination_that_works_is_left_as_it_was() {
    let (agent, store) = (Agent::start(|_| {}), S3Server::start());
    for (name, destination) in [
        ("file.json", file_store(&agent.place)),
        ("s3.json", store.destination()),
    ] {
        let path = agent.place.write(name, backup("job", &destination).to_string());
        let output = agent.command(&["check", "--json", "--body", path.to_str().expect("a path")]);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output));
        let report: Value = serde_json::from_str(&text(&output)).expect("JSON");
        assert_eq!(report["ok"], true, "{report}");
    }
    assert!(
        agent.place.object_names().is_empty(),
        "{:?}",
        agent.place.object_names()
    );
    assert!(agent.place.order().is_empty(), "no script was run");
    let report = posted(&agent, &backup("job", &store.destination()));
    assert_eq!((store.keys(), store.leftovers()), (Vec::new(), Vec::new()));
    for step in [
        "connection",
        "TLS and HTTP",
        "credentials",
        "free name",
        "put",
        "head",
        "ranged get",
        "multipart and abort",
        "delete",
    ] {
        let found = finding(&report, &format!("destination: {step}"));
        assert_eq!(found["ok"], true, "{found}");
    }
    assert!(agent.place.order().is_empty(), "no script was run");
}

#[test]
fn a_destination_that_does_not_work_is_told_step_by_step() {
    let (agent, mut store) = (Agent::start(|_| {}), S3Server::start());
    let wrong = posted(
        &agent,
        &backup("job", &store.destination().with("/authSecret", "wrong-secret")),
    );
    assert_eq!(wrong["ok"], false, "{wrong}");
    assert_eq!(finding(&wrong, "destination: connection")["ok"], true);
    let refused = finding(&wrong, "destination: free name");
    assert!(
        refused["detail"]
            .as_str()
            .is_some_and(|text| text.contains("SignatureDoesNotMatch")),
        "{refused}"
    );
    assert!(!wrong.to_string().contains("wrong-secret"));

    let missing = posted(&agent, &restore("job", &store.destination(), "no-such-object"));
    let head = finding(&missing, "destination: head");
    assert!(
        head["detail"]
            .as_str()
            .is_some_and(|text| text.contains("no such object")),
        "{head}"
    );

    store.stop();
    let gone = posted(&agent, &backup("job", &store.destination()));
    let connection = finding(&gone, "destination: connection");
    assert_eq!(connection["ok"], false);
    assert!(
        connection["detail"]
            .as_str()
            .is_some_and(|text| text.contains("firewalls")),
        "{connection}"
    );
}

#[test]
fn a_body_that_is_no_request_is_400_or_a_finding() {
    let agent = Agent::start(|_| {});
    for body in ["", "no json", "{}", r#"{"id": "x", "destination": {"type": "NONE"}}"#] {
        let response = agent.call("POST", "/check", &[], body.as_bytes());
        assert_eq!(response.status, 400, "{body}: {}", response.text());
        assert!(response.json()["error_message"].is_string(), "{body}");
    }
    let path = agent.place.write("bad.json", "{}");
    let output = agent.command(&["check", "--body", path.to_str().expect("a path")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(line(&output, "body").starts_with("BAD"), "{}", text(&output));
    assert_eq!(agent.call_as_stranger("POST", "/check", &[], b"{}").status, 401);
}

#[test]
fn endpoints_that_are_not_allowed_are_not_asked() {
    let store = S3Server::start();
    let agent = Agent::start(|env| {
        env.set("allowed_endpoints", "s3.example.org");
    });
    let body = backup("job", &store.destination()).to_string();
    let response = agent.call("POST", "/check", &[], body.as_bytes());
    let told = response.text();
    assert!(told.contains("allowed_endpoints"), "{} {told}", response.status);
    assert!(
        agent
            .request_text(Kind::Backup, &body)
            .text()
            .contains("allowed_endpoints"),
        "as for a job"
    );
}
