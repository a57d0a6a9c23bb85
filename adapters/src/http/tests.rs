//! The contract's rows against a mocked core, and the server against real sockets.

mod audit;
mod health;
mod hostile;
mod listing;
mod openapi;
mod polling;
mod requests;
mod rows;
mod server;
pub(super) mod still;
mod watching;

use std::sync::{Arc, Mutex};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use domain::{
    job::{Job, JobView},
    plan::{FailurePolicy, JobKind, Transfer},
    ports::{AuditEntry, AuditLog, MockJobApi},
    secret::Secret,
    testing::{open_rules, request},
};
use serde_json::Value;
use warp::http::Response;

use super::*;

fn authorization() -> String {
    format!("Basic {}", BASE64_STANDARD.encode("admin:secret"))
}

fn context_with(api: MockJobApi, limits: HttpLimits) -> Arc<HttpContext> {
    context_of(Arc::new(api), limits)
}

fn context_of(api: Arc<dyn JobApi>, limits: HttpLimits) -> Arc<HttpContext> {
    Arc::new(HttpContext {
        api,
        credentials: Credentials::new(&Secret::new("admin"), &Secret::new("secret")),
        tls: None,
        rules: open_rules(),
        limits,
        audit: Arc::new(Noted::default()),
        metrics: Arc::new(Noted::default()),
        metrics_without_auth: false,
        readiness: Readiness::default(),
    })
}

/// Keeps what was noted.
#[derive(Debug, Default)]
struct Noted(Mutex<Vec<AuditEntry>>);

impl AuditLog for Noted {
    fn record(&self, entry: AuditEntry) {
        self.0.lock().unwrap().push(entry);
    }

    fn problem(&self) -> Option<String> {
        None
    }
}

impl Metrics for Noted {
    fn exposition(&self, unsettled: &[JobView], problems: usize) -> String {
        format!("unsettled {}\nproblems {problems}\n", unsettled.len())
    }
}

/// A core that knows no job and takes every one.
fn willing() -> MockJobApi {
    let mut api = MockJobApi::new();
    api.expect_takes_jobs().returning(|| true);
    api.expect_find().returning(|_| Ok(None));
    api.expect_start().returning(|_| Ok(()));
    api.expect_remove().returning(|_| Ok(false));
    api.expect_problems().returning(Vec::new);
    api
}

/// A job that waits.
fn view(kind: JobKind) -> JobView {
    let at = chrono::DateTime::from_timestamp(1_541_523_939, 0).unwrap();
    Job::accepted(request(kind, "j", Transfer::ByAgent), FailurePolicy::default(), at).view()
}

async fn call(api: MockJobApi, method: &str, path: &str, body: impl AsRef<[u8]>) -> Response<Bytes> {
    let context = context_with(api, HttpLimits::default());
    warp::test::request()
        .method(method)
        .path(path)
        .header("authorization", authorization())
        .body(body)
        .reply(&routes(&context))
        .await
}

fn json(response: &Response<Bytes>) -> Value {
    assert_eq!(header(response, "content-type"), "application/json");
    serde_json::from_slice(response.body()).unwrap()
}

fn header(response: &Response<Bytes>, name: &str) -> String {
    let value = response.headers().get(name);
    value
        .map(|value| value.to_str().unwrap().to_owned())
        .unwrap_or_default()
}

/// A body without faults.
fn good_body(kind: JobKind) -> Value {
    let service = serde_json::json!({"host": "h", "user": "u", "password": "p", "database": "db"});
    let mut body = serde_json::json!({
        "id": "j",
        "destination": {"type": "S3", "bucket": "b", "authKey": "k", "authSecret": "s"},
    });
    body[kind.as_str()] = service;
    if kind == JobKind::Restore {
        body["destination"]["filename"] = "x.tar.gz".into();
    }
    body
}

fn trigger(kind: JobKind) -> (&'static str, &'static str) {
    match kind {
        JobKind::Backup => ("POST", "/backup"),
        JobKind::Restore => ("PUT", "/restore"),
    }
}
