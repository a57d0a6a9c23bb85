//! Backups to a real OpenStack Swift, by way of Keystone and of its own authentication.
//!
//! `.ci/swift-start` starts it; `OSB_TEST_SWIFT_FACTS` is the path of the facts that it writes.

use std::{collections::BTreeMap, fs, net::SocketAddr};

use serde_json::{Value, json};

use crate::harness::{Agent, Body, Connection, Kind, Response, backup, leave_out, restore, wait_until};

/// The servers, and a container in them.
struct Swift {
    facts: BTreeMap<String, String>,
    container: String,
    /// A token, and the account's URL.
    login: (String, String),
}

impl Swift {
    /// A container of its own for each test, with one beside it for segments.
    fn new(container: &str) -> Option<Self> {
        let Some(path) = std::env::var_os("OSB_TEST_SWIFT_FACTS") else {
            leave_out("Swift", "OSB_TEST_SWIFT_FACTS is not set; see .ci/swift-start");
            return None;
        };
        let text = fs::read_to_string(path).expect("the facts can be read");
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        let mut swift = Self {
            login: Default::default(),
            facts: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            container: format!("{container}-{}", std::process::id()),
        };
        swift.login = swift.by_keystone();
        for login in [&swift.login, &swift.by_v1()] {
            let made = swift.call(login, "PUT", "");
            assert!(matches!(made.status, 201 | 202), "{}", made.text());
        }
        Some(swift)
    }

    fn fact(&self, name: &str) -> &str {
        self.facts.get(name).map_or("", String::as_str)
    }

    fn destination(&self) -> Value {
        json!({"type": "SWIFT", "authUrl": self.fact("SWIFT_AUTH_URL"), "domain": self.fact("SWIFT_DOMAIN"),
            "project_name": self.fact("SWIFT_PROJECT"), "username": self.fact("SWIFT_USER"),
            "password": self.fact("SWIFT_PASSWORD"), "container_name": self.container})
    }

    /// A token, and the URL of the account that Keystone gives.
    fn by_keystone(&self) -> (String, String) {
        let (address, path) = parts(self.fact("SWIFT_AUTH_URL"));
        let domain = json!({"name": self.fact("SWIFT_DOMAIN")});
        let user = json!({"name": self.fact("SWIFT_USER"), "domain": domain, "password": self.fact("SWIFT_PASSWORD")});
        let login = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"name": self.fact("SWIFT_PROJECT"), "domain": domain}},
        }});
        let body = login.to_string();
        let granted = send(
            address,
            &format!(
                "POST {path}/auth/tokens HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        );
        let token = granted
            .header("X-Subject-Token")
            .expect("the login is right")
            .to_owned();
        let catalogue = granted.json()["token"]["catalog"].clone();
        let services = catalogue.as_array().expect("a list");
        let swift = services.iter().find(|service| service["type"] == "object-store");
        let url = swift.expect("it is there")["endpoints"][0]["url"]
            .as_str()
            .expect("a text")
            .to_owned();
        (token, url)
    }

    /// The same of Swift's own authentication, which has accounts of its own.
    fn by_v1(&self) -> (String, String) {
        let (address, path) = parts(self.fact("SWIFT_V1_AUTH_URL"));
        let user = format!("{}:{}", self.fact("SWIFT_PROJECT"), self.fact("SWIFT_USER"));
        let key = self.fact("SWIFT_PASSWORD");
        let granted = send(
            address,
            &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nX-Auth-User: {user}\r\nX-Auth-Key: {key}\r\n\r\n"),
        );
        let header = |name| granted.header(name).expect("the login is right").to_owned();
        (header("X-Auth-Token"), header("X-Storage-Url"))
    }

    /// A request of the test's own to the container, or the one with this ending.
    fn call(&self, (token, url): &(String, String), method: &str, ending: &str) -> Response {
        let (address, path) = parts(url);
        let container = &self.container;
        send(
            address,
            &format!(
                "{method} {path}/{container}{ending} HTTP/1.1\r\nHost: {address}\r\nX-Auth-Token: {token}\r\n\
                 Content-Length: 0\r\n\r\n"
            ),
        )
    }

    /// The names in the container, or in that with this ending, if there is one.
    fn names(&self, ending: &str) -> Vec<String> {
        let listed = self.call(&self.login, "GET", ending);
        match listed.status {
            200 => listed.text().lines().map(str::to_owned).collect(),
            204 | 404 => Vec::new(),
            _ => panic!("{}: {}", listed.status, listed.text()),
        }
    }
}

