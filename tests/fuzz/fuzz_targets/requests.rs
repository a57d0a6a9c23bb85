//! Request bodies, from the bytes to the checked request, its record and what its scripts get.
#![no_main]

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Component, sync::LazyLock};

use adapters::{blob_store, http, job_store};
use chrono::DateTime;
use domain::{
    artifact::{NamePattern, ObjectKey},
    job::{Job, JobId},
    plan::{FailurePolicy, JobKind},
    request::{AllowedEndpoints, JobRequest, MAX_PARAMETER_BYTES, RequestRules, Store, Work},
    script::{ArgumentStyle, Course, Directories, ScriptSettings, call},
    secret::Secret,
};
use libfuzzer_sys::fuzz_target;
use osb_backup_agent_fuzz::{SECRET, assert_one_segment, assert_tame};
use serde_json::Value;

const ROOT: &str = "/srv/backups";

/// An agent that allows much, and one that leaves the transfers to its scripts.
static RULES: LazyLock<[RequestRules; 2]> = LazyLock::new(|| {
    let generous = RequestRules {
        default_s3_endpoint: Some("https://s3.example.org".to_owned()),
        ambient_buckets: Some(vec!["backups".to_owned()]),
        allowed_file_roots: vec![ROOT.into()],
        allowed_endpoints: AllowedEndpoints::default(),
        skip_storage: false,
        name_pattern: NamePattern::parse("{database}@{host}-{id}").expect("a pattern"),
        agent_variables: vec!["client_password", "RUST_LOG"],
    };
    let strict = RequestRules {
        default_s3_endpoint: None,
        ambient_buckets: None,
        allowed_file_roots: Vec::new(),
        allowed_endpoints: AllowedEndpoints::parse("*.example.org,10.0.0.0/8,[fd12::]:443").expect("a list"),
        skip_storage: true,
        name_pattern: NamePattern::default(),
        agent_variables: vec!["client_password", "RUST_LOG"],
    };
    [generous, strict]
});
static KEY: LazyLock<job_store::fuzzing::Key> = LazyLock::new(job_store::fuzzing::Key::default);

fuzz_target!(|body: &[u8]| {
    for kind in JobKind::ALL {
        for rules in &*RULES {
            match http::fuzzing::request(kind, body, rules) {
                Ok(request) => accepted(&request, rules),
                Err(text) => refused(&text, body),
            }
        }
    }
});

/// No value of the body is repeated; names of parameters are, as a person has to find them.
fn refused(text: &str, body: &[u8]) {
    assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
    assert!(
        text.len() <= 32 * 1024 + 10 * body.len(),
        "{} bytes for {}",
        text.len(),
        body.len()
    );
    if text.contains(SECRET) {
        let names_hold_it = serde_json::from_slice(body).is_ok_and(|body| names_hold(&body, SECRET));
        assert!(
            names_hold_it || serde_json::from_slice::<Value>(body).is_err(),
            "{text:?}"
        );
    }
}

