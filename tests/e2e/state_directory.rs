//! The agent's own files: one agent each, no secrets in clear, and what becomes of them.

use std::{fs, path::Path};

use serde_json::json;

use crate::harness::{
    Agent, Body, Kind, ReadOnly, Tmpfs, backup, complete_environment, file_store, leave_out, run_agent,
};

/// All bytes below a directory.
fn all_bytes(directory: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).expect("it is there").flatten() {
        let metadata = entry.metadata().expect("it is ours");
        if metadata.is_dir() {
            all.extend(all_bytes(&entry.path()));
        } else if metadata.is_file() {
            all.extend(fs::read(entry.path()).expect("it is ours"));
        }
    }
    all
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_second_agent_of_the_same_directory_does_not_start() {
    let agent = Agent::start(|_| {});
    let environment = complete_environment(&agent.place);
    let output = run_agent(&[], &environment, agent.place.root());
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.contains("state") && text.contains(&agent.id().to_string()),
        "{text}"
    );
    assert_eq!(agent.get("/status").status, 200);
}

#[test]
fn no_secret_of_a_request_is_in_a_file_in_clear_while_it_runs_or_afterwards() {
    let agent = Agent::start(|_| {});
    let secrets = ["first-secret-value", "second-secret-value", "third-secret-value"];
    let body = backup("job", &file_store(&agent.place))
        .with("/backup/password", secrets[0])
        .with("/encryption_key", secrets[1])
        .with("/backup/parameters", json!([{"token": secrets[2]}]));
    agent.place.hold(Kind::Backup, "job", "backup");
    agent.accept(Kind::Backup, &body);
    agent.place.wait_held(Kind::Backup, "job", "backup");
    let running = all_bytes(&agent.place.path("state"));
    assert!(holds(&running, "db.example"), "the records are here");
    agent.place.release(Kind::Backup, "job", "backup");
    agent.finished(Kind::Backup, "job");
    let finished = all_bytes(&agent.place.path("state"));
    for secret in secrets {
        assert!(!holds(&running, secret), "{secret} while it runs");
        assert!(!holds(&finished, secret), "{secret} afterwards");
    }
}

#[test]
fn secrets_that_scripts_print_are_hidden() {
    let agent = Agent::start(|_| {});
    agent.place.script(
        "backup",
        r#"echo "login with $BACKUP_AGENT_PASSWORD"; printf '%s' "${BACKUP_AGENT_PASSWORD:0:5}" >&2; sleep 0.2
        printf '%s\n' "${BACKUP_AGENT_PASSWORD:5}" >&2; echo x >"$BACKUP_AGENT_FILE""#,
    );
    let body = backup("job", &file_store(&agent.place)).with("/backup/password", "a-long-password");
    let job = agent.succeed(Kind::Backup, &body);
    assert_eq!(job["backup_log"], "login with <redacted>\n");
    assert_eq!(job["backup_errorlog"], "<redacted>\n");
}

#[test]
fn a_damaged_record_is_kept_aside_and_told_of() {
    let mut agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    agent.succeed(Kind::Backup, &backup("good", &store));
    agent.place.hold(Kind::Backup, "job", "backup");
    agent.accept(Kind::Backup, &backup("job", &store));
    agent.place.wait_held(Kind::Backup, "job", "backup");
    agent.die();
    let record = agent.place.path("state/open/backup.job");
    let mut bytes = fs::read(&record).expect("the record is there");
    bytes[20] ^= 1;
    fs::write(&record, bytes).expect("it is ours");
    agent.start_again();
    let status = agent.get("/status").json();
    assert!(status["problems"].to_string().contains("backup"), "{status}");
    assert!(agent.log().contains("ERROR"), "{}", agent.log());
    assert_eq!(agent.job(Kind::Backup, "good")["status"], "SUCCEEDED");
    let aside = fs::read_dir(agent.place.path("state/damaged"))
        .expect("it is there")
        .count();
    assert_eq!(aside, 1);
}

