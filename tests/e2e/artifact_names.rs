//! What an artifact is called, and how its object is called where that name is taken.

use chrono::Utc;
use serde_json::Value;

use crate::harness::{
    Agent, Body, Fault, Kind, Place, S3Server, backup, complete_environment, file_store, run_agent, wait_until,
};

#[test]
fn the_name_follows_the_chosen_generation() {
    for (setting, form) in [
        ("", "the-host_%Y_%m_%d_the-db.tar.gz"),
        ("seed", "the-host_%Y_%m_%d_the-db.tar.gz"),
        ("latest", "%Y_%m_%d_%H_%M_the-host_the-db.tar.gz"),
    ] {
        let agent = Agent::start(|env| {
            env.set("backup_name", setting);
        });
        // The date is one of those between the beginning and the end of the job, in UTC.
        let before = Utc::now().format(form).to_string();
        let filename = name_of(&agent.succeed(Kind::Backup, &named(&agent, "job")));
        let after = Utc::now().format(form).to_string();
        assert!(
            [&before, &after].contains(&&filename),
            "{setting:?}: {filename} is neither {before} nor {after}"
        );
        assert!(agent.place.object(&filename).is_some(), "{filename}");
    }
}

#[test]
fn a_pattern_is_filled_in() {
    for (pattern, before, after) in [
        ("{id}-{database}-of-{host}.tar.gz", "job-the-db-of-the-host.tar.gz", ""),
        ("fixed_{date}_{time}_{id}.tar.gz", "fixed_2", "_job.tar.gz"),
        ("{database}{database}.tar.gz", "the-dbthe-db.tar.gz", ""),
    ] {
        let agent = Agent::start(|env| {
            env.set("backup_name", pattern);
        });
        let filename = name_of(&agent.succeed(Kind::Backup, &named(&agent, "job")));
        assert!(
            filename.starts_with(before) && filename.ends_with(after),
            "{pattern}: {filename}"
        );
        assert!(!filename.contains(['{', '}']), "{pattern}: {filename}");
        assert!(agent.place.object(&filename).is_some(), "{filename}");
    }
}

#[test]
fn a_pattern_that_cannot_be_filled_in_is_a_fault_of_the_configuration() {
    for pattern in ["{nope}.tar.gz", "{host", "a/{id}.tar.gz"] {
        let place = Place::new();
        let mut environment = complete_environment(&place);
        environment.set("backup_name", pattern);
        let output = run_agent(&["check-config"], &environment, place.root());
        assert_eq!(output.status.code(), Some(2), "{pattern}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("backup_name"),
            "{pattern}"
        );
    }
}

#[test]
fn an_object_is_never_replaced_but_the_next_gets_a_number() {
    let (agent, s3) = (Agent::start(|_| {}), S3Server::start());
    for (store, destination) in [("S3", s3.destination()), ("FILE", file_store(&agent.place))] {
        let mut names = Vec::new();
        for number in 1..=3 {
            let id = format!("{store}-{number}");
            let body = named(&agent, &id).with("/destination", destination.clone());
            names.push(name_of(&agent.succeed(Kind::Backup, &body)));
        }
        let stem = names[0].strip_suffix(".tar.gz").expect("it has that ending").to_owned();
        assert_eq!(
            names[1..],
            [format!("{stem}_2.tar.gz"), format!("{stem}_3.tar.gz")],
            "{store}"
        );
        for (number, name) in names.iter().enumerate() {
            let content = if store == "S3" {
                s3.object(name)
            } else {
                agent.place.object(name)
            };
            let expected = format!("artifact of backup.{store}-{}", number + 1);
            assert_eq!(content, Some(expected.into_bytes()), "{store}: {name}");
        }
    }
    assert_eq!(
        (s3.keys().len(), agent.place.object_names().len()),
        (3, 3),
        "each job writes one object"
    );
}

