//! Scripts and requests of all three public generations and of both known clients, taken together
//! in every combination: each of them works.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    harness::{AUTH_KEY, AUTH_SECRET, Agent, Kind, Place, S3Server, basic, wait_for},
    polling_body::assert_complete,
};

/// A set of scripts, and the settings with which it was written to run.
const SCRIPT_SETS: [(&str, &[(&str, &str)]); 3] = [
    ("seed", &[("backup_name", "seed"), ("script_arguments", "seed")]),
    ("0.1.x", &[("backup_name", "latest"), ("script_arguments", "latest")]),
    ("latest", &[("backup_name", "latest"), ("script_arguments", "latest")]),
];

/// Who sends the requests, and the header lines that come with them.
const CLIENTS: [(&str, &[&str]); 5] = [
    ("seed", &["Content-Type: application/json"]),
    ("0.1.x", &["Content-Type: application/json"]),
    ("latest", &[]),
    ("manager", MANAGER),
    ("older-manager", MANAGER),
];

const MANAGER: &[&str] = &[
    "Accept: application/json",
    "Content-Type: application/json",
    "User-Agent: Java/1.8.0_191",
];

#[test]
fn scripts_of_every_generation_serve_the_requests_of_every_client() {
    for (generation, settings) in SCRIPT_SETS {
        let store = S3Server::start();
        let agent = Agent::start_in(place_with(generation), |env| {
            env.set("default_s3_endpoint", store.endpoint());
            for (name, value) in settings {
                env.set(name, *value);
            }
        });
        for (client, headers) in CLIENTS {
            let row = format!("scripts of {generation}, requests of {client}");
            let id = format!("6b03c025a7986c17af69ab8c0-{client}");
            let job = drive(
                &agent,
                Kind::Backup,
                client,
                headers,
                &[("ID", &id), ("ENDPOINT", &store.endpoint())],
            );
            assert_eq!(job["status"], "SUCCEEDED", "{row}: {job}");
            let filename = job["filename"].as_str().unwrap_or_default();
            // A client that removes old backups removes exactly this key.
            let key = format!("{}{filename}", job["filenamePrefix"].as_str().unwrap_or_default());
            let object = store
                .object(&key)
                .unwrap_or_else(|| panic!("{row}: {key} is not in {:?}", store.keys()));
            assert_eq!(job["filesize"]["size"], object.len(), "{row}");
            assert_eq!(object[..2], [0x1f, 0x8b], "{row}: gzip, as the name says");

            destroy(&agent.place);
            let facts = [
                ("ID", id.as_str()),
                ("ENDPOINT", &store.endpoint()),
                ("FILENAME", filename),
            ];
            let job = drive(&agent, Kind::Restore, client, headers, &facts);
            assert_eq!(job["status"], "SUCCEEDED", "{row}: {job}");
            let database = if client == "seed" { "database name" } else { "mydb" };
            assert_eq!(table(&agent.place, database), format!("rows of {database}\n"), "{row}");
            refill(&agent.place);
        }
        // The monitor restores what another client has stored.
        let keys = store.keys();
        let key = keys
            .iter()
            .find(|key| !key.contains('/'))
            .expect("some clients send no prefix");
        destroy(&agent.place);
        let facts = [
            ("ID", "2f1c5f1e-98a0-4a4e-9d64-3f8f3c5d2f10"),
            ("ENDPOINT", &store.endpoint()),
            ("FILENAME", key),
        ];
        let job = drive(&agent, Kind::Restore, "monitor", &["X-Forwarded-Proto: https"], &facts);
        assert_eq!(
            job["status"], "SUCCEEDED",
            "scripts of {generation}, requests of the monitor: {job}"
        );
    }
}

#[test]
fn an_older_managers_second_authorization_line_is_overlooked() {
    let store = S3Server::start();
    let agent = Agent::start_in(place_with("latest"), |env| {
        env.set("backup_name", "latest")
            .set("default_s3_endpoint", store.endpoint());
    });
    let endpoint = store.endpoint();
    let second = format!("Authorization: {}", basic("another", "client"));
    let headers: Vec<&str> = MANAGER.iter().copied().chain([second.as_str()]).collect();
    let facts = [("ID", "6b03c025a7986c17af69ab8c1"), ("ENDPOINT", endpoint.as_str())];
    let job = drive(&agent, Kind::Backup, "older-manager", MANAGER, &facts);
    let filename = job["filename"].as_str().unwrap_or_default();
    let facts = [facts[0], facts[1], ("FILENAME", filename)];
    let job = drive(&agent, Kind::Restore, "older-manager", &headers, &facts);
    assert_eq!(job["status"], "SUCCEEDED", "{job}");
}

/// Sends a client's request and polls as that client does, until the job ends.
#[track_caller]
fn drive(agent: &Agent, kind: Kind, client: &str, headers: &[&str], facts: &[(&str, &str)]) -> Value {
    let body = request(client, kind, facts);
    let response = agent.call(kind.method(), kind.route(), headers, body.as_bytes());
    assert_eq!(
        (response.status, response.body.len()),
        (201, 0),
        "{client}: {}",
        response.text()
    );
    let (_, id) = facts[0];
    let path = format!("{}/{id}", kind.route());
    wait_for(&format!("{client}: {path} comes to an end"), || {
        let response = agent.call("GET", &path, headers, b"");
        assert_eq!(response.status, 200, "{client}: {}", response.text());
        let job = response.json();
        assert_complete(kind, &job, client);
        let status = job["status"].as_str().unwrap_or_default();
        assert!(
            ["RUNNING", "SUCCEEDED", "FAILED"].contains(&status),
            "{client}: {status}"
        );
        (status != "RUNNING").then_some(job)
    })
}

fn request(client: &str, kind: Kind, facts: &[(&str, &str)]) -> String {
    let path = fixtures()
        .join("requests")
        .join(format!("{client}-{}.json", kind.name()));
    let mut text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for (name, value) in facts
        .iter()
        .chain(&[("AUTH_KEY", AUTH_KEY), ("AUTH_SECRET", AUTH_SECRET)])
    {
        text = text.replace(&format!("@{name}@"), value);
    }
    assert!(!text.contains('@'), "every blank is filled in: {text}");
    text
}

/// A place with one generation's scripts and, beside them, the data that they back up.
fn place_with(generation: &str) -> Place {
    let place = Place::without_scripts();
    for entry in fs::read_dir(fixtures().join("scripts").join(generation)).expect("the fixtures are there") {
        let entry = entry.expect("an entry can be read");
        fs::copy(entry.path(), place.scripts().join(entry.file_name())).expect("a script can be copied");
    }
    refill(&place);
    place
}

fn refill(place: &Place) {
    destroy(place);
    for database in ["database name", "mydb"] {
        fs::create_dir(place.path("data").join(database)).expect("a directory can be made");
        place.write(&format!("data/{database}/table"), format!("rows of {database}\n"));
    }
}

fn destroy(place: &Place) {
    let data = place.path("data");
    if data.exists() {
        fs::remove_dir_all(&data).expect("it is ours");
    }
    fs::create_dir(data).expect("a directory can be made");
}

fn table(place: &Place, database: &str) -> String {
    fs::read_to_string(place.path("data").join(database).join("table")).unwrap_or_default()
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}
