//! Each secret is a canary, and none is found where it does not belong: not in the log, not in an answer
//! of the API, not in the agent's files, not in a process's arguments.

mod canary;
mod echo;

use std::{cell::RefCell, fs, path::Path};

use serde_json::{Value, json};

use self::{
    canary::{Canaries, GCS_KEY, canary},
    echo::Manner,
};
use crate::harness::{Agent, Body, Environment, Kind, S3Server, backup, basic, file_store, restore};

/// The members that are secret; the rest of a GCS key file is put around its canary.
const SECRETS: [&str; 13] = [
    "authKey",
    "authSecret",
    "sessionToken",
    "swift",
    "accountKey",
    "sasToken",
    "database",
    "encryption_key",
    "parameter",
    "client_password",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
];

fn all_secrets() -> Vec<(&'static str, String)> {
    let lines = GCS_KEY.lines().filter(|line| line.len() == 64);
    let gcs = lines.map(|line| ("serviceAccountKey", line.to_owned()));
    SECRETS
        .iter()
        .map(|member| (*member, canary(member)))
        .chain(gcs)
        .collect()
}

/// Those of stores: a store that is told one may repeat any.
fn of_stores() -> Vec<(&'static str, String)> {
    let all = all_secrets().into_iter();
    all.filter(|(member, _)| !["database", "encryption_key", "parameter", "client_password"].contains(member))
        .collect()
}

/// The destinations of all types at one address, each with those secrets that it knows.
fn destinations(at: &str) -> Vec<(&'static str, Value, Vec<&'static str>)> {
    let s3 = json!({"type": "S3", "endpoint": at, "bucket": "bucket", "region": "us-east-1",
        "authKey": canary("authKey"), "authSecret": canary("authSecret"), "sessionToken": canary("sessionToken")});
    let swift = json!({"type": "SWIFT", "authUrl": format!("{at}/v3"), "domain": "d", "project_name": "p",
        "container_name": "c", "username": "u", "password": canary("swift")});
    let key = json!({"type": "service_account", "client_email": "a@b", "private_key_id": "1", "private_key": GCS_KEY});
    let gcs = json!({"type": "GCS", "endpoint": at, "bucket": "bucket", "serviceAccountKey": key});
    let azure = json!({"type": "AZURE", "endpoint": at, "account": "account1", "container": "container"});
    let of_keys = vec!["authKey", "authSecret", "sessionToken"];
    vec![
        ("s3", s3.clone(), of_keys.clone()),
        ("s3-host", s3.without("/region"), of_keys),
        ("swift", swift.clone(), vec!["swift"]),
        ("v1", swift.with("/authUrl", format!("{at}/auth/v1.0")), vec!["swift"]),
        ("gcs", gcs, vec!["serviceAccountKey"]),
        (
            "key",
            azure.clone().with("/accountKey", canary("accountKey")),
            vec!["accountKey"],
        ),
        (
            "sas",
            azure.with(
                "/sasToken",
                format!("sv=1&sp=rw&sig={}", canary("sasToken").replace('+', "%2B")),
            ),
            vec!["sasToken"],
        ),
    ]
}

/// A request with canaries in all that is not its destination.
fn request(kind: Kind, id: &str, destination: &Value) -> Value {
    let body = match kind {
        Kind::Backup => backup(id, destination),
        Kind::Restore => restore(id, destination, "object"),
    };
    body.with("/encryption_key", canary("encryption_key"))
        .with(&format!("/{}/password", kind.name()), canary("database"))
        .with(
            &format!("/{}/parameters", kind.name()),
            json!([{"SOME_PARAMETER": canary("parameter")}]),
        )
}

/// An agent that says all it can, and what its API answered.
struct Scene {
    agent: Agent,
    heard: RefCell<Vec<u8>>,
}

impl Scene {
    fn new(configure: impl FnOnce(&mut Environment)) -> Self {
        let agent = Agent::start(|env| {
            env.set("RUST_LOG", "trace")
                .set("script_arguments", "none")
                .set("transfer_retry_timeout", "1s")
                .set("concurrent_restores", "10")
                .set("max_queued_jobs", "1000");
            configure(env);
        });
        for phase in Kind::ALL.iter().flat_map(|kind| kind.phases()) {
            // Arguments of all processes are for everybody to see.
            agent.place.usual_script(
                phase,
                "cat /proc/$$/cmdline /proc/$PPID/cmdline >>\"$trace/cmdlines\"; \
                 echo \"$BACKUP_AGENT_DATABASE_PASSWORD $BACKUP_AGENT_ENCRYPTION_KEY\"; env | grep -v PARAMETER >&2",
            );
        }
        Self {
            agent,
            heard: RefCell::default(),
        }
    }

    fn send(&self, kind: Kind, body: &str) -> u16 {
        let response = self.agent.request_text(kind, body);
        self.hear(&response.body);
        response.status
    }

    fn accept(&self, kind: Kind, body: &Value) {
        assert_eq!(self.send(kind, &body.to_string()), 201);
    }

