//! Every phase, failing in every way: which scripts run then, and what the client is told.

use serde_json::{Value, json};

use crate::{
    harness::{Agent, Body, Kind, Place, backup, file_store, restore, wide},
    polling_body::failure_of,
};

/// How a script ends, and what `error_message` says of it.
const WAYS: &[(&str, &[&str])] = &[
    ("exit 1", &["1"]),
    ("exit 75", &["75"]),
    ("kill KILL", &["9", "KILL"]),
    ("exit 255", &["255"]),
    ("exit 127", &["127"]),
    ("exit 126", &["126"]),
    ("exit 2", &["2"]),
    ("kill TERM", &["15", "TERM"]),
    ("kill SEGV", &["11", "SEGV"]),
    ("kill PIPE", &["13", "PIPE"]),
];

#[test]
fn a_failure_of_any_phase_fails_the_job_and_still_cleans_up_and_unlocks() {
    let agent = Agent::start(|_| {});
    let ways = if wide() { WAYS } else { &WAYS[..3] };
    for kind in Kind::ALL {
        for phase in kind.phases() {
            for (row, (way, said)) in ways.iter().enumerate() {
                let id = format!("{phase}-{row}");
                let (job, message) = agent.fail(kind, &failing(&agent, kind, &id, &[(phase, way)]));
                let expected = scripts_after(kind, phase, *way == "exit 75");
                assert_eq!(agent.place.ran(kind, &id), expected, "{phase} {way}");
                assert!(message.contains(phase), "{phase} {way}: {message}");
                assert!(
                    said.iter().any(|word| message.contains(word)),
                    "{phase} {way}: {message}"
                );
                assert_eq!(job["message"], format!("{} failed", kind.name()), "{phase} {way}");
                assert_eq!(job["state"], "finished", "{phase} {way}");
                let is_locked = *phase == kind.unlock();
                assert_eq!(job["lock_released"] == false, is_locked, "{phase} {way}: {job}");
                if is_locked {
                    // Otherwise no other restore could begin.
                    assert_eq!(agent.cancel(kind, &id).status, 202);
                }
            }
        }
    }
}

/// The contract's rule, read aloud: what has run at the end if this phase has failed.
fn scripts_after(kind: Kind, failed: &str, is_busy: bool) -> Vec<&'static str> {
    let phases = kind.phases();
    let failed = phases.iter().position(|phase| *phase == failed).expect("it is a phase");
    if failed == 0 && is_busy {
        return vec![kind.lock()];
    }
    let mut ran = phases[..=failed].to_vec();
    for last in [kind.cleanup(), kind.unlock()] {
        if !ran.contains(&last) {
            ran.push(last);
        }
    }
    ran
}

#[test]
fn a_backup_that_failed_late_is_failed_and_yet_says_what_is_in_the_store() {
    let agent = Agent::start(|_| {});
    for phase in ["backup-cleanup", "post-backup-unlock"] {
        let (job, message) = agent.fail(
            Kind::Backup,
            &failing(&agent, Kind::Backup, phase, &[(phase, "exit 1")]),
        );
        let filename = job["filename"].as_str().unwrap_or_default();
        let object = agent.place.object(filename);
        assert_eq!(
            object,
            Some(format!("artifact of backup.{phase}").into_bytes()),
            "{phase}"
        );
        assert_eq!(
            job["filesize"]["size"],
            format!("artifact of backup.{phase}").len(),
            "{phase}"
        );
        assert!(message.contains(phase), "{message}");
    }
}

#[test]
fn the_message_of_a_failed_unlock_says_that_the_backup_is_stored() {
    let agent = Agent::start(|_| {});
    let body = failing(&agent, Kind::Backup, "job", &[("post-backup-unlock", "exit 9")]);
    let (job, message) = agent.fail(Kind::Backup, &body);
    let filename = job["filename"].as_str().unwrap_or_default();
    let says_so = message.contains(filename) || message.contains("stored") || message.contains("in the store");
    assert!(says_so, "{message}");
}

#[test]
fn a_failed_phase_before_the_upload_stores_nothing() {
    let agent = Agent::start(|_| {});
    for phase in ["pre-backup-lock", "pre-backup-check", "backup"] {
        let (job, _) = agent.fail(
            Kind::Backup,
            &failing(&agent, Kind::Backup, phase, &[(phase, "exit 1")]),
        );
        assert_eq!(
            (&job["filename"], &job["filesize"]["size"]),
            (&json!(""), &json!(0)),
            "{phase}"
        );
    }
    assert_eq!(agent.place.object_names(), [""; 0]);
}

