//! Without storage: the scripts move the bytes, and get what they need for it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    harness::{Agent, Body, Kind, S3Server, backup, start},
    polling_body::assert_complete,
};

#[test]
fn with_skip_storage_the_agent_moves_no_bytes_and_needs_neither_directories_nor_an_artifact() {
    let agent = Agent::start(|env| {
        env.set("skip_storage", "true")
            .unset("directory_backup")
            .unset("directory_restore");
    });
    let store = S3Server::start();
    agent.place.script("backup", "");
    agent.place.script("backup-cleanup", "");
    agent.place.script("restore", "");
    for kind in Kind::ALL {
        let job = agent.succeed(kind, &start(kind, "job", &store.destination()));
        assert_complete(kind, &job, "without storage");
        assert_eq!(job["skip_storage"], true, "{kind:?}");
        assert_eq!(agent.place.ran(kind, "job"), kind.phases(), "{kind:?}");
        if kind == Kind::Backup {
            assert_eq!((&job["filename"], &job["filesize"]["size"]), (&json!(""), &json!(0)));
        }
    }
    assert_eq!(store.requests(), [""; 0]);
}

#[test]
fn a_single_request_may_skip_the_storage() {
    let (agent, store) = (Agent::start(|_| {}), S3Server::start());
    agent.place.script("restore", "");
    for kind in Kind::ALL {
        for (id, member) in [("a", "skipStorage"), ("b", "SKIPSTORAGE")] {
            let body = start(kind, id, &store.destination()).with(&format!("/destination/{member}"), true);
            let job = agent.succeed(kind, &body);
            assert_eq!(job["skip_storage"], true, "{kind:?} {member}");
        }
    }
    assert_eq!(store.requests(), [""; 0]);
    let body = backup("c", &store.destination()).with("/destination/skipStorage", false);
    assert_eq!(agent.succeed(Kind::Backup, &body)["skip_storage"], false);
    assert_eq!(store.keys().len(), 1);
}

#[test]
fn an_artifact_that_stays_here_is_named_all_the_same() {
    let agent = Agent::start(|_| {});
    let body = backup("job", &crate::harness::refused_s3()).with("/destination/skipStorage", true);
    let job = agent.succeed(Kind::Backup, &body);
    let name = &agent.place.environment(Kind::Backup, "job", "backup")["BACKUP_AGENT_NAME"];
    assert_eq!(job["filename"], format!("{name}.tar.gz"));
    assert_eq!(job["filesize"]["size"], "artifact of backup.job".len());
}

#[test]
fn scripts_get_the_s3_destination() {
    let agent = Agent::start(|_| {});
    agent.place.script("restore", "");
    let full = json!({"type": "S3", "skipStorage": true, "bucket": "the-bucket", "endpoint": "https://s3.example.org",
        "region": "eu-central-1", "authKey": "the key", "authSecret": "the $ecret", "skipSSL": true,
        "sessionToken": "the+token", "filenamePrefix": "a/b-"});
    let least = json!({"type": "S3", "skipStorage": true, "bucket": "the-bucket", "authKey": "the key",
        "authSecret": "the $ecret"});
    for kind in Kind::ALL {
        agent.succeed(kind, &start(kind, "full", &full));
        agent.succeed(kind, &start(kind, "least", &least));
        for phase in kind.phases() {
            let of_full = agent.place.environment(kind, "full", phase);
            assert_has(
                &of_full,
                &[
                    ("S3_BUCKET", "the-bucket"),
                    ("S3_ENDPOINT", "https://s3.example.org"),
                    ("S3_REGION", "eu-central-1"),
                    ("S3_AUTHKEY", "the key"),
                    ("S3_AUTHSECRET", "the $ecret"),
                    ("S3_SESSIONTOKEN", "the+token"),
                    ("S3_SKIPSSL", "true"),
                    ("S3_FILENAMEPREFIX", "a/b-"),
                ],
                phase,
            );
            let of_least = agent.place.environment(kind, "least", phase);
            let expected = [
                ("S3_BUCKET", "the-bucket"),
                ("S3_SKIPSSL", "false"),
                ("S3_AUTHSECRET", "the $ecret"),
            ];
            assert_has(&of_least, &expected, phase);
            for name in ["S3_REGION", "S3_FILENAMEPREFIX", "S3_SESSIONTOKEN"] {
                assert_eq!(of_least.get(name).map_or("", String::as_str), "", "{phase}: {name}");
            }
            assert!(!of_full.keys().any(|name| name.starts_with("SWIFT_")), "{phase}");
        }
    }
}

