//! Where requests may lead the agent, and where not.

use serde_json::{Value, json};

use crate::harness::{Agent, Body, Kind, S3Server, backup, start};

fn swift(auth_url: &str) -> Value {
    json!({"type": "SWIFT", "authUrl": auth_url, "domain": "d", "project_name": "p", "container_name": "c",
        "username": "u", "password": "the-password"})
}

fn azure(endpoint: &str) -> Value {
    json!({"type": "AZURE", "endpoint": endpoint, "account": "account1", "container": "container",
        "accountKey": "c2VjcmV0c2VjcmV0"})
}

#[test]
fn by_default_any_store_may_be_named_but_no_metadata_service() {
    let store = S3Server::start();
    let agent = Agent::start(|_| {});
    agent.succeed(Kind::Backup, &backup("job", &store.destination()));
    for host in [
        "169.254.169.254",
        "2852039166",
        "0xA9.0xFE.0xA9.0xFE",
        "0251.0376.0251.0376",
        "[::ffff:a9fe:a9fe]",
        "[fe80::1]",
        "100.100.100.200",
    ] {
        let at = format!("http://{host}/latest");
        for (member, destination) in [
            ("endpoint", store.destination().with("/endpoint", at.clone())),
            ("endpoint", azure(&at)),
            ("authUrl", swift(&at)),
        ] {
            for kind in Kind::ALL {
                let response = agent.request(kind, &start(kind, "refused", &destination));
                assert_eq!(response.status, 400, "{destination}");
                let text = response.text();
                assert!(
                    text.contains(&format!(
                        "destination.{member} leads to {host}:80, which is an address of"
                    )) && text.contains("allowed_endpoints"),
                    "{text}"
                );
                assert_eq!(agent.get(&format!("{}/refused", kind.route())).status, 404);
            }
        }
    }
}

#[test]
fn what_only_a_url_parser_reads_fails_the_job_at_once() {
    let agent = Agent::start(|_| {});
    let destination = S3Server::start()
        .destination()
        .with("/endpoint", "http://%31%36%39.254.169.254");
    let (_, message) = agent.fail(Kind::Backup, &backup("job", &destination));
    assert!(
        message.contains("no connection was tried: the way leads to 169.254.169.254:80")
            && !message.contains("given up"),
        "{message}"
    );
}

#[test]
fn only_listed_hosts_are_destinations_where_there_is_a_list() {
    let (store, other) = (S3Server::start(), S3Server::start());
    let address = store.endpoint().replace("http://", "");
    let agent = Agent::start(|env| {
        env.set("allowed_endpoints", format!("*.example.org, {address}"))
            .set("default_s3_endpoint", other.endpoint());
    });
    let log = agent.log();
    assert!(
        log.contains("default_s3_endpoint leads to") && log.contains("allowed_endpoints"),
        "{log}"
    );
    agent.succeed(Kind::Backup, &backup("listed", &store.destination()));
    let mut gcs = json!({"type": "GCS", "bucket": "b", "serviceAccountKey": {}});
    gcs["serviceAccountKey"] = json!({"type": "service_account", "client_email": "a@b", "private_key_id": "1",
        "private_key": "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n",
        "token_uri": other.endpoint()});
    for (row, destination, told) in [
        (
            "another port",
            other.destination(),
            "destination.endpoint leads to 127.0.0.1:",
        ),
        (
            "no endpoint",
            store.destination().without("/endpoint"),
            "default_s3_endpoint leads to 127.0.0.1:",
        ),
        (
            "Keystone",
            swift("https://keystone.internal:5000/v3"),
            "destination.authUrl leads to keystone.internal:5000,",
        ),
        (
            "Azure",
            azure("https://example.org"),
            "destination.endpoint leads to example.org:443,",
        ),
        (
            "Azure's own",
            azure("").without("/endpoint"),
            "destination.endpoint is missing, and without it the way leads to account1.blob.core.windows.net:443,",
        ),
        (
            "Google",
            gcs,
            "destination.endpoint is missing, and without it the way leads to storage.googleapis.com:443,",
        ),
    ] {
        let response = agent.request(Kind::Backup, &backup("refused", &destination));
        assert_eq!(response.status, 400, "{row}");
        assert!(
            response.text().contains(told) && response.text().contains("is not among the agent's allowed_endpoints"),
            "{row}: {}",
            response.text()
        );
    }
    assert_eq!(other.requests(), [""; 0], "nobody was asked");
}

/// What was accepted is older than what the operator allows now.
#[test]
fn a_job_that_waited_over_a_restart_goes_nowhere_else() {
    let store = S3Server::start();
    let mut agent = Agent::start(|env| {
        env.set("max_job_number", "1");
    });
    agent.place.hold(Kind::Backup, "first", "backup");
    agent.accept(Kind::Backup, &backup("first", &store.destination()));
    agent.place.wait_held(Kind::Backup, "first", "backup");
    agent.accept(Kind::Backup, &backup("waits", &store.destination()));
    agent.die();
    agent.configure(|env, _| {
        env.set("allowed_endpoints", "s3.example.org");
    });
    agent.start_again();
    let job = agent.finished(Kind::Backup, "waits");
    let message = job["error_message"].as_str().unwrap_or_default();
    assert!(message.contains("not among the agent's allowed_endpoints"), "{job}");
    assert_eq!(store.keys(), [""; 0]);
}

/// The names of hosts are for the proxy to look up, so only they are judged.
#[test]
fn through_a_proxy_names_are_judged_alone() {
    let proxy = S3Server::start();
    for (allowed, told) in [
        ("store.invalid", ""),
        ("*.invalid:80", ""),
        (
            "10.0.0.0/8",
            "no connection was tried: the way leads to store.invalid:80, which is not among",
        ),
        (
            "0.0.0.0/0",
            "no connection was tried: the way leads to store.invalid:80, which is not among",
        ),
    ] {
        let agent = Agent::start(|env| {
            env.set("http_proxy", proxy.endpoint())
                .set("allowed_endpoints", allowed);
        });
        let destination = proxy.destination().with("/endpoint", "http://store.invalid");
        let before = proxy.requests().len();
        let job = agent.run(Kind::Backup, &backup("job", &destination));
        let message = job["error_message"].as_str().unwrap_or_default();
        assert_eq!(told.is_empty(), job["status"] == "SUCCEEDED", "{allowed}: {job}");
        assert!(message.contains(told), "{allowed}: {message}");
        assert_eq!(told.is_empty(), proxy.requests().len() > before, "{allowed}");
    }
}