    /// The job at its end.
    fn finished(&self, kind: Kind, id: &str) -> Value {
        let job = self.agent.finished(kind, id);
        self.hear(job.to_string().as_bytes());
        self.hear(job["error_message"].as_str().unwrap_or_default().as_bytes());
        job
    }

    fn hear(&self, bytes: &[u8]) {
        self.heard.borrow_mut().extend_from_slice(bytes);
    }

    /// Asserts that none of these got out.
    #[track_caller]
    fn assert_silent(&self, canaries: &Canaries) {
        canaries.assert_absent("the answers", &self.heard.borrow());
        canaries.assert_absent("the log", self.agent.log().as_bytes());
        for directory in ["state", "backup", "restore", "store"] {
            self.assert_clean(canaries, &self.agent.place.path(directory));
        }
        let cmdlines = fs::read(self.agent.place.path("trace/cmdlines")).unwrap_or_default();
        canaries.assert_absent("arguments of processes", &cmdlines);
    }

    #[track_caller]
    fn assert_clean(&self, canaries: &Canaries, directory: &Path) {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            canaries.assert_absent("the name of a file", path.as_os_str().as_encoded_bytes());
            if path.is_dir() {
                self.assert_clean(canaries, &path);
            } else if let Ok(bytes) = fs::read(&path) {
                canaries.assert_absent(&path.display().to_string(), &bytes);
            }
        }
    }
}

#[test]
fn stores_that_repeat_secrets_in_their_answers_make_nobody_else_do_so() {
    let scene = Scene::new(|_| {});
    let mut jobs = Vec::new();
    for (index, manner) in Manner::ALL.into_iter().enumerate() {
        for (name, _, known) in destinations("") {
            let secrets = of_stores().into_iter().filter(|(member, _)| known.contains(member));
            let secrets = secrets.map(|(_, secret)| secret).collect();
            let at = format!("http://{}", echo::start(manner, secrets));
            let (_, destination, _) = destinations(&at)
                .into_iter()
                .find(|(candidate, ..)| *candidate == name)
                .expect("it is one of them");
            for kind in Kind::ALL {
                let id = format!("{name}-{index}");
                scene.accept(kind, &request(kind, &id, &destination));
                jobs.push((kind, id, manner));
            }
        }
    }
    for (kind, id, manner) in jobs {
        let job = scene.finished(kind, &id);
        assert_eq!(job["status"], "FAILED", "{manner:?}: {job}");
    }
    let heard = String::from_utf8_lossy(&scene.heard.borrow()).into_owned();
    assert!(
        heard.contains("xxx<redacted>"),
        "what stores say was shown, and the secrets in it were not"
    );
    assert!(scene.agent.log().contains("DEBUG"), "the agent says all it can");
    scene.assert_silent(&Canaries::of(all_secrets()));
}

#[test]
fn the_agents_own_keys_are_not_shown_either() {
    for manner in Manner::ALL {
        let own = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
        let address = echo::start(manner, own.map(canary).to_vec());
        let scene = Scene::new(|env| {
            env.set("allow_ambient_credentials", "true")
                .set("ambient_buckets", "bucket")
                .set("default_s3_endpoint", format!("http://{address}"));
            for name in own {
                env.set(name, canary(name));
            }
        });
        let destination = json!({"type": "S3", "bucket": "bucket"});
        for kind in Kind::ALL {
            scene.accept(kind, &request(kind, "job", &destination));
            let job = scene.finished(kind, "job");
            assert_eq!(job["status"], "FAILED", "{manner:?}: {job}");
        }
        scene.assert_silent(&Canaries::of(all_secrets()));
    }
}

#[test]
fn stores_that_cannot_be_reached_make_no_secret_known() {
    let proxy = echo::start(
        Manner::Text(403),
        of_stores().into_iter().map(|(_, secret)| secret).collect(),
    );
    let plain = echo::start(Manner::Garbage, vec!["no TLS here".to_owned()]);
    for (row, at) in [
        ("refused", "http://127.0.0.1:9".to_owned()),
        ("no TLS", format!("https://{plain}")),
        ("unknown name", "https://store.invalid".to_owned()),
        ("a proxy that refuses", "https://store.invalid:8443".to_owned()),
    ] {
        let scene = Scene::new(|env| {
            if row.contains("proxy") {
                env.set("https_proxy", format!("http://{proxy}"));
            }
        });
        for (name, destination, _) in destinations(&at) {
            for kind in Kind::ALL {
                scene.accept(kind, &request(kind, name, &destination));
            }
        }
        for (name, ..) in destinations(&at) {
            for kind in Kind::ALL {
                assert_eq!(scene.finished(kind, name)["status"], "FAILED", "{row} {name}");
            }
        }
        scene.assert_silent(&Canaries::of(all_secrets()));
    }
}

