//! A real database goes through the agent into a store, is dropped, and comes back: with the script
//! set that this project brings for PostgreSQL.

mod server;

use std::path::Path;

use serde_json::{Value, json};

use self::server::{PASSWORD, Server};
use crate::harness::{
    Agent, Body, Environment, Fault, Kind, Place, S3Server, backup, leave_out, restore, run_agent, wait_until,
};

const ALL_ROWS: &str = "select count(*) || ' ' || md5(string_agg(rows::text, E'\\n' order by id)) from rows";
const LOCKS: &str = "select count(*) from pg_locks where locktype = 'advisory' and granted";

#[test]
fn a_database_of_100_000_rows_is_backed_up_dropped_and_restored() {
    let Some(database) = started() else { return };
    database.sql("postgres", "create database appdb");
    database.sql(
        "appdb",
        "create table rows as select id, md5(id::text) as digest, repeat('ä', id % 7) as text, now() as at \
         from generate_series(1, 100000) as id; \
         alter table rows add primary key (id); create index on rows (digest); \
         create view few as select * from rows where id < 10",
    );
    let before = database.sql("appdb", ALL_ROWS);
    assert!(before.starts_with("100000 "), "{before}");
    let (agent, store) = (agent_for(&database), S3Server::start());

    store.fault("PUT", 1, Fault::Hold);
    agent.accept(
        Kind::Backup,
        &request(&database, backup("job", &store.destination()), Kind::Backup),
    );
    wait_until("the upload begins or the job ends", || {
        agent.job(Kind::Backup, "job")["status"] != "RUNNING"
            || store.requests().iter().any(|line| line.starts_with("PUT"))
    });
    assert_eq!(
        database.sql("postgres", LOCKS),
        "1",
        "{}",
        agent.job(Kind::Backup, "job")
    );
    a_second_agent_finds_the_lock_taken(&database, &store);
    assert_eq!(
        database.sql("postgres", LOCKS),
        "1",
        "who took nothing releases nothing"
    );
    store.release();
    let job = agent.finished(Kind::Backup, "job");
    assert_eq!(job["status"], "SUCCEEDED", "{job}");
    assert_eq!(database.sql("postgres", LOCKS), "0", "the lock is free again");
    assert_nothing_says_the_password(&agent, &job);

    database.sql("postgres", "drop database appdb");
    let filename = job["filename"].as_str().unwrap_or_default();
    let body = restore("job", &store.destination(), filename);
    let job = agent.succeed(Kind::Restore, &request(&database, body, Kind::Restore));
    assert_eq!(database.sql("appdb", ALL_ROWS), before);
    assert_eq!(database.sql("appdb", "select count(*) from few"), "9");
    assert_eq!(database.sql("postgres", LOCKS), "0");
    assert_nothing_says_the_password(&agent, &job);

    // And once more over what is there now.
    database.sql(
        "appdb",
        "delete from rows where id % 2 = 0; update rows set text = 'changed'",
    );
    let body = restore("again", &store.destination(), filename);
    agent.succeed(Kind::Restore, &request(&database, body, Kind::Restore));
    assert_eq!(database.sql("appdb", ALL_ROWS), before);
}

#[test]
fn a_database_that_cannot_be_reached_fails_the_job_and_leaves_no_lock() {
    let Some(database) = started() else { return };
    let (agent, store) = (agent_for(&database), S3Server::start());
    for (id, pointer, value) in [
        ("no-such-database", "/backup/database", "nowhere"),
        ("wrong-password", "/backup/password", "wrong"),
        ("no-such-user", "/backup/user", "nobody-known"),
    ] {
        let body = request(&database, backup(id, &store.destination()), Kind::Backup).with(pointer, value);
        agent.fail(Kind::Backup, &body);
        assert_eq!(database.sql("postgres", LOCKS), "0", "{id}");
    }
    assert_eq!(store.keys(), [""; 0]);
}

