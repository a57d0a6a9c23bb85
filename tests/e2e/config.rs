//! The configuration: every variable is checked before the agent starts, and all faults are said
//! at once.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    process::Output,
};

use crate::harness::{Agent, Environment, Kind, Place, backup, complete_environment, file_store, restore, run_agent};

#[test]
fn check_config_says_yes_and_starts_nothing() {
    let place = Place::without_scripts();
    let mut environment = complete_environment(&place);
    environment
        .set("directory_backup", place.path("not-made"))
        .set("client_port", "");
    let output = run_agent(&["check-config"], &environment, place.root());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(!place.path("not-made").exists(), "only parsing is done");
}

#[test]
fn all_faults_are_reported_together_one_line_each_with_exit_code_2() {
    let place = Place::without_scripts();
    let faults = [
        ("client_password", ""),
        ("client_port", "abc"),
        ("allowed_to_delete_files", "maybe"),
        ("max_job_number", "0"),
        ("max_queued_jobs", "-1"),
        ("concurrent_restores", "many"),
        ("script_arguments", "both"),
        ("script_interpreter", "python"),
        ("unlock_after_failed_lock", "yes"),
        ("transfer_retry_timeout", "5x"),
        ("directory_backup", ""),
    ];
    for arguments in [&["check-config"] as &[&str], &[], &["serve"]] {
        let mut environment = complete_environment(&place);
        for (name, value) in faults {
            environment.set(name, value);
        }
        let output = run_agent(arguments, &environment, place.root());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        let lines = stderr_lines(&output);
        for (name, _) in faults {
            let count = lines.iter().filter(|line| line.contains(name)).count();
            assert_eq!(count, 1, "{arguments:?}: {name} in {lines:?}");
        }
        let shared = lines
            .iter()
            .find(|line| faults.iter().filter(|(name, _)| line.contains(name)).count() > 1);
        assert_eq!(shared, None, "{arguments:?}: each fault has a line of its own");
    }
}

#[test]
fn a_bad_value_is_an_error_and_never_a_silent_default() {
    let place = Place::without_scripts();
    let booleans = [
        "allowed_to_delete_files",
        "skip_storage",
        "unlock_after_failed_lock",
        "unlock_after_failed_restore",
        "keep_unsent_artifact",
        "swap_s3_endpoint_and_region",
        "allow_ambient_credentials",
    ];
    let mut rows: Vec<(&str, &str)> = vec![
        ("transfer_memory", "15MiB"),
        ("transfer_memory", "64"),
        ("ambient_buckets", "a/b"),
        ("ambient_buckets", "a b"),
        ("client_username", ""),
        ("client_password", ""),
        ("directory_backup", ""),
        ("directory_restore", ""),
        ("client_address", "not an address"),
        ("client_address", "300.1.1.1"),
        ("script_arguments", "Latest1"),
        ("script_interpreter", "sh"),
        ("backup_name", "{unknown}"),
    ];
    rows.extend(["abc", "-5", "65536", "1.5", "80 80", "0x50", "8000;"].map(|value| ("client_port", value)));
    rows.extend(["0", "-1", "abc", "1.5", "1e3", "99999999999999999999"].map(|value| ("max_job_number", value)));
    rows.extend(["-1", "abc", "1.5"].map(|value| ("max_queued_jobs", value)));
    rows.extend(["0", "-1", "abc"].map(|value| ("concurrent_restores", value)));
    rows.extend(["3", "3x", "-1s", "abc", "m", "1h1", "1.5"].map(|value| ("transfer_retry_timeout", value)));
    for name in booleans {
        rows.extend(["maybe", "yes", "no", "2", "on", "truefalse", "-"].map(|value| (name, value)));
    }
    for (name, value) in rows {
        let output = check(&place, |env| {
            env.set(name, value);
        });
        assert_eq!(output.status.code(), Some(2), "{name}={value:?}");
        let lines = stderr_lines(&output);
        assert!(
            lines.iter().any(|line| line.contains(name)),
            "{name}={value:?}: {lines:?}"
        );
    }
}

