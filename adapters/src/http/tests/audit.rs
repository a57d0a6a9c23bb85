//! Who is noted for what.

use domain::ports::{Actor, AuditAction, CancelError, RemoveError};

use super::*;
use crate::http::audit::Peer;

const PEER: &str = "192.0.2.1:4711";

/// What is noted of one call: action, user, kind, id, outcome.
async fn noted(authorization: &str, method: &str, path: &str, body: &str) -> Vec<AuditEntry> {
    let mut api = MockJobApi::new();
    api.expect_takes_jobs().returning(|| true);
    api.expect_problems().returning(Vec::new);
    api.expect_find().returning(|key| match key.id.as_str() {
        "known" => Ok(Some(view(key.kind))),
        _ => Ok(None),
    });
    api.expect_start().returning(|request| match request.id.as_str() {
        "panic" => panic!("as a fault of the agent would"),
        _ => Ok(()),
    });
    api.expect_remove().returning(|key| match key.id.as_str() {
        "known" => Err(RemoveError::Unfinished(Box::new(view(key.kind)))),
        _ => Ok(true),
    });
    api.expect_cancel().returning(|key| match key.id.as_str() {
        "known" => Ok(view(key.kind)),
        _ => Err(CancelError::Unknown),
    });
    let audit = Arc::new(Noted::default());
    let context = Arc::new(HttpContext {
        api: Arc::new(api),
        credentials: Credentials::new(&Secret::new("admin"), &Secret::new("secret")),
        tls: None,
        rules: open_rules(),
        limits: HttpLimits::default(),
        audit: Arc::clone(&audit) as Arc<dyn AuditLog>,
        metrics: Arc::clone(&audit) as Arc<dyn Metrics>,
        metrics_without_auth: false,
        readiness: Readiness::default(),
    });
    warp::test::request()
        .method(method)
        .path(path)
        .header("authorization", authorization)
        .extension(Peer(PEER.parse().unwrap()))
        .body(body)
        .reply(&routes(&context))
        .await;
    let entries = audit.0.lock().unwrap();
    entries.clone()
}

fn body(kind: JobKind, id: &str) -> String {
    let mut body = good_body(kind);
    body["id"] = id.into();
    body.to_string()
}

#[tokio::test]
async fn every_call_that_changes_something_is_noted_with_who_what_and_its_code() {
    use AuditAction::{Cancel, Delete, Trigger};
    for kind in JobKind::ALL {
        let (method, path) = trigger(kind);
        for (action, method, path, body, id, outcome) in [
            (Trigger, method, path.to_owned(), body(kind, "j"), "j", "201"),
            (Trigger, method, path.to_owned(), body(kind, "known"), "known", "409"),
            (Trigger, method, path.to_owned(), body(kind, "panic"), "panic", "500"),
            (Trigger, method, path.to_owned(), r#"{"id":"j"}"#.to_owned(), "j", "400"),
            (
                Trigger,
                method,
                path.to_owned(),
                r#"{"id":"a\nb"}"#.to_owned(),
                "",
                "400",
            ),
            (Trigger, method, path.to_owned(), "no json".to_owned(), "", "400"),
            (
                Delete,
                "DELETE",
                path.to_owned(),
                r#"{"id":"j"}"#.to_owned(),
                "j",
                "200",
            ),
            (
                Delete,
                "DELETE",
                path.to_owned(),
                r#"{"id":"known"}"#.to_owned(),
                "known",
                "409",
            ),
            (
                Cancel,
                "POST",
                format!("{path}/known/cancel"),
                String::new(),
                "known",
                "202",
            ),
            (Cancel, "POST", format!("{path}/j/cancel"), String::new(), "j", "404"),
            (Cancel, "POST", format!("{path}/%0A/cancel"), String::new(), "", "400"),
        ] {
            let entries = noted(&authorization(), method, &path, &body).await;
            let [entry] = entries.as_slice() else {
                panic!("{method} {path} {body}: {entries:?}");
            };
            let actor = Actor::Caller {
                user: Some("admin".into()),
                address: Some(PEER.parse().unwrap()),
            };
            let found = entry.id.as_ref().map_or("", |id| id.as_str());
            assert_eq!(
                (entry.action, entry.kind, found, entry.outcome.as_str(), &entry.actor),
                (action, Some(kind), id, outcome, &actor),
                "{method} {path} {body}"
            );
        }
    }
}

#[tokio::test]
async fn who_only_asks_is_not_noted() {
    for (method, path) in [
        ("GET", "/status"),
        ("GET", "/openapi.json"),
        ("GET", "/backup/known"),
        ("HEAD", "/restore/j"),
        ("PUT", "/backup"),
        ("POST", "/nowhere"),
    ] {
        let entries = noted(&authorization(), method, path, "").await;
        assert!(entries.is_empty(), "{method} {path}: {entries:?}");
    }
}

#[tokio::test]
async fn a_refused_login_is_noted_with_the_name_that_was_given_and_never_with_the_password() {
    let basic = |text: &[u8]| format!("Basic {}", BASE64_STANDARD.encode(text));
    for (header, user) in [
        (basic(b"root:admin-secret"), Some("root")),
        (basic(b"a\nb\x1b:admin-secret"), Some("a\\nb\\u{1b}")),
        (basic(b":admin-secret"), Some("")),
        (basic(b"admin-secret"), None),
        ("Bearer admin-secret".to_owned(), None),
        (String::new(), None),
    ] {
        for (method, path) in [("GET", "/status"), ("POST", "/backup"), ("DELETE", "/nowhere")] {
            let entries = noted(&header, method, path, &body(JobKind::Backup, "j")).await;
            let [entry] = entries.as_slice() else {
                panic!("{header}: {entries:?}");
            };
            let actor = Actor::Caller {
                user: user.map(Into::into),
                address: Some(PEER.parse().unwrap()),
            };
            assert_eq!((entry.action, &entry.actor), (AuditAction::Login, &actor), "{header}");
            assert_eq!((entry.kind, &entry.id, entry.outcome.as_str()), (None, &None, "401"));
            assert!(!format!("{entry:?}").contains("admin-secret"));
        }
    }
}