#[test]
fn a_directory_that_vanishes_is_made_again_from_memory() {
    let mut agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    agent.place.hold(Kind::Backup, "job", "backup");
    agent.accept(Kind::Backup, &backup("job", &store));
    agent.place.wait_held(Kind::Backup, "job", "backup");
    fs::remove_dir_all(agent.place.path("state")).expect("it is ours");
    agent.succeed(Kind::Backup, &backup("other", &store));
    agent.wait_for_log("ERROR");
    agent.die_and_start_again();
    let job = agent.finished(Kind::Backup, "job");
    assert_eq!(
        (&job["outcome"], &job["lock_released"]),
        (&json!("interrupted"), &json!(true)),
        "{job}"
    );
    assert_eq!(agent.job(Kind::Backup, "other")["status"], "SUCCEEDED");
}

#[test]
fn of_the_finished_jobs_the_latest_are_kept_as_many_as_may_be() {
    let agent = Agent::start(|env| {
        env.set("max_finished_jobs", "3");
    });
    let store = file_store(&agent.place);
    for number in 0..5 {
        agent.succeed(Kind::Backup, &backup(&format!("job-{number}"), &store));
    }
    let known: Vec<u16> = (0..5)
        .map(|number| agent.get(&format!("/backup/job-{number}")).status)
        .collect();
    assert_eq!(known, [404, 404, 200, 200, 200]);
}

#[test]
fn a_full_disk_refuses_new_jobs_and_unlocks_those_at_work() {
    let Some(mount) = Tmpfs::new("512k") else {
        return leave_out("the full disk", "no file system can be mounted here");
    };
    let agent = Agent::start(|env| {
        env.set("state_directory", mount.path().join("state"));
    });
    let store = file_store(&agent.place);
    // More than what is left of a block.
    let work = r#"head -c 60000 /dev/zero | tr '\0' x; echo x >"$BACKUP_AGENT_FILE""#;
    agent.place.script("backup", work);
    agent.place.hold(Kind::Backup, "job", "backup");
    agent.accept(Kind::Backup, &backup("job", &store));
    agent.place.wait_held(Kind::Backup, "job", "backup");
    let filler = mount.fill();
    let refused = agent.request(Kind::Backup, &backup("refused", &store));
    assert_eq!(refused.status, 507, "{}", refused.text());
    assert!(refused.text().contains("space"), "{}", refused.text());
    agent.place.release(Kind::Backup, "job", "backup");
    let job = agent.finished(Kind::Backup, "job");
    assert_eq!(
        (&job["outcome"], &job["lock_released"]),
        (&json!("failed"), &json!(true)),
        "{job}"
    );
    fs::remove_file(filler).expect("it is ours");
    agent.succeed(Kind::Backup, &backup("refused", &store));
}

#[test]
fn a_directory_that_becomes_read_only_refuses_new_jobs_and_unlocks_those_at_work() {
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    let state = place.path().join("state");
    let mut agent = Agent::start(|env| {
        env.set("state_directory", &state);
    });
    let store = file_store(&agent.place);
    agent.succeed(Kind::Backup, &backup("earlier", &store));
    agent.place.hold(Kind::Backup, "job", "backup");
    agent.accept(Kind::Backup, &backup("job", &store));
    agent.place.wait_held(Kind::Backup, "job", "backup");
    let Some(mount) = ReadOnly::over(&state) else {
        return leave_out("the read-only directory", "no file system can be mounted here");
    };
    let refused = agent.request(Kind::Backup, &backup("refused", &store));
    assert_eq!(refused.status, 507, "{}", refused.text());
    assert!(
        refused.text().to_lowercase().contains("read-only"),
        "{}",
        refused.text()
    );
    agent.place.release(Kind::Backup, "job", "backup");
    let job = agent.finished(Kind::Backup, "job");
    assert_eq!(
        (&job["outcome"], &job["lock_released"]),
        (&json!("failed"), &json!(true)),
        "{job}"
    );
    assert_eq!(agent.job(Kind::Backup, "earlier")["status"], "SUCCEEDED");
    agent.die();
    let output = agent.command(&[]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains(&state.display().to_string()) && text.to_lowercase().contains("read-only"),
        "{text}"
    );
    drop(mount);
    agent.start_again();
    // Its end could not be written down: what is known is that it was at work.
    let job = agent.finished(Kind::Backup, "job");
    assert_eq!(
        (&job["outcome"], &job["lock_released"]),
        (&json!("interrupted"), &json!(true)),
        "{job}"
    );
    assert_eq!(agent.job(Kind::Backup, "earlier")["status"], "SUCCEEDED");
    agent.succeed(Kind::Backup, &backup("refused", &store));
}