fn names_hold(value: &Value, text: &str) -> bool {
    match value {
        Value::Object(members) => members
            .iter()
            .any(|(name, value)| name.contains(text) || names_hold(value, text)),
        Value::Array(values) => values.iter().any(|value| names_hold(value, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn accepted(request: &JobRequest, rules: &RequestRules) {
    assert_eq!(JobId::parse(request.id.as_str()).as_ref(), Ok(&request.id));
    let file_name = match &request.work {
        Work::Backup => {
            let service = &request.service;
            let at = DateTime::UNIX_EPOCH;
            let name = rules
                .name_pattern
                .name(&service.host, &service.database, &request.id, at);
            assert!(name.file_name().len() <= 240, "{name:?}");
            assert!(!name.stem().starts_with('.'), "{name:?}");
            name.file_name()
        }
        Work::Restore { filename, .. } => filename.clone(),
    };
    assert_one_segment(&file_name);
    assert_tame(&file_name);
    let key = ObjectKey::new(request.destination.store.prefix(), &file_name);
    assert!(!key.as_str().starts_with('/') && key.as_str().len() <= 1024, "{key:?}");
    assert!(
        !key.as_str()
            .split('/')
            .any(|segment| matches!(segment, "" | "." | "..")),
        "{key:?}"
    );
    destination(&request.destination.store, rules);
    for (index, parameter) in request.parameters.iter().enumerate() {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(parameter.name.chars().all(plain), "{parameter:?}");
        assert!(
            !rules.agent_variables.contains(&parameter.name.as_str()),
            "{parameter:?}"
        );
        assert!(
            !request.parameters[..index]
                .iter()
                .any(|earlier| earlier.name == parameter.name)
        );
        assert!(parameter.value.expose().len() <= MAX_PARAMETER_BYTES, "{parameter:?}");
    }
    no_secret_is_printed(request);
    record(request);
    scripts(request, rules);
}

fn destination(store: &Store, rules: &RequestRules) {
    match store {
        Store::File(file) => {
            assert!(
                rules.allowed_file_roots.iter().any(|root| file.path.starts_with(root)),
                "{file:?}"
            );
            assert!(
                !file.path.components().any(|part| part == Component::ParentDir),
                "{file:?}"
            );
        }
        Store::Azure(azure) => {
            if let Err(text) = blob_store::fuzzing::azure_credential(&azure.credential) {
                assert!(!text.contains(SECRET), "{text:?}");
            }
        }
        Store::S3(_) | Store::Swift(_) | Store::Gcs(_) => {}
    }
}

/// What is printed is the same whatever the secrets are.
fn no_secret_is_printed(request: &JobRequest) {
    let mut bare = request.clone().without_secrets();
    bare.parameters = request.parameters.clone();
    for parameter in &mut bare.parameters {
        parameter.value = Secret::default();
    }
    // Whether there is a token is no secret.
    let text = |request: &JobRequest| format!("{request:?}").replace("token: Some(<redacted>)", "token: None");
    assert_eq!(text(request), text(&bare));
}

/// It is read as it was written, and none of its secrets can be read in its record.
fn record(request: &JobRequest) {
    let kind = job_store::fuzzing::Kind::Open;
    let job = Job::accepted(request.clone(), FailurePolicy::default(), DateTime::UNIX_EPOCH);
    let bytes = KEY.encode(kind, &job).expect("every request can be written");
    let (read, sound_bytes) = KEY.decode(kind, &bytes, &job.key()).expect("what was written");
    assert_eq!(sound_bytes, bytes.len() as u64);
    assert_eq!(read.request(), request);
}

fn scripts(request: &JobRequest, rules: &RequestRules) {
    let at = DateTime::UNIX_EPOCH;
    let service = &request.service;
    let name = rules
        .name_pattern
        .name(&service.host, &service.database, &request.id, at);
    for arguments in [ArgumentStyle::Latest, ArgumentStyle::Seed, ArgumentStyle::None] {
        let settings = ScriptSettings {
            arguments,
            directories: Directories {
                backup: Some("/backup".into()),
                restore: Some("/restore".into()),
            },
            swap_s3_endpoint_and_region: false,
        };
        for phase in request.kind().phases().iter().copied() {
            let call = call(phase, request, Some(&name), Course::default(), &settings);
            let has_nul = |text: &OsStr| text.as_bytes().contains(&0);
            assert!(!call.arguments.iter().any(|argument| has_nul(argument)), "{phase}");
            for (name, value) in &call.environment {
                assert!(!has_nul(value), "{phase} {name}");
                assert!(!name.is_empty() && !name.contains(['=', '\0']), "{phase} {name}");
            }
            // No parameter takes the place of what the agent says.
            let own = call
                .environment
                .iter()
                .rev()
                .find(|(name, _)| name == "BACKUP_AGENT_JOB_ID");
            assert!(own.is_some_and(|(_, value)| value == request.id.as_str()), "{phase}");
        }
    }
}
