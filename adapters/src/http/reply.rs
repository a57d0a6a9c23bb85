//! Status codes and bodies of answers, all in one place.

use domain::{
    job::{JobKey, JobView},
    plan::JobKind,
    ports::{CancelError, Finding, RemoveError, StartError},
    request::Faults,
};
use serde::Serialize;
use warp::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    reply::Response,
};

use super::{body::BodyError, listing::Page, polling::PollingBody};

/// What all unforeseen answers carry.
#[derive(Default, Serialize)]
pub(super) struct ErrorBody {
    message: &'static str,
    state: &'static str,
    error_message: String,
}

#[derive(Default, Serialize)]
pub(super) struct Message {
    message: &'static str,
}

/// The agent is well, but for these problems.
#[derive(Default, Serialize)]
pub(super) struct Status {
    pub(super) message: &'static str,
    pub(super) problems: Vec<String>,
}

/// What a pre-flight has found.
#[derive(Serialize)]
pub(super) struct Check<'a> {
    ok: bool,
    findings: Vec<Found<'a>>,
}

#[derive(Serialize)]
struct Found<'a> {
    subject: &'a str,
    ok: bool,
    detail: &'a str,
    took_ms: u64,
}

impl<'a> Check<'a> {
    pub(super) fn of(findings: &'a [Finding]) -> Self {
        let found = findings.iter().map(|finding| Found {
            subject: &finding.subject,
            ok: finding.is_good(),
            detail: finding.detail(),
            took_ms: u64::try_from(finding.took.as_millis()).unwrap_or(u64::MAX),
        });
        Self {
            ok: findings.iter().all(Finding::is_good),
            findings: found.collect(),
        }
    }

    /// One of each member.
    pub(super) fn sample() -> Self {
        let found = Found {
            subject: "",
            ok: true,
            detail: "",
            took_ms: 0,
        };
        Self {
            ok: true,
            findings: vec![found],
        }
    }
}

/// A client that was told that the agent stops asks again after this, in seconds: by then it has
/// stopped, and most likely started again.
const RETRY_AFTER_SECONDS: &str = "120";
/// Who was told that the agent is not ready looks again after this, in seconds.
const LOOK_AGAIN_SECONDS: &str = "10";

pub(super) fn running(problems: Vec<String>) -> Response {
    let message = "Client is running";
    json(StatusCode::OK, &Status { message, problems })
}

pub(super) fn alive() -> Response {
    let message = "The agent is alive.";
    json(StatusCode::OK, &Message { message })
}

pub(super) fn ready() -> Response {
    let message = "The agent is ready.";
    let problems = Vec::new();
    json(StatusCode::OK, &Status { message, problems })
}

/// Without problems for those who may not know them.
pub(super) fn not_ready(problems: Vec<String>) -> Response {
    let message = match problems.is_empty() {
        true => "The agent is not ready; it tells why to who has credentials.",
        false => "The agent is not ready.",
    };
    let reply = json(StatusCode::SERVICE_UNAVAILABLE, &Status { message, problems });
    with_header(reply, header::RETRY_AFTER, HeaderValue::from_static(LOOK_AGAIN_SECONDS))
}

/// What Prometheus reads.
pub(super) fn metrics(text: String) -> Response {
    let reply = Response::new(text.into());
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    with_header(reply, header::CONTENT_TYPE, kind)
}

pub(super) fn unauthorized() -> Response {
    let body = Message {
        message: "Unauthorized.",
    };
    let challenge = HeaderValue::from_static("Basic realm=\"osb-backup-agent\"");
    with_header(
        json(StatusCode::UNAUTHORIZED, &body),
        header::WWW_AUTHENTICATE,
        challenge,
    )
}

pub(super) fn unknown_path() -> Response {
    error(
        StatusCode::NOT_FOUND,
        "Not found.",
        "Routing",
        "there is nothing at this path",
    )
}

