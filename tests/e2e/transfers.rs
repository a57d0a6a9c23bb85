//! Stores that fail: what is retried, what is not, and what a person is told.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Agent, Body, Fault, Kind, S3Server, backup, restore};

const ALL_OF_A_BACKUP: [&str; 5] = [
    "pre-backup-lock",
    "pre-backup-check",
    "backup",
    "backup-cleanup",
    "post-backup-unlock",
];
const ALL_BUT_RESTORE: [&str; 3] = ["pre-restore-lock", "restore-cleanup", "post-restore-unlock"];

#[test]
fn a_store_that_is_not_there_fails_the_job_which_cleans_up_and_unlocks() {
    let (agent, mut store) = (impatient(), S3Server::start());
    store.stop();
    let (job, message) = agent.fail(Kind::Backup, &backup("job", &store.destination()));
    assert_eq!(agent.place.ran(Kind::Backup, "job"), ALL_OF_A_BACKUP);
    assert_names(&message, &["bucket", &store.endpoint()]);
    assert_eq!((&job["filename"], &job["filesize"]["size"]), (&json!(""), &json!(0)));

    let (_, message) = agent.fail(Kind::Restore, &restore("job", &store.destination(), "object"));
    assert_eq!(agent.place.ran(Kind::Restore, "job"), ALL_BUT_RESTORE);
    assert_names(&message, &["bucket", &store.endpoint(), "object"]);
}

#[test]
fn a_store_that_stops_in_the_middle_of_an_upload_fails_the_job() {
    let (agent, mut store) = (impatient(), S3Server::start());
    agent
        .place
        .script("backup", "head -c 12000000 /dev/zero >\"$BACKUP_AGENT_FILE\"");
    store.fault("PUT", 9, Fault::Hold);
    agent.accept(Kind::Backup, &backup("job", &store.destination()));
    store.wait_for_request("PUT");
    store.stop();
    let job = agent.finished(Kind::Backup, "job");
    assert_eq!(job["status"], "FAILED", "{job}");
    assert_eq!(agent.place.ran(Kind::Backup, "job"), ALL_OF_A_BACKUP);
    assert_names(
        job["error_message"].as_str().unwrap_or_default(),
        &["bucket", &store.endpoint()],
    );
}

#[test]
fn a_permanent_fault_fails_the_job_at_once_and_says_what_the_store_said() {
    let (agent, store) = (Agent::start(|_| {}), S3Server::start());
    store.put("object", b"content");
    for (id, pointer, value, code) in [
        ("secret", "/authSecret", "wrong", "SignatureDoesNotMatch"),
        ("bucket", "/bucket", "no-such-bucket", "NoSuchBucket"),
    ] {
        for kind in Kind::ALL {
            let destination = store.destination().with(pointer, value);
            let begin = Instant::now();
            let (_, message) = agent.fail(kind, &crate::harness::start(kind, id, &destination));
            // Far below the three minutes for which transient faults are retried.
            assert!(
                begin.elapsed() < Duration::from_secs(30),
                "{kind:?} {id} took {:?}",
                begin.elapsed()
            );
            let bucket = destination["bucket"].as_str().unwrap_or_default();
            assert_names(&message, &[bucket, &store.endpoint()]);
            // A HEAD has no body to take a code from.
            assert!(
                message.contains(code) || message.contains("403") || message.contains("404"),
                "{message}"
            );
            let ran = agent.place.ran(kind, id);
            assert_eq!(ran.last().map(String::as_str), Some(kind.unlock()), "{kind:?} {id}");
        }
    }
    assert_eq!(store.keys(), ["object"]);
}

#[test]
fn an_object_that_is_not_there_fails_the_restore_and_leaves_no_file() {
    let (agent, store) = (Agent::start(|_| {}), S3Server::start());
    let (_, message) = agent.fail(Kind::Restore, &restore("job", &store.destination(), "missing.tar.gz"));
    assert_names(&message, &["missing.tar.gz", "bucket", &store.endpoint()]);
    assert_eq!(agent.place.ran(Kind::Restore, "job"), ALL_BUT_RESTORE);
    assert_no_files(&agent.place.restore());
}

#[test]
fn transient_faults_are_retried_until_the_object_is_there() {
    let (agent, store) = (Agent::start(|_| {}), S3Server::start());
    let slow_down = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
    for (id, status, body) in [
        ("a", 503, slow_down),
        ("b", 500, ""),
        ("c", 502, "<html>bad gateway</html>"),
    ] {
        store.fault("PUT", 2, Fault::Answer(status, body.to_owned()));
        let job = agent.succeed(Kind::Backup, &backup(id, &store.destination()));
        let filename = job["filename"].as_str().unwrap_or_default();
        assert!(!filename.ends_with("_2.tar.gz"), "{status}: {filename}");
        store.fault("GET", 2, Fault::Answer(status, body.to_owned()));
        agent.succeed(Kind::Restore, &restore(id, &store.destination(), filename));
        let restored = agent.place.record(Kind::Restore, id, "restored");
        assert_eq!(restored, format!("artifact of backup.{id}").into_bytes(), "{status}");
    }
    assert_eq!(store.keys().len(), 3, "{:?}", store.keys());
}

#[test]
fn a_download_that_breaks_off_is_taken_up_again() {
    let (agent, store) = (Agent::start(|_| {}), S3Server::start());
    let content = noise(3_000_000);
    store.put("object", &content);
    for (id, bytes) in [("early", 100_000), ("late", 2_900_000)] {
        store.break_after(bytes);
        agent.succeed(Kind::Restore, &restore(id, &store.destination(), "object"));
        assert!(
            agent.place.record(Kind::Restore, id, "restored") == content,
            "{id}: not the same bytes"
        );
    }
}

