//! Who waits for whom, who is turned away, and what may be removed.

use std::{collections::BTreeMap, sync::Barrier, thread};

use serde_json::{Value, json};

use crate::{
    harness::{Agent, Body, Kind, Response, backup, file_store, restore, wait_until, wide},
    polling_body::assert_complete,
};

#[test]
fn jobs_of_one_database_run_one_at_a_time_in_order_of_arrival() {
    let agent = Agent::start(|_| {});
    let jobs = [
        (Kind::Backup, "one"),
        (Kind::Backup, "two"),
        (Kind::Restore, "three"),
        (Kind::Backup, "four"),
    ];
    let (_, first) = jobs[0];
    agent.place.hold(Kind::Backup, first, "pre-backup-lock");
    for (kind, id) in jobs {
        agent.accept(kind, &of_database(&agent, kind, id, "shared"));
    }
    agent.place.wait_held(Kind::Backup, first, "pre-backup-lock");
    for (kind, id) in &jobs[1..] {
        let job = agent.job(*kind, id);
        assert_complete(*kind, &job, id);
        assert_eq!(
            (&job["status"], &job["state"]),
            (&json!("RUNNING"), &json!("queued")),
            "{id}"
        );
        assert_eq!(job["message"], format!("{} is running", kind.name()), "{id}");
        assert_ne!(job["start_time"], "", "{id} was accepted");
        assert_eq!(agent.place.ran(*kind, id), [""; 0], "{id}");
    }
    agent.place.release(Kind::Backup, first, "pre-backup-lock");
    let mut expected = Vec::new();
    for (kind, id) in jobs {
        assert_eq!(agent.finished(kind, id)["status"], "SUCCEEDED", "{id}");
        let name = format!("{}.{id}", kind.name());
        expected.extend(kind.phases().iter().map(|phase| (name.clone(), (*phase).to_owned())));
    }
    assert_eq!(agent.place.order(), expected);
}

#[test]
fn jobs_of_another_host_or_another_database_do_not_wait() {
    let agent = Agent::start(|_| {});
    let jobs = [
        ("a", "host-1", "db-1"),
        ("b", "host-1", "db-2"),
        ("c", "host-2", "db-1"),
    ];
    for (id, host, database) in jobs {
        agent.place.hold(Kind::Backup, id, "backup");
        let body = backup(id, &file_store(&agent.place))
            .with("/backup/host", host)
            .with("/backup/database", database);
        agent.accept(Kind::Backup, &body);
    }
    // All three are in their scripts at the same time.
    for (id, _, _) in jobs {
        agent.place.wait_held(Kind::Backup, id, "backup");
    }
    for (id, _, _) in jobs {
        agent.place.release(Kind::Backup, id, "backup");
        assert_eq!(agent.finished(Kind::Backup, id)["status"], "SUCCEEDED", "{id}");
    }
}

#[test]
fn no_more_than_max_job_number_are_at_work_and_those_that_wait_hold_no_place() {
    let agent = Agent::start(|env| {
        env.set("max_job_number", "2");
    });
    for (kind, id) in [(Kind::Backup, "a1"), (Kind::Restore, "b"), (Kind::Backup, "c")] {
        agent.place.hold(kind, id, kind.lock());
    }
    agent.accept(Kind::Backup, &of_database(&agent, Kind::Backup, "a1", "a"));
    agent.accept(Kind::Backup, &of_database(&agent, Kind::Backup, "a2", "a"));
    agent.place.wait_held(Kind::Backup, "a1", "pre-backup-lock");
    // a2 waits for its database and takes no place, so the next one of another database gets it.
    agent.accept(Kind::Restore, &of_database(&agent, Kind::Restore, "b", "b"));
    agent.place.wait_held(Kind::Restore, "b", "pre-restore-lock");
    agent.accept(Kind::Backup, &of_database(&agent, Kind::Backup, "c", "c"));
    assert_eq!(agent.job(Kind::Backup, "a2")["state"], "queued");
    assert_eq!(agent.job(Kind::Backup, "c")["state"], "queued");
    assert_eq!(agent.place.ran(Kind::Backup, "c"), [""; 0]);

    agent.place.release(Kind::Restore, "b", "pre-restore-lock");
    agent.place.wait_held(Kind::Backup, "c", "pre-backup-lock");
    assert_eq!(agent.job(Kind::Backup, "a2")["state"], "queued");
    agent.place.release(Kind::Backup, "c", "pre-backup-lock");
    agent.place.release(Kind::Backup, "a1", "pre-backup-lock");
    for (kind, id) in [
        (Kind::Backup, "a1"),
        (Kind::Backup, "a2"),
        (Kind::Restore, "b"),
        (Kind::Backup, "c"),
    ] {
        assert_eq!(agent.finished(kind, id)["status"], "SUCCEEDED", "{id}");
    }
}

