//! Where requests of each type may lead to.

use super::*;
use crate::request::{AllowedEndpoints, ServiceAccountDraft};

fn of_type(kind: &str, change: impl FnOnce(&mut DestinationDraft)) -> DestinationDraft {
    let mut destination = DestinationDraft {
        kind: text(kind),
        bucket: text("bucket"),
        auth_key: Some(Secret::new("key")),
        auth_secret: Some(Secret::new("secret")),
        auth_url: (kind == "SWIFT").then(|| "https://keystone.example.org:5000/v3".to_owned()),
        domain: text("d"),
        container_name: text("c"),
        project_name: text("p"),
        username: text("u"),
        password: Some(Secret::new("password")),
        account: text("account1"),
        container: text("container"),
        account_key: Some(Secret::new("c2VjcmV0")),
        service_account_key: Some(ServiceAccountDraft {
            kind: None,
            client_email: text("a@b"),
            private_key_id: text("1"),
            private_key: Some(Secret::new("-----BEGIN PRIVATE KEY-----\nx\n")),
            key_file: Secret::new("{}"),
        }),
        ..DestinationDraft::default()
    };
    change(&mut destination);
    destination
}

/// The faults with these `allowed_endpoints` and this `default_s3_endpoint`; empty if there are none.
fn faults(destination: DestinationDraft, allowed: &str, default: &str) -> String {
    let rules = RequestRules {
        allowed_endpoints: AllowedEndpoints::parse(allowed).expect(allowed),
        default_s3_endpoint: text(default).filter(|text| !text.is_empty()),
        ..open_rules()
    };
    let mut draft = draft(JobKind::Backup, "j");
    draft.destination = destination;
    let checked = draft.check(&rules, Faults::default());
    checked.err().map(|faults| faults.to_string()).unwrap_or_default()
}

#[test]
fn a_host_that_is_not_listed_is_a_fault_of_the_member_that_leads_there() {
    type Change = fn(&mut DestinationDraft);
    let nothing: Change = |_| {};
    let at: Change = |d| d.endpoint = text("https://store.example.org:8443");
    let in_region: Change = |d| d.region = text("eu-central-1");
    let in_host: Change = |d| {
        d.endpoint = text("https://store.example.org");
        d.path_style = Some(false);
    };
    let in_auth_url: Change = |d| d.auth_url = text("https://store.example.org");
    let rows: &[(&str, Change, &str, &str, &str)] = &[
        (
            "S3",
            at,
            "",
            "store.example.org:8443",
            "endpoint leads to store.example.org:8443,",
        ),
        (
            "S3",
            in_auth_url,
            "",
            "store.example.org",
            "authUrl leads to store.example.org:443,",
        ),
        (
            "S3",
            in_host,
            "",
            "*.store.example.org",
            "endpoint leads to bucket.store.example.org:443,",
        ),
        (
            "S3",
            nothing,
            "",
            "s3.amazonaws.com",
            "endpoint is missing, and without it the way leads to s3.amazonaws.com:443,",
        ),
        (
            "S3",
            in_region,
            "",
            "s3.eu-central-1.amazonaws.com",
            "endpoint is missing, and without it the way leads to s3.eu-central-1.amazonaws.com:443,",
        ),
        (
            "S3",
            nothing,
            "http://store.example.org",
            "store.example.org:80",
            "default_s3_endpoint leads to store.example.org:80,",
        ),
        (
            "SWIFT",
            nothing,
            "",
            "keystone.example.org:5000",
            "authUrl leads to keystone.example.org:5000,",
        ),
        (
            "GCS",
            at,
            "",
            "store.example.org",
            "endpoint leads to store.example.org:8443,",
        ),
        (
            "GCS",
            nothing,
            "",
            "storage.googleapis.com",
            "endpoint is missing, and without it the way leads to storage.googleapis.com:443,",
        ),
        (
            "AZURE",
            at,
            "",
            "*.example.org",
            "endpoint leads to store.example.org:8443,",
        ),
        (
            "AZURE",
            nothing,
            "",
            "account1.blob.core.windows.net",
            "endpoint is missing, and without it the way leads to account1.blob.core.windows.net:443,",
        ),
    ];
    for (kind, change, default, listed, told) in rows {
        let judged = |allowed: &str| faults(of_type(kind, change), allowed, default);
        assert_eq!(judged(listed), "", "{kind} {told}");
        assert_eq!(judged(""), "", "{kind} {told}");
        let told = format!("{told} which is not among the agent's allowed_endpoints; its operator sets them");
        let path = if told.starts_with("default") {
            ""
        } else {
            "destination."
        };
        assert_eq!(judged("other.example.org"), format!("{path}{told}"), "{kind}");
        // Only its address can tell.
        assert_eq!(judged("10.0.0.0/8"), "", "{kind} {told}");
    }
}

#[test]
fn a_metadata_service_is_no_destination_by_default() {
    for kind in ["S3", "AZURE"] {
        for host in ["169.254.169.254", "0xa9fea9fe", "[::ffff:169.254.169.254]", "[fe80::1]"] {
            let at_host = |d: &mut DestinationDraft| d.endpoint = text(&format!("http://{host}/x"));
            let told = faults(of_type(kind, at_host), "", "");
            assert!(
                told.starts_with(&format!(
                    "destination.endpoint leads to {host}:80, which is an address of this"
                )),
                "{kind} {host}: {told}"
            );
        }
    }
    let told = faults(
        of_type("SWIFT", |d| d.auth_url = text("http://169.254.169.254/v3")),
        "",
        "",
    );
    assert!(
        told.starts_with("destination.authUrl leads to 169.254.169.254:80, which is"),
        "{told}"
    );
}
