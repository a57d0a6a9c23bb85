use chrono::DateTime;

use super::*;
use crate::{
    artifact::NamePattern,
    plan::JobKind,
    request::{DestinationDraft, Faults, ServiceAccountDraft},
    secret::Secret,
    testing::{draft, open_rules, request},
};

fn settings(arguments: ArgumentStyle) -> ScriptSettings {
    ScriptSettings {
        arguments,
        directories: Directories {
            backup: Some("/b".into()),
            restore: Some("/r".into()),
        },
        swap_s3_endpoint_and_region: false,
    }
}

fn call_of(phase: Phase, request: &JobRequest, settings: &ScriptSettings, course: Course) -> ScriptCall {
    let name = NamePattern::default().name("host", "db", &request.id, DateTime::UNIX_EPOCH);
    let name = (request.kind() == JobKind::Backup).then_some(name);
    call(phase, request, name.as_ref(), course, settings)
}

fn kind_of(phase: Phase) -> JobKind {
    let is_backup = JobKind::Backup.phases().contains(&phase);
    if is_backup { JobKind::Backup } else { JobKind::Restore }
}

fn with_login<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    [&LOGIN[..], rest].concat()
}

fn arguments(phase: Phase, style: ArgumentStyle) -> Vec<String> {
    let request = request(kind_of(phase), "j1", Transfer::ByAgent);
    let call = call_of(phase, &request, &settings(style), Course::default());
    call.arguments
        .into_iter()
        .map(|text| text.into_string().expect("text"))
        .collect()
}

fn environment(call: &ScriptCall, name: &str) -> Option<String> {
    let value = call.environment.iter().rev().find(|(known, _)| known == name);
    value.map(|(_, value)| value.to_str().expect("text").to_owned())
}

const LOGIN: [&str; 4] = ["host", "user", "password-SECRET", "db"];

#[test]
fn every_phase_gets_the_arguments_of_its_generation() {
    let stem = "host_1970_01_01_db";
    let object = "h_2018_11_06_db.tar.gz";
    let key = "encryption-SECRET";
    let seed_path = format!("/b/{stem}.tar.gz");
    for (phase, latest, seed) in [
        (Phase::PreBackupLock, vec!["db"], vec![]),
        (Phase::PreBackupCheck, vec!["db"], vec![]),
        (
            Phase::Backup,
            with_login(&[stem, "j1", "true", key]),
            with_login(&[&seed_path]),
        ),
        (Phase::BackupCleanup, vec!["db", "j1"], vec![]),
        (Phase::PostBackupUnlock, vec!["db"], vec![]),
        (Phase::PreRestoreLock, vec!["j1"], vec![]),
        (
            Phase::Restore,
            with_login(&[object, "j1", "true", key]),
            with_login(&["/r", object]),
        ),
        (Phase::RestoreCleanup, vec!["j1"], vec![]),
        (Phase::PostRestoreUnlock, vec![], vec![]),
    ] {
        assert_eq!(arguments(phase, ArgumentStyle::Latest), latest, "{phase}");
        assert_eq!(arguments(phase, ArgumentStyle::Seed), seed, "{phase}");
        assert!(arguments(phase, ArgumentStyle::None).is_empty(), "{phase}");
    }
}

#[test]
fn absent_values_are_empty_arguments() {
    let mut draft = draft(JobKind::Backup, "j1");
    draft.service.user = None;
    draft.service.password = None;
    draft.encryption_key = None;
    draft.compression = None;
    let request = draft.check(&open_rules(), Faults::default()).expect("no faults");
    let call = call_of(
        Phase::Backup,
        &request,
        &settings(ArgumentStyle::Latest),
        Course::default(),
    );
    assert_eq!(
        call.arguments,
        ["host", "", "", "db", "host_1970_01_01_db", "j1", "false", ""]
    );
}