#[test]
fn beyond_max_queued_jobs_a_request_is_429_and_leaves_no_trace() {
    let agent = Agent::start(|env| {
        env.set("max_job_number", "1").set("max_queued_jobs", "2");
    });
    agent.place.hold(Kind::Backup, "busy", "pre-backup-lock");
    agent.accept(Kind::Backup, &of_database(&agent, Kind::Backup, "busy", "busy"));
    agent.place.wait_held(Kind::Backup, "busy", "pre-backup-lock");
    agent.accept(Kind::Backup, &of_database(&agent, Kind::Backup, "waits-1", "other"));
    agent.accept(Kind::Backup, &of_database(&agent, Kind::Backup, "waits-2", "busy"));
    for kind in Kind::ALL {
        let response = agent.request(kind, &of_database(&agent, kind, "refused", "third"));
        assert_full(&response, &format!("{kind:?}"));
        assert_eq!(agent.get(&format!("{}/refused", kind.route())).status, 404, "{kind:?}");
    }
    agent.place.release(Kind::Backup, "busy", "pre-backup-lock");
    for id in ["busy", "waits-1", "waits-2"] {
        assert_eq!(agent.finished(Kind::Backup, id)["status"], "SUCCEEDED", "{id}");
    }
    agent.succeed(Kind::Backup, &of_database(&agent, Kind::Backup, "refused", "third"));
}

#[test]
fn without_a_queue_whatever_cannot_start_at_once_is_429() {
    let agent = Agent::start(|env| {
        env.set("max_job_number", "3").set("max_queued_jobs", "0");
    });
    for (kind, id) in [(Kind::Backup, "backup"), (Kind::Restore, "restore")] {
        agent.place.hold(kind, id, kind.lock());
        agent.accept(kind, &of_database(&agent, kind, id, id));
        agent.place.wait_held(kind, id, kind.lock());
    }
    for (row, kind, database) in [
        ("its database is busy", Kind::Backup, "backup"),
        ("its database is busy with the other kind", Kind::Backup, "restore"),
        ("another restore is at work", Kind::Restore, "free"),
    ] {
        assert_full(
            &agent.request(kind, &of_database(&agent, kind, "refused", database)),
            row,
        );
    }
    agent.place.hold(Kind::Backup, "last", "pre-backup-lock");
    agent.accept(Kind::Backup, &of_database(&agent, Kind::Backup, "last", "free"));
    let body = of_database(&agent, Kind::Backup, "refused", "yet another");
    assert_full(&agent.request(Kind::Backup, &body), "all places are taken");
    for (kind, id) in [
        (Kind::Backup, "backup"),
        (Kind::Restore, "restore"),
        (Kind::Backup, "last"),
    ] {
        agent.place.wait_held(kind, id, kind.lock());
        agent.place.release(kind, id, kind.lock());
        assert_eq!(agent.finished(kind, id)["status"], "SUCCEEDED", "{id}");
    }
    // Whoever reads the end of a job may start the next one.
    agent.succeed(Kind::Backup, &body);
    agent.succeed(
        Kind::Restore,
        &of_database(&agent, Kind::Restore, "refused", "yet another"),
    );
}

