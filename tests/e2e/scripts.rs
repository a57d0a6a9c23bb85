//! How scripts are found, started and called.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::{Value, json};

use crate::harness::{Agent, Body, Environment, Kind, Place, backup, file_store, restore, run_agent};

#[test]
fn each_script_gets_the_arguments_of_the_chosen_generation() {
    for mode in ["latest", "seed", "none", ""] {
        let place = Place::new();
        place.write("store/objects/object.tar.gz", "content");
        let agent = Agent::start_in(place, |env| {
            env.set("script_arguments", mode);
        });
        let store = file_store(&agent.place);
        let job = agent.succeed(Kind::Backup, &full(backup("job", &store), Kind::Backup));
        let file = job["filename"].as_str().unwrap_or_default();
        let name = file.strip_suffix(".tar.gz").expect("it has that ending");
        let path = agent.place.backup().join(file).display().to_string();
        let directory = agent.place.restore().display().to_string();
        agent.succeed(
            Kind::Restore,
            &full(restore("job", &store, "object.tar.gz"), Kind::Restore),
        );

        let expected: Vec<(Kind, &str, Vec<&str>)> = match mode {
            "seed" => vec![
                (Kind::Backup, "backup", of_service(&[&path])),
                (Kind::Restore, "restore", of_service(&[&directory, "object.tar.gz"])),
            ],
            "none" => vec![],
            _ => vec![
                (Kind::Backup, "pre-backup-lock", vec!["data base"]),
                (Kind::Backup, "pre-backup-check", vec!["data base"]),
                (Kind::Backup, "backup", of_service(&[name, "job", "true", "the key"])),
                (Kind::Backup, "backup-cleanup", vec!["data base", "job"]),
                (Kind::Backup, "post-backup-unlock", vec!["data base"]),
                (Kind::Restore, "pre-restore-lock", vec!["job"]),
                (
                    Kind::Restore,
                    "restore",
                    of_service(&["object.tar.gz", "job", "true", "the key"]),
                ),
                (Kind::Restore, "restore-cleanup", vec!["job"]),
            ],
        };
        for kind in Kind::ALL {
            for phase in kind.phases() {
                let listed = expected.iter().find(|(_, candidate, _)| candidate == phase);
                let arguments = listed.map_or(Vec::new(), |(_, _, arguments)| arguments.clone());
                assert_eq!(
                    agent.place.arguments(kind, "job", phase),
                    arguments,
                    "{mode:?}: {phase}"
                );
            }
        }
    }
}

#[test]
fn an_absent_value_is_an_empty_argument() {
    let place = Place::new();
    place.write("store/objects/object", "content");
    let agent = Agent::start_in(place, |_| {});
    let store = file_store(&agent.place);
    for kind in Kind::ALL {
        let body = crate::harness::start(kind, "job", &store)
            .without(&format!("/{}/user", kind.name()))
            .without(&format!("/{}/password", kind.name()));
        agent.succeed(kind, &body);
        let arguments = agent.place.arguments(kind, "job", kind.name());
        assert_eq!(arguments.len(), 8, "{kind:?}: {arguments:?}");
        assert_eq!((arguments[1].as_str(), arguments[2].as_str()), ("", ""), "{kind:?}");
        assert_eq!(arguments[5..], ["job", "false", ""], "{kind:?}");
    }
}

#[test]
fn the_same_facts_are_always_in_the_environment() {
    for mode in ["latest", "seed", "none"] {
        let place = Place::new();
        place.write("store/objects/object.tar.gz", "content");
        let agent = Agent::start_in(place, |env| {
            env.set("script_arguments", mode);
        });
        let store = file_store(&agent.place);
        let job = agent.succeed(Kind::Backup, &full(backup("job", &store), Kind::Backup));
        let filename = job["filename"].as_str().unwrap_or_default();
        agent.succeed(
            Kind::Restore,
            &full(restore("job", &store, "object.tar.gz"), Kind::Restore),
        );
        for kind in Kind::ALL {
            for phase in kind.phases() {
                let environment = agent.place.environment(kind, "job", phase);
                for (name, value) in [
                    ("JOB_ID", "job"),
                    ("KIND", kind.name()),
                    ("PHASE", phase),
                    ("HOST", "ho st"),
                    ("USER", "us er"),
                    ("PASSWORD", "pass word"),
                    ("DATABASE", "data base"),
                    ("COMPRESSION", "true"),
                    ("ENCRYPTION_KEY", "the key"),
                ] {
                    assert_fact(&environment, name, value, &format!("{mode} {phase}"));
                }
                if kind == Kind::Backup {
                    let name = filename.strip_suffix(".tar.gz").expect("it has that ending");
                    let file = agent.place.backup().join(filename).display().to_string();
                    assert_fact(&environment, "NAME", name, &format!("{mode} {phase}"));
                    assert_fact(&environment, "FILE", &file, &format!("{mode} {phase}"));
                } else {
                    let file = &environment["BACKUP_AGENT_FILE"];
                    assert!(Path::new(file).is_absolute(), "{mode} {phase}: {file}");
                    assert!(file.ends_with("/object.tar.gz"), "{mode} {phase}: {file}");
                }
            }
        }
    }
}

