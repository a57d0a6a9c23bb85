//! The client for people: what it asks for, what it says, and its exit codes.

mod fake;
mod phases;
mod running;
mod unanswered;
mod waiting;

use std::{
    io::Write,
    process::{Output, Stdio},
};

use serde_json::Value;

use crate::harness::{
    AUTH_KEY, AUTH_SECRET, Agent, Authority, Body, Environment, Kind, PASSWORD, Pair, Place, S3Server, USER,
    agent_command, backup, file_store, run_agent,
};

/// What every client of these tests has in its environment.
fn environment() -> Environment {
    let mut environment = Environment::default();
    environment
        .set("OSB_BACKUP_AGENT_USER", USER)
        .set("OSB_BACKUP_AGENT_PASSWORD", PASSWORD);
    environment
}

fn url(agent: &Agent) -> String {
    format!("http://{}", agent.address())
}

/// Calls this agent.
fn call(agent: &Agent, arguments: &[&str]) -> Output {
    let url = url(agent);
    run_agent(
        &[arguments, &["--url", &url]].concat(),
        &environment(),
        agent.place.root(),
    )
}

/// A backup of the database `id` to that directory, by options.
fn options<'a>(id: &'a str, objects: &'a str) -> Vec<&'a str> {
    let request = ["--id", id, "--host", "db.example", "--database", id];
    [&["backup"][..], &request, &["--type", "file", "--path", objects]].concat()
}

fn objects(agent: &Agent) -> String {
    agent.place.objects().to_str().expect("plain").to_owned()
}

fn said(output: &Output) -> String {
    format!("{}{}", stdout(output), String::from_utf8_lossy(&output.stderr))
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn assert_code(output: &Output, code: i32, part: &str) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(part), "{part:?} is not in {said}");
}