#[test]
fn one_restore_is_at_work_at_a_time_unless_more_are_allowed() {
    for (allowed, second) in [("", "queued"), ("1", "queued"), ("2", "pre-restore-lock")] {
        let agent = Agent::start(|env| {
            env.set("concurrent_restores", allowed);
        });
        for id in ["one", "two", "three"] {
            agent.place.hold(Kind::Restore, id, "pre-restore-lock");
        }
        agent.accept(Kind::Restore, &of_database(&agent, Kind::Restore, "one", "one"));
        agent.place.wait_held(Kind::Restore, "one", "pre-restore-lock");
        agent.accept(Kind::Restore, &of_database(&agent, Kind::Restore, "two", "two"));
        if second != "queued" {
            agent.place.wait_held(Kind::Restore, "two", "pre-restore-lock");
        }
        // A backup of another database is not held up, and overtakes.
        agent.succeed(Kind::Backup, &of_database(&agent, Kind::Backup, "backup", "four"));
        agent.accept(Kind::Restore, &of_database(&agent, Kind::Restore, "three", "three"));
        assert_eq!(
            agent.job(Kind::Restore, "two")["state"],
            second,
            "concurrent_restores={allowed:?}"
        );
        assert_eq!(
            agent.job(Kind::Restore, "three")["state"],
            "queued",
            "concurrent_restores={allowed:?}"
        );
        for id in ["one", "two", "three"] {
            agent.place.release(Kind::Restore, id, "pre-restore-lock");
        }
        for id in ["one", "two", "three"] {
            assert_eq!(
                agent.finished(Kind::Restore, id)["status"],
                "SUCCEEDED",
                "{allowed:?} {id}"
            );
        }
    }
}

#[test]
fn an_unfinished_job_cannot_be_removed_whether_it_works_or_waits() {
    let agent = Agent::start(|_| {});
    for kind in Kind::ALL {
        let (works, waits) = (format!("{}-works", kind.name()), format!("{}-waits", kind.name()));
        agent.place.hold(kind, &works, kind.lock());
        for id in [&works, &waits] {
            agent.accept(kind, &of_database(&agent, kind, id, "shared"));
        }
        agent.place.wait_held(kind, &works, kind.lock());
        for (id, state) in [(&works, kind.lock()), (&waits, "queued")] {
            let response = agent.remove(kind, id);
            assert_eq!(response.status, 409, "{id}");
            assert_complete(kind, &response.json(), id);
            assert_eq!(
                (&response.json()["status"], &response.json()["state"]),
                (&json!("RUNNING"), &json!(state))
            );
        }
        agent.place.release(kind, &works, kind.lock());
        for id in [&works, &waits] {
            assert_eq!(agent.finished(kind, id)["status"], "SUCCEEDED", "{id}");
            assert_eq!(agent.remove(kind, id).status, 200, "{id}");
        }
    }
}

#[test]
fn the_id_of_a_removed_job_can_be_used_again() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    for round in 1..=3 {
        let job = agent.succeed(Kind::Backup, &backup("job", &store));
        let name = job["filename"].as_str().unwrap_or_default();
        // The objects of earlier rounds stay where they are.
        assert_eq!(agent.place.object_names().len(), round, "{name}");
        assert_eq!(
            agent.request(Kind::Backup, &backup("job", &store)).status,
            409,
            "round {round}"
        );
        assert_eq!(agent.remove(Kind::Backup, "job").status, 200, "round {round}");
    }
}