#[track_caller]
fn assert_fact(environment: &BTreeMap<String, String>, name: &str, value: &str, row: &str) {
    let got = environment.get(&format!("BACKUP_AGENT_{name}"));
    assert_eq!(got.map(String::as_str), Some(value), "{row}: BACKUP_AGENT_{name}");
}

/// What leads to the agent's own credentials, whether it may use them or not.
const OF_THE_AGENT_AT_AWS: [&str; 8] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
];

#[test]
fn scripts_inherit_the_agents_environment_but_not_its_credentials() {
    let agent = Agent::start(|env| {
        env.set("OF_THE_OPERATOR", "inherited").set("PGSSLMODE", "require");
        for name in OF_THE_AGENT_AT_AWS {
            env.set(name, "x");
        }
    });
    let store = file_store(&agent.place);
    for (id, parameters) in [("without", json!([])), ("with", json!([{"key": "value"}]))] {
        agent.succeed(Kind::Backup, &backup(id, &store).with("/backup/parameters", parameters));
        for phase in Kind::Backup.phases() {
            let environment = agent.place.environment(Kind::Backup, id, phase);
            assert_eq!(environment["OF_THE_OPERATOR"], "inherited", "{id} {phase}");
            assert_eq!(environment["PGSSLMODE"], "require", "{id} {phase}");
            assert_eq!(
                environment["directory_backup"],
                agent.place.backup().display().to_string(),
                "{id} {phase}"
            );
            assert!(environment.contains_key("PATH"), "{id} {phase}");
            for name in ["client_username", "client_password"] {
                assert!(!environment.contains_key(name), "{id} {phase}: {name}");
            }
            let held = environment
                .values()
                .find(|value| value.contains(crate::harness::PASSWORD));
            assert_eq!(held, None, "{id} {phase}: the agent's password under another name");
            let of_store = environment
                .keys()
                .find(|name| name.starts_with("S3_") || name.starts_with("AWS_"));
            assert_eq!(
                of_store, None,
                "{id} {phase}: the store's credentials are not the scripts'"
            );
        }
    }
}

#[test]
fn a_parameter_goes_before_an_inherited_variable_and_the_agents_facts_before_both() {
    let agent = Agent::start(|env| {
        env.set("retries", "of the agent")
            .set("BACKUP_AGENT_HOST", "of the agent")
            .set("BACKUP_AGENT_OUTCOME", "of the agent");
    });
    let body = backup("job", &file_store(&agent.place)).with("/backup/parameters", json!([{"retries": 2}]));
    agent.succeed(Kind::Backup, &body);
    let environment = agent.place.environment(Kind::Backup, "job", "backup-cleanup");
    for (name, value) in [
        ("retries", "2"),
        ("BACKUP_AGENT_HOST", "db.example"),
        ("BACKUP_AGENT_OUTCOME", "succeeded"),
    ] {
        assert_eq!(environment[name], value, "{name}");
    }
}

#[test]
fn a_script_is_found_by_its_name_and_then_with_sh_behind_it() {
    let agent = Agent::start(|_| {});
    let store = file_store(&agent.place);
    let said = |id: &str| agent.succeed(Kind::Backup, &backup(id, &store))["pre_backup_check_log"].clone();
    agent.place.plain_script("pre-backup-check", "echo plain");
    assert_eq!(said("plain"), "plain\n");
    agent.place.plain_script("pre-backup-check.sh", "echo with ending");
    assert_eq!(said("both"), "plain\n", "the name itself goes first");
    agent.place.remove_script("pre-backup-check");
    assert_eq!(said("ending"), "with ending\n");
}

#[test]
fn a_complete_set_of_scripts_may_end_in_sh() {
    let agent = Agent::start(|_| {});
    for kind in Kind::ALL {
        for phase in kind.phases() {
            let scripts = agent.place.scripts();
            fs::rename(scripts.join(phase), scripts.join(format!("{phase}.sh"))).expect("the script is there");
        }
    }
    let store = file_store(&agent.place);
    let job = agent.succeed(Kind::Backup, &backup("job", &store));
    agent.succeed(
        Kind::Restore,
        &restore("job", &store, job["filename"].as_str().unwrap_or_default()),
    );
}