#[test]
fn good_values_of_any_spelling_are_taken() {
    let place = Place::without_scripts();
    let mut rows: Vec<(&str, &str)> = vec![
        ("client_address", "0.0.0.0"),
        ("client_address", "127.0.0.1"),
        ("client_port", "1"),
        ("client_port", "65535"),
        ("max_job_number", "1"),
        ("max_queued_jobs", "0"),
        ("concurrent_restores", "7"),
        ("script_arguments", "latest"),
        ("script_arguments", "seed"),
        ("script_arguments", "none"),
        ("script_interpreter", "bash"),
        ("script_interpreter", "shebang"),
        ("backup_name", "seed"),
        ("backup_name", "latest"),
        ("backup_name", "{host}{database}{date}{time}{id}.tar.gz"),
        ("transfer_retry_timeout", "90s"),
        ("transfer_retry_timeout", "10m"),
        ("transfer_retry_timeout", "2h"),
        ("default_s3_endpoint", "https://s3.example.org"),
        ("an_unknown_variable", "whatever"),
    ];
    for value in ["true", "false", "1", "0", "t", "f", "TRUE", "False", "T", "F"] {
        for name in ["allowed_to_delete_files", "unlock_after_failed_restore", "skip_storage"] {
            rows.push((name, value));
        }
    }
    for (name, value) in rows {
        let output = check(&place, |env| {
            env.set(name, value);
        });
        assert_eq!(
            output.status.code(),
            Some(0),
            "{name}={value:?}: {:?}",
            stderr_lines(&output)
        );
    }
}

#[test]
fn set_but_empty_is_the_same_as_not_set() {
    let place = Place::without_scripts();
    for name in [
        "client_port",
        "client_address",
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
        "allowed_file_roots",
        "swap_s3_endpoint_and_region",
    ] {
        for value in [Some(""), None] {
            let output = check(&place, |env| {
                match value {
                    Some(value) => env.set(name, value),
                    None => env.unset(name),
                };
            });
            assert_eq!(
                output.status.code(),
                Some(0),
                "{name}={value:?}: {:?}",
                stderr_lines(&output)
            );
        }
    }
}

#[test]
fn credentials_and_directories_are_required_and_directories_not_without_storage() {
    let place = Place::without_scripts();
    for name in [
        "client_username",
        "client_password",
        "directory_backup",
        "directory_restore",
    ] {
        let output = check(&place, |env| {
            env.unset(name);
        });
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(stderr_lines(&output).iter().any(|line| line.contains(name)), "{name}");
    }
    let output = check(&place, |env| {
        env.unset("directory_backup")
            .unset("directory_restore")
            .set("skip_storage", "true");
    });
    assert_eq!(output.status.code(), Some(0), "{:?}", stderr_lines(&output));
}

#[test]
fn the_password_is_not_repeated_when_something_is_wrong() {
    let place = Place::without_scripts();
    let output = check(&place, |env| {
        env.set("client_port", "abc");
    });
    let said = format!("{output:?}");
    assert!(!said.contains(crate::harness::PASSWORD), "{said}");
}

#[test]
fn help_and_version_need_no_configuration() {
    let place = Place::without_scripts();
    let nothing = Environment::default();
    for argument in ["--help", "-h", "help"] {
        let output = run_agent(&[argument], &nothing, place.root());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{argument}");
        for word in ["serve", "check-config", "demo"] {
            assert!(text.contains(word), "{argument}: {word} is not in {text}");
        }
    }
    for argument in ["--version", "-V"] {
        let output = run_agent(&[argument], &nothing, place.root());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{argument}");
        assert!(
            text.starts_with("osb-backup-agent ") && text.contains(env!("CARGO_PKG_VERSION")),
            "{text}"
        );
    }
}