#[test]
fn the_same_facts_are_in_the_environment_of_every_script() {
    for phase in Phase::ALL {
        let kind = kind_of(phase);
        let request = request(kind, "j1", Transfer::ByAgent);
        let call = call_of(phase, &request, &settings(ArgumentStyle::None), Course::default());
        let (name, file) = match kind {
            JobKind::Backup => ("host_1970_01_01_db", "/b/host_1970_01_01_db.tar.gz"),
            JobKind::Restore => ("h_2018_11_06_db", "/r/j1/h_2018_11_06_db.tar.gz"),
        };
        for (variable, value) in [
            ("JOB_ID", "j1"),
            ("KIND", kind.as_str()),
            ("PHASE", phase.as_str()),
            ("HOST", "host"),
            ("USER", "user"),
            ("PASSWORD", "password-SECRET"),
            ("DATABASE", "db"),
            ("NAME", name),
            ("FILE", file),
            ("COMPRESSION", "true"),
            ("ENCRYPTION_KEY", "encryption-SECRET"),
        ] {
            let variable = format!("BACKUP_AGENT_{variable}");
            assert_eq!(
                environment(&call, &variable).as_deref(),
                Some(value),
                "{phase} {variable}"
            );
        }
        assert_eq!(environment(&call, "retries").as_deref(), Some("2"));
    }
}

#[test]
fn only_cleanup_and_unlock_are_told_of_the_course() {
    let failed = Course {
        failed_phase: Some(Phase::Backup),
        lock: LockState::Failed,
    };
    for phase in Phase::ALL {
        let request = request(kind_of(phase), "j1", Transfer::ByAgent);
        for (course, expected) in [
            (Course::default(), ["succeeded", "", "taken"]),
            (failed, ["failed", "backup", "failed"]),
        ] {
            let call = call_of(phase, &request, &settings(ArgumentStyle::None), course);
            let told =
                ["OUTCOME", "FAILED_PHASE", "LOCK"].map(|name| environment(&call, &format!("BACKUP_AGENT_{name}")));
            let is_told = matches!(phase.role(), Role::Cleanup | Role::Unlock);
            let expected = expected.map(|text| is_told.then(|| text.to_owned()));
            assert_eq!(told, expected, "{phase}");
        }
    }
}

#[test]
fn without_storage_scripts_get_the_destination_and_else_not() {
    for (transfer, is_there) in [(Transfer::ByAgent, false), (Transfer::ByScripts, true)] {
        let request = request(JobKind::Backup, "j1", transfer);
        let call = call_of(
            Phase::Backup,
            &request,
            &settings(ArgumentStyle::None),
            Course::default(),
        );
        for (variable, value) in [
            ("S3_BUCKET", "bucket"),
            ("S3_ENDPOINT", ""),
            ("S3_REGION", "eu-central-1"),
            ("S3_AUTHKEY", "key-SECRET"),
            ("S3_AUTHSECRET", "secret-SECRET"),
            ("S3_SKIPSSL", "false"),
            ("S3_FILENAMEPREFIX", "prefix/"),
        ] {
            let expected = is_there.then(|| value.to_owned());
            assert_eq!(environment(&call, variable), expected, "{variable}");
        }
    }
}

#[test]
fn endpoint_and_region_change_places_only_if_told() {
    let mut draft = draft(JobKind::Backup, "j1");
    draft.destination.endpoint = Some("s3.example.org".to_owned());
    draft.skip_storage = Some(true);
    let request = draft.check(&open_rules(), Faults::default()).expect("no faults");
    for (swapped, endpoint, region) in [
        (false, "https://s3.example.org", "eu-central-1"),
        (true, "eu-central-1", "https://s3.example.org"),
    ] {
        let mut settings = settings(ArgumentStyle::None);
        settings.swap_s3_endpoint_and_region = swapped;
        let call = call_of(Phase::Backup, &request, &settings, Course::default());
        assert_eq!(environment(&call, "S3_ENDPOINT").as_deref(), Some(endpoint));
        assert_eq!(environment(&call, "S3_REGION").as_deref(), Some(region));
    }
}

