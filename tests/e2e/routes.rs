//! Every call of the contract's table, with every code it answers.

use serde_json::Value;

use crate::harness::{Agent, Body, Kind, Response, backup, file_store, restore, start};

#[test]
fn status_says_that_the_client_is_running() {
    let agent = Agent::start(|_| {});
    for path in ["/status", "/status?", "/status?x=1"] {
        let response = agent.get(path);
        assert_eq!(response.status, 200, "{path}");
        assert_eq!(response.json()["message"], "Client is running", "{path}");
    }
}

#[test]
fn an_accepted_job_is_201_with_an_empty_body_and_its_location() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    for (kind, body) in [
        (Kind::Backup, backup("job~1.a_B-c", &store)),
        (Kind::Restore, restore("job~1.a_B-c", &store, "object")),
    ] {
        let response = agent.request(kind, &body);
        assert_eq!(response.status, 201, "{kind:?}");
        assert_eq!(response.body, b"", "{kind:?}");
        assert_eq!(response.header("Content-Length"), Some("0"), "{kind:?}");
        let location = format!("{}/job~1.a_B-c", kind.route());
        assert_eq!(response.header("Location"), Some(location.as_str()), "{kind:?}");
        assert_eq!(agent.get(&location).status, 200, "{kind:?}");
    }
}

#[test]
fn an_id_that_is_taken_is_409_with_the_job_that_has_it() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    for kind in Kind::ALL {
        agent.place.hold(kind, "job", kind.lock());
        let body = start(kind, "job", &store);
        agent.accept(kind, &body);
        agent.place.wait_held(kind, "job", kind.lock());

        let response = agent.request(kind, &body);
        assert_eq!(response.status, 409, "{kind:?} at work");
        assert_eq!(response.json()["status"], "RUNNING", "{kind:?}");
        assert_eq!(response.json()["state"], kind.lock(), "{kind:?}");

        agent.place.release(kind, "job", kind.lock());
        let finished = agent.finished(kind, "job");
        // A request that is otherwise different, or faulty, is a duplicate all the same.
        for body in [
            body.clone(),
            body.clone().with("/compression", true),
            body.clone().without("/destination"),
            body.without(&format!("/{}", kind.name())),
        ] {
            let response = agent.request(kind, &body);
            assert_eq!(response.status, 409, "{kind:?} finished, {body}");
            assert_eq!(response.json(), finished, "{kind:?} {body}");
        }
        assert_eq!(
            agent.place.ran(kind, "job").first().map(String::as_str),
            Some(kind.lock())
        );
        let locks = agent
            .place
            .ran(kind, "job")
            .iter()
            .filter(|phase| *phase == kind.lock())
            .count();
        assert_eq!(locks, 1, "{kind:?} ran once");
    }
}

#[test]
fn a_job_can_be_polled_as_soon_as_it_is_accepted() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    for round in 0..20 {
        let id = format!("job-{round}");
        agent.accept(Kind::Backup, &backup(&id, &store));
        let status = agent.job(Kind::Backup, &id)["status"].clone();
        assert!(status == "RUNNING" || status == "SUCCEEDED", "{status}");
    }
}

#[test]
fn an_unknown_job_is_404_with_an_empty_body() {
    let agent = Agent::start(|_| {});
    for kind in Kind::ALL {
        let response = agent.get(&format!("{}/unknown", kind.route()));
        assert_eq!(
            (response.status, response.body.as_slice()),
            (404, b"".as_slice()),
            "{kind:?}"
        );
    }
}

#[test]
fn a_path_without_a_valid_id_is_400_with_an_empty_body() {
    let agent = Agent::start(|_| {});
    let too_long = "x".repeat(129);
    for kind in Kind::ALL {
        for id in [
            "",
            "-x",
            ".x",
            "~x",
            "..",
            "%2e%2e",
            "%2E",
            "a%20b",
            "a+b",
            "a%2Fb",
            "a%5Cb",
            "..%2Fescape",
            "%2Fetc%2Fpasswd",
            "a%00",
            "a%0A",
            "%ff%fe",
            "%C3%BCmlaut",
            "a%22",
            "a%25",
            "a:b",
            "a@b",
            "a,b",
            too_long.as_str(),
        ] {
            let response = agent.get(&format!("{}/{id}", kind.route()));
            let got = (response.status, response.text());
            assert_eq!(got, (400, String::new()), "GET {}/{id}", kind.route());
        }
    }
}

#[test]
fn an_id_in_a_path_may_be_percent_encoded() {
    let agent = Agent::start(|_| {});
    agent.accept(Kind::Backup, &backup("job-1", &file_store(&agent.place)));
    for path in [
        "/backup/job-1",
        "/backup/%6Aob-1",
        "/backup/%6aob-1",
        "/backup/job%2D1",
        "/backup/job-1?x=1",
    ] {
        assert_eq!(agent.get(path).status, 200, "{path}");
    }
    assert_eq!(agent.get("/backup/JOB-1").status, 404, "ids keep their case");
}

#[test]
fn head_answers_as_get_does_but_without_a_body() {
    let agent = Agent::start(|_| {});
    agent.succeed(Kind::Backup, &backup("job", &file_store(&agent.place)));
    for path in [
        "/status",
        "/backup/job",
        "/backup/unknown",
        "/restore/job",
        "/backup/-x",
        "/nope",
    ] {
        let (get, head) = (agent.get(path), agent.call("HEAD", path, &[], b""));
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.header("Content-Type"), get.header("Content-Type"), "{path}");
        let wire = agent.send("HEAD", path, &[&agent.authorization()], b"").rest();
        assert!(
            wire.ends_with(b"\r\n\r\n"),
            "{path}: {}",
            String::from_utf8_lossy(&wire)
        );
    }
}