pub(super) fn method_not_allowed(allowed: &str) -> Response {
    let text = format!("this path takes {allowed}");
    let reply = error(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.", "Routing", text);
    let allowed = HeaderValue::from_str(allowed).expect("names of methods are plain ASCII");
    with_header(reply, header::ALLOW, allowed)
}

pub(super) fn stopping() -> Response {
    let text = StartError::Stopping.to_string();
    let reply = error(
        StatusCode::SERVICE_UNAVAILABLE,
        "Failed to start a new job.",
        "Stopping",
        text,
    );
    with_header(
        reply,
        header::RETRY_AFTER,
        HeaderValue::from_static(RETRY_AFTER_SECONDS),
    )
}

/// The answer to a panic in a handler.
pub(super) fn internal_error() -> Response {
    error(
        StatusCode::INTERNAL_SERVER_ERROR,
        "Internal error.",
        "Request handling",
        "the agent failed while it handled this request; its log says more",
    )
}

pub(super) fn unreadable_body(problem: BodyError) -> Response {
    let status = match problem {
        BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        BodyError::TimedOut(_) => StatusCode::REQUEST_TIMEOUT,
        BodyError::Broken => StatusCode::BAD_REQUEST,
    };
    error(
        status,
        "The body could not be read.",
        "Body Reading",
        problem.to_string(),
    )
}

pub(super) fn accepted(key: &JobKey) -> Response {
    let location = HeaderValue::from_str(&format!("/{}/{}", key.kind, key.id)).expect("ids are plain ASCII");
    let reply = as_json(empty(StatusCode::CREATED));
    with_header(reply, header::LOCATION, location)
}

/// A body that is no request: a polling body of a job that never was.
pub(super) fn bad_body(kind: JobKind, problem: &str) -> Response {
    json(StatusCode::BAD_REQUEST, &PollingBody::refused(kind, problem))
}

/// A body that no job could be triggered with.
pub(super) fn no_request(problem: &str) -> Response {
    error(
        StatusCode::BAD_REQUEST,
        "The body is no request.",
        "Body Deserialization",
        problem,
    )
}

pub(super) fn another_check() -> Response {
    let reply = error(
        StatusCode::TOO_MANY_REQUESTS,
        "Another look is at work.",
        "Check",
        "only one is taken at a time; ask again in a few seconds",
    );
    with_header(reply, header::RETRY_AFTER, HeaderValue::from_static(LOOK_AGAIN_SECONDS))
}

pub(super) fn checked(findings: &[Finding]) -> Response {
    json(StatusCode::OK, &Check::of(findings))
}

/// Members that are missing or wrong.
pub(super) fn faulty(kind: JobKind, faults: &Faults) -> Response {
    bad_body(kind, &faults.to_string())
}

pub(super) fn not_started(problem: &StartError) -> Response {
    let status = match problem {
        StartError::Duplicate(view) => return conflict(view),
        StartError::Stopping => return stopping(),
        StartError::Full { .. } => StatusCode::TOO_MANY_REQUESTS,
        StartError::Store(_) => StatusCode::INSUFFICIENT_STORAGE,
    };
    error(
        status,
        "Failed to start a new job.",
        "Job reservation",
        problem.to_string(),
    )
}

pub(super) fn not_removed(problem: &RemoveError) -> Response {
    match problem {
        RemoveError::Unfinished(view) => conflict(view),
        RemoveError::Store(_) => job_store_failed(&problem.to_string()),
    }
}

/// The job will end; until then it can be polled.
pub(super) fn being_cancelled(view: &JobView) -> Response {
    json(StatusCode::ACCEPTED, &PollingBody::from(view))
}

pub(super) fn not_cancelled(problem: &CancelError) -> Response {
    match problem {
        CancelError::Unknown => empty(StatusCode::NOT_FOUND),
        CancelError::Ended(view) => conflict(view),
        CancelError::Store(_) => job_store_failed(&problem.to_string()),
    }
}

pub(super) fn job_store_failed(problem: &str) -> Response {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    error(status, "The agent's records could not be used.", "Job store", problem)
}

pub(super) fn found(view: &JobView) -> Response {
    json(StatusCode::OK, &PollingBody::from(view))
}

/// A part of the list of jobs.
pub(super) fn listed(page: &Page) -> Response {
    json(StatusCode::OK, page)
}

/// What stands behind the `?` is not understood.
pub(super) fn bad_query(problem: &str) -> Response {
    error(
        StatusCode::BAD_REQUEST,
        "The query is not understood.",
        "Query",
        problem,
    )
}

/// The id is taken, by this job.
pub(super) fn conflict(view: &JobView) -> Response {
    json(StatusCode::CONFLICT, &PollingBody::from(view))
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut reply = Response::default();
    *reply.status_mut() = status;
    reply
}

fn error(status: StatusCode, message: &'static str, state: &'static str, error_message: impl Into<String>) -> Response {
    let error_message = error_message.into();
    json(
        status,
        &ErrorBody {
            message,
            state,
            error_message,
        },
    )
}

/// JSON that is there already.
pub(super) fn document(text: &[u8]) -> Response {
    as_json(Response::new(text.to_vec().into()))
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let bytes = serde_json::to_vec(body).expect("bodies have text keys and plain values");
    let mut reply = Response::new(bytes.into());
    *reply.status_mut() = status;
    as_json(reply)
}

fn as_json(reply: Response) -> Response {
    with_header(
        reply,
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    )
}

fn with_header(mut reply: Response, name: HeaderName, value: HeaderValue) -> Response {
    reply.headers_mut().insert(name, value);
    reply
}
