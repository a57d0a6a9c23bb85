//! S3 destinations: what is taken, what is refused, and whose credentials are used.

use super::*;

#[test]
fn the_members_of_s3_are_checked_one_by_one() {
    let with = |member: &'static str, value: &str| {
        let value = value.to_owned();
        move |d: &mut Draft| {
            let d = &mut d.destination;
            match member {
                "sessionToken" => d.session_token = Some(Secret::new(value)),
                "sse" => d.sse = Some(value),
                "sseKmsKeyId" => (d.sse, d.sse_kms_key_id) = (text("aws:kms"), Some(value)),
                "storageClass" => d.storage_class = Some(value),
                "checksum" => d.checksum = Some(value),
                other => panic!("{other}"),
            }
        }
    };
    for (member, value) in [
        ("sessionToken", "a/b+c=="),
        ("sessionToken", ""),
        ("sse", "AES256"),
        ("sse", "aws:kms"),
        ("sse", ""),
        ("sseKmsKeyId", "arn:aws:kms:eu-central-1:1:key/2"),
        ("sseKmsKeyId", ""),
        ("storageClass", "STANDARD_IA"),
        ("storageClass", "one-of-2030"),
        ("storageClass", ""),
        ("checksum", "none"),
        ("checksum", "crc64nvme"),
        ("checksum", "sha256"),
        ("checksum", ""),
    ] {
        assert_eq!(faults_of(JobKind::Backup, with(member, value)), "", "{member} {value}");
    }
    let (long_class, long_key) = ("X".repeat(65), "k".repeat(2049));
    for (member, value, problem) in [
        ("sessionToken", "a b", "visible ASCII"),
        ("sessionToken", "a\n", "visible ASCII"),
        ("sessionToken", "ä", "visible ASCII"),
        ("sessionToken", "a\0", "NUL"),
        ("sse", "aes256", "is not one of AES256, aws:kms"),
        ("sse", "aws:kms:dsse", "is not one of AES256, aws:kms"),
        ("sse", "\0", "NUL"),
        ("sseKmsKeyId", "a b", "visible ASCII"),
        ("sseKmsKeyId", "a\r\nx-evil: 1", "visible ASCII"),
        ("sseKmsKeyId", long_key.as_str(), "2048"),
        ("storageClass", "A B", "may hold only"),
        ("storageClass", "A\0", "NUL"),
        ("storageClass", long_class.as_str(), "64"),
        ("checksum", "md5", "is not one of none, crc64nvme, sha256"),
        ("checksum", "SHA256", "is not one of none, crc64nvme, sha256"),
    ] {
        let faults = faults_of(JobKind::Backup, with(member, value));
        assert!(
            faults.starts_with(&format!("destination.{member} ")),
            "{member} {value:?}: {faults}"
        );
        assert!(
            faults.contains(problem) && faults.matches("destination.").count() == 1,
            "{member} {value:?}: {faults}"
        );
    }
    for sse in [None, text("AES256")] {
        let faults = faults_of(JobKind::Backup, |d| {
            (d.destination.sse, d.destination.sse_kms_key_id) = (sse.clone(), text("k"))
        });
        assert_eq!(faults, "destination.sseKmsKeyId is possible only with sse aws:kms");
    }
}

#[test]
fn the_members_of_s3_say_what_they_mean() {
    let s3 = s3_of(
        |d| {
            let d = &mut d.destination;
            d.session_token = Some(Secret::new("token-SECRET"));
            (d.sse, d.sse_kms_key_id) = (text("aws:kms"), text("k"));
            (d.storage_class, d.checksum) = (text("GLACIER_IR"), text("sha256"));
        },
        &open_rules(),
    );
    let key_id = text("k");
    assert_eq!(s3.encryption, Some(S3Encryption::Kms { key_id }));
    assert_eq!(s3.storage_class.as_deref(), Some("GLACIER_IR"));
    assert_eq!(s3.checksum, Some(S3Checksum::Sha256));
    let store = Store::S3(s3);
    let secrets = store.secrets();
    let secrets: Vec<&str> = secrets.iter().map(Secret::expose).collect();
    assert_eq!(secrets, ["secret-SECRET", "key-SECRET", "token-SECRET"]);
    let mut bare = store;
    bare.remove_secrets();
    assert!(bare.secrets().into_iter().all(|secret| secret.expose().is_empty()));
}

#[test]
fn the_agents_own_credentials_are_used_only_where_all_allows_it() {
    fn without_keys(d: &mut Draft) {
        (d.destination.auth_key, d.destination.auth_secret) = (None, Some(Secret::default()));
    }
    let listed = RequestRules {
        ambient_buckets: Some(vec!["bucket".to_owned()]),
        default_s3_endpoint: text("https://s3.example.org"),
        ..open_rules()
    };
    assert_eq!(s3_of(without_keys, &listed).credentials, S3Credentials::Ambient);
    // Keys that are there are used, listed or not.
    assert_eq!(
        s3_of(|_| {}, &listed).credentials,
        S3Credentials::keys("key-SECRET", "secret-SECRET")
    );

    let unlisted = RequestRules {
        ambient_buckets: Some(vec!["buckets".to_owned(), "Bucket".to_owned(), String::new()]),
        ..listed.clone()
    };
    let rows: &[(&RequestRules, Change, &str)] = &[
        (
            &open_rules(),
            |_| {},
            "destination.authKey is missing; the agent's own credentials are used without it only if \
             its operator sets allow_ambient_credentials",
        ),
        (&unlisted, |_| {}, "ambient_buckets"),
        (
            &listed,
            |d| d.destination.endpoint = text("https://evil.example.org"),
            "destination.endpoint must not be given",
        ),
        (
            &listed,
            |d| d.destination.auth_url = text("evil.example.org"),
            "destination.authUrl must not be given",
        ),
        (
            &listed,
            |d| d.destination.skip_ssl = Some(true),
            "destination.skipSSL must not be true",
        ),
        (
            &listed,
            |d| d.destination.session_token = Some(Secret::new("t")),
            "destination.authKey is missing",
        ),
        (
            &listed,
            |d| d.destination.auth_key = Some(Secret::new("k")),
            "destination.authSecret is missing",
        ),
        (
            &listed,
            |d| d.destination.auth_secret = Some(Secret::new("s")),
            "destination.authKey is missing",
        ),
        (
            &listed,
            |d| d.skip_storage = Some(true),
            "destination.authSecret is missing",
        ),
        (
            &listed,
            |d| d.destination.bucket = None,
            "destination.bucket is missing",
        ),
    ];
    for (rules, change, problem) in rows {
        let mut draft = draft(JobKind::Backup, "j");
        without_keys(&mut draft);
        change(&mut draft);
        let faults = draft.check(rules, Faults::default()).expect_err(problem).to_string();
        assert!(faults.contains(problem), "{problem}: {faults}");
    }
}
