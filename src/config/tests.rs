use std::collections::HashMap;

use super::*;

const REQUIRED: &[(&str, &str)] = &[
    ("client_username", "admin"),
    ("client_password", "secret"),
    ("directory_backup", "/b"),
    ("directory_restore", "/r"),
];

fn parse(settings: &[(&str, &str)]) -> Result<Config, ConfigFaults> {
    let variables: HashMap<&str, OsString> = REQUIRED
        .iter()
        .chain(settings)
        .map(|(name, value)| (*name, OsString::from(value)))
        .collect();
    Config::parse(|name| variables.get(name).cloned())
}

#[test]
fn defaults_are_those_of_the_readme() {
    let config = parse(&[]).expect("a good configuration");
    assert_eq!(config.address.to_string(), "0.0.0.0:8000");
    assert_eq!(config.scripts_path, Path::new(DEFAULT_SCRIPTS_PATH));
    assert_eq!((config.max_connections, config.tls), (512, None));
    assert_eq!(config.interpreter, Interpreter::Bash);
    assert!(!config.allowed_to_delete_files);
    assert_eq!(config.transfer_retry_timeout, Duration::from_secs(180));
    assert_eq!(config.service.limits, QueueLimits::default());
    assert_eq!(config.service.policy, FailurePolicy::default());
    assert_eq!(config.service.name_pattern, NamePattern::default());
    assert_eq!(config.service.scripts.arguments, ArgumentStyle::Latest);
    assert_eq!(config.transfer_memory, 32 * 1024 * 1024);
    assert_eq!(config.rules.ambient_buckets, None);
    assert!(!config.rules.skip_storage);
    assert!(config.rules.allowed_file_roots.is_empty());
}

#[test]
fn good_values_are_taken() {
    for (name, value) in [
        ("client_port", "0"),
        ("client_port", "65535"),
        ("client_address", "::1"),
        ("max_connections", "1"),
        ("allowed_to_delete_files", "TRUE"),
        ("allowed_to_delete_files", "f"),
        ("metrics_without_auth", "true"),
        ("log_format", "json"),
        ("skip_storage", "1"),
        ("max_job_number", "1"),
        ("max_queued_jobs", "0"),
        ("default_s3_endpoint", "s3.example.org"),
        ("transfer_memory", "16MiB"),
        ("transfer_memory", "1GiB"),
        ("s3_ca_certificate", "/not/read/here"),
        ("allow_ambient_credentials", "false"),
        ("ambient_buckets", "a, b.c,d-e_f,"),
        ("allowed_file_roots", "/a:/b"),
        ("backup_name", "{database}"),
        ("script_arguments", "none"),
        ("script_interpreter", "shebang"),
        ("transfer_retry_timeout", "90s"),
        ("transfer_retry_timeout", "2h"),
        ("state_directory", "relative"),
    ] {
        assert!(parse(&[(name, value)]).is_ok(), "{name}={value}");
    }
}

#[test]
fn blanks_between_the_directives_of_a_log_filter_do_no_harm() {
    for (value, filter) in [
        ("info, adapters=debug", "info,adapters=debug"),
        (" \u{e9}=info", "\u{e9}=info"),
    ] {
        let config = parse(&[("RUST_LOG", value)]).expect("a good configuration");
        assert_eq!(config.log_filter, filter, "{value:?}");
    }
}

#[test]
fn the_agents_own_credentials_are_allowed_only_for_buckets_that_are_listed() {
    let listed = ("ambient_buckets", "a, b");
    let aws = [("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s")];
    let config = parse(&[listed, aws[0], aws[1]]).expect("a good configuration");
    assert!(config.ambient.is_none() && config.rules.ambient_buckets.is_none());
    let allowed = ("allow_ambient_credentials", "true");
    let config = parse(&[listed, allowed, aws[0], aws[1]]).expect("a good configuration");
    let buckets = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(config.rules.ambient_buckets, Some(buckets.clone()));
    let ambient = config.ambient.as_ref().expect("it is allowed");
    let names: Vec<&str> = ambient.variables.iter().map(|(name, _)| *name).collect();
    assert_eq!((&ambient.buckets, names), (&buckets, vec![aws[0].0, aws[1].0]));
    assert!(config.summary.iter().all(|(name, _)| !name.starts_with("AWS_")));
    let ConfigFaults(faults) = parse(&[allowed]).expect_err("no bucket");
    assert!(faults[0].starts_with("ambient_buckets is required"), "{faults:?}");
}

