//! Requests without keys: where the agent's own credentials are used, and where never.

use serde_json::{Value, json};

use crate::harness::{AUTH_KEY, AUTH_SECRET, Agent, Body, Environment, Kind, S3Server, backup, restore};

fn with_own_credentials(env: &mut Environment, store: &S3Server) {
    env.set("AWS_ACCESS_KEY_ID", AUTH_KEY)
        .set("AWS_SECRET_ACCESS_KEY", AUTH_SECRET)
        .set("allow_ambient_credentials", "true")
        .set("ambient_buckets", "another, bucket")
        .set("default_s3_endpoint", store.endpoint())
        .set("max_job_number", "1");
}

fn without_keys(store: &S3Server) -> Value {
    let destination = store.destination().without("/endpoint");
    destination.without("/authKey").without("/authSecret")
}

#[test]
fn a_request_without_keys_uses_them_and_no_script_sees_them() {
    let store = S3Server::start();
    let agent = Agent::start(|env| with_own_credentials(env, &store));
    let destination = without_keys(&store);
    let job = agent.succeed(Kind::Backup, &backup("job", &destination));
    let filename = job["filename"].as_str().unwrap_or_default();
    assert!(store.object(filename).is_some());
    agent.succeed(Kind::Restore, &restore("job", &destination, filename));
    for kind in Kind::ALL {
        for phase in kind.phases() {
            let environment = agent.place.environment(kind, "job", phase);
            for (name, value) in &environment {
                assert!(!name.starts_with("AWS_"), "{phase}: {name}");
                assert!(
                    !value.contains(AUTH_KEY) && !value.contains(AUTH_SECRET),
                    "{phase}: {name}"
                );
            }
        }
    }
    let log = agent.log();
    assert!(!log.contains(AUTH_KEY) && !log.contains(AUTH_SECRET), "{log}");
}

#[test]
fn whoever_asks_for_more_is_refused_with_what_is_missing() {
    let (store, elsewhere) = (S3Server::start(), S3Server::start());
    let agent = Agent::start(|env| with_own_credentials(env, &store));
    let destination = without_keys(&store);
    for (row, destination, told) in [
        (
            "unlisted",
            destination.clone().with("/bucket", "third"),
            "ambient_buckets",
        ),
        (
            "endpoint",
            destination.clone().with("/endpoint", elsewhere.endpoint()),
            "destination.endpoint must not be given",
        ),
        (
            "authUrl",
            destination.clone().with("/authUrl", elsewhere.endpoint()),
            "destination.authUrl must not be given",
        ),
        (
            "half",
            destination.clone().with("/authKey", AUTH_KEY),
            "destination.authSecret is missing",
        ),
        (
            "scripts",
            destination.with("/skipStorage", true),
            "destination.authKey is missing",
        ),
    ] {
        let response = agent.request(Kind::Backup, &backup("job", &destination));
        assert_eq!(response.status, 400, "{row}");
        assert!(response.text().contains(told), "{row}: {}", response.text());
    }
    assert_eq!((store.requests(), elsewhere.requests()), (vec![], vec![]));
}

#[test]
fn without_the_operators_word_they_are_not_used_at_all() {
    let store = S3Server::start();
    let agent = Agent::start(|env| {
        with_own_credentials(env, &store);
        env.unset("allow_ambient_credentials");
    });
    let response = agent.request(Kind::Backup, &backup("job", &without_keys(&store)));
    assert_eq!(response.status, 400);
    for told in [
        "authKey is missing",
        "authSecret is missing",
        "allow_ambient_credentials",
    ] {
        assert!(response.text().contains(told), "{}", response.text());
    }
}

#[test]
fn a_job_that_waited_over_a_restart_still_uses_them_if_that_is_still_allowed() {
    for is_allowed in [true, false] {
        let store = S3Server::start();
        let mut agent = Agent::start(|env| with_own_credentials(env, &store));
        agent.place.hold(Kind::Backup, "first", "backup");
        agent.accept(Kind::Backup, &backup("first", &without_keys(&store)));
        agent.place.wait_held(Kind::Backup, "first", "backup");
        agent.accept(Kind::Backup, &backup("waits", &without_keys(&store)));
        agent.die();
        if !is_allowed {
            agent.configure(|env, _| {
                env.set("ambient_buckets", "another");
            });
        }
        agent.start_again();
        let job = agent.finished(Kind::Backup, "waits");
        let message = job["error_message"].as_str().unwrap_or_default().to_owned();
        if is_allowed {
            assert_eq!(job["status"], json!("SUCCEEDED"), "{message}");
        } else {
            assert_eq!(job["status"], json!("FAILED"));
            assert!(
                message.contains("does not list the bucket in ambient_buckets"),
                "{message}"
            );
            assert!(
                !store.requests().iter().any(|request| request.starts_with("PUT")),
                "nothing is sent"
            );
        }
    }
}