fn send(address: SocketAddr, request: &str) -> Response {
    let mut connection = Connection::open(address);
    connection.send(request.as_bytes());
    connection.receive(false)
}

/// Address and path of a URL.
fn parts(url: &str) -> (SocketAddr, &str) {
    let rest = url.trim_start_matches("http://");
    let (address, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    (address.parse().expect("it is on loopback"), path)
}

#[test]
fn a_backup_goes_to_swift_and_comes_back_whichever_way_one_logs_in() {
    let Some(swift) = Swift::new("round-trip") else { return };
    let agent = Agent::start(|_| {});
    // More than the largest object in one piece.
    let work =
        r#"head -c 20000000 /dev/urandom >"$BACKUP_AGENT_FILE"; sha256sum <"$BACKUP_AGENT_FILE" >"$trace/$job.sum""#;
    agent.place.script("backup", work);
    agent
        .place
        .script("restore", r#"sha256sum <"$BACKUP_AGENT_FILE" >"$trace/$job.sum""#);
    let v3 = swift.destination();
    let v1 = v3
        .clone()
        .with("/authUrl", swift.fact("SWIFT_V1_AUTH_URL"))
        .without("/domain");
    for (id, destination) in [
        ("v3", v3.clone()),
        ("v1", v1),
        ("region", v3.with("/region", "RegionOne")),
    ] {
        let job = agent.succeed(Kind::Backup, &backup(id, &destination));
        assert_eq!(
            (&job["type"], &job["filesize"]["size"]),
            (&json!("SWIFT"), &json!(20_000_000)),
            "{job}"
        );
        let filename = job["filename"].as_str().expect("it is stored");
        agent.succeed(Kind::Restore, &restore(id, &destination, filename));
        let sum = |kind| agent.place.record(kind, id, "sum");
        assert_eq!(sum(Kind::Backup), sum(Kind::Restore), "{id}");
        // Nothing is replaced, in Swift neither.
        agent.remove(Kind::Backup, id);
        let again = agent.succeed(Kind::Backup, &backup(id, &destination));
        assert_eq!(
            again["filename"],
            json!(filename.replace(".tar.gz", "_2.tar.gz")),
            "{again}"
        );
    }
}

#[test]
fn an_upload_to_swift_that_is_cancelled_or_cut_off_leaves_nothing() {
    let Some(swift) = Swift::new("leftovers") else { return };
    let mut agent = Agent::start(|_| {});
    agent
        .place
        .script("backup", r#"head -c 400000000 /dev/zero >"$BACKUP_AGENT_FILE""#);
    for is_killed in [false, true] {
        let id = if is_killed { "killed" } else { "cancelled" };
        agent.accept(Kind::Backup, &backup(id, &swift.destination()));
        wait_until("a segment is there", || !swift.names("_segments").is_empty());
        if is_killed {
            agent.die_and_start_again();
        } else {
            assert_eq!(agent.cancel(Kind::Backup, id).status, 202);
        }
        let job = agent.finished(Kind::Backup, id);
        assert_eq!(job["status"], "FAILED", "the test must cut an upload off: {job}");
        assert_eq!(job["lock_released"], true, "{job}");
        assert_eq!(swift.names("_segments"), [""; 0], "{id}: {job}");
        assert_eq!(swift.names(""), [""; 0], "{id}");
    }
}

#[test]
fn what_is_wrong_with_a_swift_destination_is_said() {
    let Some(swift) = Swift::new("wrong") else { return };
    let agent = Agent::start(|env| {
        env.set("transfer_retry_timeout", "1s");
    });
    let right = swift.destination();
    for (id, member, value, said) in [
        ("password", "password", "a-wrong-password", "check username, password"),
        ("container", "container_name", "no-such-container", "no-such-container"),
        ("region", "region", "Nowhere", "RegionOne"),
    ] {
        let (_, message) = agent.fail(
            Kind::Backup,
            &backup(id, &right.clone().with(&format!("/{member}"), value)),
        );
        assert!(message.contains(said), "{id}: {message}");
        assert!(!message.contains("a-wrong-password"), "{message}");
        assert!(!agent.log().contains("a-wrong-password"), "{id}");
    }
    let (_, message) = agent.fail(Kind::Restore, &restore("object", &right, "no-such.tar.gz"));
    assert!(
        message.contains("no-such.tar.gz") && message.contains("no such object"),
        "{message}"
    );
}
