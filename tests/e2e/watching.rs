//! What a person who waits is told: how far a job has come, how each phase went, how long the service was
//! locked; news as soon as there are some; and the list of all jobs.

use serde_json::{Value, json};

use crate::harness::{Agent, Body, Kind, S3Server, backup, file_store, restore, start, wait_for};

const MIB: usize = 1024 * 1024;

/// Names and statuses of a job's phases.
fn phases(job: &Value) -> Vec<(&str, &str)> {
    let all = job["phases"].as_array().expect("phases are told");
    all.iter()
        .map(|phase| {
            (
                phase["name"].as_str().unwrap_or_default(),
                phase["status"].as_str().unwrap_or_default(),
            )
        })
        .collect()
}

#[test]
fn each_phase_is_told_from_the_first_moment_to_after_a_restart() {
    let mut agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    agent.place.hold(Kind::Backup, "job", "pre-backup-check");
    agent.accept(Kind::Backup, &backup("job", &store));
    agent.place.wait_held(Kind::Backup, "job", "pre-backup-check");
    let job = agent.job(Kind::Backup, "job");
    assert_eq!(
        phases(&job),
        [
            ("pre-backup-lock", "succeeded"),
            ("pre-backup-check", "running"),
            ("backup", "waiting"),
            ("backup-cleanup", "waiting"),
            ("post-backup-unlock", "waiting"),
        ]
    );
    assert_eq!(job["progress"], json!({"phase": "pre-backup-check", "step": "script"}));
    assert!(job["locked_since"].is_string() && job["lock_held_ms"].is_u64(), "{job}");
    agent.place.release(Kind::Backup, "job", "pre-backup-check");

    let job = agent.finished(Kind::Backup, "job");
    assert!(phases(&job).iter().all(|(_, status)| *status == "succeeded"), "{job}");
    for phase in job["phases"].as_array().into_iter().flatten() {
        assert_eq!(
            (&phase["exit_code"], &phase["timed_out"]),
            (&json!(0), &json!(false)),
            "{phase}"
        );
        assert!(
            phase["duration_ms"].is_u64() && phase["ended_at"].is_string(),
            "{phase}"
        );
    }
    assert!(
        job["lock_held_ms"].is_u64() && job.get("locked_since").is_none(),
        "{job}"
    );
    assert!(job.get("progress").is_none(), "{job}");
    let text = agent.get("/backup/job").text();
    agent.die_and_start_again();
    assert_eq!(agent.get("/backup/job").text(), text);
}

#[test]
fn a_failed_phase_tells_how_its_script_ended() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    for (id, how, member, value) in [
        ("exits", "exit 3", "exit_code", 3),
        ("killed", "kill TERM", "signal", 15),
    ] {
        let body = backup(id, &store).with("/backup/parameters", json!([{"FAIL_pre_backup_check": how}]));
        let (job, _) = agent.fail(Kind::Backup, &body);
        assert_eq!(
            phases(&job)[1..3],
            [("pre-backup-check", "failed"), ("backup", "skipped")]
        );
        assert_eq!(job["phases"][1][member], value, "{job}");
    }
}

#[test]
fn what_a_script_writes_is_told_while_it_is_at_work() {
    let agent = Agent::start(|_| {});
    let work = r#"echo begun; echo hm >&2; until [ -e "$trace/go" ]; do sleep 0.02; done; echo done"#;
    agent.place.script("pre-backup-lock", work);
    agent.accept(Kind::Backup, &backup("job", &file_store(&agent.place)));
    let log = |job: &Value| job["pre_backup_lock_log"].as_str().unwrap_or_default().to_owned();
    wait_for("the first line is told", || {
        let job = agent.job(Kind::Backup, "job");
        assert_eq!(job["status"], "RUNNING", "{job}");
        (log(&job) == "begun\n" && job["pre_backup_lock_errorlog"] == "hm\n").then_some(())
    });
    agent.place.write("trace/go", "");
    assert_eq!(log(&agent.finished(Kind::Backup, "job")), "begun\ndone\n");
}

#[test]
fn the_length_of_a_growing_artifact_is_told() {
    let agent = Agent::start(|_| {});
    let work = r#"head -c 1234567 /dev/zero >"$BACKUP_AGENT_FILE"; until [ -e "$trace/go" ]; do sleep 0.02; done"#;
    agent.place.script("backup", work);
    agent.accept(Kind::Backup, &backup("job", &file_store(&agent.place)));
    let progress = wait_for("the length is told", || {
        let progress = agent.job(Kind::Backup, "job")["progress"].clone();
        (progress["bytes_done"] == 1_234_567).then_some(progress)
    });
    assert_eq!(
        (&progress["phase"], &progress["step"]),
        (&json!("backup"), &json!("script"))
    );
    assert!(
        progress.get("bytes_total").is_none() && progress.get("eta_seconds").is_none(),
        "{progress}"
    );
    agent.place.write("trace/go", "");
    assert_eq!(agent.finished(Kind::Backup, "job")["status"], "SUCCEEDED");
}

#[test]
fn a_download_tells_how_much_has_come_of_how_much() {
    let (agent, store) = (Agent::start(|_| {}), S3Server::start());
    let size = 4 * MIB;
    store.put("object", &vec![7; size]);
    store.hold_after(i64::try_from(2 * MIB).expect("it fits"));
    agent.accept(Kind::Restore, &restore("job", &store.destination(), "object"));
    let progress = wait_for("a part of it has come", || {
        let progress = agent.job(Kind::Restore, "job")["progress"].clone();
        (progress["bytes_done"].as_u64()? >= MIB as u64).then_some(progress)
    });
    assert_eq!(
        (&progress["phase"], &progress["step"]),
        (&json!("restore"), &json!("download"))
    );
    assert_eq!(progress["bytes_total"], size);
    assert!(progress["bytes_done"].as_u64() <= Some(2 * MIB as u64), "{progress}");
    store.release();
    assert_eq!(agent.finished(Kind::Restore, "job")["status"], "SUCCEEDED");
}

