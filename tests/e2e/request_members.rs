//! What the members of a request must be, and the order in which they are checked.

use serde_json::{Value, json};

use crate::harness::{Agent, Body, Kind, backup, file_store, refused_s3, restore, start};

#[test]
fn a_400_names_every_missing_member_at_once_by_its_path() {
    let agent = Agent::start(|_| {});
    let s3 = json!({"type": "S3"});
    for (kind, body, members) in [
        (
            Kind::Backup,
            json!({"id": "x"}),
            vec!["destination.type", "backup.host", "backup.database"],
        ),
        (
            Kind::Backup,
            json!({"id": "x", "destination": s3, "backup": {}}),
            vec![
                "destination.bucket",
                "destination.authKey",
                "destination.authSecret",
                "backup.host",
                "backup.database",
            ],
        ),
        (
            Kind::Restore,
            json!({"id": "x"}),
            vec![
                "destination.type",
                "destination.filename",
                "restore.host",
                "restore.database",
            ],
        ),
        (
            Kind::Restore,
            json!({"id": "x", "destination": s3}),
            vec![
                "destination.bucket",
                "destination.authKey",
                "destination.authSecret",
                "destination.filename",
                "restore.host",
                "restore.database",
            ],
        ),
        // Missing and wrong ones together.
        (
            Kind::Backup,
            json!({"id": "x", "compression": "yes", "encryption_key": 5,
                "destination": {"type": "S3", "bucket": 5, "authKey": "k", "filenamePrefix": "/x", "skipSSL": "no"},
                "backup": {"host": "-h", "database": "a/b", "user": ["u"], "parameters": [{"PATH": "x"}]}}),
            vec![
                "compression",
                "encryption_key",
                "destination.bucket",
                "destination.authSecret",
                "destination.filenamePrefix",
                "destination.skipSSL",
                "backup.host",
                "backup.database",
                "backup.user",
                "backup.parameters",
            ],
        ),
    ] {
        assert_refused(&agent, kind, &body, &members);
    }
}

#[test]
fn each_required_member_is_required_and_nothing_else_is() {
    let agent = Agent::start(|_| {});
    for kind in Kind::ALL {
        let service = kind.name();
        let good = start(kind, "x", &refused_s3());
        let mut required = vec![
            "destination.type".to_owned(),
            "destination.bucket".to_owned(),
            "destination.authKey".to_owned(),
            "destination.authSecret".to_owned(),
            format!("{service}.host"),
            format!("{service}.database"),
        ];
        if kind == Kind::Restore {
            required.push("destination.filename".to_owned());
        }
        for member in &required {
            let pointer = format!("/{}", member.replace('.', "/"));
            assert_refused(&agent, kind, &good.clone().without(&pointer), &[member]);
            assert_refused(&agent, kind, &good.clone().with(&pointer, ""), &[member]);
        }
        // The store is not there, but that is found out later.
        let least = good
            .without("/destination/region")
            .without(&format!("/{service}/user"))
            .without(&format!("/{service}/password"));
        assert_eq!(agent.request(kind, &least).status, 201, "{least}");
    }
}

#[test]
fn members_of_a_wrong_type_are_400_and_named() {
    let agent = Agent::start(|_| {});
    for (member, values) in [
        ("compression", vec![json!("true"), json!(1), json!([true])]),
        ("encryption_key", vec![json!(5), json!(["k"]), json!({})]),
        ("destination", vec![json!("S3"), json!([]), json!(5)]),
        (
            "destination.type",
            vec![json!(5), json!(["S3"]), json!("FTP"), json!("S4"), json!(" S3")],
        ),
        ("destination.bucket", vec![json!(5), json!({})]),
        ("destination.authKey", vec![json!(5)]),
        ("destination.authSecret", vec![json!(true)]),
        ("destination.region", vec![json!(5)]),
        ("destination.endpoint", vec![json!(5), json!(["http://127.0.0.1"])]),
        ("destination.skipSSL", vec![json!("true"), json!(0)]),
        ("destination.pathStyle", vec![json!("true"), json!(0)]),
        ("destination.skipStorage", vec![json!("true"), json!(0)]),
        ("destination.filenamePrefix", vec![json!(5), json!(["a/"])]),
        ("backup", vec![json!("x"), json!([]), json!(5)]),
        ("backup.host", vec![json!(5), json!(["h"])]),
        ("backup.user", vec![json!(5)]),
        ("backup.username", vec![json!(5)]),
        ("backup.password", vec![json!(5), json!({})]),
        ("backup.database", vec![json!(5), json!(true)]),
        (
            "backup.parameters",
            vec![json!("key=value"), json!(5), json!(true), json!(["key"]), json!([5])],
        ),
    ] {
        for value in values {
            let pointer = format!("/{}", member.replace('.', "/"));
            assert_refused(
                &agent,
                Kind::Backup,
                &backup("x", &refused_s3()).with(&pointer, value),
                &[member],
            );
        }
    }
}