#[test]
fn the_message_keeps_the_first_failure_and_adds_the_later_ones() {
    let agent = Agent::start(|_| {});
    for kind in Kind::ALL {
        let phases = kind.phases();
        let first = phases[phases.len() - 3];
        let ways = [
            (first, "exit 31"),
            (kind.cleanup(), "exit 32"),
            (kind.unlock(), "exit 33"),
        ];
        let (_, message) = agent.fail(kind, &failing(&agent, kind, "job", &ways));
        for code in ["31", "32", "33"] {
            assert!(message.contains(code), "{kind:?}: {code} in {message}");
        }
        assert!(
            message.contains(kind.cleanup()) && message.contains(kind.unlock()),
            "{message}"
        );
        let at = |code: &str| message.find(code).expect("just seen");
        // Before all else that somebody must see to the lock, then what failed, in order.
        assert!(message.starts_with("THE LOCK WAS NOT RELEASED"), "{message}");
        assert!(at("33") < at("31") && at("31") < at("32"), "in order: {message}");
        // Otherwise the next of this database could not begin.
        assert_eq!(agent.cancel(kind, "job").status, 202);
    }
}

#[test]
fn a_missing_script_of_any_phase_fails_the_job_before_anything_runs() {
    let place = Place::new();
    place.write("store/objects/object", "content");
    let agent = Agent::start_in(place, |_| {});
    for kind in Kind::ALL {
        for phase in kind.phases() {
            let script = agent.place.scripts().join(phase);
            let text = std::fs::read(&script).expect("the script is there");
            agent.place.remove_script(phase);
            let (job, message) = agent.fail(kind, &failing(&agent, kind, phase, &[]));
            assert_eq!(agent.place.ran(kind, phase), [""; 0], "{phase}");
            assert!(message.contains(phase), "{phase}: {message}");
            assert_eq!(job["state"], "finished", "{phase}");
            std::fs::write(&script, text).expect("the script can be put back");
        }
        agent.succeed(kind, &failing(&agent, kind, "complete", &[]));
    }
}

#[test]
fn a_missing_directory_of_scripts_fails_the_job() {
    let agent = Agent::start(|env| {
        env.set("scripts_path", "/nonexistent/scripts");
    });
    let (_, message) = agent.fail(Kind::Backup, &backup("job", &file_store(&agent.place)));
    assert!(message.contains("pre-backup-lock"), "{message}");
}

#[test]
fn a_script_that_cannot_be_started_fails_its_phase() {
    let agent = Agent::start(|env| {
        env.set("script_interpreter", "shebang");
    });
    for (phase, ran) in [
        // Nothing was started, so nothing may be locked.
        ("pre-backup-lock", vec![]),
        (
            "pre-backup-check",
            vec!["pre-backup-lock", "backup-cleanup", "post-backup-unlock"],
        ),
        (
            "backup",
            vec![
                "pre-backup-lock",
                "pre-backup-check",
                "backup-cleanup",
                "post-backup-unlock",
            ],
        ),
    ] {
        let script = agent.place.scripts().join(phase);
        let text = std::fs::read(&script).expect("the script is there");
        agent.place.plain_script(phase, "#!/nonexistent/interpreter\n");
        make_executable(&script);
        let (_, message) = agent.fail(Kind::Backup, &failing(&agent, Kind::Backup, phase, &[]));
        assert_eq!(agent.place.ran(Kind::Backup, phase), ran, "{phase}");
        assert!(message.contains(phase), "{phase}: {message}");
        std::fs::remove_file(&script).expect("the script is there");
        std::fs::write(&script, text).expect("the script can be put back");
    }
}

#[test]
fn a_failed_lock_may_be_left_as_it_is() {
    let agent = Agent::start(|env| {
        env.set("unlock_after_failed_lock", "false");
    });
    for kind in Kind::ALL {
        for way in ["exit 1", "kill KILL"] {
            let id = way.replace(' ', "-");
            agent.fail(kind, &failing(&agent, kind, &id, &[(kind.lock(), way)]));
            assert_eq!(agent.place.ran(kind, &id), [kind.lock()], "{kind:?} {way}");
        }
        let second = kind.phases()[1];
        agent.fail(kind, &failing(&agent, kind, "later", &[(second, "exit 1")]));
        assert_eq!(
            agent.place.ran(kind, "later"),
            scripts_after(kind, second, false),
            "later failures unlock"
        );
    }
}