#[test]
fn a_bad_value_is_a_fault_that_names_its_variable() {
    for (name, value) in [
        ("client_port", "abc"),
        ("client_port", "-5"),
        ("client_port", "65536"),
        ("client_address", "localhost"),
        ("max_connections", "0"),
        ("allowed_to_delete_files", "maybe"),
        ("max_job_number", "0"),
        ("max_job_number", "-1"),
        ("max_queued_jobs", "-1"),
        ("concurrent_restores", "0"),
        ("skip_storage", "yes"),
        ("default_s3_endpoint", "ftp://x"),
        ("allowed_file_roots", "relative"),
        ("backup_name", "{user}"),
        ("script_arguments", "all"),
        ("script_interpreter", "zsh"),
        ("unlock_after_failed_lock", "2"),
        ("unlock_after_failed_restore", "x"),
        ("keep_unsent_artifact", "x"),
        ("swap_s3_endpoint_and_region", "x"),
        ("transfer_retry_timeout", "3"),
        ("transfer_retry_timeout", "0s"),
        ("transfer_retry_timeout", "+3s"),
        ("transfer_retry_timeout", "3 m"),
        ("transfer_retry_timeout", "99999999999999999999h"),
        ("transfer_retry_timeout", "5000000000000000h"),
        ("transfer_memory", "15MiB"),
        ("transfer_memory", "x"),
        ("allow_ambient_credentials", "maybe"),
        ("ambient_buckets", "a/b"),
        ("RUST_LOG", "adapters=loud"),
        ("RUST_LOG", "adapters[job{id=a.*}]=debug"),
        ("log_format", "xml"),
    ] {
        let ConfigFaults(faults) = parse(&[(name, value)]).expect_err(name);
        assert_eq!(faults.len(), 1, "{name}={value}: {faults:?}");
        assert!(faults[0].starts_with(name), "{faults:?}");
    }
}

#[test]
fn all_faults_come_at_once_and_empty_is_not_set() {
    let ConfigFaults(faults) = parse(&[
        ("client_username", ""),
        ("client_password", ""),
        ("directory_backup", ""),
        ("client_port", "x"),
        ("scripts_path", "/a"),
        ("scrips_path", "/b"),
    ])
    .expect_err("faults");
    let names: Vec<&str> = faults.iter().filter_map(|fault| fault.split(' ').next()).collect();
    assert_eq!(
        names,
        [
            "client_username",
            "client_password",
            "client_port",
            "directory_backup",
            "scripts_path"
        ]
    );
}

#[test]
fn without_storage_the_directories_are_not_needed() {
    let settings = [
        ("skip_storage", "true"),
        ("directory_backup", ""),
        ("directory_restore", ""),
        ("state_directory", "/s"),
    ];
    assert!(parse(&settings).is_ok());
}

#[test]
fn either_spelling_of_the_scripts_path_is_taken() {
    for settings in [
        &[("scrips_path", "/x")][..],
        &[("scripts_path", "/x")],
        &[("scripts_path", "/x"), ("scrips_path", "/x")],
    ] {
        let config = parse(settings).expect("a good configuration");
        assert_eq!(config.scripts_path, Path::new("/x"), "{settings:?}");
    }
}