#[test]
fn a_nul_in_any_string_is_400() {
    let agent = Agent::start(|_| {});
    for kind in Kind::ALL {
        let service = kind.name();
        for pointer in [
            "/encryption_key",
            "/destination/bucket",
            "/destination/region",
            "/destination/endpoint",
            "/destination/authKey",
            "/destination/authSecret",
            "/destination/filenamePrefix",
            &format!("/{service}/host"),
            &format!("/{service}/user"),
            &format!("/{service}/password"),
            &format!("/{service}/database"),
        ] {
            let body = start(kind, "x", &refused_s3()).with(pointer, "bad\0value");
            assert_refused(&agent, kind, &body, &[&pointer[1..].replace('/', ".")]);
        }
        let body = start(kind, "x", &refused_s3()).with(&format!("/{service}/parameters"), json!([{"key": "a\0b"}]));
        assert_refused(&agent, kind, &body, &[&format!("{service}.parameters")]);
    }
    let body = restore("x", &refused_s3(), "bad\0name");
    assert_refused(&agent, Kind::Restore, &body, &["destination.filename"]);
}

#[test]
fn host_database_and_user_are_fit_for_arguments_and_file_names() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    let long = "x".repeat(241);
    for kind in Kind::ALL {
        for member in ["host", "database"] {
            for value in [
                "-x", "--help", ".x", "..", "../x", "a/b", "/", "a\nb", "a\tb", "a\u{7f}b", "a\u{1b}b",
            ] {
                let body = start(kind, "x", &store).with(&format!("/{}/{member}", kind.name()), value);
                assert_refused(&agent, kind, &body, &[&format!("{}.{member}", kind.name())]);
            }
        }
        let body = start(kind, "x", &store).with(&format!("/{}/user", kind.name()), "-x");
        assert_refused(&agent, kind, &body, &[&format!("{}.user", kind.name())]);
    }
    let body = backup("x", &store).with("/backup/database", long);
    assert_eq!(
        agent.request(Kind::Backup, &body).status,
        400,
        "the artifact's name has at most 240 bytes"
    );
}

#[test]
fn the_name_of_an_artifact_has_at_most_240_bytes() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    // h_YYYY_MM_DD_<database>.tar.gz
    let around = "h_2018_11_06_".len() + ".tar.gz".len();
    for (id, length, character, status) in [
        ("longest", 240 - around, "d", 201),
        ("too-long", 241 - around, "d", 400),
        ("umlauts", 240 - around, "ü", 400),
    ] {
        let body = backup(id, &store)
            .with("/backup/host", "h")
            .with("/backup/database", character.repeat(length));
        assert_eq!(agent.request(Kind::Backup, &body).status, status, "{id}");
    }
    assert_eq!(agent.finished(Kind::Backup, "longest")["status"], "SUCCEEDED");
}

#[test]
fn spaces_umlauts_and_shell_characters_in_host_and_database_are_fine() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    for (row, database) in [
        "database name",
        "dätenbank",
        "a;b",
        "$(touch x)",
        "`id`",
        "a'b\"c",
        "a&b|c>d",
        "*",
        "a\\b",
        "{host}",
        "100%",
    ]
    .iter()
    .enumerate()
    {
        let id = format!("job-{row}");
        let body = backup(&id, &store)
            .with("/backup/database", *database)
            .with("/backup/host", "ho st");
        let job = agent.succeed(Kind::Backup, &body);
        let arguments = agent.place.arguments(Kind::Backup, &id, "backup");
        assert_eq!((arguments[0].as_str(), arguments[3].as_str()), ("ho st", *database));
        let filename = job["filename"].as_str().unwrap_or_default();
        assert!(filename.starts_with("ho st_"), "{filename}");
        assert!(filename.ends_with(&format!("_{database}.tar.gz")), "{filename}");
        assert!(
            agent.place.object(filename).is_some(),
            "{filename} in {:?}",
            agent.place.object_names()
        );
    }
}

#[test]
fn a_password_may_be_anything_but_nul() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    for (row, password) in ["-x", "a b", "'\"\\$(id)`id`", "line\nbreak", "päss", "", "/../.."]
        .iter()
        .enumerate()
    {
        let id = format!("job-{row}");
        agent.succeed(Kind::Backup, &backup(&id, &store).with("/backup/password", *password));
        assert_eq!(agent.place.arguments(Kind::Backup, &id, "backup")[2], *password);
    }
}