#[test]
fn removing_a_finished_job_is_200_and_then_410() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    for kind in Kind::ALL {
        assert_empty(&agent.remove(kind, "job"), 410, &format!("{kind:?} never known"));
        agent.run(kind, &start(kind, "job", &store));
        assert_empty(&agent.remove(kind, "job"), 200, &format!("{kind:?} finished"));
        assert_empty(&agent.remove(kind, "job"), 410, &format!("{kind:?} removed"));
        assert_eq!(agent.get(&format!("{}/job", kind.route())).status, 404, "{kind:?}");
    }
}

#[test]
fn removing_without_a_valid_id_is_400_with_an_empty_body() {
    let agent = Agent::start(|_| {});
    for kind in Kind::ALL {
        for body in [
            "",
            "{}",
            "null",
            "[]",
            "5",
            r#""job""#,
            "job",
            r#"{"id":"#,
            r#"{"id":""}"#,
            r#"{"id":null}"#,
            r#"{"id":5}"#,
            r#"{"id":["job"]}"#,
            r#"{"id":{"id":"job"}}"#,
            r#"{"id":"-job"}"#,
            r#"{"id":"../job"}"#,
            r#"{"id":"a b"}"#,
            r#"{"id":"job"} x"#,
            r#"{"name":"job"}"#,
        ] {
            let response = agent.call("DELETE", kind.route(), &[], body.as_bytes());
            assert_empty(&response, 400, &format!("{kind:?} {body}"));
        }
    }
}

#[test]
fn the_body_of_a_removal_is_read_as_tolerantly_as_any() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    for (row, body) in [
        r#"{"ID":"job-0"}"#,
        r#"{"id":"job-1","reason":{"why":["done"]}}"#,
        r#"{"id":"other","id":"job-2"}"#,
        r#"{"Id":"other","id":"job-3"}"#,
        "\r\n\t {\"id\" : \"job-4\"} \n",
    ]
    .iter()
    .enumerate()
    {
        agent.succeed(Kind::Backup, &backup(&format!("job-{row}"), &store));
        assert_empty(&agent.call("DELETE", "/backup", &[], body.as_bytes()), 200, body);
    }
}

#[test]
fn an_unknown_path_is_404_with_a_json_body() {
    let agent = Agent::start(|_| {});
    for path in [
        "/",
        "/nope",
        "/backups",
        "/statusx",
        "/Status",
        "/BACKUP",
        "/api/backup",
        "/backup/a/b",
        "/restore/a/b/c",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let response = agent.call(method, path, &[], b"");
            assert_eq!(response.status, 404, "{method} {path}");
            assert_explains(&response, &format!("{method} {path}"));
        }
    }
}

#[test]
fn another_method_is_405_and_says_which_are_allowed() {
    let agent = Agent::start(|_| {});
    agent.succeed(Kind::Backup, &backup("job", &file_store(&agent.place)));
    for (path, allowed) in [
        ("/status", ["GET", "HEAD"]),
        ("/backup", ["POST", "DELETE"]),
        ("/restore", ["PUT", "DELETE"]),
        ("/backup/job", ["GET", "HEAD"]),
        ("/backup/unknown", ["GET", "HEAD"]),
        ("/restore/job", ["GET", "HEAD"]),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PURGE"] {
            if allowed.contains(&method) {
                continue;
            }
            let response = agent.call(method, path, &[], b"");
            let row = format!("{method} {path}");
            assert_eq!(response.status, 405, "{row}");
            let mut said: Vec<&str> = response
                .header("Allow")
                .unwrap_or_default()
                .split(',')
                .map(str::trim)
                .collect();
            said.sort_unstable();
            let mut expected = allowed.to_vec();
            expected.sort_unstable();
            assert_eq!(said, expected, "{row}");
            if method != "HEAD" {
                assert_explains(&response, &row);
            }
        }
    }
}

#[test]
fn nothing_is_ever_redirected() {
    let agent = Agent::start(|_| {});
    for path in [
        "//status",
        "/./status",
        "/backup/../status",
        "/backup//",
        "/backup/a/",
        "/restore/..",
    ] {
        let status = agent.get(path).status;
        assert!(!(300..400).contains(&status), "{path} is {status}");
    }
}

#[test]
fn backups_and_restores_are_two_name_spaces() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    agent.succeed(Kind::Backup, &backup("job", &store));
    assert_eq!(agent.get("/restore/job").status, 404);
    assert_empty(&agent.remove(Kind::Restore, "job"), 410, "there is no such restore");
    let object = agent.place.object_names().remove(0);
    agent.succeed(Kind::Restore, &restore("job", &store, &object));
    assert_empty(&agent.remove(Kind::Backup, "job"), 200, "the backup");
    assert_eq!(agent.get("/backup/job").status, 404);
    assert_eq!(agent.get("/restore/job").status, 200);
}

#[track_caller]
fn assert_empty(response: &Response, status: u16, row: &str) {
    assert_eq!((response.status, response.text()), (status, String::new()), "{row}");
}

#[track_caller]
fn assert_explains(response: &Response, row: &str) {
    let body = response.json();
    for member in ["message", "state", "error_message"] {
        assert!(
            body.get(member).is_some_and(Value::is_string),
            "{row}: {member} in {body}"
        );
    }
}
