//! What comes over the connection: sizes, chunks, several requests at once, and nonsense.

use crate::harness::{Agent, Connection, Kind, backup, file_store};

const MIB: usize = 1024 * 1024;

#[test]
fn a_body_is_read_as_json_whatever_its_content_type_says() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    for (row, content_type) in [
        None,
        Some("application/json"),
        Some("application/json; charset=utf-8"),
        Some("APPLICATION/JSON"),
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data"),
        Some("total nonsense;;;"),
        Some(""),
    ]
    .into_iter()
    .enumerate()
    {
        let line = content_type.map(|value| format!("Content-Type: {value}"));
        let headers: Vec<&str> = line.iter().map(String::as_str).collect();
        let body = backup(&format!("job-{row}"), &store).to_string();
        let response = agent.call("POST", "/backup", &headers, body.as_bytes());
        assert_eq!(response.status, 201, "{content_type:?}");
        agent.finished(Kind::Backup, &format!("job-{row}"));
        let body = format!(r#"{{"id":"job-{row}"}}"#);
        let response = agent.call("DELETE", "/backup", &headers, body.as_bytes());
        assert_eq!(response.status, 200, "{content_type:?}");
    }
}

#[test]
fn a_get_with_a_content_type_or_even_a_body_is_normal() {
    let agent = Agent::start(|_| {});
    agent.succeed(Kind::Backup, &backup("job", &file_store(&agent.place)));
    for path in ["/status", "/backup/job"] {
        let headers = [
            "Accept: application/json",
            "Content-Type: application/json",
            "User-Agent: Java/11.0.2",
        ];
        assert_eq!(agent.call("GET", path, &headers, b"").status, 200, "{path}");
        assert_eq!(
            agent.call("GET", path, &headers, b"{}").status,
            200,
            "{path} with a body"
        );
    }
}

#[test]
fn chunked_bodies_are_read() {
    let agent = Agent::start(|_| {});
    let body = backup("job", &file_store(&agent.place)).to_string();
    let response = agent.call(
        "POST",
        "/backup",
        &["Transfer-Encoding: chunked"],
        &chunked(body.as_bytes(), 7),
    );
    assert_eq!(response.status, 201, "{}", response.text());
    agent.finished(Kind::Backup, "job");
    let removal = chunked(br#"{"id":"job"}"#, 3);
    let response = agent.call("DELETE", "/backup", &["Transfer-Encoding: chunked"], &removal);
    assert_eq!(response.status, 200, "{}", response.text());
}

#[test]
fn a_body_of_one_mib_is_read_and_a_longer_one_is_413() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    for (id, length, status) in [("exact", MIB, 201), ("longer", MIB + 1, 413), ("long", 3 * MIB, 413)] {
        for transfer in ["plain", "chunked"] {
            let id = format!("{id}-{transfer}");
            let mut body = backup(&id, &store).to_string().into_bytes();
            body.resize(length, b' ');
            let response = match transfer {
                "plain" => agent.call("POST", "/backup", &[], &body),
                _ => agent.call(
                    "POST",
                    "/backup",
                    &["Transfer-Encoding: chunked"],
                    &chunked(&body, 64 * 1024),
                ),
            };
            assert_eq!(response.status, status, "{id}");
            if status == 413 {
                assert!(
                    response.json()["error_message"].is_string(),
                    "{id}: {}",
                    response.text()
                );
                assert_eq!(agent.get(&format!("/backup/{id}")).status, 404, "{id}");
            }
        }
    }
}