#[test]
fn endpoint_and_region_are_swapped_for_scripts_that_lean_on_that() {
    let agent = Agent::start(|env| {
        env.set("swap_s3_endpoint_and_region", "true");
    });
    let destination = json!({"type": "S3", "skipStorage": true, "bucket": "b", "endpoint": "https://s3.example.org",
        "region": "eu-central-1", "authKey": "k", "authSecret": "s"});
    let job = agent.succeed(Kind::Backup, &backup("job", &destination));
    let environment = agent.place.environment(Kind::Backup, "job", "backup");
    assert_has(
        &environment,
        &[("S3_ENDPOINT", "eu-central-1"), ("S3_REGION", "https://s3.example.org")],
        "backup",
    );
    let echoed = (&job["endpoint"], &job["region"]);
    assert_eq!(
        echoed,
        (&json!("https://s3.example.org"), &json!("eu-central-1")),
        "only the scripts see it so"
    );
}

#[test]
fn scripts_get_the_swift_destination() {
    let agent = Agent::start(|_| {});
    agent.place.script("restore", "");
    let swift = json!({"type": "swift", "skipStorage": true, "authUrl": "https://keystone.example:5000/v3",
        "domain": "the domain", "container_name": "container", "project_name": "project", "username": "user",
        "password": "the pw"});
    for kind in Kind::ALL {
        let job = agent.succeed(kind, &start(kind, "job", &swift));
        assert_eq!(job["type"], "SWIFT", "{kind:?}");
        if kind == Kind::Backup {
            let echoed = ["authUrl", "domain", "container_name", "project_name"].map(|name| job[name].clone());
            let sent = ["https://keystone.example:5000/v3", "the domain", "container", "project"];
            assert_eq!(
                echoed.map(|value: Value| value.as_str().unwrap_or_default().to_owned()),
                sent
            );
        }
        assert!(!job.to_string().contains("the pw"), "{job}");
        for phase in kind.phases() {
            let environment = agent.place.environment(kind, "job", phase);
            assert_has(
                &environment,
                &[
                    ("SWIFT_AUTHURL", "https://keystone.example:5000/v3"),
                    ("SWIFT_DOMAIN", "the domain"),
                    ("SWIFT_CONTAINERNAME", "container"),
                    ("SWIFT_PROJECTNAME", "project"),
                    ("SWIFT_USERNAME", "user"),
                    ("SWIFT_PASSWORD", "the pw"),
                ],
                phase,
            );
            assert!(!environment.keys().any(|name| name.starts_with("S3_")), "{phase}");
        }
    }
}

#[test]
fn what_a_swift_destination_needs_is_required_without_a_transfer_too() {
    let agent = Agent::start(|_| {});
    let body = backup("x", &json!({"type": "SWIFT", "skipStorage": true}));
    let response = agent.request(Kind::Backup, &body);
    assert_eq!(response.status, 400);
    let message = response.json()["error_message"].as_str().unwrap_or_default().to_owned();
    for member in [
        "authUrl",
        "domain",
        "container_name",
        "project_name",
        "username",
        "password",
    ] {
        assert!(
            message.contains(&format!("destination.{member}")),
            "{member}: {message}"
        );
    }
}

#[track_caller]
fn assert_has(environment: &BTreeMap<String, String>, expected: &[(&str, &str)], row: &str) {
    for (name, value) in expected {
        assert_eq!(
            environment.get(*name).map(String::as_str),
            Some(*value),
            "{row}: {name}"
        );
    }
}