#[test]
fn who_waits_for_news_gets_them_when_the_phase_changes() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    for kind in Kind::ALL {
        let unlock = kind.phases().last().expect("there are phases");
        agent.place.hold(kind, "job", kind.lock());
        agent.place.hold(kind, "job", unlock);
        agent.accept(kind, &start(kind, "job", &store));
        agent.place.wait_held(kind, "job", kind.lock());
        let path = format!("{}/job?wait=60s", kind.route());
        let mut waiting = agent.send("GET", &path, &[&agent.authorization()], b"");
        // Nothing has changed, so this one comes back with its patience alone.
        let in_vain = agent.get(&format!("{}/job?wait=100ms", kind.route())).json();
        assert_eq!(in_vain["state"], kind.lock());
        agent.place.release(kind, "job", kind.lock());
        let news = waiting.receive(false).json();
        assert_ne!(news["state"], kind.lock(), "{news}");
        agent.place.wait_held(kind, "job", unlock);
        let mut waiting = agent.send("GET", &path, &[&agent.authorization()], b"");
        agent.place.release(kind, "job", unlock);
        let news = waiting.receive(false).json();
        assert_eq!(news["state"], "finished", "{news}");
        // At its end there is nothing to wait for.
        assert_eq!(agent.get(&path).json()["state"], "finished");
    }
    assert_eq!(agent.get("/backup/unknown?wait=60s").status, 404);
    assert_eq!(agent.get("/backup/job?wait=soon").status, 400);
}

#[test]
fn those_that_wait_for_their_turn_are_told_their_place() {
    let agent = Agent::start(|environment| {
        environment.set("max_job_number", "1");
    });
    let store = file_store(&agent.place);
    agent.place.hold(Kind::Backup, "a", "pre-backup-lock");
    for id in ["a", "b", "c"] {
        agent.accept(Kind::Backup, &backup(id, &store));
    }
    agent.place.wait_held(Kind::Backup, "a", "pre-backup-lock");
    for (id, position) in [("a", Value::Null), ("b", json!(1)), ("c", json!(2))] {
        assert_eq!(agent.job(Kind::Backup, id)["queue_position"], position, "{id}");
    }
    agent.place.release(Kind::Backup, "a", "pre-backup-lock");
    assert!(agent.finished(Kind::Backup, "c").get("queue_position").is_none());
}

/// The ids of all pages of a list, each page of two.
fn listed(agent: &Agent, filter: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = agent.get(&format!("/jobs?limit=2{filter}{cursor}")).json();
        for job in page["jobs"].as_array().expect("a list") {
            ids.push(format!(
                "{}/{}",
                job["kind"].as_str().unwrap_or("?"),
                job["id"].as_str().unwrap_or("?")
            ));
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

#[test]
fn all_jobs_are_listed_newest_first_by_pages_and_filters() {
    let mut agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    agent.succeed(Kind::Backup, &backup("good", &store));
    let failing = backup("bad", &store)
        .with("/backup/parameters", json!([{"FAIL_backup": "exit 1"}]))
        .with("/backup/database", "other");
    agent.fail(Kind::Backup, &failing);
    agent.place.hold(Kind::Backup, "held", "pre-backup-lock");
    agent.accept(Kind::Backup, &backup("held", &store));
    agent.place.wait_held(Kind::Backup, "held", "pre-backup-lock");

    let all = ["backup/held", "backup/bad", "backup/good"];
    assert_eq!(listed(&agent, ""), all);
    for (filter, expected) in [
        ("&status=RUNNING", &all[..1]),
        ("&status=FAILED", &all[1..2]),
        ("&outcome=succeeded", &all[2..]),
        ("&database=other", &all[1..2]),
        ("&kind=backup", &all[..]),
        ("&kind=restore", &[]),
        ("&since=2018-11-06T17:05:39%2B00:00", &all[..]),
        ("&until=2018-11-06T17:05:39+00:00", &[]),
    ] {
        assert_eq!(listed(&agent, filter), expected, "{filter}");
    }
    let jobs = agent.get("/jobs").json()["jobs"].clone();
    assert_eq!(
        (&jobs[0]["state"], &jobs[0]["unlock_owed"]),
        (&json!("pre-backup-lock"), &json!(false))
    );
    assert!(
        jobs[1]["error_message"].is_string() && jobs[2]["filename"].is_string(),
        "{jobs}"
    );
    assert!(jobs[2]["lock_held_ms"].is_u64(), "{jobs}");
    assert_eq!(agent.get("/jobs?database").status, 200);
    let refused = agent.get("/jobs?databse=other");
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("databse"), "{}", refused.text());

    let finished = |agent: &Agent| agent.get("/jobs?outcome=succeeded").text();
    agent.place.release(Kind::Backup, "held", "pre-backup-lock");
    agent.finished(Kind::Backup, "held");
    let before = finished(&agent);
    agent.die_and_start_again();
    assert_eq!(finished(&agent), before);
    agent.remove(Kind::Backup, "bad");
    assert_eq!(listed(&agent, ""), ["backup/held", "backup/good"]);
}