#[test]
fn permission_to_delete_files_is_not_permission_to_replace_objects() {
    let (agent, s3) = (
        Agent::start(|env| {
            env.set("allowed_to_delete_files", "true");
        }),
        S3Server::start(),
    );
    for destination in [s3.destination(), file_store(&agent.place)] {
        for id in ["one", "two"] {
            let id = format!("{id}-{}", destination["type"].as_str().unwrap_or_default());
            agent.succeed(
                Kind::Backup,
                &named(&agent, &id).with("/destination", destination.clone()),
            );
        }
    }
    assert_eq!((s3.keys().len(), agent.place.object_names().len()), (2, 2));
}

#[test]
fn the_number_stands_behind_the_generated_name_or_before_the_last_ending() {
    let agent = Agent::start(|_| {});
    let place = &agent.place;
    for (row, (file, second)) in [
        ("${BACKUP_AGENT_NAME}.dump", "@_2.dump"),
        ("${BACKUP_AGENT_NAME}.sql.zst", "@_2.sql.zst"),
        ("${BACKUP_AGENT_NAME}-part.tar", "@_2-part.tar"),
        ("${BACKUP_AGENT_NAME}", "@_2"),
        ("dump.sql", "dump_2.sql"),
        ("dump.tar.gz", "dump.tar_2.gz"),
        ("dump", "dump_2"),
    ]
    .into_iter()
    .enumerate()
    {
        place.script("backup", &in_own_directory(&format!("printf x >\"$own/{file}\"")));
        let database = format!("db-{row}");
        let run = |id: String| {
            name_of(&agent.succeed(
                Kind::Backup,
                &named(&agent, &id).with("/backup/database", database.clone()),
            ))
        };
        let first = run(format!("first-{row}"));
        let generated = place.environment(Kind::Backup, &format!("first-{row}"), "backup")["BACKUP_AGENT_NAME"].clone();
        assert_eq!(
            first,
            file.replace("${BACKUP_AGENT_NAME}", &generated),
            "the first is named after its file"
        );
        assert_eq!(run(format!("second-{row}")), second.replace('@', &generated), "{file}");
    }
}

#[test]
fn two_jobs_at_once_never_write_the_same_object() {
    let (agent, s3) = (Agent::start(|_| {}), S3Server::start());
    agent.place.script(
        "backup",
        &in_own_directory("printf 'of %s' \"$job\" >\"$own/dump.tar\""),
    );
    s3.fault("PUT", 9, Fault::Hold);
    for id in ["one", "two", "three"] {
        agent.accept(Kind::Backup, &backup(id, &s3.destination()));
    }
    wait_until("all three are in their transfer", || {
        ["one", "two", "three"]
            .iter()
            .all(|id| agent.place.ran(Kind::Backup, id).len() == 3 && agent.job(Kind::Backup, id)["state"] == "backup")
    });
    s3.wait_for_request("PUT");
    s3.release();
    let mut names = Vec::new();
    for id in ["one", "two", "three"] {
        let job = agent.finished(Kind::Backup, id);
        assert_eq!(job["status"], "SUCCEEDED", "{job}");
        let name = name_of(&job);
        assert_eq!(s3.object(&name), Some(format!("of backup.{id}").into_bytes()), "{name}");
        names.push(name);
    }
    names.sort();
    assert_eq!(names, ["dump.tar", "dump_2.tar", "dump_3.tar"]);
    assert_eq!(s3.keys(), names);
}

#[test]
fn many_jobs_at_once_never_write_the_same_file() {
    let agent = Agent::start(|_| {});
    agent.place.script(
        "backup",
        &in_own_directory("printf 'of %s' \"$job\" >\"$own/dump.tar\""),
    );
    let ids: Vec<String> = (1..=8).map(|number| format!("job-{number}")).collect();
    for id in &ids {
        agent.accept(Kind::Backup, &backup(id, &file_store(&agent.place)));
    }
    let mut names = Vec::new();
    for id in &ids {
        let job = agent.finished(Kind::Backup, id);
        assert_eq!(job["status"], "SUCCEEDED", "{job}");
        assert_eq!(
            agent.place.object(&name_of(&job)),
            Some(format!("of backup.{id}").into_bytes()),
            "{job}"
        );
        names.push(name_of(&job));
    }
    names.sort();
    assert_eq!(agent.place.object_names(), names);
    assert_eq!((names[0].as_str(), names[7].as_str()), ("dump.tar", "dump_8.tar"));
}

