//! When a script has ended, and what may outlive it.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::{Agent, Fault, Kind, S3Server, backup, file_store, processes_with, send_signal, wait_until};

#[test]
fn a_lock_held_in_the_background_is_still_held_while_the_upload_runs() {
    let (agent, store) = (Agent::start(|_| {}), S3Server::start());
    // The session says a lot after its script has ended: nobody listens, but it must not block on it.
    agent.place.script(
        "pre-backup-lock",
        r#"
        {
          while kill -0 $$ 2>/dev/null; do sleep 0.01; done
          i=0
          while [ -d "$trace" ] && [ ! -e "$trace/unlock" ]; do
            i=$((i + 1))
            head -c 200000 /dev/zero; head -c 200000 /dev/zero >&2
            echo "$i" >"$trace/beats.new" && mv "$trace/beats.new" "$trace/beats"
            sleep 0.02
          done
          touch "$trace/session-ended"
        } &
        echo locked
        "#,
    );
    agent.place.script("post-backup-unlock", r#"touch "$trace/unlock""#);
    store.fault("PUT", 1, Fault::Hold);
    agent.accept(Kind::Backup, &backup("job", &store.destination()));
    store.wait_for_request("PUT");
    let job = agent.job(Kind::Backup, "job");
    assert_eq!(job["state"], "backup", "the lock phase ended when its script did");
    let beats = || -> u32 {
        let text = fs::read_to_string(agent.place.path("trace/beats")).unwrap_or_default();
        text.trim().parse().unwrap_or_default()
    };
    let before = beats();
    wait_until("the session goes on", || beats() > before + 10);
    store.release();
    let job = agent.finished(Kind::Backup, "job");
    assert_eq!(job["status"], "SUCCEEDED", "{job}");
    let log = job["pre_backup_lock_log"].as_str().unwrap_or_default();
    assert!(log.starts_with("locked\n"), "what the script itself said is kept");
    wait_until("the session ends with the unlock", || {
        agent.place.path("trace/session-ended").exists()
    });
}

#[test]
fn a_script_that_is_stopped_for_a_while_is_waited_for() {
    let agent = Agent::start(|_| {});
    agent.place.hold(Kind::Backup, "job", "pre-backup-check");
    agent.accept(Kind::Backup, &backup("job", &file_store(&agent.place)));
    agent.place.wait_held(Kind::Backup, "job", "pre-backup-check");
    let mark = "BACKUP_AGENT_PHASE=pre-backup-check";
    let scripts: Vec<i32> = processes_with(mark)
        .into_iter()
        .filter(|id| processes_with(&format!("E2E_PLACE={}", agent.place.root().display())).contains(id))
        .collect();
    for id in &scripts {
        send_signal(*id, Signal::SIGSTOP);
    }
    agent.place.release(Kind::Backup, "job", "pre-backup-check");
    let job = agent.job(Kind::Backup, "job");
    assert_eq!(
        (&job["status"], &job["state"]),
        (&json!("RUNNING"), &json!("pre-backup-check"))
    );
    for id in &scripts {
        send_signal(*id, Signal::SIGCONT);
    }
    assert_eq!(agent.finished(Kind::Backup, "job")["status"], "SUCCEEDED");
}

#[test]
fn what_a_script_leaves_behind_is_not_waited_for() {
    let agent = Agent::start(|_| {});
    agent.place.script(
        "backup",
        r#"printf x >"$BACKUP_AGENT_FILE"; (while [ -d "$trace" ] && [ ! -e "$trace/end" ]; do sleep 0.02; done; touch "$trace/ended") &"#,
    );
    let job = agent.succeed(Kind::Backup, &backup("job", &file_store(&agent.place)));
    assert_eq!(job["state"], "finished");
    // It is still alive after the job, and nobody has ended it.
    assert!(!agent.place.path("trace/ended").exists());
    agent.place.write("trace/end", "");
    wait_until("the process ends by itself", || {
        agent.place.path("trace/ended").exists()
    });
}

#[test]
fn a_script_that_closes_its_output_is_waited_for_and_one_that_dies_is_not() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    agent.place.script(
        "pre-backup-check",
        r#"exec >&- 2>&-; touch "$trace/closed"; while [ -d "$trace" ] && [ ! -e "$trace/go" ]; do sleep 0.02; done; exit 3"#,
    );
    agent.accept(Kind::Backup, &backup("closed", &store));
    wait_until("the script has closed its output", || {
        agent.place.path("trace/closed").exists()
    });
    assert_eq!(agent.job(Kind::Backup, "closed")["state"], "pre-backup-check");
    agent.place.write("trace/go", "");
    let message = agent.finished(Kind::Backup, "closed")["error_message"].to_string();
    assert!(
        message.contains("pre-backup-check") && message.contains('3'),
        "{message}"
    );

    // A child has its output open, but the script itself is dead.
    agent.place.script(
        "pre-backup-check",
        r#"(while [ -d "$trace" ] && [ ! -e "$trace/end" ]; do sleep 0.02; done) & kill -KILL $$"#,
    );
    let (_, message) = agent.fail(Kind::Backup, &backup("dead", &store));
    assert!(message.contains("pre-backup-check"), "{message}");
    agent.place.write("trace/end", "");
}
