//! Ids, names and addresses: what becomes a part of a path, of a URL or of an environment.
#![no_main]

use adapters::{http, job_store};
use chrono::DateTime;
use domain::{
    artifact::{ArtifactName, NamePattern, ObjectKey, ObjectNames, Sha256, without_ending},
    job::JobId,
    plan::JobKind,
    request::{complete_endpoint, refusal_of_name},
};
use libfuzzer_sys::fuzz_target;
use osb_backup_agent_fuzz::{assert_one_segment, assert_tame};

fuzz_target!(|text: &str| {
    ids(text);
    patterns(text);
    objects(text);
    for skip_ssl in [false, true] {
        if let Ok(url) = complete_endpoint(text, skip_ssl) {
            assert!(url.starts_with("http://") || url.starts_with("https://"), "{url:?}");
            assert!(
                !url.contains(['@', '?', '#']) && !url.contains(char::is_whitespace),
                "{url:?}"
            );
            assert_eq!(complete_endpoint(&url, !skip_ssl), Ok(url), "{text:?}");
        }
    }
    if refusal_of_name(text, &["client_password"]).is_none() {
        assert!(
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
            "{text:?}"
        );
        assert!(
            !text.is_empty() && !text.starts_with(|c: char| c.is_ascii_digit()),
            "{text:?}"
        );
        assert!(
            text != "client_password" && text != "PATH" && !text.starts_with("LD_"),
            "{text:?}"
        );
    }
    if let Ok(digest) = text.parse::<Sha256>() {
        assert_eq!(digest.to_string(), text.to_ascii_lowercase());
    }
    if let Some(key) = job_store::fuzzing::key_from_hex(text) {
        let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digits, text.to_ascii_lowercase());
    }
});

fn ids(text: &str) {
    for kind in JobKind::ALL {
        if let Ok(id) = JobId::parse(text) {
            assert_eq!(id.as_str(), text);
            assert_one_segment(text);
            assert_tame(text);
            assert!(
                text.len() <= 128 && !text.starts_with('.') && text.is_ascii(),
                "{text:?}"
            );
            // As a segment of a URL, and as the name of a file, it is itself.
            let key = http::fuzzing::job_key(kind, text).expect("an id needs no escapes");
            assert_eq!(key.id, id);
            let file = job_store::fuzzing::file_name(&key);
            assert_one_segment(&file);
            assert_eq!(job_store::fuzzing::key_of(&file), Some(key));
        }
        if let Some(key) = http::fuzzing::job_key(kind, text) {
            assert_eq!(JobId::parse(key.id.as_str()), Ok(key.id));
        }
    }
    if let Some(key) = job_store::fuzzing::key_of(text) {
        assert_eq!(job_store::fuzzing::file_name(&key), text);
    }
}

fn patterns(text: &str) {
    let Ok(pattern) = NamePattern::parse(text) else { return };
    let id = JobId::parse("job-1").expect("an id");
    let name = pattern.name("10.0.0.1", "database", &id, DateTime::UNIX_EPOCH);
    assert_one_segment(&name.file_name());
    assert_tame(&name.file_name());
    assert!(!name.stem().starts_with('.'), "{text:?}");
    assert_eq!(without_ending(&name.file_name()), name.stem());
    // The operator may write the ending too.
    if !matches!(text, "seed" | "latest") && !text.ends_with(".tar.gz") {
        assert_eq!(NamePattern::parse(&format!("{text}.tar.gz")), Ok(pattern));
    }
}

fn objects(text: &str) {
    let (file, stem) = text.split_once('\n').unwrap_or((text, ""));
    let names = ObjectNames::new(file, &ArtifactName::from_stem(stem.to_owned()));
    assert_eq!(names.nth(1), file);
    let many: Vec<String> = (1..5).map(|n| names.nth(n)).collect();
    for (index, name) in many.iter().enumerate() {
        assert!(!many[..index].contains(name), "{text:?} gives {name:?} twice");
        assert_eq!(name.matches('/').count(), file.matches('/').count(), "{text:?}");
    }
    assert_eq!(ObjectKey::new(stem, file).as_str(), format!("{stem}{file}"));
}