#[test]
fn an_upload_whose_answer_is_lost_is_still_one_object() {
    let (agent, store) = (Agent::start(|_| {}), S3Server::start());
    for (id, method, bytes) in [
        ("small", "PUT", 1_000),
        ("part", "PUT", 12_000_000),
        ("completion", "POST", 12_000_000),
    ] {
        let before = store.keys().len();
        agent.place.script(
            "backup",
            &format!("seq 1 9999999 | head -c {bytes} >\"$BACKUP_AGENT_FILE\""),
        );
        // Whether the work was done, the agent cannot know.
        store.fault(method, 1, Fault::SayNothing);
        let job = agent.succeed(Kind::Backup, &backup(id, &store.destination()));
        let filename = job["filename"].as_str().unwrap_or_default();
        assert_eq!(store.keys().len(), before + 1, "{id}: {:?}", store.keys());
        assert_eq!(store.object(filename).map(|content| content.len()), Some(bytes), "{id}");
        assert_eq!(store.leftovers(), [""; 0], "{id}: {:?}", store.requests());
    }
}

#[test]
fn an_object_of_another_length_than_the_artifact_is_no_success() {
    let (agent, store) = (impatient(), S3Server::start());
    store.fault("PUT", 9, Fault::LoseLastByte);
    let (job, message) = agent.fail(Kind::Backup, &backup("job", &store.destination()));
    assert_eq!(
        (&job["filename"], &job["filesize"]["size"]),
        (&json!(""), &json!(0)),
        "{message}"
    );
    assert_eq!(agent.place.ran(Kind::Backup, "job"), ALL_OF_A_BACKUP);
}

#[test]
fn a_failed_upload_leaves_no_parts_behind() {
    let (agent, store) = (impatient(), S3Server::start());
    agent
        .place
        .script("backup", "head -c 30000000 /dev/zero >\"$BACKUP_AGENT_FILE\"");
    // Beginning and completing such an upload are POSTs, so this meets one part.
    let denied = "<Error><Code>AccessDenied</Code><Message>no more parts</Message></Error>";
    store.fault("PUT", 1, Fault::Answer(403, denied.to_owned()));
    let (_, message) = agent.fail(Kind::Backup, &backup("job", &store.destination()));
    assert_eq!(store.leftovers(), [""; 0], "{message}: {:?}", store.requests());
    assert_eq!(store.keys(), [""; 0], "{message}");
}

#[test]
fn an_artifact_that_was_not_sent_is_cleaned_up_unless_it_is_to_be_kept() {
    for (keep, ran) in [
        ("false", ALL_OF_A_BACKUP.to_vec()),
        (
            "true",
            vec!["pre-backup-lock", "pre-backup-check", "backup", "post-backup-unlock"],
        ),
    ] {
        let agent = Agent::start(|env| {
            env.set("keep_unsent_artifact", keep)
                .set("transfer_retry_timeout", "1s");
        });
        let mut store = S3Server::start();
        store.stop();
        let (_, message) = agent.fail(Kind::Backup, &backup("job", &store.destination()));
        assert_eq!(agent.place.ran(Kind::Backup, "job"), ran, "keep_unsent_artifact={keep}");
        let kept: Vec<String> = std::fs::read_dir(agent.place.backup())
            .expect("the directory is there")
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.ends_with(".tar.gz"))
            .collect();
        assert_eq!(
            kept.len(),
            usize::from(keep == "true"),
            "keep_unsent_artifact={keep}: {kept:?}"
        );
        for name in kept {
            assert!(message.contains(&name), "{name} is not in {message}");
        }
        // Any other failure is cleaned up after.
        let body = backup("other", &store.destination()).with("/backup/parameters", json!([{"FAIL_backup": "exit 1"}]));
        agent.fail(Kind::Backup, &body);
        assert_eq!(
            agent.place.ran(Kind::Backup, "other"),
            ALL_OF_A_BACKUP,
            "keep_unsent_artifact={keep}"
        );
    }
}

#[test]
fn of_a_stores_answer_a_person_sees_its_code_and_its_message_and_no_more() {
    let (agent, store) = (Agent::start(|_| {}), S3Server::start());
    let long = "very ".repeat(200);
    let body = format!(
        "<Error><Code>AccessDenied</Code><Message>not \u{7}for you, {long}</Message><HostId>host-id-of-the-store</HostId></Error>"
    );
    store.fault("PUT", 9, Fault::Answer(403, body));
    let (_, message) = agent.fail(Kind::Backup, &backup("job", &store.destination()));
    assert!(message.contains("AccessDenied") || message.contains("403"), "{message}");
    assert!(
        !message.contains("host-id-of-the-store") && !message.contains("<Error>"),
        "{message}"
    );
    assert!(message.matches("very").count() <= 40, "{message}");
    assert!(
        !message.contains(|character: char| character.is_control() && character != '\n'),
        "{message:?}"
    );
}

fn impatient() -> Agent {
    Agent::start(|env| {
        env.set("transfer_retry_timeout", "1s");
    })
}

#[track_caller]
fn assert_names(message: &str, words: &[&str]) {
    for word in words {
        // An endpoint may be shown with or without its scheme.
        let bare = word.trim_start_matches("http://");
        assert!(message.contains(bare), "{bare} is not in {message}");
    }
}

#[track_caller]
fn assert_no_files(directory: &std::path::Path) {
    for entry in std::fs::read_dir(directory).expect("the directory is there") {
        let path = entry.expect("an entry can be read").path();
        assert!(path.is_dir(), "{} was left behind", path.display());
        assert_no_files(&path);
    }
}

/// Bytes without a pattern, the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}
