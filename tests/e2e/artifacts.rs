//! Which file is the artifact, and what comes back of it.

use serde_json::json;

use crate::harness::{Agent, Body, Kind, S3Server, backup, file_store, restore, wide};

/// What a backup script leaves: how the row is called, what it does, and the artifact's name
/// (`@` stands for the generated name without its ending), or `None` for a failure that says
/// what was seen. `$file` is the generated path, `$own` the job's own directory.
type Row = (
    &'static str,
    &'static str,
    Result<&'static str, &'static [&'static str]>,
);

const ROWS: &[Row] = &[
    ("the generated name", "echo 1 >\"$file\"", Ok("@.tar.gz")),
    (
        "the same in the own directory",
        "mkdir \"$own\"; echo 1 >\"$own/$name.tar.gz\"",
        Ok("@.tar.gz"),
    ),
    (
        "in both places",
        "echo 1 >\"$file\"; mkdir \"$own\"; echo 22 >\"$own/$name.tar.gz\"",
        Ok("@.tar.gz"),
    ),
    (
        "the generated name among others",
        "mkdir \"$own\"; echo 1 >\"$own/$name.tar.gz\"; echo 22 >\"$own/$name.sql\"; echo 22 >\"$own/a\"",
        Ok("@.tar.gz"),
    ),
    (
        "another ending",
        "mkdir \"$own\"; echo 1 >\"$own/$name.dump\"",
        Ok("@.dump"),
    ),
    ("no ending", "mkdir \"$own\"; echo 1 >\"$own/$name\"", Ok("@")),
    (
        "the only one that begins with the name",
        "mkdir \"$own\"; echo 22 >\"$own/a\"; echo 1 >\"$own/$name.dump\"; echo 22 >\"$own/z\"",
        Ok("@.dump"),
    ),
    (
        "the only file of any name",
        "mkdir \"$own\"; echo 1 >\"$own/other.txt\"",
        Ok("other.txt"),
    ),
    (
        "a hidden file does not count",
        "mkdir \"$own\"; echo 22 >\"$own/.hidden\"; echo 1 >\"$own/other.txt\"",
        Ok("other.txt"),
    ),
    (
        "a directory does not count",
        "mkdir \"$own\" \"$own/aaa\"; echo 22 >\"$own/aaa/inner\"; echo 1 >\"$own/other.txt\"",
        Ok("other.txt"),
    ),
    (
        "a link does not count",
        "mkdir \"$own\"; ln -s /etc/passwd \"$own/$name.tar.gz\"; echo 1 >\"$own/other.txt\"",
        Ok("other.txt"),
    ),
    (
        "a pipe does not count",
        "mkdir \"$own\"; mkfifo \"$own/pipe\"; echo 1 >\"$own/other.txt\"",
        Ok("other.txt"),
    ),
    ("nothing", ":", Err(&[])),
    ("an empty directory", "mkdir \"$own\"", Err(&[])),
    (
        "only hidden files",
        "mkdir \"$own\"; echo 1 >\"$own/.hidden\"",
        Err(&[]),
    ),
    ("only a directory", "mkdir \"$own\" \"$own/aaa\"", Err(&[])),
    (
        "only a link",
        "mkdir \"$own\"; ln -s /etc/passwd \"$own/$name.tar.gz\"",
        Err(&[]),
    ),
    ("a link at the generated path", "ln -s /etc/passwd \"$file\"", Err(&[])),
    ("a directory at the generated path", "mkdir \"$file\"", Err(&[])),
    (
        "two of any name",
        "mkdir \"$own\"; echo 1 >\"$own/one.sql\"; echo 1 >\"$own/two.sql\"",
        Err(&["one.sql", "two.sql"]),
    ),
    (
        "two that begin with the name",
        "mkdir \"$own\"; echo 1 >\"$own/$name.a-part\"; echo 1 >\"$own/$name.b-part\"",
        Err(&[".a-part", ".b-part"]),
    ),
    (
        "a file beside the generated path",
        "echo 1 >\"$directory_backup/other.txt\"",
        Err(&[]),
    ),
    ("an empty file", ": >\"$file\"", Err(&[])),
    (
        "an empty file in the own directory",
        "mkdir \"$own\"; : >\"$own/dump\"",
        Err(&[]),
    ),
    ("a file that is gone again", "echo 1 >\"$file\"; rm \"$file\"", Err(&[])),
];

#[test]
fn the_artifact_is_found_by_the_rule_or_the_job_fails_and_says_what_it_saw() {
    let agent = Agent::start(|_| {});
    for (number, (row, work, expected)) in ROWS.iter().enumerate() {
        let id = format!("job-{number}");
        let preamble =
            r#"file="$BACKUP_AGENT_FILE" name="$BACKUP_AGENT_NAME" own="$directory_backup/$BACKUP_AGENT_JOB_ID""#;
        agent.place.script("backup", &format!("{preamble}\n{work}"));
        agent.place.script("backup-cleanup", r#"rm -rf "$directory_backup"/*"#);
        let job = agent.run(Kind::Backup, &backup(&id, &file_store(&agent.place)));
        let message = job["error_message"].as_str().unwrap_or_default();
        let objects = agent.place.object_names();
        match expected {
            Ok(name) => {
                assert_eq!(job["status"], "SUCCEEDED", "{row}: {message}");
                let generated = agent.place.environment(Kind::Backup, &id, "backup")["BACKUP_AGENT_NAME"].clone();
                let name = name.replace('@', &generated);
                assert_eq!(job["filename"], name, "{row}");
                assert_eq!(job["filesize"]["size"], 2, "{row}");
                assert_eq!(objects, [name.as_str()], "{row}");
                assert_eq!(agent.place.object(&name), Some(b"1\n".to_vec()), "{row}");
            }
            Err(seen) => {
                assert_eq!(job["status"], "FAILED", "{row}");
                assert!(!message.is_empty(), "{row}");
                for word in *seen {
                    assert!(message.contains(word), "{row}: {word} is not in {message}");
                }
                assert_eq!(
                    (&job["filename"], &job["filesize"]["size"]),
                    (&json!(""), &json!(0)),
                    "{row}"
                );
                assert_eq!(objects, [""; 0], "{row}");
                assert_eq!(agent.place.ran(Kind::Backup, &id), Kind::Backup.phases(), "{row}");
            }
        }
        for object in objects {
            std::fs::remove_file(agent.place.objects().join(object)).expect("the object is there");
        }
    }
}

#[test]
fn a_file_from_before_the_script_is_not_taken_for_its_artifact() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    agent.place.script("backup-cleanup", "");
    // The lock script runs before the backup script: what it leaves is from before.
    let old = r#"echo old >"$BACKUP_AGENT_FILE"; mkdir "$directory_backup/$BACKUP_AGENT_JOB_ID""#;
    for (id, lock, work, expected) in [
        ("stale", old, ":", None),
        ("touched-by-nobody", old, "cat \"$BACKUP_AGENT_FILE\"", None),
        ("rewritten", old, "echo newer >\"$BACKUP_AGENT_FILE\"", Some("newer\n")),
        (
            "replaced",
            old,
            "echo new >\"$BACKUP_AGENT_FILE.x\"; mv \"$BACKUP_AGENT_FILE.x\" \"$BACKUP_AGENT_FILE\"",
            Some("new\n"),
        ),
        (
            "appended",
            old,
            "echo more >>\"$BACKUP_AGENT_FILE\"",
            Some("old\nmore\n"),
        ),
        (
            "stale-in-own-directory",
            r#"mkdir "$directory_backup/$BACKUP_AGENT_JOB_ID"; echo old >"$directory_backup/$BACKUP_AGENT_JOB_ID/a""#,
            ":",
            None,
        ),
        (
            "one-stale-and-one-new",
            r#"mkdir "$directory_backup/$BACKUP_AGENT_JOB_ID"; echo old >"$directory_backup/$BACKUP_AGENT_JOB_ID/a""#,
            "echo new >\"$directory_backup/$BACKUP_AGENT_JOB_ID/b\"",
            Some("new\n"),
        ),
    ] {
        agent.place.script("pre-backup-lock", lock);
        agent.place.script("backup", work);
        let job = agent.run(Kind::Backup, &backup(id, &store));
        let stored = job["filename"]
            .as_str()
            .filter(|name| !name.is_empty())
            .and_then(|name| agent.place.object(name));
        assert_eq!(stored, expected.map(|text| text.as_bytes().to_vec()), "{id}: {job}");
        assert_eq!(job["status"] == "SUCCEEDED", expected.is_some(), "{id}: {job}");
    }
}

#[test]
fn the_artifact_of_an_earlier_job_is_not_stored_again() {
    let agent = Agent::start(|_| {});
    agent.place.script("backup-cleanup", "");
    let body = |id: &str| backup(id, &file_store(&agent.place)).with("/backup/database", "shared");
    agent.succeed(Kind::Backup, &body("first"));
    // The dump of the second job dies without a word.
    agent.place.script("backup", "exit 0");
    let (job, _) = agent.fail(Kind::Backup, &body("second"));
    assert_eq!(job["filename"], "");
    assert_eq!(agent.place.object_names().len(), 1);
}

#[test]
fn the_agent_does_not_make_the_jobs_own_directory() {
    let agent = Agent::start(|_| {});
    // A plain mkdir, as in scripts of 0.1.x: it fails if the directory is there.
    agent.place.script(
        "backup",
        r#"set -e; mkdir "$directory_backup/$6"; echo dump >"$directory_backup/$6/$5.tar.gz""#,
    );
    agent.place.script("backup-cleanup", r#"rm -r "$directory_backup/$2""#);
    agent.succeed(Kind::Backup, &backup("job", &file_store(&agent.place)));
    let left = std::fs::read_dir(agent.place.backup())
        .expect("the directory is there")
        .count();
    assert_eq!(left, 0, "nothing of the agent's own stays in directory_backup");
}

#[test]
fn the_artifact_is_the_scripts_to_remove() {
    let agent = Agent::start(|_| {});
    agent.place.script("backup-cleanup", "");
    let job = agent.succeed(Kind::Backup, &backup("job", &file_store(&agent.place)));
    let artifact = agent.place.backup().join(job["filename"].as_str().unwrap_or_default());
    assert_eq!(
        std::fs::read(artifact).expect("it is still there"),
        b"artifact of backup.job"
    );
}

#[test]
fn what_was_backed_up_comes_back_bit_for_bit() {
    let (agent, s3) = (Agent::start(|_| {}), S3Server::start());
    const MIB: usize = 1024 * 1024;
    let narrow = [1, 1000, 6 * MIB + 1];
    let more = [
        5 * MIB - 1,
        5 * MIB,
        5 * MIB + 1,
        8 * MIB,
        16 * MIB,
        16 * MIB + 1,
        21 * MIB - 7,
    ];
    let sizes = narrow.iter().chain(if wide() { more.as_slice() } else { &[] });
    agent.place.script(
        "backup",
        r#"head -c "$bytes" /dev/urandom >"$BACKUP_AGENT_FILE"; sha256sum <"$BACKUP_AGENT_FILE" >"$trace/$bytes.sum""#,
    );
    agent.place.script(
        "restore",
        r#"sha256sum <"$BACKUP_AGENT_FILE" >"$trace/$bytes.restored""#,
    );
    for size in sizes {
        for (store, destination) in [("s3", s3.destination()), ("file", file_store(&agent.place))] {
            let id = format!("{store}-{size}");
            let parameters = json!([{"bytes": size}]);
            let body = backup(&id, &destination).with("/backup/parameters", parameters.clone());
            let job = agent.succeed(Kind::Backup, &body);
            assert_eq!(job["filesize"], json!({"size": size, "unit": "byte"}), "{id}");
            let filename = job["filename"].as_str().unwrap_or_default();
            let body = restore(&id, &destination, filename).with("/restore/parameters", parameters);
            agent.succeed(Kind::Restore, &body);
            let sum = |name: &str| std::fs::read(agent.place.path(&format!("trace/{size}.{name}"))).expect("a sum");
            assert_eq!(sum("sum"), sum("restored"), "{id}");
            let stored = if store == "s3" {
                s3.object(filename)
            } else {
                agent.place.object(filename)
            };
            assert_eq!(stored.map(|content| content.len()), Some(*size), "{id}");
        }
    }
    assert_eq!(s3.leftovers(), [""; 0]);
    assert!(
        agent.place.object_names().iter().all(|name| name.ends_with(".tar.gz")),
        "no temporary files stay"
    );
}
