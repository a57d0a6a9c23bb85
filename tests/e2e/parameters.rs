//! The request's parameters, which become environment variables of every script.

use serde_json::{Value, json};

use crate::harness::{Agent, Body, Kind, backup, file_store, start};

#[test]
fn each_parameter_is_a_variable_of_every_script() {
    let agent = Agent::start(|_| {});
    let parameters = json!([{"key": "arbitraryValue"}, {"retries": 2}, {"several": "a", "in_one": true}, {}]);
    for kind in Kind::ALL {
        let id = kind.name();
        agent.place.write("store/objects/object", "content");
        let body = start(kind, id, &file_store(&agent.place));
        agent.succeed(
            kind,
            &body.with(&format!("/{}/parameters", kind.name()), parameters.clone()),
        );
        for phase in kind.phases() {
            let environment = agent.place.environment(kind, id, phase);
            for (name, value) in [
                ("key", "arbitraryValue"),
                ("retries", "2"),
                ("several", "a"),
                ("in_one", "true"),
            ] {
                assert_eq!(
                    environment.get(name).map(String::as_str),
                    Some(value),
                    "{phase}: {name}"
                );
            }
        }
    }
}

#[test]
fn values_arrive_as_they_were_sent() {
    let agent = Agent::start(|_| {});
    let rows = [
        (r#""text""#, "text"),
        (r#""""#, ""),
        ("null", ""),
        ("true", "true"),
        ("false", "false"),
        ("0", "0"),
        ("2", "2"),
        ("-7", "-7"),
        ("1000000", "1000000"),
        ("9007199254740993", "9007199254740993"),
        ("18446744073709551616", "18446744073709551616"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("1.5", "1.5"),
        ("1.50", "1.50"),
        ("1.0", "1.0"),
        ("0.000001", "0.000001"),
        ("1e6", "1e6"),
        ("1E+2", "1E+2"),
        ("-0", "-0"),
        ("-0.0", "-0.0"),
        ("1e999", "1e999"),
        (
            "0.1000000000000000055511151231257827",
            "0.1000000000000000055511151231257827",
        ),
        (r#""line\nbreak and \ttab""#, "line\nbreak and \ttab"),
        (r#""a=b=c""#, "a=b=c"),
        (r#""\u00e4\ud83d\udd11""#, "ä🔑"),
        (r#"" spaces ""#, " spaces "),
        (r#""'\"\\$(x)`y`""#, "'\"\\$(x)`y`"),
    ];
    let pairs: Vec<String> = rows
        .iter()
        .enumerate()
        .map(|(row, (sent, _))| format!(r#"{{"v{row}":{sent}}}"#))
        .collect();
    let body = backup("job", &file_store(&agent.place))
        .with("/backup/parameters", "@")
        .to_string();
    let body = body.replace("\"@\"", &format!("[{}]", pairs.join(",")));
    let response = agent.request_text(Kind::Backup, &body);
    assert_eq!(response.status, 201, "{body}: {}", response.text());
    agent.finished(Kind::Backup, "job");
    let environment = agent.place.environment(Kind::Backup, "job", "backup");
    for (row, (sent, expected)) in rows.iter().enumerate() {
        assert_eq!(
            environment.get(&format!("v{row}")).map(String::as_str),
            Some(*expected),
            "{sent}"
        );
    }
}

#[test]
fn one_object_may_stand_for_a_list_of_objects() {
    let agent = Agent::start(|_| {});
    let body = backup("job", &file_store(&agent.place)).with("/backup/parameters", json!({"key": "v", "retries": 2}));
    agent.succeed(Kind::Backup, &body);
    let environment = agent.place.environment(Kind::Backup, "job", "pre-backup-lock");
    assert_eq!(
        (environment["key"].as_str(), environment["retries"].as_str()),
        ("v", "2")
    );
}

#[test]
fn no_parameters_at_all_are_fine() {
    let agent = Agent::start(|_| {});
    for (row, parameters) in [json!([]), json!({}), json!([{}]), Value::Null].into_iter().enumerate() {
        let body = backup(&format!("job-{row}"), &file_store(&agent.place)).with("/backup/parameters", parameters);
        agent.succeed(Kind::Backup, &body);
    }
}

#[test]
fn of_a_name_given_twice_the_last_value_counts() {
    let agent = Agent::start(|_| {});
    let template = backup("@id", &file_store(&agent.place))
        .with("/backup/parameters", "@")
        .to_string();
    for (id, parameters) in [
        ("objects", r#"[{"key":"first"},{"other":"x"},{"key":"last"}]"#),
        ("members", r#"[{"key":"first","key":"last"}]"#),
        ("object", r#"{"key":"first","key":"last"}"#),
    ] {
        let body = template.replace("@id", id).replace("\"@\"", parameters);
        assert_eq!(agent.request_text(Kind::Backup, &body).status, 201, "{body}");
        agent.finished(Kind::Backup, id);
        assert_eq!(
            agent.place.environment(Kind::Backup, id, "backup")["key"],
            "last",
            "{id}"
        );
    }
}

#[test]
fn names_keep_their_case_and_may_differ_in_nothing_else() {
    let agent = Agent::start(|_| {});
    let parameters = json!([{"Key": "1"}, {"KEY": "2"}, {"key": "3"}, {"_x9": "4"}]);
    agent.succeed(
        Kind::Backup,
        &backup("job", &file_store(&agent.place)).with("/backup/parameters", parameters),
    );
    let environment = agent.place.environment(Kind::Backup, "job", "backup");
    for (name, value) in [("Key", "1"), ("KEY", "2"), ("key", "3"), ("_x9", "4")] {
        assert_eq!(environment.get(name).map(String::as_str), Some(value), "{name}");
    }
}

#[test]
fn nested_values_are_400() {
    let agent = Agent::start(|_| {});
    for value in [json!({}), json!([]), json!({"a": 1}), json!([1, "two"]), json!([[]])] {
        for parameters in [
            json!([{"key": value}]),
            json!({"key": value}),
            json!([{"good": 1}, {"key": value}]),
        ] {
            assert_refused(&agent, parameters, "key");
        }
    }
}

#[test]
fn a_value_of_64_kib_is_taken_and_a_longer_one_is_400() {
    let agent = Agent::start(|_| {});
    let longest = "x".repeat(64 * 1024);
    let body = backup("job", &file_store(&agent.place)).with("/backup/parameters", json!([{"key": longest}]));
    agent.succeed(Kind::Backup, &body);
    assert_eq!(
        agent.place.environment(Kind::Backup, "job", "backup")["key"].len(),
        longest.len()
    );
    assert_refused(&agent, json!([{"key": format!("{longest}x")}]), "key");
}

#[test]
fn names_that_a_script_cannot_read_are_400() {
    let agent = Agent::start(|_| {});
    for name in [
        "",
        " ",
        "1a",
        "a-b",
        "a b",
        "a.b",
        "a=b",
        "a\0",
        "a\n",
        "é",
        "a$",
        "()",
        "BASH_FUNC_x%%",
    ] {
        assert_refused(&agent, json!([{name: "x"}]), "");
    }
}

#[test]
fn names_that_steer_something_are_400() {
    let agent = Agent::start(|_| {});
    for name in REFUSED {
        assert_refused(&agent, json!([{"good": 1}, {*name: "x"}]), name);
    }
}

/// The contract's list, every variable that configures the agent, and some of each family.
const REFUSED: &[&str] = &[
    "PATH",
    "IFS",
    "ENV",
    "BASH_ENV",
    "SHELLOPTS",
    "BASHOPTS",
    "PS4",
    "PROMPT_COMMAND",
    "CDPATH",
    "HOME",
    "TMPDIR",
    "GCONV_PATH",
    "PYTHONPATH",
    "NODE_OPTIONS",
    "JAVA_TOOL_OPTIONS",
    "PGSERVICEFILE",
    "PGSYSCONFDIR",
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "LD_AUDIT",
    "LD_anything",
    "DYLD_INSERT_LIBRARIES",
    "BASH_FUNC_x",
    "BASH_XTRACEFD",
    "PERL5LIB",
    "PERL5OPT",
    "PERLLIB",
    "RUBYLIB",
    "RUBYOPT",
    "MALLOC_CHECK_",
    "MALLOC_PERTURB_",
    "BACKUP_AGENT_FILE",
    "BACKUP_AGENT_anything",
    "S3_BUCKET",
    "S3_anything",
    "SWIFT_PASSWORD",
    "SWIFT_anything",
    "client_username",
    "client_password",
    "client_port",
    "client_address",
    "directory_backup",
    "directory_restore",
    "scripts_path",
    "scrips_path",
    "allowed_to_delete_files",
    "max_job_number",
    "max_queued_jobs",
    "concurrent_restores",
    "skip_storage",
    "default_s3_endpoint",
    "backup_name",
    "script_arguments",
    "script_interpreter",
    "unlock_after_failed_lock",
    "unlock_after_failed_restore",
    "keep_unsent_artifact",
    "transfer_retry_timeout",
    "state_directory",
    "swap_s3_endpoint_and_region",
    "allowed_file_roots",
];

/// Asserts that the parameters are 400 and that `name` is named.
#[track_caller]
fn assert_refused(agent: &Agent, parameters: Value, name: &str) {
    for kind in Kind::ALL {
        let body = start(kind, "refused", &file_store(&agent.place))
            .with(&format!("/{}/parameters", kind.name()), parameters.clone());
        let response = agent.request(kind, &body);
        let row = format!(
            "{kind:?} {}",
            parameters.to_string().chars().take(100).collect::<String>()
        );
        assert_eq!(response.status, 400, "{row}: {}", response.text());
        let message = response.json()["error_message"].as_str().unwrap_or_default().to_owned();
        assert!(
            message.contains(&format!("{}.parameters", kind.name())),
            "{row}: {message}"
        );
        assert!(message.contains(name), "{row}: {name} is not in {message}");
    }
}
