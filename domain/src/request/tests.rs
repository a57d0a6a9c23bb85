mod allowed;
mod s3;

use super::*;
use crate::testing::{draft, open_rules};

type Change = fn(&mut Draft);

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn faults_of(kind: JobKind, change: impl FnOnce(&mut Draft)) -> String {
    let mut draft = draft(kind, "j");
    change(&mut draft);
    match draft.check(&open_rules(), Faults::default()) {
        Ok(_) => String::new(),
        Err(faults) => faults.to_string(),
    }
}

fn s3_of(change: impl FnOnce(&mut Draft), rules: &RequestRules) -> S3Store {
    let mut draft = draft(JobKind::Backup, "j");
    change(&mut draft);
    match draft
        .check(rules, Faults::default())
        .expect("no faults")
        .destination
        .store
    {
        Store::S3(s3) => s3,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_request_of_either_kind_is_taken() {
    for kind in JobKind::ALL {
        assert_eq!(faults_of(kind, |_| {}), "", "{kind}");
    }
}

#[test]
fn each_required_member_is_missed_by_its_path() {
    let rows: &[(&str, Change)] = &[
        ("destination.type is missing", |d| d.destination.kind = None),
        ("destination.type is missing", |d| d.destination.kind = text("")),
        ("destination.bucket is missing", |d| d.destination.bucket = None),
        ("destination.authKey is missing", |d| d.destination.auth_key = None),
        ("destination.authSecret is missing", |d| {
            d.destination.auth_secret = Some(Secret::default())
        }),
        ("restore.host is missing", |d| d.service.host = None),
        ("restore.database is missing", |d| d.service.database = text("")),
        ("destination.filename is missing", |d| d.destination.filename = None),
    ];
    for (fault, change) in rows {
        assert_eq!(faults_of(JobKind::Restore, change), *fault);
    }
    assert_eq!(
        faults_of(JobKind::Backup, |d| d.service.host = None),
        "backup.host is missing"
    );
}

#[test]
fn members_that_need_not_be_there_are_not_missed() {
    let rows: &[Change] = &[
        |d| d.service.user = None,
        |d| d.service.password = None,
        |d| d.service.parameters.clear(),
        |d| d.destination.region = None,
        |d| d.destination.filename_prefix = None,
        |d| d.encryption_key = None,
        |d| d.compression = None,
    ];
    for (index, change) in rows.iter().enumerate() {
        assert_eq!(faults_of(JobKind::Backup, change), "", "row {index}");
    }
}

#[test]
fn all_faults_come_at_once_and_those_found_while_reading_stay() {
    let mut draft = draft(JobKind::Backup, "j");
    draft.destination.bucket = None;
    draft.service.host = None;
    draft.service.database = None;
    let mut faults = Faults::default();
    faults.add("destination.bucket", "must be a string");
    let faults = draft.check(&open_rules(), faults).expect_err("faults").to_string();
    assert_eq!(
        faults,
        "destination.bucket must be a string; backup.host is missing; backup.database is missing"
    );
}

#[test]
fn what_could_do_harm_as_a_name_or_an_argument_is_refused() {
    let rows: &[(&str, Change)] = &[
        ("restore.host", |d| d.service.host = text("-x")),
        ("restore.host", |d| d.service.host = text(".x")),
        ("restore.host", |d| d.service.host = text("a/b")),
        ("restore.host", |d| d.service.host = text("a\nb")),
        ("restore.database", |d| d.service.database = text("../x")),
        ("restore.database", |d| d.service.database = text("x\0")),
        ("restore.database", |d| d.service.database = text("-x")),
        ("restore.user", |d| d.service.user = text("-x")),
        ("restore.user", |d| d.service.user = text("x\0")),
        ("restore.password", |d| d.service.password = Some(Secret::new("x\0"))),
        ("encryption_key", |d| d.encryption_key = Some(Secret::new("x\0"))),
        ("destination.filename", |d| d.destination.filename = text("..")),
        ("destination.filename", |d| d.destination.filename = text(".")),
        ("destination.filename", |d| d.destination.filename = text("a/b")),
        ("destination.filename", |d| d.destination.filename = text("a\\b")),
        ("destination.filename", |d| d.destination.filename = text("a\tb")),
        ("destination.filename", |d| d.destination.filename = text("-rf")),
        ("destination.filename", |d| {
            d.destination.filename = Some("x".repeat(256))
        }),
        ("destination.bucket", |d| d.destination.bucket = text("a/b")),
        ("destination.bucket", |d| d.destination.bucket = text("..")),
        ("destination.bucket", |d| {
            d.destination.bucket = text("evil.example.org#")
        }),
        ("destination.region", |d| d.destination.region = text("eu\r\nx")),
        ("destination.endpoint", |d| d.destination.endpoint = text("ftp://x")),
        ("destination.authUrl", |d| {
            d.destination.auth_url = text("https://u:p@x")
        }),
        ("destination.filenamePrefix", |d| {
            d.destination.filename_prefix = text("/a")
        }),
        ("destination.filenamePrefix", |d| {
            d.destination.filename_prefix = text("/")
        }),
        ("destination.filenamePrefix", |d| {
            d.destination.filename_prefix = text("a//b")
        }),
        ("destination.filenamePrefix", |d| {
            d.destination.filename_prefix = text("a/../b")
        }),
        ("destination.filenamePrefix", |d| {
            d.destination.filename_prefix = text("./b")
        }),
        ("destination.filenamePrefix", |d| {
            d.destination.filename_prefix = text("a\n")
        }),
        ("destination.filenamePrefix", |d| {
            d.destination.filename_prefix = Some("x".repeat(800))
        }),
        ("destination.type", |d| d.destination.kind = text("FTP")),
        ("destination.username", |d| d.destination.username = text("x\0")),
        ("destination.password", |d| {
            d.destination.password = Some(Secret::new("x\0"));
        }),
        ("restore.parameters.PATH", |d| {
            d.service.parameters = vec![("PATH".to_owned(), Secret::default())]
        }),
        ("restore.parameters.client_password", |d| {
            d.service.parameters = vec![("client_password".to_owned(), Secret::default())];
        }),
        ("restore.parameters.a", |d| {
            d.service.parameters = vec![("a".to_owned(), Secret::new("\0"))]
        }),
        ("restore.parameters.a", |d| {
            d.service.parameters = vec![("a".to_owned(), Secret::new("x".repeat(65537)))]
        }),
    ];
    for (index, (path, change)) in rows.iter().enumerate() {
        let faults = faults_of(JobKind::Restore, change);
        assert!(
            faults.starts_with(&format!("{path} ")),
            "row {index} {path}: {faults:?}"
        );
        assert!(!faults.contains("; "), "row {index} {path}: one fault, not {faults:?}");
    }
}

#[test]
fn what_looks_odd_but_is_harmless_is_taken() {
    let rows: &[Change] = &[
        |d| d.service.database = text("my db'; DROP TABLE"),
        |d| d.service.database = text("größe"),
        |d| d.service.password = Some(Secret::new("-p\n:/\"")),
        |d| d.destination.filename = text(".hidden é+%#~"),
        |d| d.destination.filename_prefix = text("a/b"),
        |d| d.destination.filename_prefix = text("a/b-"),
        |d| d.destination.filename_prefix = text("5be2f5d5c9e77c0001a1b2c3/"),
        |d| d.destination.bucket = text("My_Bucket.1"),
        |d| d.service.parameters = vec![("a".to_owned(), Secret::new("x".repeat(65536)))],
    ];
    for (index, change) in rows.iter().enumerate() {
        assert_eq!(faults_of(JobKind::Restore, change), "", "row {index}");
    }
}

#[test]
fn the_artifact_s_name_fits_a_file_system() {
    // host_YYYY_MM_DD_database.tar.gz
    let overhead = "host".len() + "_YYYY_MM_DD_".len() + ".tar.gz".len();
    for (length, is_good) in [(240 - overhead, true), (241 - overhead, false)] {
        let faults = faults_of(JobKind::Backup, |d| d.service.database = Some("x".repeat(length)));
        assert_eq!(faults.is_empty(), is_good, "{length}: {faults}");
    }
    let faults = faults_of(JobKind::Backup, |d| d.service.database = Some("é".repeat(115)));
    assert!(faults.contains("bytes"), "bytes count, not characters: {faults:?}");
}

#[test]
fn a_hundred_thousand_parameters_take_no_time_and_as_many_faults_are_cut() {
    let mut draft = draft(JobKind::Backup, "j");
    draft.service.parameters = (0..100_000).map(|n| (format!("p{n}"), Secret::new("x"))).collect();
    let request = draft.check(&open_rules(), Faults::default()).expect("no faults");
    assert_eq!(request.parameters.len(), 100_000);
    let faults = faults_of(JobKind::Backup, |d| {
        d.service.parameters = (0..100_000).map(|n| (format!("{n}"), Secret::new("x"))).collect();
    });
    assert_eq!(faults.split("; ").count(), 100);
}

#[test]
fn a_swift_address_holds_no_credentials() {
    let faults = faults_of(JobKind::Backup, |d| {
        d.destination.kind = text("SWIFT");
        d.destination.auth_url = text("https://user:pw@keystone/v3");
    });
    assert!(
        faults.contains("destination.authUrl must be a plain address"),
        "{faults}"
    );
}

#[test]
fn of_a_parameter_given_twice_the_last_counts() {
    let mut draft = draft(JobKind::Backup, "j");
    let pair = |value: &str| ("a".to_owned(), Secret::new(value));
    draft.service.parameters = vec![pair("1"), pair("2")];
    let request = draft.check(&open_rules(), Faults::default()).expect("no faults");
    let expected = Parameter {
        name: "a".to_owned(),
        value: Secret::new("2"),
    };
    assert_eq!(request.parameters, [expected]);
}

#[test]
fn an_s3_endpoint_is_found_where_clients_put_it() {
    let with_default = RequestRules {
        default_s3_endpoint: text("default.example.org"),
        ..open_rules()
    };
    let rows: &[(Change, &RequestRules, Option<&str>, S3Addressing)] = &[
        (|_| {}, &open_rules(), None, S3Addressing::VirtualHosted),
        (
            |d| d.destination.bucket = text("a.b"),
            &open_rules(),
            None,
            S3Addressing::Path,
        ),
        (
            |_| {},
            &with_default,
            Some("https://default.example.org"),
            S3Addressing::Path,
        ),
        (
            |d| d.destination.auth_url = text("https://a"),
            &with_default,
            Some("https://a"),
            S3Addressing::Path,
        ),
        (
            |d| {
                d.destination.auth_url = text("https://a");
                d.destination.endpoint = text("e:9000");
                d.destination.skip_ssl = Some(true);
            },
            &with_default,
            Some("http://e:9000"),
            S3Addressing::Path,
        ),
        (
            |d| {
                d.destination.endpoint = text("e");
                d.destination.path_style = Some(false);
            },
            &open_rules(),
            Some("https://e"),
            S3Addressing::VirtualHosted,
        ),
        (
            |d| d.destination.endpoint = text(""),
            &open_rules(),
            None,
            S3Addressing::VirtualHosted,
        ),
    ];
    for (index, (change, rules, endpoint, addressing)) in rows.iter().enumerate() {
        let s3 = s3_of(change, rules);
        assert_eq!(s3.endpoint.as_deref(), *endpoint, "row {index}");
        assert_eq!(s3.addressing, *addressing, "row {index}");
    }
}

#[test]
fn a_scheme_that_goes_against_skip_ssl_wins_and_is_warned_of() {
    for (endpoint, skip_ssl, url, is_odd) in [
        ("https://e", Some(true), "https://e", true),
        ("http://e", Some(false), "http://e", true),
        ("https://e", Some(false), "https://e", false),
        ("http://e", Some(true), "http://e", false),
        ("http://e", None, "http://e", false),
        ("e", Some(true), "http://e", false),
        ("e", None, "https://e", false),
    ] {
        let mut draft = draft(JobKind::Backup, "j");
        draft.destination.endpoint = text(endpoint);
        draft.destination.skip_ssl = skip_ssl;
        let request = draft.check(&open_rules(), Faults::default()).expect("no faults");
        assert!(matches!(&request.destination.store, Store::S3(s3) if s3.endpoint.as_deref() == Some(url)));
        assert_eq!(!request.warnings.is_empty(), is_odd, "{endpoint} {skip_ssl:?}");
    }
}

#[test]
fn what_the_client_sent_is_echoed_as_it_was() {
    let mut draft = draft(JobKind::Backup, "j");
    draft.destination.kind = text("s3");
    draft.destination.endpoint = text("e:9000");
    draft.destination.skip_ssl = Some(true);
    let echo = draft
        .check(&open_rules(), Faults::default())
        .expect("no faults")
        .destination
        .echo;
    assert_eq!(
        echo,
        DestinationEcho {
            kind: "S3".to_owned(),
            skip_ssl: true,
            region: "eu-central-1".to_owned(),
            endpoint: "e:9000".to_owned(),
            bucket: "bucket".to_owned(),
            filename_prefix: "prefix/".to_owned(),
            ..DestinationEcho::default()
        }
    );
}

#[test]
fn a_directory_must_lie_below_an_allowed_root() {
    let rules = |roots: &[&str]| RequestRules {
        allowed_file_roots: roots.iter().map(PathBuf::from).collect(),
        ..open_rules()
    };
    for (roots, path, fault) in [
        (&["/mnt"][..], "/mnt/nfs", ""),
        (&["/mnt"], "/mnt", ""),
        (&["/a", "/mnt/"], "/mnt/x", ""),
        (&["/mnt"], "/mnt2", "destination.path is not below one"),
        (&["/mnt"], "/", "destination.path is not below one"),
        (&["/mnt"], "/mnt/../etc", "destination.path must be an absolute path"),
        (&["/mnt"], "mnt", "destination.path must be an absolute path"),
        (&["/mnt"], "", "destination.path is missing"),
        (&[], "/mnt", "destination.type FILE is switched off"),
    ] {
        let mut draft = draft(JobKind::Backup, "j");
        draft.destination = DestinationDraft {
            kind: text("file"),
            path: text(path),
            ..DestinationDraft::default()
        };
        let faults = draft.check(&rules(roots), Faults::default()).err().unwrap_or_default();
        let faults = faults.to_string();
        assert!(
            faults.starts_with(fault) && faults.is_empty() == fault.is_empty(),
            "{roots:?} {path}: {faults}"
        );
    }
}

#[test]
fn all_that_a_swift_destination_lacks_is_told_at_once() {
    let faults = faults_of(JobKind::Backup, |d| d.destination.kind = text("Swift"));
    for path in [
        "authUrl",
        "domain",
        "container_name",
        "project_name",
        "username",
        "password",
    ] {
        assert!(faults.contains(&format!("destination.{path} ")), "{path}: {faults}");
    }
}

#[test]
fn either_the_agent_or_the_request_leaves_the_bytes_to_the_scripts() {
    for (agent, sent, transfer) in [
        (false, None, Transfer::ByAgent),
        (false, Some(false), Transfer::ByAgent),
        (false, Some(true), Transfer::ByScripts),
        (true, None, Transfer::ByScripts),
        (true, Some(false), Transfer::ByScripts),
    ] {
        let rules = RequestRules {
            skip_storage: agent,
            ..open_rules()
        };
        let mut draft = draft(JobKind::Backup, "j");
        draft.skip_storage = sent;
        let request = draft.check(&rules, Faults::default()).expect("no faults");
        assert_eq!(request.transfer, transfer, "{agent} {sent:?}");
    }
}
