//! Who asked for what is told, whatever the log's filter, and in a file where one is wanted.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::harness::{Agent, Body, Environment, Kind, Place, backup, basic, file_store, start, wait_for};

/// The lines of the audit file, as far as they are whole.
fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

/// The line of this action and id.
#[track_caller]
fn line(path: &Path, action: &str, id: &Value) -> Value {
    wait_for(&format!("a line of {action} {id}"), || {
        lines(path)
            .into_iter()
            .find(|line| line["action"] == action && line["id"] == *id)
    })
}

/// An agent with an audit file.
fn audited(configure: impl FnOnce(&mut Environment)) -> (Agent, PathBuf) {
    let place = Place::new();
    let path = place.path("audit.jsonl");
    let agent = Agent::start_in(place, |env| {
        env.set("audit_log_file", &path);
        configure(env);
    });
    (agent, path)
}

#[test]
fn triggers_cancels_deletes_and_refused_logins_are_in_the_file_and_in_a_log_that_is_off() {
    // Without its address in the log nobody would find the agent.
    let (agent, path) = audited(|env| {
        env.set("RUST_LOG", "off,osb_backup_agent=info");
    });
    let store = file_store(&agent.place);
    agent.succeed(Kind::Backup, &backup("b1", &store));
    agent.request(Kind::Backup, &backup("b1", &store));
    agent.cancel(Kind::Backup, "b1");
    agent.remove(Kind::Backup, "b1");
    let object = agent.place.object_names().remove(0);
    agent.succeed(
        Kind::Restore,
        &start(Kind::Restore, "r1", &store).with("/destination/filename", object.as_str()),
    );
    let wrong = format!("Authorization: {}", basic("evil\naction=trigger", "guessed-password"));
    assert_eq!(agent.call_as_stranger("GET", "/status", &[&wrong], b"").status, 401);

    for (action, kind, id, outcome) in [
        ("trigger", "backup", json!("b1"), "201"),
        ("cancel", "backup", json!("b1"), "409"),
        ("delete", "backup", json!("b1"), "200"),
        ("trigger", "restore", json!("r1"), "201"),
    ] {
        let line = line(&path, action, &id);
        assert_eq!(
            (&line["kind"], &line["outcome"]),
            (&json!(kind), &json!(outcome)),
            "{line}"
        );
        assert_eq!(line["user"], crate::harness::USER, "{line}");
        let address = line["address"].as_str().expect("an address");
        assert!(address.starts_with("127.0.0.1:"), "{line}");
    }
    let refused = line(&path, "login", &Value::Null);
    assert_eq!(
        (&refused["user"], &refused["outcome"]),
        (&json!("evil\\naction=trigger"), &json!("401"))
    );
    assert_eq!(lines(&path).iter().filter(|line| line["outcome"] == "409").count(), 2);

    let log = agent.log();
    let of_audit: Vec<&str> = log.lines().filter(|line| line.contains(" audit: ")).collect();
    assert_eq!(of_audit.len(), lines(&path).len(), "{log}");
    assert!(
        of_audit
            .iter()
            .any(|line| line.contains("login") && line.contains(r#"user="evil\\naction=trigger""#)),
        "{log}"
    );
    for secret in ["guessed-password", crate::harness::PASSWORD] {
        let file = fs::read_to_string(&path).expect("it is there");
        assert!(!file.contains(secret) && !log.contains(secret));
    }
}

#[test]
fn a_filter_that_names_audit_lines_rules_them() {
    let (agent, path) = audited(|env| {
        env.set("RUST_LOG", "info,audit=off");
    });
    agent.succeed(Kind::Backup, &backup("b1", &file_store(&agent.place)));
    line(&path, "trigger", &json!("b1"));
    assert!(!agent.log().contains(" audit: "), "{}", agent.log());
}

#[test]
fn unlocks_by_hand_are_told_with_the_process_that_asked_with_and_without_an_agent() {
    let (mut agent, path) = audited(|_| {});
    agent.place.script("post-backup-unlock", r#"[ ! -e "$trace/stuck" ]"#);
    let stuck = agent.place.write("trace/stuck", "");
    for id in ["j1", "j2"] {
        agent.fail(Kind::Backup, &backup(id, &file_store(&agent.place)));
    }
    assert_eq!(agent.command(&["unlock", "backup", "j1"]).status.code(), Some(1));
    let failed = line(&path, "unlock", &json!("j1"));
    assert!(
        failed["outcome"]
            .as_str()
            .is_some_and(|text| text.starts_with("refused: backup/j1")),
        "{failed}"
    );
    assert_eq!(failed["uid"], nix::unistd::getuid().as_raw());
    assert!(failed["pid"].as_i64().is_some_and(|pid| pid > 0), "{failed}");
    assert_eq!(
        agent.command(&["unlock", "backup", "j1", "--give-up"]).status.code(),
        Some(0)
    );
    let given_up = line(&path, "give-up", &json!("j1"));
    assert!(
        given_up["outcome"]
            .as_str()
            .is_some_and(|text| text.starts_with("done: ")),
        "{given_up}"
    );

    agent.die();
    fs::remove_file(stuck).expect("it is there");
    let output = agent.command(&["unlock", "backup", "j2"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    // The command has ended, so it is there.
    let line = lines(&path).pop().expect("lines");
    assert_eq!(
        (&line["action"], &line["id"]),
        (&json!("unlock"), &json!("j2")),
        "{line}"
    );
    assert_eq!(line["uid"], nix::unistd::getuid().as_raw());
}

#[test]
fn a_file_that_is_moved_away_goes_on_and_a_disk_fault_fails_no_request() {
    let (agent, path) = audited(|_| {});
    let store = file_store(&agent.place);
    agent.succeed(Kind::Backup, &backup("b1", &store));
    line(&path, "trigger", &json!("b1"));
    fs::rename(&path, agent.place.path("audit.1")).expect("it can be moved");
    agent.succeed(Kind::Backup, &backup("b2", &store));
    line(&path, "trigger", &json!("b2"));
    assert_eq!(lines(&path).len(), 1);

    fs::rename(&path, agent.place.path("audit.2")).expect("it can be moved");
    fs::create_dir(&path).expect("it can be made");
    agent.succeed(Kind::Backup, &backup("b3", &store));
    wait_for("/status tells of it", || {
        let problems = agent.get("/status").json()["problems"].to_string();
        problems.contains("audit_log_file").then_some(())
    });
    assert!(agent.log().contains("ERROR"), "{}", agent.log());
    fs::remove_dir(&path).expect("it is empty");
    agent.remove(Kind::Backup, "b3");
    line(&path, "delete", &json!("b3"));
    wait_for("all is well again", || {
        (agent.get("/status").json()["problems"] == json!([])).then_some(())
    });
}

#[test]
fn a_flood_of_refused_logins_makes_a_handful_of_lines() {
    let (agent, path) = audited(|_| {});
    // All at a time, as each waits for its answer.
    std::thread::scope(|scope| {
        for number in 0..300 {
            let agent = &agent;
            scope.spawn(move || {
                let header = format!("Authorization: {}", basic(&format!("user{number}"), "x"));
                assert_eq!(agent.call_as_stranger("GET", "/status", &[&header], b"").status, 401);
            });
        }
    });
    let count = || -> u64 {
        let lines = lines(&path);
        assert!(lines.len() < 20, "{} lines", lines.len());
        lines.iter().map(|line| line["count"].as_u64().unwrap_or(1)).sum()
    };
    wait_for("all are counted", || (count() == 300).then_some(()));
}