#[test]
fn an_argument_that_nobody_knows_is_exit_code_2() {
    let place = Place::without_scripts();
    for arguments in [
        &["--nonsense"] as &[&str],
        &["nonsense"],
        &["serve", "nonsense"],
        &["check-config", "--x"],
    ] {
        let output = run_agent(arguments, &complete_environment(&place), place.root());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_port_that_is_taken_is_an_error_that_says_so() {
    let taken = Agent::start(|_| {});
    let place = Place::without_scripts();
    let mut environment = complete_environment(&place);
    environment.set("client_port", taken.address().port().to_string());
    let output = run_agent(&[], &environment, place.root());
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&taken.address().port().to_string()), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn certificates_that_cannot_be_used_keep_the_agent_from_starting() {
    let place = Place::without_scripts();
    let empty = place.write("empty.pem", "");
    let broken = place.write(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    for (path, problem) in [
        (place.path("none.pem"), "cannot be read: No such file"),
        (place.root().to_owned(), "cannot be read: Is a directory"),
        (empty, "holds no certificate in PEM"),
        (broken, "number 1, that cannot be used"),
    ] {
        let mut environment = complete_environment(&place);
        environment.set("s3_ca_certificate", &path);
        for arguments in [&[][..], &["check-config"]] {
            let output = run_agent(arguments, &environment, place.root());
            assert_eq!(output.status.code(), Some(2), "{arguments:?} {path:?}");
            let lines = stderr_lines(&output);
            let start = format!("s3_ca_certificate {}", path.display());
            let is_told = |line: &String| line.starts_with(&start) && line.contains(problem);
            assert!(lines.iter().any(is_told), "{arguments:?} {path:?}: {lines:?}");
        }
    }
}

#[test]
fn missing_directories_are_made_and_relative_ones_lie_in_the_working_directory() {
    let agent = Agent::start(|env| {
        env.set("directory_backup", "made/for/backups")
            .set("directory_restore", "made/for/restores");
    });
    for name in ["made/for/backups", "made/for/restores"] {
        assert!(agent.place.path(name).is_dir(), "{name}");
    }
    let store = file_store(&agent.place);
    let job = agent.succeed(Kind::Backup, &backup("job", &store));
    let environment = agent.place.environment(Kind::Backup, "job", "backup");
    let file = agent
        .place
        .path("made/for/backups")
        .join(job["filename"].as_str().unwrap_or_default());
    assert_eq!(
        environment["BACKUP_AGENT_FILE"],
        file.display().to_string(),
        "absolute, for scripts that change directory"
    );
    agent.succeed(
        Kind::Restore,
        &restore("job", &store, job["filename"].as_str().unwrap_or_default()),
    );
}

#[test]
fn existing_directories_keep_their_owner_and_mode() {
    let place = Place::new();
    for (directory, mode) in [(place.backup(), 0o2770), (place.restore(), 0o701)] {
        fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).expect("it is ours");
    }
    let agent = Agent::start_in(place, |_| {});
    agent.succeed(Kind::Backup, &backup("job", &file_store(&agent.place)));
    for (directory, mode) in [(agent.place.backup(), 0o2770), (agent.place.restore(), 0o701)] {
        let found = fs::metadata(&directory).expect("it is there").mode() & 0o7777;
        assert_eq!(found, mode, "{}", directory.display());
    }
}

#[test]
fn the_agent_warns_if_its_own_files_lie_where_scripts_clean() {
    if std::path::Path::new("/var/vcap/store").exists() {
        return;
    }
    for (variable, warns) in [
        ("state_directory", false),
        ("STATE_DIRECTORY", false),
        ("an_unknown_variable", true),
    ] {
        let place = Place::new();
        let state = place.path("state");
        let agent = Agent::start_in(place, |env| {
            env.unset("state_directory").set(variable, state);
        });
        let log = agent.log();
        let is_warned = log
            .lines()
            .any(|line| line.contains("WARN") && line.contains("state_directory"));
        assert_eq!(is_warned, warns, "{variable}: {log}");
    }
}

#[test]
fn the_agents_own_files_are_for_nobody_else() {
    let agent = Agent::start(|_| {});
    agent.succeed(Kind::Backup, &backup("job", &file_store(&agent.place)));
    let mut found = vec![agent.place.path("state")];
    // A version that keeps its jobs in memory may not make the directory at all.
    while let Some(path) = found.pop().filter(|path| path.exists()) {
        let metadata = fs::symlink_metadata(&path).expect("it is there");
        let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(metadata.mode() & 0o777, expected, "{}", path.display());
        if metadata.is_dir() {
            found.extend(
                fs::read_dir(&path)
                    .expect("it is ours")
                    .flatten()
                    .map(|entry| entry.path()),
            );
        }
    }
}

fn check(place: &Place, configure: impl FnOnce(&mut Environment)) -> Output {
    let mut environment = complete_environment(place);
    configure(&mut environment);
    run_agent(&["check-config"], &environment, place.root())
}

fn stderr_lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stderr)
        .lines()
        .map(str::to_owned)
        .collect()
}
