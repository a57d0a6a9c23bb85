//! Basic authentication, on every route and before everything else.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::harness::{Agent, Connection, PASSWORD, USER, basic};

#[test]
fn every_call_without_credentials_is_401_whatever_it_asks_for() {
    let agent = Agent::start(|_| {});
    for (method, path, body) in [
        ("GET", "/status", ""),
        ("POST", "/backup", "{}"),
        ("POST", "/backup", "no json"),
        ("GET", "/backup/unknown", ""),
        ("GET", "/backup/", ""),
        ("DELETE", "/backup", "{}"),
        ("PUT", "/restore", "{}"),
        ("GET", "/restore/unknown", ""),
        ("DELETE", "/restore", "{}"),
        // Not found, or not allowed, for those who may ask.
        ("GET", "/", ""),
        ("GET", "/nope", ""),
        ("GET", "/metrics", ""),
        ("PATCH", "/status", ""),
        ("POST", "/restore", "{}"),
        ("OPTIONS", "/backup", ""),
    ] {
        let response = agent.call_as_stranger(method, path, &[], body.as_bytes());
        assert_eq!(response.status, 401, "{method} {path}");
        assert_eq!(
            response.header("WWW-Authenticate"),
            Some(r#"Basic realm="osb-backup-agent""#),
            "{method} {path}"
        );
        assert!(
            response.json()["message"].is_string(),
            "{method} {path}: {}",
            response.text()
        );
    }
}

#[test]
fn a_head_request_without_credentials_is_401() {
    let agent = Agent::start(|_| {});
    let response = agent.call_as_stranger("HEAD", "/status", &[], b"");
    assert_eq!(response.status, 401);
    assert!(response.header("WWW-Authenticate").is_some());
}

#[test]
fn wrong_credentials_of_any_form_are_401() {
    let agent = Agent::start(|_| {});
    let encoded = |text: &[u8]| format!("Basic {}", STANDARD.encode(text));
    let right = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let rows = [
        String::new(),
        "Basic".to_owned(),
        "Basic ".to_owned(),
        "Basic !!! no base64 !!!".to_owned(),
        "Bearer abc".to_owned(),
        format!("Bearer {right}"),
        format!("Digest {right}"),
        right.clone(),
        format!("Basic{right}"),
        format!("Basic {right} {right}"),
        format!("Basic {}", &right[..right.len() - 4]),
        basic(USER, "wrong"),
        basic("wrong", PASSWORD),
        basic(USER, ""),
        basic("", PASSWORD),
        basic("", ""),
        basic(PASSWORD, USER),
        basic(USER, &PASSWORD[..PASSWORD.len() - 1]),
        basic(USER, &format!("{PASSWORD}x")),
        basic(USER, &format!("{PASSWORD} ")),
        basic(USER, &format!("{PASSWORD}\n")),
        basic(USER, &format!("{PASSWORD}\0")),
        basic(USER, &format!(":{PASSWORD}")),
        basic(USER, &PASSWORD.to_uppercase()),
        basic(&USER.to_uppercase(), PASSWORD),
        basic(&format!(" {USER}"), PASSWORD),
        encoded(USER.as_bytes()),
        encoded(format!("{USER}{PASSWORD}").as_bytes()),
        encoded(&[USER.as_bytes(), b":", b"\xff\xfe"].concat()),
        encoded(b"\xff:\xff"),
    ];
    for row in rows {
        let response = agent.call_as_stranger("GET", "/status", &[&format!("Authorization: {row}")], b"");
        assert_eq!(response.status, 401, "Authorization: {row}");
    }
    assert_eq!(agent.get("/status").status, 200);
}

#[test]
fn the_name_of_the_scheme_may_be_written_in_any_case() {
    let agent = Agent::start(|_| {});
    let right = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    for scheme in ["Basic", "basic", "BASIC"] {
        let line = format!("Authorization: {scheme} {right}");
        assert_eq!(
            agent.call_as_stranger("GET", "/status", &[&line], b"").status,
            200,
            "{scheme}"
        );
    }
}

#[test]
fn of_several_authorization_lines_the_first_counts() {
    let agent = Agent::start(|_| {});
    let (right, wrong) = (basic(USER, PASSWORD), basic(USER, "wrong"));
    for (first, second, status) in [
        (&right, &wrong, 200),
        (&wrong, &right, 401),
        (&right, &right, 200),
        (&wrong, &wrong, 401),
    ] {
        let lines = [format!("Authorization: {first}"), format!("authorization: {second}")];
        let response = agent.call_as_stranger("GET", "/status", &[&lines[0], &lines[1]], b"");
        assert_eq!(response.status, status, "{lines:?}");
    }
}

#[test]
fn user_and_password_are_utf_8_and_the_password_may_hold_colons() {
    for (user, password) in [
        ("operator", "a:b"),
        ("operator", ":"),
        ("operator", "::x::"),
        ("operator", "pässwörd"),
        ("öperator", "秘密:🔑"),
        ("o p", " spaces around "),
    ] {
        let agent = Agent::start(|env| {
            env.set("client_username", user).set("client_password", password);
        });
        let line = format!("Authorization: {}", basic(user, password));
        let response = agent.call_as_stranger("GET", "/status", &[&line], b"");
        assert_eq!(response.status, 200, "{user:?} {password:?}");
        assert_eq!(
            agent.get("/status").status,
            401,
            "{user:?} {password:?}: others stay out"
        );
    }
}

#[test]
fn a_stranger_cannot_start_a_job_nor_learn_of_one() {
    let agent = Agent::start(|_| {});
    let body = crate::harness::backup("job", &crate::harness::file_store(&agent.place)).to_string();
    let response = agent.call_as_stranger("POST", "/backup", &[], body.as_bytes());
    assert_eq!(response.status, 401);
    assert_eq!(agent.get("/backup/job").status, 404, "nothing was started");
    assert_eq!(agent.call("POST", "/backup", &[], body.as_bytes()).status, 201);
    assert_eq!(agent.call_as_stranger("GET", "/backup/job", &[], b"").status, 401);
    assert_eq!(
        agent
            .call_as_stranger("DELETE", "/backup", &[], br#"{"id":"job"}"#)
            .status,
        401
    );
}

#[test]
fn credentials_are_asked_for_anew_with_each_request_of_a_connection() {
    let agent = Agent::start(|_| {});
    let mut connection = Connection::open(agent.address());
    let with = format!("GET /status HTTP/1.1\r\nHost: x\r\n{}\r\n\r\n", agent.authorization());
    let without = "GET /status HTTP/1.1\r\nHost: x\r\n\r\n";
    for (request, status) in [
        (with.as_str(), 200),
        (without, 401),
        (with.as_str(), 200),
        (without, 401),
    ] {
        connection.send(request.as_bytes());
        assert_eq!(connection.receive(false).status, status, "{request}");
    }
}
