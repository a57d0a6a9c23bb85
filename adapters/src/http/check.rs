//! `POST /check`: the pre-flight, for a request that a caller is about to make.

use std::sync::Arc;

use domain::{
    plan::JobKind,
    ports::{AuditAction, Finding},
    request::{JobRequest, RequestRules},
};
use tokio::sync::Semaphore;
use warp::{
    http::{Method, StatusCode},
    reply::Response,
};

use super::{
    draft,
    json::Members,
    operation::{Access, Holds, Operation, Takes, answer},
    reply,
    route::{Call, Routes},
};

pub(super) fn add_to(routes: &mut Routes) {
    let operation = Operation {
        method: Method::POST,
        path: "/check".to_owned(),
        name: "check".to_owned(),
        summary: "Looks whether a backup or a restore with this body could work, and at its destination. Runs no \
                  script, and leaves no object behind.",
        takes: Takes::AnyTrigger,
        access: Access::Known,
        audited: Some((AuditAction::Check, None)),
        answers: vec![
            answer(StatusCode::OK, Holds::Check, "What was found, good or bad."),
            answer(StatusCode::BAD_REQUEST, Holds::Error, "The body is no request."),
            answer(
                StatusCode::TOO_MANY_REQUESTS,
                Holds::Error,
                "Another look is at work; ask again in a few seconds.",
            ),
        ],
    };
    // One at a time: each may hold connections, and wait for stores that do not answer.
    let turn = Arc::new(Semaphore::new(1));
    routes.add(operation, move |call| {
        let turn = Arc::clone(&turn);
        async move {
            match turn.try_acquire() {
                Ok(_held) => check(call).await.unwrap_or_else(|answer| answer),
                Err(_) => reply::another_check(),
            }
        }
    });
}

async fn check(call: Call) -> Result<Response, Response> {
    let body = call.body.map_err(reply::unreadable_body)?;
    let request = request_of(&body, &call.context.rules).map_err(|problem| reply::no_request(&problem))?;
    let _ = call.id.set(request.id.clone());
    Ok(reply::checked(&call.context.api.examine(Some(request)).await))
}

/// The request of a body that a backup or a restore could be triggered with; which of them it is, its
/// member `backup` or `restore` tells.
///
/// # Errors
///
/// All that is wrong with it.
pub fn request_of(body: &[u8], rules: &RequestRules) -> Result<JobRequest, String> {
    let members = Members::of_body(body)?;
    let is_restore = members.get("restore").is_some() && members.get("backup").is_none();
    let kind = if is_restore { JobKind::Restore } else { JobKind::Backup };
    draft::request(kind, members, rules)
}

/// What was found, as machines read it.
#[must_use]
pub fn report(findings: &[Finding]) -> String {
    serde_json::to_string(&reply::Check::of(findings)).expect("it has text keys and plain values")
}