#[test]
fn a_refused_request_is_refused_without_its_secrets() {
    let scene = Scene::new(|env| {
        // What is ignored in one type of destination is a fault in another; this one all have.
        env.set("allowed_endpoints", "nowhere.example.org");
    });
    for (_, destination, _) in destinations("http://127.0.0.1:9") {
        for kind in Kind::ALL {
            let good = request(kind, "job", &destination);
            let text = good.to_string();
            let bodies = [
                good.clone().without("/destination/type").to_string(),
                good.clone()
                    .with("/destination/type", canary("authKey")[..8].to_owned())
                    .to_string(),
                good.clone().with("/destination", canary("authSecret")).to_string(),
                good.clone()
                    .with("/destination/authSecret", json!([canary("authSecret")]))
                    .to_string(),
                good.clone().with("/destination/endpoint", "ftp://x").to_string(),
                good.clone()
                    .with("/destination/serviceAccountKey", canary("authSecret"))
                    .to_string(),
                good.clone()
                    .with("/destination/accountKey", format!("{}!", canary("accountKey")))
                    .to_string(),
                good.clone()
                    .with("/destination/sasToken", format!("{}\n", canary("sasToken")))
                    .to_string(),
                good.clone()
                    .with("/encryption_key", json!({"k": canary("encryption_key")}))
                    .to_string(),
                good.clone()
                    .with("/encryption_key", format!("{}\0", canary("encryption_key")))
                    .to_string(),
                good.clone()
                    .with(&format!("/{}/password", kind.name()), json!([canary("database")]))
                    .to_string(),
                good.clone()
                    .with(&format!("/{}/parameters", kind.name()), json!([canary("parameter")]))
                    .to_string(),
                good.clone()
                    .with(
                        &format!("/{}/parameters", kind.name()),
                        json!([{"PATH": canary("parameter")}]),
                    )
                    .to_string(),
                text[..text.len() - 1].to_owned(),
                text.replace(':', "="),
            ];
            for body in bodies {
                assert_eq!(scene.send(kind, &body), 400, "{body}");
            }
        }
    }
    // Wrong logins: each of which may be somebody's.
    for line in [
        format!("Authorization: {}", basic("operator", &canary("client_password"))),
        format!("Authorization: Bearer {}", canary("client_password")),
        format!("Authorization: {}", canary("client_password")),
        format!("Cookie: {}", canary("client_password")),
    ] {
        let response = scene.agent.call_as_stranger("GET", "/status", &[&line], b"");
        assert_eq!(response.status, 401);
        scene.hear(&response.body);
    }
    scene.assert_silent(&Canaries::of(all_secrets()));
}

#[test]
fn jobs_that_succeed_or_fail_or_are_cut_off_leave_no_secret_behind() {
    let store = S3Server::start();
    let mut canaries = all_secrets();
    canaries.extend([
        ("the S3 server's key", crate::harness::AUTH_KEY.to_owned()),
        ("the S3 server's secret", crate::harness::AUTH_SECRET.to_owned()),
    ]);
    let canaries = Canaries::of(canaries);
    let mut scene = Scene::new(|_| {});
    let stores = [store.destination(), file_store(&scene.agent.place)];
    for (index, destination) in stores.iter().enumerate() {
        let id = format!("good-{index}");
        scene.accept(Kind::Backup, &request(Kind::Backup, &id, destination));
        let job = scene.finished(Kind::Backup, &id);
        assert_eq!(job["status"], "SUCCEEDED", "{job}");
        let filename = job["filename"].as_str().expect("a name").to_owned();
        let body = request(Kind::Restore, &id, destination).with("/destination/filename", filename);
        scene.accept(Kind::Restore, &body);
        assert_eq!(scene.finished(Kind::Restore, &id)["status"], "SUCCEEDED");
    }
    for phase in Kind::ALL.iter().flat_map(|kind| kind.phases()) {
        for kind in Kind::ALL.into_iter().filter(|kind| kind.phases().contains(phase)) {
            let failing = request(kind, phase, &store.destination()).with(
                &format!("/{}/parameters", kind.name()),
                json!([{format!("FAIL_{}", phase.replace('-', "_")): "exit 3", "SOME_PARAMETER": canary("parameter")}]),
            );
            scene.accept(kind, &failing);
            assert_eq!(scene.finished(kind, phase)["status"], "FAILED", "{phase}");
        }
    }
    scene.assert_silent(&canaries);
    // Requests are kept while jobs are at work, for an agent that comes after a crash.
    let mut held = Vec::new();
    for (name, destination, _) in destinations("http://127.0.0.1:9") {
        let id = format!("held-{name}");
        scene.agent.place.hold(Kind::Backup, &id, "backup");
        scene.accept(Kind::Backup, &request(Kind::Backup, &id, &destination));
        held.push(id);
    }
    scene.agent.place.wait_held(Kind::Backup, &held[0], "backup");
    scene.assert_silent(&canaries);
    scene.agent.die();
    scene.assert_silent(&canaries);
    scene.agent.start_again();
    for id in held {
        assert_eq!(scene.finished(Kind::Backup, &id)["status"], "FAILED", "{id}");
    }
    scene.assert_silent(&canaries);
}
