//! Unlocks that are owed, and what people do about them on the machine.

use serde_json::json;

use crate::harness::{Agent, Body, Environment, Kind, backup, file_store, start, wait_until};

/// An unlock that fails until the test says otherwise.
const UNLOCK: &str = r#"[ "$BACKUP_AGENT_JOB_ID" != job ] || [ ! -e "$trace/stuck" ]"#;

/// An agent with a job of this kind that owes an unlock.
fn with_owed_unlock(kind: Kind, configure: impl FnOnce(&mut Environment)) -> Agent {
    let agent = Agent::start(configure);
    agent.place.write("store/objects/object", "content");
    agent.place.write("trace/stuck", "");
    agent.place.script(kind.unlock(), UNLOCK);
    let (job, message) = agent.fail(kind, &start(kind, "job", &file_store(&agent.place)));
    assert!(message.starts_with("THE LOCK WAS NOT RELEASED"), "{message}");
    assert_eq!(
        (&job["outcome"], &job["lock_released"]),
        (&json!("failed"), &json!(false)),
        "{job}"
    );
    agent
}

fn unstick(agent: &Agent) {
    std::fs::remove_file(agent.place.path("trace/stuck")).expect("it is stuck");
}

fn text(output: &std::process::Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn an_unlock_is_tried_again_before_the_job_ends() {
    let agent = Agent::start(|env| {
        env.set("unlock_retries", "2");
    });
    agent.place.script(
        "post-backup-unlock",
        r#"[ "$(grep -c post-backup-unlock "$trace/$job.ran")" -ge 2 ]"#,
    );
    let job = agent.succeed(Kind::Backup, &backup("job", &file_store(&agent.place)));
    assert_eq!(job["lock_released"], true);
}

#[test]
fn nothing_else_of_a_locked_database_starts_until_the_agent_that_is_started_again_has_unlocked_it() {
    for kind in Kind::ALL {
        let mut agent = with_owed_unlock(kind, |_| {});
        let store = file_store(&agent.place);
        let next = backup("next", &store).with("/backup/database", "job");
        agent.accept(Kind::Backup, &next);
        agent.accept(Kind::Backup, &backup("other", &store));
        assert_eq!(agent.finished(Kind::Backup, "other")["outcome"], "succeeded");
        assert_eq!(agent.job(Kind::Backup, "next")["state"], "queued");
        assert_eq!(agent.remove(kind, "job").status, 409, "its unlock is owed");
        let status = agent.get("/status").json();
        assert!(status["problems"].to_string().contains("job"), "{status}");
        agent.die_and_start_again();
        assert_eq!(agent.job(kind, "job")["lock_released"], false);
        assert_eq!(agent.job(Kind::Backup, "next")["state"], "queued");
        agent.die();
        unstick(&agent);
        agent.start_again();
        wait_until("the lock is released", || {
            agent.job(kind, "job")["lock_released"] == true
        });
        assert_eq!(agent.finished(Kind::Backup, "next")["outcome"], "succeeded", "{kind:?}");
    }
}

#[test]
fn a_cancel_gives_an_owed_unlock_up() {
    let agent = with_owed_unlock(Kind::Backup, |_| {});
    let next = backup("next", &file_store(&agent.place)).with("/backup/database", "job");
    agent.accept(Kind::Backup, &next);
    assert_eq!(agent.cancel(Kind::Backup, "job").status, 202);
    assert_eq!(agent.job(Kind::Backup, "job")["lock_released"], false);
    unstick(&agent);
    assert_eq!(agent.finished(Kind::Backup, "next")["outcome"], "succeeded");
    assert_eq!(agent.cancel(Kind::Backup, "job").status, 409);
    assert_eq!(agent.remove(Kind::Backup, "job").status, 200);
}

#[test]
fn people_see_and_release_a_lock_while_the_agent_runs() {
    let agent = with_owed_unlock(Kind::Backup, |_| {});
    let jobs = agent.command(&["jobs"]);
    let shown = text(&jobs);
    assert!(jobs.status.success(), "{shown}");
    for part in [
        "backup job",
        "unlock owed",
        "LOCKED since",
        "database job",
        "THE LOCK WAS NOT RELEASED",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let refused = agent.command(&["unlock", "backup", "job"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains("exit code 1"), "{}", text(&refused));
    unstick(&agent);
    let done = agent.command(&["unlock", "backup", "job"]);
    assert!(done.status.success(), "{}", text(&done));
    assert_eq!(agent.job(Kind::Backup, "job")["lock_released"], true);
    let again = agent.command(&["unlock", "backup", "job"]);
    assert_eq!(again.status.code(), Some(1), "{}", text(&again));
    assert!(text(&again).contains("no unlock is owed"), "{}", text(&again));
    let unknown = agent.command(&["unlock", "backup", "unknown"]);
    assert!(text(&unknown).contains("no such job"), "{}", text(&unknown));
}

#[test]
fn people_see_and_release_locks_when_no_agent_runs() {
    let mut agent = with_owed_unlock(Kind::Backup, |_| {});
    agent.place.hold(Kind::Backup, "held", "backup");
    agent.accept(Kind::Backup, &backup("held", &file_store(&agent.place)));
    agent.place.wait_held(Kind::Backup, "held", "backup");
    agent.die();
    let shown = text(&agent.command(&["jobs"]));
    for part in ["No agent runs", "backup job", "backup held", "LOCKED since"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    unstick(&agent);
    for id in ["job", "held"] {
        let done = agent.command(&["unlock", "backup", id]);
        assert!(done.status.success(), "{id}: {}", text(&done));
    }
    let shown = text(&agent.command(&["jobs"]));
    assert!(shown.contains("no unlock is owed"), "{shown}");
    agent.start_again();
    for (id, outcome) in [("job", "failed"), ("held", "interrupted")] {
        let job = agent.job(Kind::Backup, id);
        assert_eq!(
            (&job["outcome"], &job["lock_released"]),
            (&json!(outcome), &json!(true)),
            "{job}"
        );
    }
}

#[test]
fn an_owed_unlock_can_be_given_up_by_hand() {
    let agent = with_owed_unlock(Kind::Restore, |_| {});
    let done = agent.command(&["unlock", "restore", "job", "--give-up"]);
    assert!(done.status.success(), "{}", text(&done));
    assert_eq!(agent.job(Kind::Restore, "job")["lock_released"], false);
    let again = agent.command(&["unlock", "restore", "job", "--give-up"]);
    assert_eq!(again.status.code(), Some(1), "{}", text(&again));
}