#[test]
fn a_body_that_only_promises_to_be_too_long_is_413_too() {
    let agent = Agent::start(|_| {});
    for (method, path) in [("POST", "/backup"), ("PUT", "/restore"), ("DELETE", "/backup")] {
        let mut connection = Connection::open(agent.address());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\n{}\r\nContent-Length: 10000000000\r\n\r\n{{",
            agent.authorization()
        );
        connection.send(head.as_bytes());
        assert_eq!(connection.receive(false).status, 413, "{method} {path}");
    }
}

#[test]
fn requests_on_one_connection_are_answered_in_order() {
    let agent = Agent::start(|_| {});
    let authorization = agent.authorization();
    let body = backup("job", &file_store(&agent.place)).to_string();
    let mut connection = Connection::open(agent.address());
    // All at once, before the first answer is read.
    connection.send(
        format!(
            "GET /status HTTP/1.1\r\nHost: x\r\n{authorization}\r\n\r\n\
             POST /backup HTTP/1.1\r\nHost: x\r\n{authorization}\r\nContent-Length: {}\r\n\r\n{body}\
             GET /backup/job HTTP/1.1\r\nHost: x\r\n{authorization}\r\n\r\n\
             GET /nope HTTP/1.1\r\nHost: x\r\n{authorization}\r\n\r\n",
            body.len()
        )
        .as_bytes(),
    );
    for status in [200, 201, 200, 404] {
        assert_eq!(connection.receive(false).status, status);
    }
}

#[test]
fn a_request_may_name_any_host_and_use_http_1_0() {
    let agent = Agent::start(|_| {});
    let authorization = agent.authorization();
    for request in [
        format!("GET /status HTTP/1.1\r\nHost: backup.example.org\r\n{authorization}\r\n\r\n"),
        format!("GET /status HTTP/1.1\r\nHost: 10.0.0.1:8000\r\nX-Forwarded-Proto: https\r\n{authorization}\r\n\r\n"),
        format!("GET http://router.example/status HTTP/1.1\r\nHost: router.example\r\n{authorization}\r\n\r\n"),
        format!("GET /status HTTP/1.0\r\n{authorization}\r\n\r\n"),
    ] {
        let mut connection = Connection::open(agent.address());
        connection.send(request.as_bytes());
        assert_eq!(connection.receive(false).status, 200, "{request}");
    }
}

#[test]
fn nonsense_on_a_connection_harms_nobody_else() {
    let agent = Agent::start(|_| {});
    let large_header = format!("GET /status HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(2 * MIB));
    let many_headers = format!("GET /status HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(10_000));
    for nonsense in [
        b"\r\n\r\n\r\n\r\n".as_slice(),
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /status HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /status HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /backup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnot-hex\r\n",
        large_header.as_bytes(),
        many_headers.as_bytes(),
    ] {
        let mut connection = Connection::open(agent.address());
        connection.send(nonsense);
        drop(connection);
        let shown = String::from_utf8_lossy(&nonsense[..nonsense.len().min(60)]).into_owned();
        assert_eq!(agent.get("/status").status, 200, "after {shown:?}");
    }
}

#[test]
fn a_client_that_stops_in_the_middle_of_its_request_blocks_nobody() {
    let agent = Agent::start(|_| {});
    let mut idle = Vec::new();
    for begun in [
        "",
        "GET",
        "GET /status HTTP/1.1\r\nHost: x\r\n",
        "POST /backup HTTP/1.1\r\nContent-Length: 9\r\n\r\n{",
    ] {
        let mut connection = Connection::open(agent.address());
        connection.send(begun.as_bytes());
        idle.push(connection);
        assert_eq!(agent.get("/status").status, 200, "while {begun:?} waits");
    }
}

#[test]
fn a_job_runs_to_its_end_though_its_client_has_gone() {
    let agent = Agent::start(|_| {});
    agent.place.hold(Kind::Backup, "job", "pre-backup-lock");
    let body = backup("job", &file_store(&agent.place)).to_string();
    let connection = agent.send("POST", "/backup", &[&agent.authorization()], body.as_bytes());
    agent.place.wait_held(Kind::Backup, "job", "pre-backup-lock");
    // The client goes without having read the answer.
    drop(connection);
    agent.place.release(Kind::Backup, "job", "pre-backup-lock");
    assert_eq!(agent.finished(Kind::Backup, "job")["status"], "SUCCEEDED");
}

#[test]
fn a_client_that_goes_at_once_leaves_a_whole_job_or_none() {
    let agent = Agent::start(|_| {});
    for round in 0..20 {
        let id = format!("job-{round}");
        let body = backup(&id, &file_store(&agent.place)).to_string();
        drop(agent.send("POST", "/backup", &[&agent.authorization()], body.as_bytes()));
        // Whether it was started is a matter of luck; the same request again says so.
        let again = agent.request_text(Kind::Backup, &body);
        assert!([201, 409].contains(&again.status), "round {round}: {}", again.status);
        assert_eq!(
            agent.finished(Kind::Backup, &id)["status"],
            "SUCCEEDED",
            "round {round}"
        );
        assert_eq!(
            agent.place.ran(Kind::Backup, &id),
            Kind::Backup.phases(),
            "round {round}"
        );
    }
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut chunks = Vec::new();
    for chunk in body.chunks(size) {
        chunks.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunks.extend_from_slice(chunk);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    chunks
}