#[test]
fn swift_has_its_own_variables() {
    let mut draft = draft(JobKind::Backup, "j1");
    let text = |text: &str| Some(text.to_owned());
    draft.skip_storage = Some(true);
    draft.destination.kind = text("swift");
    draft.destination.auth_url = text("https://keystone/v3");
    draft.destination.domain = text("default");
    draft.destination.container_name = text("c");
    draft.destination.project_name = text("p");
    draft.destination.username = text("u");
    draft.destination.password = Some(Secret::new("s"));
    let request = draft.check(&open_rules(), Faults::default()).expect("no faults");
    let call = call_of(
        Phase::Restore,
        &request,
        &settings(ArgumentStyle::None),
        Course::default(),
    );
    for (variable, value) in [
        ("SWIFT_AUTHURL", "https://keystone/v3"),
        ("SWIFT_DOMAIN", "default"),
        ("SWIFT_CONTAINERNAME", "c"),
        ("SWIFT_PROJECTNAME", "p"),
        ("SWIFT_USERNAME", "u"),
        ("SWIFT_PASSWORD", "s"),
    ] {
        assert_eq!(environment(&call, variable).as_deref(), Some(value), "{variable}");
    }
}

#[test]
fn google_and_azure_have_their_own_variables() {
    let text = |text: &str| Some(text.to_owned());
    let pem = "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----";
    let gcs = DestinationDraft {
        kind: text("GCS"),
        bucket: text("b"),
        endpoint: text("gcs.example.org"),
        filename_prefix: text("p/"),
        service_account_key: Some(ServiceAccountDraft {
            client_email: text("a@b"),
            private_key_id: text("1"),
            private_key: Some(Secret::new(pem)),
            key_file: Secret::new("{the file}"),
            ..ServiceAccountDraft::default()
        }),
        ..DestinationDraft::default()
    };
    let azure = |key: Option<&str>, token: Option<&str>| DestinationDraft {
        kind: text("AZURE"),
        account: text("a"),
        container: text("c"),
        endpoint: text("azure.example.org"),
        filename_prefix: text("p/"),
        account_key: key.map(Secret::new),
        sas_token: token.map(Secret::new),
        ..DestinationDraft::default()
    };
    let of_azure = |key, token| {
        [
            ("AZURE_ACCOUNT", "a"),
            ("AZURE_CONTAINER", "c"),
            ("AZURE_ACCOUNTKEY", key),
            ("AZURE_SASTOKEN", token),
            ("AZURE_ENDPOINT", "https://azure.example.org"),
            ("AZURE_FILENAMEPREFIX", "p/"),
        ]
    };
    let of_gcs = [
        ("GCS_BUCKET", "b"),
        ("GCS_SERVICEACCOUNTKEY", "{the file}"),
        ("GCS_ENDPOINT", "https://gcs.example.org"),
        ("GCS_FILENAMEPREFIX", "p/"),
    ];
    for (destination, expected) in [
        (gcs, &of_gcs[..]),
        (azure(Some("a2V5"), None), &of_azure("a2V5", "")[..]),
        (azure(None, Some("?sig=x")), &of_azure("", "sig=x")[..]),
    ] {
        let mut draft = draft(JobKind::Backup, "j1");
        draft.skip_storage = Some(true);
        draft.destination = destination;
        let request = draft.check(&open_rules(), Faults::default()).expect("no faults");
        let call = call_of(
            Phase::Backup,
            &request,
            &settings(ArgumentStyle::None),
            Course::default(),
        );
        for (variable, value) in expected {
            assert_eq!(environment(&call, variable).as_deref(), Some(*value), "{variable}");
        }
    }
}

#[test]
fn a_call_does_not_print_its_secrets() {
    let request = request(JobKind::Backup, "j1", Transfer::ByScripts);
    let call = call_of(
        Phase::Backup,
        &request,
        &settings(ArgumentStyle::Latest),
        Course::default(),
    );
    assert!(!format!("{call:?}").contains("SECRET"));
}
