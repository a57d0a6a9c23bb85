//! How the S3 store of a request is found: endpoint, scheme and region.

use serde_json::{Value, json};

use crate::harness::{Agent, Body, Kind, S3Server, backup, restore};

#[test]
fn the_endpoint_is_that_of_the_request_then_its_auth_url_then_the_default() {
    let (right, other) = (S3Server::start(), S3Server::start());
    let agent = Agent::start(|env| {
        env.set("default_s3_endpoint", right.endpoint());
    });
    let endpoint = right.endpoint();
    for (id, members) in [
        ("endpoint", json!({"endpoint": endpoint, "authUrl": other.endpoint()})),
        ("auth-url", json!({"authUrl": endpoint})),
        ("auth-url-and-null", json!({"endpoint": null, "authUrl": endpoint})),
        ("default", json!({})),
        ("empty", json!({"endpoint": "", "authUrl": ""})),
        ("nulls", json!({"endpoint": null, "authUrl": null})),
    ] {
        let mut destination = right.destination().without("/endpoint");
        for (name, value) in members.as_object().into_iter().flatten() {
            destination[name] = value.clone();
        }
        let job = agent.succeed(Kind::Backup, &backup(id, &destination));
        let filename = job["filename"].as_str().unwrap_or_default();
        assert!(right.object(filename).is_some(), "{id}: {:?}", right.keys());
        agent.succeed(Kind::Restore, &restore(id, &destination, filename));
    }
    assert_eq!(other.requests(), [""; 0]);
}

#[test]
fn an_endpoint_without_a_scheme_is_http_only_if_ssl_is_to_be_skipped() {
    let store = S3Server::start();
    let agent = Agent::start(|env| {
        env.set("transfer_retry_timeout", "1s");
    });
    let bare = store.endpoint().trim_start_matches("http://").to_owned();
    for (id, endpoint, skip_ssl, status) in [
        ("bare-http", bare.clone(), json!(true), "SUCCEEDED"),
        ("bare-https", bare.clone(), json!(false), "FAILED"),
        ("bare-default", bare, Value::Null, "FAILED"),
        // A scheme says it all.
        ("scheme", store.endpoint(), json!(true), "SUCCEEDED"),
        ("scheme-wins", store.endpoint(), json!(false), "SUCCEEDED"),
        ("slash", format!("{}/", store.endpoint()), json!(true), "SUCCEEDED"),
        (
            "upper-case",
            store.endpoint().replace("http", "HTTP"),
            json!(true),
            "SUCCEEDED",
        ),
    ] {
        let destination = store
            .destination()
            .with("/endpoint", endpoint.clone())
            .with("/skipSSL", skip_ssl);
        let job = agent.run(Kind::Backup, &backup(id, &destination));
        assert_eq!(job["status"], status, "{id} {endpoint}: {job}");
    }
    let log = agent.log();
    let warning = log
        .lines()
        .find(|line| line.contains("WARN") && line.contains("skipSSL"));
    assert!(
        warning.is_some(),
        "a scheme that contradicts skipSSL is warned of: {log}"
    );
}

#[test]
fn without_a_region_the_store_is_asked_or_the_usual_one_is_taken() {
    let (agent, store) = (Agent::start(|_| {}), S3Server::start());
    for (id, region) in [
        ("absent", None),
        ("null", Some(Value::Null)),
        ("empty", Some(json!(""))),
    ] {
        let destination = store.destination().without("/region");
        let destination = match region {
            Some(region) => destination.with("/region", region),
            None => destination,
        };
        let job = agent.succeed(Kind::Backup, &backup(id, &destination));
        let filename = job["filename"].as_str().unwrap_or_default();
        agent.succeed(Kind::Restore, &restore(id, &destination, filename));
    }
}