#[test]
fn a_service_may_be_kept_locked_after_its_restore_script_failed() {
    let agent = Agent::start(|env| {
        env.set("unlock_after_failed_restore", "false");
    });
    for way in ["exit 1", "kill KILL"] {
        let id = way.replace(' ', "-");
        agent.fail(Kind::Restore, &failing(&agent, Kind::Restore, &id, &[("restore", way)]));
        let ran = agent.place.ran(Kind::Restore, &id);
        assert!(!ran.contains(&"post-restore-unlock".to_owned()), "{way}: {ran:?}");
    }
    // Only the restore script keeps it locked: not a lock, a download or a cleanup that failed.
    agent.fail(
        Kind::Restore,
        &failing(&agent, Kind::Restore, "lock", &[("pre-restore-lock", "exit 1")]),
    );
    assert!(
        agent
            .place
            .ran(Kind::Restore, "lock")
            .contains(&"post-restore-unlock".to_owned())
    );
    agent.fail(
        Kind::Restore,
        &failing(&agent, Kind::Restore, "cleanup", &[("restore-cleanup", "exit 1")]),
    );
    assert!(
        agent
            .place
            .ran(Kind::Restore, "cleanup")
            .contains(&"post-restore-unlock".to_owned())
    );
    agent.fail(
        Kind::Restore,
        &restore("download", &file_store(&agent.place), "not-there"),
    );
    assert_eq!(
        agent.place.ran(Kind::Restore, "download"),
        ["pre-restore-lock", "restore-cleanup", "post-restore-unlock"]
    );
    // A backup knows nothing of this switch.
    agent.fail(
        Kind::Backup,
        &failing(&agent, Kind::Backup, "backup", &[("backup", "exit 1")]),
    );
    assert!(
        agent
            .place
            .ran(Kind::Backup, "backup")
            .contains(&"post-backup-unlock".to_owned())
    );
}

#[test]
fn cleanup_and_unlock_learn_how_the_job_went() {
    let agent = Agent::start(|_| {});
    for kind in Kind::ALL {
        let work = kind.name();
        for (id, failed, at_cleanup, at_unlock) in [
            ("good", "", ["succeeded", "", "taken"], ["succeeded", "", "taken"]),
            (
                "lock",
                kind.lock(),
                ["failed", kind.lock(), "failed"],
                ["failed", kind.lock(), "failed"],
            ),
            ("work", work, ["failed", work, "taken"], ["failed", work, "taken"]),
            (
                "cleanup",
                kind.cleanup(),
                ["succeeded", "", "taken"],
                ["failed", kind.cleanup(), "taken"],
            ),
        ] {
            let ways: Vec<(&str, &str)> = [(failed, "exit 1")]
                .into_iter()
                .filter(|_| !failed.is_empty())
                .collect();
            agent.run(kind, &failing(&agent, kind, id, &ways));
            for (phase, expected) in [(kind.cleanup(), at_cleanup), (kind.unlock(), at_unlock)] {
                let environment = agent.place.environment(kind, id, phase);
                let got = ["OUTCOME", "FAILED_PHASE", "LOCK"].map(|name| {
                    environment
                        .get(&format!("BACKUP_AGENT_{name}"))
                        .map_or("", String::as_str)
                });
                assert_eq!(got, expected, "{kind:?} {id}: {phase}");
            }
        }
        for phase in &kind.phases()[..kind.phases().len() - 2] {
            let environment = agent.place.environment(kind, "good", phase);
            assert!(
                !environment.contains_key("BACKUP_AGENT_OUTCOME"),
                "{phase} runs before there is an outcome"
            );
        }
    }
}

/// A request whose scripts of the named phases fail in the named ways. A restore finds its object.
fn failing(agent: &Agent, kind: Kind, id: &str, ways: &[(&str, &str)]) -> Value {
    let store = file_store(&agent.place);
    if agent.place.object("object").is_none() && kind == Kind::Restore {
        agent.place.write("store/objects/object", "content");
    }
    let parameters: Vec<Value> = ways
        .iter()
        .map(|(phase, way)| json!({failure_of(phase): way}))
        .collect();
    crate::harness::start(kind, id, &store).with(&format!("/{}/parameters", kind.name()), parameters)
}

fn make_executable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("the script is ours");
}