#[test]
fn of_many_requests_with_one_id_exactly_one_is_accepted() {
    let agent = Agent::start(|_| {});
    let rounds = if wide() { 50 } else { 6 };
    for round in 0..rounds {
        let id = format!("job-{round}");
        let body = backup(&id, &file_store(&agent.place));
        let barrier = Barrier::new(8);
        let codes: Vec<u16> = thread::scope(|scope| {
            let requests: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        agent.request(Kind::Backup, &body).status
                    })
                })
                .collect();
            requests
                .into_iter()
                .map(|request| request.join().expect("a request does not panic"))
                .collect()
        });
        let count = |code: u16| codes.iter().filter(|got| **got == code).count();
        assert_eq!((count(201), count(409)), (1, 7), "round {round}: {codes:?}");
        assert_eq!(agent.finished(Kind::Backup, &id)["status"], "SUCCEEDED");
        assert_eq!(agent.place.ran(Kind::Backup, &id), Kind::Backup.phases());
    }
}

#[test]
fn starting_and_removing_at_the_same_time_harms_nobody() {
    let agent = Agent::start(|_| {});
    let body = backup("job", &file_store(&agent.place));
    let rounds = if wide() { 200 } else { 20 };
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..rounds {
                let code = agent.request(Kind::Backup, &body).status;
                assert!([201, 409].contains(&code), "{code}");
            }
        });
        scope.spawn(|| {
            for _ in 0..rounds {
                let code = agent.remove(Kind::Backup, "job").status;
                assert!([200, 409, 410].contains(&code), "{code}");
            }
        });
    });
    assert_eq!(agent.get("/status").status, 200);
    wait_until("the last job ends", || {
        let response = agent.get("/backup/job");
        response.status == 404 || response.json()["status"] != "RUNNING"
    });
    let phases: Vec<String> = agent.place.ran(Kind::Backup, "job");
    for run in phases.chunks(Kind::Backup.phases().len()) {
        assert_eq!(run, Kind::Backup.phases(), "no two of these jobs ran at once");
    }
}

#[test]
fn many_jobs_of_few_databases_all_end_and_never_share_a_database() {
    let agent = Agent::start(|env| {
        env.set("max_job_number", "4").set("concurrent_restores", "2");
    });
    let count = if wide() { 60 } else { 18 };
    let jobs: Vec<(Kind, String, String)> = (0..count)
        .map(|number| {
            let kind = if number % 3 == 2 { Kind::Restore } else { Kind::Backup };
            (kind, format!("job-{number}"), format!("db-{}", number % 5))
        })
        .collect();
    for (kind, id, database) in &jobs {
        agent.accept(*kind, &of_database(&agent, *kind, id, database));
    }
    let mut of_databases: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
    for (kind, id, database) in &jobs {
        assert_eq!(agent.finished(*kind, id)["status"], "SUCCEEDED", "{id}");
        let name = format!("{}.{id}", kind.name());
        let expected = of_databases.entry(database).or_default();
        expected.extend(kind.phases().iter().map(|phase| (name.clone(), (*phase).to_owned())));
    }
    let order = agent.place.order();
    for (database, expected) in of_databases {
        let got: Vec<_> = order.iter().filter(|line| expected.contains(line)).cloned().collect();
        assert_eq!(got, expected, "{database}");
    }
}

/// A job of either kind of this database; a restore finds its object.
fn of_database(agent: &Agent, kind: Kind, id: &str, database: &str) -> Value {
    let store = file_store(&agent.place);
    match kind {
        // Each has its own object, as two restores cannot put one file into one place.
        Kind::Restore => {
            agent.place.write(&format!("store/objects/object-{id}"), "content");
            restore(id, &store, &format!("object-{id}")).with("/restore/database", database)
        }
        Kind::Backup => backup(id, &store).with("/backup/database", database),
    }
}

#[track_caller]
fn assert_full(response: &Response, row: &str) {
    assert_eq!(response.status, 429, "{row}: {}", response.text());
    let body = response.json();
    for member in ["message", "state", "error_message"] {
        assert!(
            body[member].as_str().is_some_and(|text| !text.is_empty()),
            "{row}: {member} in {body}"
        );
    }
    assert!(body.get("status").is_none(), "{row}: no polling body: {body}");
}
