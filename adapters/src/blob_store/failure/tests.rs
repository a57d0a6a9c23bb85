use std::path::PathBuf;

use domain::{
    request::{FileStore, S3Addressing, S3Credentials, S3Store},
    secret::Secret,
};

use super::*;

fn bucket() -> Store {
    Store::S3(S3Store {
        endpoint: Some("http://127.0.0.1:1".to_owned()),
        region: None,
        bucket: "b".to_owned(),
        addressing: S3Addressing::Path,
        credentials: S3Credentials::Keys {
            key: Secret::new("the-access-key"),
            secret: Secret::new("the-secret"),
            token: Some(Secret::new("the-session-token")),
        },
        encryption: None,
        storage_class: None,
        checksum: None,
        prefix: "pre/".to_owned(),
        skip_ssl: false,
    })
}

fn told(failure: Failure, action: Action) -> BlobStoreError {
    failure.told_of(
        action,
        &bucket(),
        &ObjectKey::new("pre/", "x.tar.gz"),
        &Redaction::default(),
    )
}

fn answer(status: u16, code: &str, message: &str) -> Failure {
    let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    Fault::Answer(Answer::new(status, None, &body)).into()
}

#[test]
fn a_refusal_names_the_place_the_answer_and_what_to_check() {
    let failure = answer(403, "AccessDenied", "Access Denied");
    assert_eq!(
        told(failure, Action::Upload).to_string(),
        "upload of \"pre/x.tar.gz\" to bucket \"b\" at http://127.0.0.1:1: the store refused it with \
         403 AccessDenied (Access Denied); check authKey and authSecret and that they may write to this bucket"
    );
}

#[test]
fn a_status_without_a_code_gets_its_reason() {
    let failure = Failure::from(Fault::Answer(Answer::new(403, None, "")));
    assert!(
        told(failure, Action::LookUp)
            .to_string()
            .contains("403 Forbidden; check authKey")
    );
}

#[test]
fn secrets_that_a_store_repeats_are_not_shown() {
    let text = told(
        answer(403, "X", "the-access-key, the-session-token and the-secret"),
        Action::Upload,
    )
    .to_string();
    assert!(text.contains("(<redacted>, <redacted> and <redacted>)"), "{text}");
}

#[test]
fn what_libraries_quote_of_an_answer_is_shown_without_secrets_and_nowhere_else() {
    let quoted = format!("{}the-access-key of ours", "x".repeat(170));
    let error = || object_store::Error::Generic {
        store: "S3",
        source: quoted.clone().into(),
    };
    let failure = Failure::from(error());
    assert!(
        !failure.to_string().contains("xx") && !failure.summary().contains("xx"),
        "{failure}"
    );
    let own = Redaction::of([Secret::new(" of ours")]);
    let text = failure.told_of(Action::Upload, &bucket(), &ObjectKey::new("", "x"), &own);
    let text = text.to_string();
    assert!(text.contains("x<redacted><r") && !text.contains("the-acc"), "{text}");
}

#[test]
fn a_text_stays_readable_whatever_short_keys_were_sent() {
    let mut store = bucket();
    if let Store::S3(s3) = &mut store {
        s3.credentials = S3Credentials::keys("k", "s");
    }
    let failure = Failure::no_object();
    let text = failure
        .told_of(
            Action::Download,
            &store,
            &ObjectKey::new("", "x"),
            &Redaction::default(),
        )
        .to_string();
    assert!(!text.contains("<redacted>"), "{text}");
}

#[test]
fn answers_are_worth_another_try_or_not() {
    for (status, code, is_transient) in [
        (200, "InternalError", true),
        (200, "Whatever", true),
        (400, "RequestTimeout", true),
        (408, "", true),
        (429, "", true),
        (500, "InternalError", true),
        (503, "SlowDown", true),
        (507, "", true),
        (301, "PermanentRedirect", false),
        (307, "TemporaryRedirect", false),
        (400, "AuthorizationHeaderMalformed", false),
        (401, "", false),
        (403, "RequestTimeTooSkewed", false),
        (404, "NoSuchBucket", false),
        (412, "PreconditionFailed", false),
        (501, "NotImplemented", false),
    ] {
        assert_eq!(answer(status, code, "").is_transient(), is_transient, "{status} {code}");
    }
}

#[test]
fn each_failure_has_its_kind_and_its_hint() {
    let connection = |kind| {
        let text = "why".to_owned();
        Failure::from(Fault::Connection { kind, text })
    };
    type Kind = fn(String) -> BlobStoreError;
    let rows: [(Failure, Kind, &str); 10] = [
        (
            answer(403, "SignatureDoesNotMatch", ""),
            BlobStoreError::Denied,
            "authSecret",
        ),
        (answer(403, "InvalidAccessKeyId", ""), BlobStoreError::Denied, "authKey"),
        (answer(403, "RequestTimeTooSkewed", ""), BlobStoreError::Denied, "clock"),
        (answer(404, "NoSuchBucket", ""), BlobStoreError::NotFound, "bucket"),
        (answer(404, "NoSuchKey", ""), BlobStoreError::NotFound, "filenamePrefix"),
        (answer(301, "PermanentRedirect", ""), BlobStoreError::Other, "region"),
        (
            connection(ConnectionFault::Name),
            BlobStoreError::Unavailable,
            "name servers",
        ),
        (
            connection(ConnectionFault::Refused),
            BlobStoreError::Unavailable,
            "port",
        ),
        (
            connection(ConnectionFault::Certificate),
            BlobStoreError::Unavailable,
            "trusts its CA",
        ),
        (
            connection(ConnectionFault::Tls),
            BlobStoreError::Unavailable,
            "plain http",
        ),
    ];
    for (failure, kind, hint) in rows {
        let name = format!("{failure}");
        let error = told(failure, Action::Download);
        let text = error.to_string();
        assert_eq!(error, kind(text.clone()), "{name}");
        let (_, told_hint) = text.rsplit_once("; ").expect("a hint");
        assert!(told_hint.contains(hint), "{text}");
    }
}

#[test]
fn a_directory_failure_names_the_directory() {
    let store = Store::File(FileStore {
        path: PathBuf::from("/mnt/backups"),
    });
    let failure = Failure::directory("writing the object", &io::Error::from(io::ErrorKind::StorageFull));
    let error = failure.told_of(Action::Upload, &store, &ObjectKey::new("", "x"), &Redaction::default());
    assert_eq!(
        error.to_string(),
        "upload of \"x\" to directory \"/mnt/backups\": writing the object: no storage space; make room there"
    );
    assert!(matches!(error, BlobStoreError::Unavailable(_)), "{error:?}");
}