#[test]
fn the_filename_of_a_restore_is_one_path_segment() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    for filename in [
        "", ".", "..", "/", "a/b", "/a", "a/", "../a", "../../a", "./a", "a\\b", "a\nb", "a\tb", "a\u{7f}", "-a",
    ] {
        assert_refused(
            &agent,
            Kind::Restore,
            &restore("x", &store, filename),
            &["destination.filename"],
        );
    }
    for (row, filename) in ["a b", "ä", "a..b", ".hidden", "...", "a;b", "$(id)", "a", "x.tar.gz"]
        .iter()
        .enumerate()
    {
        let response = agent.request(Kind::Restore, &restore(&format!("job-{row}"), &store, filename));
        assert_eq!(response.status, 201, "{filename}: {}", response.text());
    }
}

#[test]
fn a_filename_prefix_is_a_clean_relative_path() {
    let agent = Agent::start(|_| {});
    for kind in Kind::ALL {
        for prefix in [
            "/", "/a", "//", "a//", "a//b", "./a", "a/./b", "../a", "a/../b", "a/../", "./", "a\nb", "a\u{7f}",
        ] {
            let body = start(kind, "x", &refused_s3()).with("/destination/filenamePrefix", prefix);
            assert_refused(&agent, kind, &body, &["destination.filenamePrefix"]);
        }
        for (row, prefix) in ["", "a", "a/", "a/b/", "a/b-", "a b/ü/", "a..b/"].iter().enumerate() {
            let body = start(kind, &format!("job-{row}"), &refused_s3()).with("/destination/filenamePrefix", *prefix);
            let response = agent.request(kind, &body);
            assert_eq!(response.status, 201, "{prefix:?}: {}", response.text());
        }
    }
}

#[test]
fn checks_come_in_the_order_of_the_contract() {
    let agent = Agent::start(|env| {
        env.set("max_job_number", "1").set("max_queued_jobs", "0");
    });
    let store = file_store(&agent.place);
    agent.place.hold(Kind::Backup, "busy", "backup");
    agent.accept(Kind::Backup, &backup("busy", &store));
    let faulty = |id: &str| backup(id, &store).without("/backup/database");

    // The agent has no room for more, so whatever is checked last is 429.
    assert_eq!(
        agent.request(Kind::Backup, &backup("other", &store)).status,
        429,
        "capacity"
    );
    assert_eq!(
        agent.request(Kind::Backup, &faulty("other")).status,
        400,
        "members before capacity"
    );
    assert_eq!(
        agent.request(Kind::Backup, &backup("busy", &store)).status,
        409,
        "duplicate before capacity"
    );
    assert_eq!(
        agent.request(Kind::Backup, &faulty("busy")).status,
        409,
        "duplicate before members"
    );
    assert_eq!(
        agent.request(Kind::Backup, &faulty("-busy")).status,
        400,
        "id before all of them"
    );
    assert_eq!(
        agent.request_text(Kind::Backup, "{\"id\":\"busy\"} x").status,
        400,
        "an object before its id"
    );
    let body = backup("busy", &store).to_string();
    assert_eq!(
        agent.call("PUT", "/backup", &[], body.as_bytes()).status,
        405,
        "the route before the body"
    );
    assert_eq!(
        agent.call_as_stranger("POST", "/backup", &[], body.as_bytes()).status,
        401,
        "credentials first"
    );
    agent.place.release(Kind::Backup, "busy", "backup");
    agent.finished(Kind::Backup, "busy");
}

#[test]
fn a_refusal_repeats_no_secret() {
    let agent = Agent::start(|_| {});
    let body = json!({"id": "x", "encryption_key": "secret-1\0",
        "destination": {"type": "S3", "bucket": "", "authKey": "secret-2\0", "authSecret": "secret-3\0"},
        "backup": {"host": "", "password": "secret-4\0", "parameters": [{"PATH": "secret-5"}, {"k": ["secret-6"]}]}});
    let response = agent.request(Kind::Backup, &body);
    assert_eq!(response.status, 400);
    assert!(!response.text().contains("secret-"), "{}", response.text());
    let log = agent.log();
    assert!(!log.contains("secret-"), "{log}");
}

/// Asserts that the request is 400, that all these members are named, and that no job was made.
#[track_caller]
pub(crate) fn assert_refused(agent: &Agent, kind: Kind, body: &Value, members: &[&str]) {
    let response = agent.request(kind, body);
    assert_eq!(response.status, 400, "{kind:?} {body}: {}", response.text());
    let answer = response.json();
    let message = answer["error_message"].as_str().unwrap_or_default();
    for member in members {
        assert!(
            message.contains(member),
            "{kind:?} {body}: {member} is not in {message:?}"
        );
    }
    assert_eq!(agent.get(&format!("{}/x", kind.route())).status, 404, "{kind:?} {body}");
}
