//! That what is restored is what was backed up, bit for bit, and that it has room.

use std::fs;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::{Agent, Body, Fault, Kind, S3Server, Tmpfs, backup, file_store, leave_out, restore, start};

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A backup that succeeded: its polling body, and the restore of its object.
fn backed_up(agent: &Agent) -> (Value, Value) {
    let store = file_store(&agent.place);
    let job = agent.succeed(Kind::Backup, &backup("b", &store));
    let filename = job["filename"].as_str().expect("it is stored");
    (job.clone(), restore("r", &store, filename))
}

#[track_caller]
fn nothing_is_left(agent: &Agent) {
    let left = fs::read_dir(agent.place.restore()).expect("it is there").count();
    assert_eq!(left, 0, "the file to restore is removed");
}

#[test]
fn the_digest_of_a_backup_is_told_at_its_end_and_kept() {
    let mut agent = Agent::start(|_| {});
    agent.place.hold(Kind::Backup, "b", "post-backup-unlock");
    agent.accept(Kind::Backup, &backup("b", &file_store(&agent.place)));
    agent.place.wait_held(Kind::Backup, "b", "post-backup-unlock");
    let expected = sha256(b"artifact of backup.b");
    assert_eq!(
        agent.job(Kind::Backup, "b")["sha256"],
        json!(expected),
        "once it is stored"
    );
    agent.place.release(Kind::Backup, "b", "post-backup-unlock");
    assert_eq!(agent.finished(Kind::Backup, "b")["sha256"], json!(expected));
    agent.die_and_start_again();
    assert_eq!(agent.job(Kind::Backup, "b")["sha256"], json!(expected));
    let failed = backup("f", &file_store(&agent.place)).with("/backup/parameters", json!([{"FAIL_backup": "exit 1"}]));
    let (failed, _) = agent.fail(Kind::Backup, &failed);
    assert_eq!(failed.get("sha256"), None, "{failed}");
}

#[test]
fn a_restore_is_held_against_what_its_request_says() {
    let agent = Agent::start(|_| {});
    let (job, request) = backed_up(&agent);
    let digest = job["sha256"].as_str().expect("a digest").to_owned();
    for (number, (member, value)) in [
        ("sha256", json!(digest)),
        ("sha256", json!(digest.to_uppercase())),
        ("sha256", json!("")),
        ("filesize", job["filesize"].clone()),
        ("filesize", job["filesize"]["size"].clone()),
    ]
    .into_iter()
    .enumerate()
    {
        let request = request.clone().with("/id", format!("good-{number}"));
        agent.succeed(Kind::Restore, &request.with(&format!("/destination/{member}"), value));
    }
    for (id, member, value) in [
        ("digest", "sha256", json!(sha256(b""))),
        ("length", "filesize", json!(5)),
    ] {
        let request = request
            .clone()
            .with("/id", id)
            .with(&format!("/destination/{member}"), value);
        let (job, message) = agent.fail(Kind::Restore, &request);
        assert!(message.contains("expected"), "{message}");
        assert_eq!(
            agent.place.ran(Kind::Restore, id),
            ["pre-restore-lock", "restore-cleanup", "post-restore-unlock"]
        );
        assert_eq!(job["lock_released"], true, "{job}");
        nothing_is_left(&agent);
    }
    for (member, value) in [
        ("sha256", json!("abc")),
        ("sha256", json!(7)),
        ("filesize", json!("big")),
    ] {
        let path = format!("destination.{member}");
        let request = request.clone().with(&format!("/destination/{member}"), value);
        let refused = agent.request(Kind::Restore, &request);
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert!(refused.text().contains(&path), "{}", refused.text());
    }
}

#[test]
fn an_object_that_is_not_as_it_was_stored_is_not_restored() {
    let mut agent = Agent::start(|_| {});
    let (job, request) = backed_up(&agent);
    let filename = job["filename"].as_str().expect("it is stored");
    let path = agent.place.objects().join(filename);
    let mut bytes = fs::read(&path).expect("it is stored");
    bytes[3] ^= 1;
    fs::write(&path, &bytes).expect("it is ours");
    let (_, message) = agent.fail(Kind::Restore, &request);
    let [now, before] = [sha256(&bytes), sha256(b"artifact of backup.b")];
    assert!(message.contains(&now) && message.contains(&before), "{message}");
    assert!(!agent.place.ran(Kind::Restore, "r").contains(&"restore".to_owned()));
    // The record counts after a restart as well, and whoever knows better says so.
    agent.die_and_start_again();
    agent.fail(Kind::Restore, &request.clone().with("/id", "again"));
    let known = request.with("/id", "known").with("/destination/sha256", now);
    agent.succeed(Kind::Restore, &known);
}

#[test]
fn a_service_is_not_locked_for_a_download_nor_for_one_that_is_broken() {
    let agent = Agent::start(|env| {
        env.set("download_before_lock", "true");
    });
    let (_, request) = backed_up(&agent);
    let store = S3Server::start();
    store.put("object", b"content");
    store.fault("GET", 1, Fault::Hold);
    let slow = start(Kind::Restore, "slow", &store.destination());
    agent.accept(Kind::Restore, &slow);
    store.wait_for_request("GET");
    let none: [&str; 0] = [];
    assert_eq!(
        agent.place.ran(Kind::Restore, "slow"),
        none,
        "nothing is locked for the download"
    );
    store.release();
    assert_eq!(agent.finished(Kind::Restore, "slow")["status"], "SUCCEEDED");
    assert_eq!(agent.place.record(Kind::Restore, "slow", "restored"), b"content");

    let broken = request
        .clone()
        .with("/id", "broken")
        .with("/destination/sha256", sha256(b""));
    let (job, _) = agent.fail(Kind::Restore, &broken);
    assert_eq!(agent.place.ran(Kind::Restore, "broken"), none, "{job}");
    assert_eq!(job.get("lock_released"), None, "{job}");
    nothing_is_left(&agent);
    agent.succeed(Kind::Restore, &request);
}