#[test]
fn bash_runs_every_file_whatever_its_first_line_and_its_mode() {
    let agent = Agent::start(|_| {});
    let script = agent.place.scripts().join("pre-backup-check");
    for (id, text, mode) in [
        ("other", "#!/bin/cat\necho \"by bash ${BASH_VERSION:+indeed}\"\n", 0o755),
        ("none", "echo \"by bash ${BASH_VERSION:+indeed}\"\n", 0o644),
        (
            "python",
            "#!/usr/bin/env python3\necho \"by bash ${BASH_VERSION:+indeed}\"\n",
            0o600,
        ),
    ] {
        fs::write(&script, text).expect("a script can be written");
        fs::set_permissions(&script, fs::Permissions::from_mode(mode)).expect("the script is ours");
        let job = agent.succeed(Kind::Backup, &backup(id, &file_store(&agent.place)));
        assert_eq!(job["pre_backup_check_log"], "by bash indeed\n", "{id}");
    }
}

#[test]
fn with_shebang_a_script_may_name_its_interpreter() {
    let agent = Agent::start(|env| {
        env.set("script_interpreter", "shebang").set("script_arguments", "none");
    });
    let script = agent.place.scripts().join("pre-backup-check");
    let text = "#!/bin/cat\necho by bash\n";
    for (id, text, mode, said) in [
        ("executed", text, 0o755, text),
        ("not-executable", text, 0o644, "by bash\n"),
        ("no-first-line", "echo by bash\n", 0o755, "by bash\n"),
    ] {
        fs::write(&script, text).expect("a script can be written");
        fs::set_permissions(&script, fs::Permissions::from_mode(mode)).expect("the script is ours");
        let job = agent.succeed(Kind::Backup, &backup(id, &file_store(&agent.place)));
        assert_eq!(job["pre_backup_check_log"], said, "{id}");
    }
}

#[test]
fn a_script_has_no_input_the_agents_directory_and_a_process_group_of_its_own() {
    let agent = Agent::start(|_| {});
    let work = r#"wc -c; pwd; cut -d ' ' -f 5 "/proc/$$/stat"; echo $$"#;
    agent.place.script("pre-backup-lock", work);
    agent.place.script("pre-backup-check", work);
    let job = agent.succeed(Kind::Backup, &backup("job", &file_store(&agent.place)));
    let mut groups = Vec::new();
    for member in ["pre_backup_lock_log", "pre_backup_check_log"] {
        let lines: Vec<&str> = job[member].as_str().unwrap_or_default().lines().collect();
        assert_eq!(lines.len(), 4, "{member}: {lines:?}");
        assert_eq!(lines[0].trim(), "0", "{member}: standard input");
        assert_eq!(
            lines[1],
            agent.place.root().display().to_string(),
            "{member}: working directory"
        );
        assert_eq!(lines[2], lines[3], "{member}: the script leads its process group");
        groups.push(lines[2].to_owned());
    }
    assert_ne!(groups[0], groups[1]);
}

#[test]
fn the_seeds_spelling_of_the_scripts_directory_is_an_alias() {
    let place = Place::new();
    let scripts = place.scripts();
    let agent = Agent::start_in(place, |env| {
        env.unset("scripts_path").set("scrips_path", &scripts);
    });
    agent.succeed(Kind::Backup, &backup("job", &file_store(&agent.place)));
    let place = Place::new();
    let scripts = place.scripts();
    let agent = Agent::start_in(place, |env| {
        env.set("scrips_path", &scripts);
    });
    agent.succeed(Kind::Backup, &backup("same-twice", &file_store(&agent.place)));

    let place = Place::new();
    let mut environment: Environment = crate::harness::complete_environment(&place);
    environment.set("scrips_path", place.path("elsewhere"));
    let output = run_agent(&["check-config"], &environment, place.root());
    assert_eq!(output.status.code(), Some(2), "both, and different");
    assert!(String::from_utf8_lossy(&output.stderr).contains("scrips_path"));
}

#[test]
fn values_never_meet_a_shell() {
    let agent = Agent::start(|_| {});
    let evil = "$(touch trace/evil)`touch trace/evil`; touch trace/evil #";
    let body = backup("job", &file_store(&agent.place))
        .with("/backup/user", evil)
        .with("/backup/password", evil)
        .with("/encryption_key", evil)
        .with(
            "/backup/parameters",
            json!([{"value": evil}, {"other": "() { :;}; touch trace/evil"}]),
        );
    agent.succeed(Kind::Backup, &body);
    assert!(!agent.place.path("trace/evil").exists());
    assert_eq!(agent.place.arguments(Kind::Backup, "job", "backup")[1], evil);
    assert_eq!(agent.place.environment(Kind::Backup, "job", "backup")["value"], evil);
}

/// The arguments of the scripts that do the work: the service's facts, and then the rest.
fn of_service<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    ["ho st", "us er", "pass word", "data base"]
        .iter()
        .chain(rest)
        .copied()
        .collect()
}

/// The request with every value that scripts get.
fn full(body: Value, kind: Kind) -> Value {
    let service = json!({"host": "ho st", "user": "us er", "password": "pass word", "database": "data base"});
    body.with(&format!("/{}", kind.name()), service)
        .with("/compression", true)
        .with("/encryption_key", "the key")
}