#[test]
fn a_damaged_dump_leaves_the_database_as_it_was() {
    let Some(database) = started() else { return };
    database.sql("postgres", "create database appdb");
    database.sql(
        "appdb",
        "create table rows as select id from generate_series(1, 1000) as id",
    );
    let before = database.sql("appdb", ALL_ROWS);
    let (agent, store) = (agent_for(&database), S3Server::start());
    let job = agent.succeed(
        Kind::Backup,
        &request(&database, backup("job", &store.destination()), Kind::Backup),
    );
    let filename = job["filename"].as_str().unwrap_or_default();
    let whole = store.object(filename).expect("it is stored");
    for (id, content) in [
        ("half", &whole[..whole.len() / 2]),
        ("other", b"no dump at all".as_slice()),
    ] {
        store.put("damaged", content);
        let body = restore(id, &store.destination(), "damaged");
        agent.fail(Kind::Restore, &request(&database, body, Kind::Restore));
        assert_eq!(database.sql("appdb", ALL_ROWS), before, "{id}");
        assert_eq!(database.sql("postgres", LOCKS), "0", "{id}");
    }
}

#[test]
fn the_set_passes_the_rehearsal() {
    let Some(database) = started() else { return };
    database.sql("postgres", "create database appdb");
    database.sql(
        "appdb",
        "create table rows as select id, md5(id::text) as digest from generate_series(1, 100000) as id",
    );
    let before = database.sql("appdb", ALL_ROWS);
    let place = Place::without_scripts();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/scripts/postgresql");
    let mut environment = Environment::default();
    environment
        .set("E2E_PLACE", place.root())
        .set("PATH", database.path_variable())
        .set("PG_LOCK_RUN_DIRECTORY", place.path("locks"))
        .set("OSB_DATABASE_PASSWORD", PASSWORD)
        .set("scripts_path", scripts);
    let port = format!("PGPORT={}", database.port());
    let mut arguments = vec![
        "check-scripts",
        "--host",
        "127.0.0.1",
        "--database",
        "appdb",
        "--user",
        "postgres",
    ];
    arguments.extend(["--yes", "--json", "--parameter", &port]);
    let run_as = database.other_user().map(|user| format!("RUN_AS={user}"));
    if let Some(run_as) = &run_as {
        arguments.extend(["--parameter", run_as]);
    }
    let output = run_agent(&arguments, &environment, place.root());
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    let rules = report["rules"].as_array().expect("rules");
    let is_bad = |rule: &&Value| rule["result"] == "hint" || rule["result"] == "broken";
    assert_eq!(rules.iter().filter(is_bad).count(), 0, "{report:#}");
    assert_eq!(database.sql("appdb", ALL_ROWS), before);
    assert_eq!(database.sql("postgres", LOCKS), "0");
    assert!(!format!("{output:?}").contains(PASSWORD), "{output:?}");
}

/// Two agents know nothing of each other; the lock is the database's.
fn a_second_agent_finds_the_lock_taken(database: &Server, store: &S3Server) {
    let second = agent_for(database);
    let body = request(database, backup("second", &store.destination()), Kind::Backup);
    let (job, message) = second.fail(Kind::Backup, &body);
    assert!(
        message.contains("pre-backup-lock") && message.contains("75"),
        "{message}"
    );
    assert_eq!(job["post_backup_unlock_log"], "", "the unlock did not run");
}

fn agent_for(database: &Server) -> Agent {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/scripts/postgresql");
    let place = Place::without_scripts();
    let run_directory = place.path("locks");
    Agent::start_in(place, |env| {
        env.set("scripts_path", scripts)
            .set("PATH", database.path_variable())
            .set("PG_LOCK_RUN_DIRECTORY", run_directory);
    })
}

/// The request, for the database `appdb` of this server; as root the tools run as its own user.
fn request(database: &Server, body: Value, kind: Kind) -> Value {
    let mut parameters = vec![json!({"PGPORT": database.port()})];
    if let Some(user) = database.other_user() {
        parameters.push(json!({"RUN_AS": user}));
    }
    let service = json!({"host": "127.0.0.1", "user": "postgres", "password": PASSWORD, "database": "appdb",
        "parameters": parameters});
    body.with(&format!("/{}", kind.name()), service)
}

#[track_caller]
fn assert_nothing_says_the_password(agent: &Agent, job: &Value) {
    let said = format!("{job}{}", agent.log());
    assert!(!said.contains(PASSWORD), "{said}");
}

fn started() -> Option<Server> {
    let server = Server::start();
    if server.is_none() {
        leave_out("backup and restore of a real database", "PostgreSQL is not installed");
    }
    server
}