#[test]
fn a_file_that_has_no_room_is_not_fetched_and_one_that_loses_it_is_removed() {
    let Some(mount) = Tmpfs::new("8m") else {
        return leave_out("the full disk of a restore", "no file system can be mounted here");
    };
    let agent = Agent::start(|env| {
        env.set("directory_restore", mount.path());
    });
    let bucket = S3Server::start();
    // What comes from a bucket comes in ranges.
    for (name, size) in [("large", 9 << 20), ("small", 6 << 20)] {
        let bytes = vec![7; size];
        bucket.put(name, &bytes);
        agent.place.write(&format!("store/objects/{name}"), bytes);
    }
    for (kind, store) in [("file", file_store(&agent.place)), ("bucket", bucket.destination())] {
        let [large, small, again] = ["large", "small", "again"].map(|name| format!("{kind}-{name}"));
        let (_, message) = agent.fail(Kind::Restore, &restore(&large, &store, "large"));
        let [needed, free] = ["9437184 bytes", "8388608 bytes are free"];
        assert!(message.contains(needed) && message.contains(free), "{message}");
        let none: [&str; 0] = [];
        assert_eq!(agent.place.ran(Kind::Restore, &large), none);

        agent.place.hold(Kind::Restore, &small, "pre-restore-lock");
        agent.accept(Kind::Restore, &restore(&small, &store, "small"));
        agent.place.wait_held(Kind::Restore, &small, "pre-restore-lock");
        let filler = mount.fill();
        agent.place.release(Kind::Restore, &small, "pre-restore-lock");
        let job = agent.finished(Kind::Restore, &small);
        let message = job["error_message"].as_str().unwrap_or_default();
        assert!(
            message.contains("No space left on device") && message.contains("make room"),
            "{kind}: {message}"
        );
        assert_eq!(job["lock_released"], true, "{job}");
        fs::remove_file(filler).expect("it is ours");
        let left = fs::read_dir(mount.path()).expect("it is there").count();
        assert_eq!(left, 0, "nothing of the half file stays");
        agent.succeed(Kind::Restore, &restore(&again, &store, "small"));
    }
}

#[test]
fn an_object_that_has_no_room_leaves_nothing() {
    let Some(mount) = Tmpfs::new("1m") else {
        return leave_out("the full disk of a destination", "no file system can be mounted here");
    };
    let agent = Agent::start(|env| {
        env.set("allowed_file_roots", mount.path());
    });
    let work = r#"head -c 2000000 /dev/urandom >"$BACKUP_AGENT_FILE""#;
    agent.place.script("backup", work);
    let store = json!({"type": "FILE", "path": mount.path()});
    let (job, message) = agent.fail(Kind::Backup, &backup("b", &store));
    assert!(message.contains("No space left on device"), "{message}");
    assert_eq!(job["lock_released"], true, "{job}");
    let left = fs::read_dir(mount.path()).expect("it is there").count();
    assert_eq!(left, 0, "nothing of the half object stays");
}

#[test]
fn a_backup_does_not_begin_where_less_is_free_than_is_to_stay_free() {
    let Some(mount) = Tmpfs::new("4m") else {
        return leave_out("min_free_space", "no file system can be mounted here");
    };
    for (least, begins) in [("5MiB", false), ("3MiB", true)] {
        let agent = Agent::start(|env| {
            env.set("directory_backup", mount.path()).set("min_free_space", least);
            env.set("state_directory", mount.path().with_extension("state"));
        });
        let job = agent.run(Kind::Backup, &backup("b", &file_store(&agent.place)));
        assert_eq!(job["status"] == "SUCCEEDED", begins, "{job}");
        if !begins {
            let message = job["error_message"].as_str().unwrap_or_default();
            assert!(
                message.contains("min_free_space") && message.contains("5242880"),
                "{message}"
            );
            assert_eq!(agent.place.ran(Kind::Backup, "b").len(), 0);
        }
        drop(agent);
        fs::remove_dir_all(mount.path().with_extension("state")).expect("it is ours");
    }
}

#[test]
fn an_artifact_that_is_replaced_while_it_is_sent_fails_the_job() {
    let agent = Agent::start(|_| {});
    let store = S3Server::start();
    agent.place.script(
        "backup",
        r#"head -c 20000000 /dev/zero >"$BACKUP_AGENT_FILE"; echo "$BACKUP_AGENT_FILE" >"$trace/path""#,
    );
    store.fault("PUT", 1, Fault::Hold);
    agent.accept(Kind::Backup, &backup("b", &store.destination()));
    store.wait_for_request("PUT");
    let path = fs::read_to_string(agent.place.path("trace/path")).expect("the script has run");
    let other = agent.place.write("backup/other", vec![0; 20_000_000]);
    fs::rename(other, path.trim()).expect("both are ours");
    store.release();
    let job = agent.finished(Kind::Backup, "b");
    let message = job["error_message"].as_str().unwrap_or_default();
    assert!(message.contains("another took its name"), "{message}");
    assert!(
        store.keys().is_empty() && store.leftovers().is_empty(),
        "nothing stays in the store"
    );
}