#[test]
fn the_summary_shows_what_is_in_force() {
    let config = parse(&[]).expect("a good configuration");
    for name in NAMES {
        let is_shown = config.summary.iter().any(|(shown, _)| shown == name);
        let is_empty_by_default = [
            "client_password_file",
            "tls_certificate",
            "tls_private_key",
            "tls_client_ca",
            "scrips_path",
            "default_s3_endpoint",
            "s3_ca_certificate",
            "phase_timeout",
            "max_lock_time",
            "state_key_file",
            "audit_log_file",
        ]
        .contains(name);
        assert_eq!(is_shown, !is_empty_by_default, "{name}");
    }
}

#[test]
fn what_is_not_utf_8_is_one_fault() {
    use std::os::unix::ffi::OsStringExt;
    for name in ["client_password", "directory_backup", "client_port"] {
        let config = Config::parse(|asked| match REQUIRED.iter().find(|(known, _)| *known == asked) {
            _ if asked == name => Some(OsString::from_vec(vec![0xff])),
            Some((_, value)) => Some(value.into()),
            None => None,
        });
        let ConfigFaults(faults) = config.expect_err(name);
        assert_eq!(faults, [format!("{name} is not UTF-8")]);
    }
}

#[test]
fn secrets_are_in_no_summary() {
    let config = parse(&[]).expect("a good configuration");
    assert!(!format!("{config:?}").contains("secret\""), "{config:?}");
    assert!(config.summary.iter().all(|(_, value)| value != "secret"));
}

#[test]
fn of_two_variables_for_the_password_exactly_one_is_set() {
    let file = ("client_password_file", "/not/read/here");
    let config = parse(&[("client_password", ""), file]).expect("a good configuration");
    assert!(matches!(config.password, PasswordSource::File(path) if path == Path::new(file.1)));
    for settings in [&[file][..], &[("client_password", "")]] {
        let ConfigFaults(faults) = parse(settings).expect_err("both or neither");
        assert_eq!(faults.len(), 1, "{faults:?}");
        let names_both = faults[0].contains("client_password ") && faults[0].contains("client_password_file");
        assert!(names_both, "{faults:?}");
    }
}

#[test]
fn a_certificate_needs_its_key_and_a_client_ca_needs_both() {
    let [certificate, key, ca] = ["tls_certificate", "tls_private_key", "tls_client_ca"].map(|name| (name, "/x"));
    for (settings, missing) in [
        (&[certificate][..], Some("tls_private_key")),
        (&[certificate, ca], Some("tls_private_key")),
        (&[key], Some("tls_certificate")),
        (&[key, ca], Some("tls_certificate")),
        (&[ca], Some("tls_client_ca")),
        (&[certificate, key], None),
        (&[certificate, key, ca], None),
    ] {
        match (parse(settings), missing) {
            (Ok(config), None) => assert!(config.tls.is_some(), "{settings:?}"),
            (Err(ConfigFaults(faults)), Some(missing)) => {
                assert_eq!(faults.len(), 1, "{settings:?}: {faults:?}");
                assert!(faults[0].starts_with(missing), "{settings:?}: {faults:?}");
            }
            (parsed, _) => panic!("{settings:?}: {parsed:?}"),
        }
    }
}

#[test]
fn listening_for_others_without_tls_is_warned_of() {
    let tls = [("tls_certificate", "/c"), ("tls_private_key", "/k")];
    for (address, is_warned) in [
        ("0.0.0.0", true),
        ("::", true),
        ("10.0.0.1", true),
        ("127.0.0.2", false),
        ("::1", false),
    ] {
        let warnings = |more: &[(&str, &str)]| {
            let settings = [&[("client_address", address), ("state_directory", "/s")], more].concat();
            parse(&settings).expect("a good configuration").warnings
        };
        let plain = warnings(&[]);
        assert_eq!(plain.len(), usize::from(is_warned), "{address}: {plain:?}");
        assert!(plain.iter().all(|text| text.contains("tls_certificate")), "{plain:?}");
        assert!(warnings(&tls).is_empty(), "{address}");
    }
}