#[test]
fn an_object_that_somebody_else_writes_meanwhile_is_not_replaced() {
    let (agent, s3) = (Agent::start(|_| {}), S3Server::start());
    for (id, bytes) in [("small", 1_000), ("in-parts", 12_000_000)] {
        agent
            .place
            .script("backup", &format!("head -c {bytes} /dev/zero >\"$BACKUP_AGENT_FILE\""));
        let before = s3.requests().len();
        s3.fault("PUT", 1, Fault::Hold);
        agent.accept(Kind::Backup, &backup(id, &s3.destination()));
        wait_until("the upload has begun", || {
            s3.requests()[before..].iter().any(|line| line.starts_with("PUT"))
        });
        let name = format!(
            "{}.tar.gz",
            agent.place.environment(Kind::Backup, id, "backup")["BACKUP_AGENT_NAME"]
        );
        s3.put(&name, b"of somebody else");
        s3.release();
        let job = agent.finished(Kind::Backup, id);
        let is_there = s3.object(&name).is_some_and(|content| content == b"of somebody else");
        assert!(is_there, "{id}: the object of somebody else was replaced: {job}");
        if job["status"] == "SUCCEEDED" {
            assert_eq!(
                s3.object(&name_of(&job)).map(|content| content.len()),
                Some(bytes),
                "{id}: {job}"
            );
        }
        assert_eq!(s3.leftovers(), [""; 0], "{id}: {job}");
    }
}

#[test]
fn a_prefix_is_part_of_the_key_and_never_of_the_name() {
    let (agent, s3) = (Agent::start(|_| {}), S3Server::start());
    for (row, prefix) in ["", "a/", "a/b/", "a/b-", "5be2f5d5c9e77c0001a1b2c3/", "a b/ü+&/"]
        .iter()
        .enumerate()
    {
        let destination = s3.destination().with("/filenamePrefix", *prefix);
        let job = agent.succeed(
            Kind::Backup,
            &named(&agent, &format!("job-{row}")).with("/destination", destination),
        );
        let name = name_of(&job);
        assert_eq!(job["filenamePrefix"], *prefix);
        // Under another prefix the name is free.
        assert!(
            name.ends_with("_the-db.tar.gz") && name.starts_with("the-host_"),
            "{prefix:?}: {name}"
        );
        let key = format!("{prefix}{name}");
        assert!(s3.object(&key).is_some(), "{key} is not in {:?}", s3.keys());
    }
    let destination = s3.destination().with("/filenamePrefix", "a/b-");
    let job = agent.succeed(Kind::Backup, &named(&agent, "again").with("/destination", destination));
    assert!(name_of(&job).ends_with("_the-db_2.tar.gz"), "{job}");
    assert!(
        s3.object(&format!("a/b-{}", name_of(&job))).is_some(),
        "{:?}",
        s3.keys()
    );
}

/// A backup with a host and a database of its own name, always the same.
fn named(agent: &Agent, id: &str) -> Value {
    backup(id, &file_store(&agent.place))
        .with("/backup/host", "the-host")
        .with("/backup/database", "the-db")
}

fn name_of(job: &Value) -> String {
    job["filename"].as_str().unwrap_or_default().to_owned()
}

/// A script that makes the job's own directory, as 0.1.x scripts do, and works in it.
fn in_own_directory(work: &str) -> String {
    format!("own=\"$directory_backup/$BACKUP_AGENT_JOB_ID\"; mkdir \"$own\"; {work}")
}
