//! How a body is read: what is no JSON object, and what is tolerated in one.

use serde_json::{Value, json};

use crate::{
    harness::{Agent, Body, Kind, backup, file_store, restore},
    polling_body::assert_complete,
};

#[test]
fn what_is_no_json_object_is_400_with_a_complete_polling_body() {
    let agent = Agent::start(|_| {});
    for kind in Kind::ALL {
        for body in malformed() {
            let response = agent.call(kind.method(), kind.route(), &["Content-Type: application/json"], &body);
            let row = format!("{kind:?} {}", String::from_utf8_lossy(&body[..body.len().min(60)]));
            assert_eq!(response.status, 400, "{row}");
            assert_refusal(kind, &response.json(), &row);
        }
    }
    assert_eq!(agent.get("/backup/job").status, 404, "nothing was started");
}

fn malformed() -> Vec<Vec<u8>> {
    let good = backup(
        "job",
        &json!({"type": "S3", "bucket": "b", "authKey": "k", "authSecret": "s"}),
    )
    .to_string();
    let mut rows: Vec<Vec<u8>> = [
        "",
        " ",
        "\n",
        "null",
        "true",
        "5",
        r#""job""#,
        "[]",
        r#"[{"id":"job"}]"#,
        "{",
        "}",
        "{}{}",
        "{} x",
        "{},",
        "id=job",
        "hello",
        "{'id':'job'}",
        "{id:\"job\"}",
        r#"{"id":"job",}"#,
        r#"{"id":"job" "x":1}"#,
        r#"{"id":"job","x":01}"#,
        r#"{"id":"job","x":+1}"#,
        r#"{"id":"job","x":NaN}"#,
        r#"{"id":"job","x":Infinity}"#,
        r#"{"id":"job","x":"\x"}"#,
        r#"{"id":"job","x":"\u12"}"#,
        "{\"id\":\"job\",\"x\":\"line\nbreak\"}",
        "{\"id\":\"job\",\"x\":\"tab\there\"}",
        r#"{"id":"job"/* comment */}"#,
        "<id>job</id>",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    // A body that was cut on its way, one with something behind it, and one that begins with a BOM.
    rows.push(good.as_bytes()[..good.len() - 1].to_vec());
    rows.push(good.as_bytes()[..good.len() / 2].to_vec());
    rows.push(format!("{good} trailing garbage").into_bytes());
    rows.push(format!("{good}{good}").into_bytes());
    rows.push(format!("{good}\0").into_bytes());
    rows.push(format!("\u{feff}{good}").into_bytes());
    rows.push(b"{\"id\":\"job\",\"x\":\"\xff\xfe\"}".to_vec());
    rows.push(b"\0".to_vec());
    rows.push(b"\x1f\x8b\x08\x00".to_vec());
    rows
}

#[test]
fn deep_nesting_is_refused_and_harms_nobody() {
    let agent = Agent::start(|_| {});
    for (open, depth) in [("[", 100_000), ("{\"a\":", 100_000), ("[", 1_000)] {
        let body = format!(r#"{{"id":"job","x":{}"#, open.repeat(depth));
        let response = agent.request_text(Kind::Backup, &body);
        assert!(
            (400..500).contains(&response.status),
            "{depth} times {open}: {}",
            response.status
        );
    }
    let closed = format!(r#"{{"id":"job","x":{}{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
    assert!((400..500).contains(&agent.request_text(Kind::Backup, &closed).status));
    assert_eq!(agent.get("/status").status, 200);
}

#[test]
fn the_400_of_a_missing_member_is_a_complete_polling_body_of_its_kind() {
    let agent = Agent::start(|_| {});
    for kind in Kind::ALL {
        for body in [json!({}), json!({"id": "job"}), json!({"id": "-job"}), json!({"id": 5})] {
            let response = agent.request(kind, &body);
            assert_eq!(response.status, 400, "{kind:?} {body}");
            assert_refusal(kind, &response.json(), &format!("{kind:?} {body}"));
        }
    }
}

#[test]
fn a_400_leaves_no_trace_and_the_corrected_request_is_accepted() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    let good = backup("job", &store);
    for faulty in [
        good.clone().without("/backup/database"),
        good.clone().with("/destination/type", "FTP"),
        good.clone().with("/backup/parameters", json!([{"nested": {}}])),
    ] {
        assert_eq!(agent.request(Kind::Backup, &faulty).status, 400, "{faulty}");
        assert_eq!(agent.get("/backup/job").status, 404, "{faulty}");
        assert_eq!(agent.remove(Kind::Backup, "job").status, 410, "{faulty}");
    }
    agent.succeed(Kind::Backup, &good);
    let object = agent.place.object_names().remove(0);
    let faulty = restore("job", &store, &object).without("/restore/host");
    assert_eq!(agent.request(Kind::Restore, &faulty).status, 400);
    assert_eq!(agent.get("/restore/job").status, 404);
    agent.succeed(Kind::Restore, &restore("job", &store, &object));
}

#[test]
fn member_names_match_without_regard_to_case() {
    let agent = Agent::start(|_| {});
    let path = agent.place.objects();
    let body = json!({
        "ID": "job", "COMPRESSION": true, "Encryption_Key": "k",
        "DESTINATION": {"TYPE": "file", "Path": path, "FILENAMEPREFIX": ""},
        "Backup": {"HOST": "h", "UserName": "u", "PASSWORD": "p", "DataBase": "d", "PARAMETERS": [{"Key": "v"}]},
    });
    agent.accept(Kind::Backup, &body);
    assert_eq!(agent.finished(Kind::Backup, "job")["status"], "SUCCEEDED");
    let arguments = agent.place.arguments(Kind::Backup, "job", "backup");
    assert_eq!(arguments[..4], ["h", "u", "p", "d"]);
    assert_eq!(arguments[5..], ["job", "true", "k"]);
    let environment = agent.place.environment(Kind::Backup, "job", "backup");
    assert_eq!(
        environment.get("Key").map(String::as_str),
        Some("v"),
        "names of parameters keep their case"
    );
}

#[test]
fn a_member_of_exactly_the_right_name_goes_before_one_of_another_case() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place).to_string();
    for (id, members) in [
        ("first", r#""id":"first","ID":"wrong","Id":"wrong""#),
        ("last", r#""ID":"wrong","Id":"wrong","id":"last""#),
        ("middle", r#""ID":"wrong","id":"middle","Id":"wrong""#),
    ] {
        let body = format!(
            r#"{{{members},"destination":{store},"backup":{{"HOST":"wrong","host":"{id}","Host":"wrong","database":"d"}}}}"#
        );
        let response = agent.request_text(Kind::Backup, &body);
        assert_eq!(response.status, 201, "{body}: {}", response.text());
        assert_eq!(agent.finished(Kind::Backup, id)["status"], "SUCCEEDED", "{body}");
        assert_eq!(agent.place.arguments(Kind::Backup, id, "backup")[0], id, "{body}");
    }
}

#[test]
fn a_member_given_twice_counts_as_its_last() {
    let agent = Agent::start(|_| {});
    let path = json!(agent.place.objects());
    let body = format!(
        r#"{{"id":"wrong","backup":{{"host":"wrong","database":"wrong"}},
            "destination":{{"type":"S3","id":"5be2","type":"FTP","path":{path},"type":"FILE"}},
            "id":"job","compression":true,"compression":false,"encryption_key":"k","encryption_key":null,
            "backup":{{"host":"wrong","host":"h","user":"wrong","user":"u","database":"d"}}}}"#
    );
    let response = agent.request_text(Kind::Backup, &body);
    assert_eq!(response.status, 201, "{}", response.text());
    assert_eq!(agent.finished(Kind::Backup, "job")["status"], "SUCCEEDED");
    let arguments = agent.place.arguments(Kind::Backup, "job", "backup");
    assert_eq!(arguments[..4], ["h", "u", "", "d"]);
    assert_eq!(arguments[5..], ["job", "false", ""]);
}

#[test]
fn unknown_members_are_ignored_however_deep_they_are() {
    let agent = Agent::start(|_| {});
    let unknown = json!({"a": [1, 2.5e300, null, {"id": "inner", "deep": [[[{}]]]}], "": "", "ü": "\u{1f511}"});
    let body = backup("job", &file_store(&agent.place))
        .with("/unknown", unknown.clone())
        .with("/destination/serviceInstance", unknown.clone())
        .with("/destination/id", "5be2f5d5c9e77c0001a1b2aa")
        .with("/backup/serviceInstance", unknown)
        .with("/backup/port", 5432)
        .with("/restore", json!({"host": 5}));
    agent.succeed(Kind::Backup, &body);
    // Fine as JSON, though it fits no number.
    let body = backup("job-2", &file_store(&agent.place)).to_string();
    let body = body.replacen('{', r#"{"huge":1e999,"digits":123456789012345678901234567890,"#, 1);
    let response = agent.request_text(Kind::Backup, &body);
    assert_eq!(response.status, 201, "{}", response.text());
}

#[test]
fn null_is_the_same_as_absent() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    let good = backup("job", &store);
    let with_nulls = good
        .clone()
        .with("/compression", Value::Null)
        .with("/encryption_key", Value::Null)
        .with("/destination/region", Value::Null)
        .with("/destination/endpoint", Value::Null)
        .with("/destination/filenamePrefix", Value::Null)
        .with("/destination/skipSSL", Value::Null)
        .with("/destination/skipStorage", Value::Null)
        .with("/backup/password", Value::Null)
        .with("/backup/username", Value::Null)
        .with("/backup/parameters", Value::Null);
    agent.succeed(Kind::Backup, &with_nulls);
    let arguments = agent.place.arguments(Kind::Backup, "job", "backup");
    assert_eq!(
        arguments[..4],
        ["db.example", "app", "", "job"],
        "user counts where username is null"
    );
    for (pointer, member) in [
        ("/id", "id"),
        ("/destination/type", "destination.type"),
        ("/destination/path", "destination.path"),
        ("/destination", "destination.type"),
        ("/backup/host", "backup.host"),
        ("/backup/database", "backup.database"),
        ("/backup", "backup.database"),
    ] {
        let body = good.clone().with("/id", "other").with(pointer, Value::Null);
        let response = agent.request(Kind::Backup, &body);
        assert_eq!(response.status, 400, "{pointer}");
        let message = response.json()["error_message"].to_string();
        assert!(message.contains(member), "{pointer}: {message}");
    }
}

#[test]
fn user_and_username_are_the_same_member_and_username_wins() {
    let agent = Agent::start(|_| {});
    for kind in Kind::ALL {
        for (row, service, user) in [
            (0, json!({"user": "u"}), "u"),
            (1, json!({"username": "n"}), "n"),
            (2, json!({"user": "u", "username": "n"}), "n"),
            (3, json!({"username": "n", "user": "u"}), "n"),
            (4, json!({"user": "u", "username": null}), "u"),
            (5, json!({"USER": "u"}), "u"),
            (6, json!({}), ""),
            (7, json!({"user": ""}), ""),
        ] {
            let id = format!("job-{row}");
            let mut body = crate::harness::start(kind, &id, &file_store(&agent.place));
            let mut service = service;
            service["host"] = json!("h");
            service["database"] = json!(id);
            body[kind.name()] = service;
            // A restore does not get as far as its script: what the lock script sees will do.
            agent.run(kind, &body);
            let environment = agent.place.environment(kind, &id, kind.lock());
            assert_eq!(environment["BACKUP_AGENT_USER"], user, "{kind:?} {body}");
        }
    }
}

#[track_caller]
fn assert_refusal(kind: Kind, body: &Value, row: &str) {
    assert_complete(kind, body, row);
    assert_eq!(body["status"], "FAILED", "{row}");
    assert_eq!(body["message"], format!("{} failed", kind.name()), "{row}");
    assert_eq!(body["state"], "Body Deserialization", "{row}");
    assert!(
        body["error_message"].as_str().is_some_and(|text| !text.is_empty()),
        "{row}: {body}"
    );
}