#[test]
fn the_store_is_asked_for_the_region_once_and_not_at_all_if_the_request_names_one() {
    for (region, most) in [(None, 1), (Some("eu-central-1"), 0)] {
        let (agent, store) = (Agent::start(|_| {}), S3Server::start());
        let destination = store.destination().with("/region", region);
        let job = agent.succeed(Kind::Backup, &backup("job", &destination));
        let filename = job["filename"].as_str().unwrap_or_default();
        agent.succeed(Kind::Restore, &restore("job", &destination, filename));
        // What is asked of the bucket itself, and not of an object or a list of them.
        let requests = store.requests();
        let of_bucket = requests.iter().filter(|line| {
            let path = line.split(' ').nth(1).unwrap_or_default();
            ["/bucket", "/bucket/"].contains(&path) || path.ends_with("?location") || path.ends_with("?location=")
        });
        assert!(of_bucket.count() <= most, "{region:?}: {requests:?}");
    }
}

#[test]
fn a_proxy_of_the_environment_is_used_but_where_it_is_said_not_to() {
    // No name server knows the store; only who is asked instead of it can answer.
    let endpoint = "http://s3.backup.invalid";
    for (no_proxy, endpoint, status) in [
        ("", endpoint.to_owned(), "SUCCEEDED"),
        ("example.org", endpoint.to_owned(), "SUCCEEDED"),
        ("example.org,.backup.invalid", endpoint.to_owned(), "FAILED"),
        // A proxy could not reach this machine's own.
        ("", "http://127.0.0.1:1".to_owned(), "FAILED"),
    ] {
        let proxy = S3Server::start();
        let agent = Agent::start(|env| {
            env.set("transfer_retry_timeout", "1s")
                .set("http_proxy", proxy.endpoint())
                .set("NO_PROXY", no_proxy);
        });
        let destination = proxy.destination().with("/endpoint", endpoint.clone());
        let job = agent.run(Kind::Backup, &backup("job", &destination));
        assert_eq!(job["status"], status, "{no_proxy} {endpoint}: {job}");
        let is_used = proxy.requests().iter().any(|request| request.contains("PUT"));
        assert_eq!(
            is_used,
            status == "SUCCEEDED",
            "{no_proxy} {endpoint}: {:?}",
            proxy.requests()
        );
        assert!(is_used || proxy.requests().is_empty(), "{:?}", proxy.requests());
    }
}

#[test]
fn an_endpoint_that_is_none_never_ends_in_a_panic() {
    let agent = Agent::start(|env| {
        env.set("transfer_retry_timeout", "1s");
    });
    for (row, endpoint) in [
        "http://",
        "://x",
        "ftp://127.0.0.1",
        "http://127.0.0.1:99999",
        "a b",
        "http://[::1",
    ]
    .iter()
    .enumerate()
    {
        let id = format!("job-{row}");
        let body = backup(&id, &crate::harness::refused_s3().with("/endpoint", *endpoint));
        let response = agent.request(Kind::Backup, &body);
        match response.status {
            201 => assert_eq!(agent.finished(Kind::Backup, &id)["status"], "FAILED", "{endpoint}"),
            status => {
                assert_eq!(status, 400, "{endpoint}");
                assert!(
                    response.text().contains("destination.endpoint"),
                    "{endpoint}: {}",
                    response.text()
                );
            }
        }
    }
    assert!(!agent.log().contains("panicked"), "{}", agent.log());
}

#[test]
fn a_slow_store_does_not_keep_clients_waiting() {
    let (agent, store) = (Agent::start(|_| {}), S3Server::start());
    for method in ["PUT", "HEAD", "GET", "POST"] {
        store.fault(method, 9, crate::harness::Fault::Hold);
    }
    let destination = store.destination().without("/region");
    agent.accept(Kind::Backup, &backup("job", &destination));
    agent.accept(
        Kind::Restore,
        &restore("job", &destination, "object").with("/restore/database", "other"),
    );
    crate::harness::wait_until("the store is asked", || !store.requests().is_empty());
    // Neither a GET nor a new request waits for the store: all of these are answered while it hangs.
    for _ in 0..20 {
        assert_eq!(agent.job(Kind::Backup, "job")["status"], "RUNNING");
        assert_eq!(agent.job(Kind::Restore, "job")["status"], "RUNNING");
        assert_eq!(agent.remove(Kind::Backup, "job").status, 409);
    }
    store.put("object", b"content");
    store.release();
    assert_eq!(agent.finished(Kind::Backup, "job")["status"], "SUCCEEDED");
    assert_eq!(agent.finished(Kind::Restore, "job")["status"], "SUCCEEDED");
}