#[test]
fn a_faulty_call_is_2_and_says_what_to_mend() {
    let agent = Agent::start(|_| {});
    let (url, objects) = (url(&agent), objects(&agent));
    let with_password = format!("http://{USER}:sesame@{}", agent.address());
    let without_scheme = with_password.trim_start_matches("http://");
    let no_json = agent.place.write("no-json", "{\"id\": sesame").display().to_string();
    let faulty = agent
        .place
        .write("faulty", r#"{"id": "x", "backup": {}}"#)
        .display()
        .to_string();
    let complete = options("job", &objects);
    let by_url = |rest: &[&'static str]| [&complete[..], &["--url"], rest].concat();
    let no_credentials: &[&str] = &["OSB_BACKUP_AGENT_USER", "OSB_BACKUP_AGENT_PASSWORD"];
    let at = |arguments: &[&str]| -> Vec<String> {
        let all = [arguments, &["--url", &url]].concat();
        all.into_iter().map(str::to_owned).collect()
    };
    let plain = |arguments: Vec<&str>| -> Vec<String> { arguments.into_iter().map(str::to_owned).collect() };
    for (arguments, without, part) in [
        (plain(complete.clone()), &[][..], "OSB_BACKUP_AGENT_URL"),
        (plain(by_url(&["db.example:8000"])), &[], "https://db.example.org:8000"),
        (
            plain([&complete[..], &["--url", &with_password]].concat()),
            &[],
            "must hold no user and password",
        ),
        (
            plain([&complete[..], &["--url", without_scheme]].concat()),
            &[],
            "must hold no user and password",
        ),
        (at(&complete), no_credentials, "who calls is not said"),
        (
            at(&complete),
            &no_credentials[..1],
            "OSB_BACKUP_AGENT_PASSWORD is set, but not",
        ),
        (at(&["backup", "--id", "job"]), &[], "--host"),
        (at(&["backup", "--request", "nowhere"]), &[], "nowhere"),
        (at(&["backup", "--request", &no_json]), &[], "no JSON object: line 1"),
        (at(&["backup", "--request", &faulty]), &[], "destination"),
        (at(&["backup", "--request", &faulty, "--id", "y"]), &[], "an id already"),
        (
            at(&["backup", "--request", &faulty, "--host", "h"]),
            &[],
            "cannot be used with",
        ),
        (
            at(&[&complete[..], &["--destination", "authSecret=sesame"]].concat()),
            &[],
            "AWS_SECRET_ACCESS_KEY",
        ),
        (
            at(&[&complete[..], &["--ca", "nowhere"]].concat()),
            &[],
            "--ca: nowhere",
        ),
        (at(&["status", "backup"]), &[], "<ID>"),
        (at(&["status", "backup", "a/b"]), &[], "the id may hold only"),
        (at(&["cancel", "upload", "job"]), &[], "backup"),
    ] {
        let mut environment = environment();
        for name in without {
            environment.unset(name);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = run_agent(&arguments, &environment, agent.place.root());
        assert_code(&output, 2, part);
        assert!(!said(&output).contains("sesame"), "{}", said(&output));
    }
    let mut wrong = environment();
    wrong.set("OSB_BACKUP_AGENT_PASSWORD", "wrong");
    let arguments = [&complete[..], &["--url", &url]].concat();
    let output = run_agent(&arguments, &wrong, agent.place.root());
    assert_code(&output, 2, "401");
    assert!(said(&output).contains("OSB_BACKUP_AGENT_USER"), "{}", said(&output));
    assert!(agent.place.order().is_empty(), "{:?}", agent.place.order());
}

#[test]
fn an_agent_that_is_not_there_is_3() {
    let place = Place::without_scripts();
    for (url, part) in [
        ("http://127.0.0.1:1", "no answer"),
        ("https://127.0.0.1:1", "no answer"),
    ] {
        for arguments in [
            &["status"][..],
            &["status", "backup", "job"],
            &["cancel", "backup", "job"],
            &["jobs"],
            &["backup", "--host", "h", "--database", "d", "--type", "FILE"],
        ] {
            let output = run_agent(&[arguments, &["--url", url]].concat(), &environment(), place.root());
            assert_code(&output, 3, part);
        }
    }
}

#[test]
fn a_job_that_fails_is_1_and_says_why() {
    let agent = Agent::start(|_| {});
    agent.place.script("backup", "echo 'no space left' >&2\nexit 3");
    let objects = objects(&agent);
    let output = call(&agent, &options("job", &objects));
    assert_code(&output, 1, "backup: the script ended with exit code 3");
    for part in [
        "backup job is accepted",
        "✗ backup",
        "no space left",
        "✓ pre-backup-lock",
    ] {
        assert!(said(&output).contains(part), "{part} in {}", said(&output));
    }
    assert!(
        !said(&output).contains('\u{1b}'),
        "this is no terminal: {}",
        said(&output)
    );
    assert_code(&call(&agent, &["status", "backup", "job"]), 1, "exit code 3");
    assert_code(&call(&agent, &["status", "backup", "job", "--wait"]), 1, "exit code 3");
    assert_code(&call(&agent, &["status", "backup", "unknown"]), 1, "knows no such job");
    assert_code(&call(&agent, &["cancel", "backup", "job"]), 1, "409");
    assert_code(&call(&agent, &["cancel", "backup", "unknown"]), 1, "knows no such job");
    // The id is taken.
    assert_code(&call(&agent, &options("job", &objects)), 1, "409");
    assert_code(&call(&agent, &["jobs", "--outcome", "failed"]), 0, "backup job  failed");
    assert_code(
        &call(&agent, &["jobs", "--kind", "restore"]),
        0,
        "There are no such jobs",
    );
    assert_code(&call(&agent, &["jobs", "--limit", "many"]), 2, "limit");
}

#[test]
fn a_request_comes_from_options_a_file_or_standard_input() {
    let agent = Agent::start(|_| {});
    let objects = objects(&agent);
    let mut environment = environment();
    environment
        .set("OSB_DATABASE_PASSWORD", "of the database")
        .set("OSB_BACKUP_AGENT_URL", url(&agent));
    let mut arguments = options("by-options", &objects);
    arguments.extend(["--user", "app", "--parameter", "A=b=c", "--compression"]);
    let output = run_agent(&arguments, &environment, agent.place.root());
    assert_code(&output, 0, "backup by-options succeeded");
    let seen = agent.place.environment(Kind::Backup, "by-options", "backup");
    for (name, value) in [
        ("BACKUP_AGENT_PASSWORD", "of the database"),
        ("BACKUP_AGENT_USER", "app"),
        ("BACKUP_AGENT_COMPRESSION", "true"),
        ("A", "b=c"),
    ] {
        assert_eq!(seen.get(name).map(String::as_str), Some(value), "{name}");
    }
    let body = backup("by-file", &file_store(&agent.place));
    let file = agent
        .place
        .write("request.json", body.to_string())
        .display()
        .to_string();
    let output = call(&agent, &["backup", "--request", &file]);
    assert_code(&output, 0, "backup by-file succeeded");

    let without_id = backup("by-stdin", &file_store(&agent.place)).without("/id").to_string();
    let arguments = ["backup", "--request", "-", "--id", "by-stdin", "--url", &url(&agent)];
    let mut process = agent_command(&arguments, &environment, agent.place.root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the client can be run");
    let mut stdin = process.stdin.take().expect("piped");
    stdin.write_all(without_id.as_bytes()).expect("it reads");
    drop(stdin);
    let output = process.wait_with_output().expect("it ends");
    assert_code(&output, 0, "backup by-stdin succeeded");

    let job = agent.job(Kind::Backup, "by-file");
    let filename = job["filename"].as_str().expect("a name");
    let mut arguments = options("back", &objects);
    arguments[0] = "restore";
    arguments.extend(["--filename", filename]);
    assert_code(&call(&agent, &arguments), 0, "restore back succeeded");
    assert_eq!(
        agent.place.record(Kind::Restore, "back", "restored"),
        b"artifact of backup.by-file"
    );
}

#[test]
fn keys_of_a_store_come_from_the_environment() {
    let (agent, store) = (Agent::start(|_| {}), S3Server::start());
    let endpoint = store.endpoint();
    let secret = agent.place.write("secret", format!("{AUTH_SECRET}\n"));
    let mut environment = environment();
    environment
        .set("AWS_ACCESS_KEY_ID", AUTH_KEY)
        .set("AWS_SECRET_ACCESS_KEY_FILE", secret);
    let request = [
        "backup",
        "--id",
        "job",
        "--host",
        "h",
        "--database",
        "d",
        "--type",
        "S3",
        "--bucket",
        "bucket",
    ];
    let place = [
        "--endpoint",
        &endpoint,
        "--region",
        "us-east-1",
        "--destination",
        "pathStyle=true",
    ];
    let output = run_agent(
        &[&request[..], &place, &["--url", &url(&agent)]].concat(),
        &environment,
        agent.place.root(),
    );
    assert_code(&output, 0, "backup job succeeded");
    assert_eq!(store.keys().len(), 1, "{:?}", store.keys());
    assert!(!said(&output).contains(AUTH_SECRET), "{}", said(&output));
}

#[test]
fn json_is_the_last_polling_body_and_nothing_else() {
    let agent = Agent::start(|_| {});
    let objects = objects(&agent);
    let body = |output: &Output| -> Value { serde_json::from_str(&stdout(output)).expect("JSON") };
    let output = call(&agent, &[&options("good", &objects)[..], &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(body(&output), agent.job(Kind::Backup, "good"));
    agent.place.script("backup", "exit 1");
    let output = call(&agent, &[&options("bad", &objects)[..], &["--json"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_eq!(body(&output), agent.job(Kind::Backup, "bad"));
    let output = call(&agent, &["status", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(body(&output), agent.get("/status").json());
    // Nothing for programs where there is no job.
    let output = call(&agent, &[&options("bad", &objects)[..], &["--json"]].concat());
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""));
}

#[test]
fn https_is_spoken_with_a_ca_of_ones_own_and_with_no_other() {
    let (authority, place) = (Authority::new(), Place::new());
    authority.pair().write(&place);
    let [certificate, key] = Pair::paths(&place);
    let agent = Agent::start_in(place, |env| {
        env.set("tls_certificate", certificate).set("tls_private_key", key);
    });
    let ca = agent.place.write("ca.pem", authority.pem()).display().to_string();
    let other = agent
        .place
        .write("other.pem", Authority::new().pem())
        .display()
        .to_string();
    let url = format!("https://{}", agent.address());
    for (arguments, code, part) in [
        (&["--ca", &ca][..], 0, "Client is running"),
        (&["--ca", &other], 3, "certificate"),
        (&[], 3, "certificate"),
    ] {
        let all = [&["status", "--url", &url][..], arguments].concat();
        assert_code(&run_agent(&all, &environment(), agent.place.root()), code, part);
    }
}
