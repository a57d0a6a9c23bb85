//! `/backup` and `/restore`: trigger, poll, cancel, remove.

mod operation;

use std::sync::Arc;

use domain::{
    job::{JobId, JobKey},
    plan::JobKind,
    ports::StartError,
    request::Faults,
};
use percent_encoding::percent_decode_str;
use warp::{http::StatusCode, reply::Response};

use super::{HttpContext, body::BodyError, draft, json::Members, reply, route::Routes};

type Body = Result<Vec<u8>, BodyError>;

pub(super) fn add_to(routes: &mut Routes, kind: JobKind) {
    routes.add(operation::trigger(kind), move |call| async move {
        trigger(kind, &call.context, call.body)
            .await
            .unwrap_or_else(|answer| answer)
    });
    routes.add(operation::remove(kind), move |call| async move {
        remove(kind, &call.context, call.body)
            .await
            .unwrap_or_else(|answer| answer)
    });
    routes.add(operation::poll(kind), move |call| async move {
        poll(kind, &call.context, &call.segment).await
    });
    routes.add(operation::cancel(kind), move |call| async move {
        cancel(kind, &call.context, &call.segment).await
    });
}

/// `POST /backup`, `PUT /restore`. The early answers are errors here.
async fn trigger(kind: JobKind, context: &HttpContext, body: Body) -> Result<Response, Response> {
    if !context.api.takes_jobs() {
        return Err(reply::stopping());
    }
    let body = body.map_err(reply::unreadable_body)?;
    let members = Members::of_body(&body).map_err(|problem| reply::bad_body(kind, &problem))?;
    let id = match draft::id(&members) {
        Ok(id) => id,
        // There is no job to look for, but everything that is wrong is told at once all the same.
        Err(faults) => {
            return Err(reply::faulty(
                kind,
                &draft::all_faults(kind, members, faults, &context.rules),
            ));
        }
    };
    let key = JobKey::new(kind, id.clone());
    match context.api.find(&key).await {
        Ok(None) => {}
        Ok(Some(view)) => return Err(reply::conflict(&view)),
        Err(error) => return Err(reply::job_store_failed(&error.to_string())),
    }
    let (draft, faults) = draft::read(kind, id, members, Faults::default());
    let request = draft
        .check(&context.rules, faults)
        .map_err(|faults| reply::faulty(kind, &faults))?;
    // In a task of its own: the job is accepted whether or not the client stays.
    let api = Arc::clone(&context.api);
    let started = tokio::spawn(async move { api.start(request).await }).await;
    match started {
        Ok(Ok(())) => Ok(reply::accepted(&key)),
        Ok(Err(error)) => {
            if let StartError::Store(error) = &error {
                tracing::error!(job = %key, %error, "a job was refused because it could not be recorded");
            }
            Err(reply::not_started(&error))
        }
        Err(panic) => {
            tracing::error!(job = %key, %panic, "accepting a job panicked");
            Err(reply::internal_error())
        }
    }
}

/// `GET /backup/{id}`, `GET /restore/{id}`
async fn poll(kind: JobKind, context: &HttpContext, segment: &str) -> Response {
    let Some(key) = key(kind, segment) else {
        return reply::empty(StatusCode::BAD_REQUEST);
    };
    match context.api.find(&key).await {
        Ok(Some(view)) => reply::found(&view),
        Ok(None) => reply::empty(StatusCode::NOT_FOUND),
        Err(error) => reply::job_store_failed(&error.to_string()),
    }
}

/// `POST /backup/{id}/cancel`, `POST /restore/{id}/cancel`
async fn cancel(kind: JobKind, context: &HttpContext, segment: &str) -> Response {
    let Some(key) = key(kind, segment) else {
        return reply::empty(StatusCode::BAD_REQUEST);
    };
    // In a task of its own: what was begun is finished whether or not the client stays.
    let api = Arc::clone(&context.api);
    let name = key.clone();
    match tokio::spawn(async move { api.cancel(&key).await }).await {
        Ok(Ok(view)) => {
            tracing::warn!(job = %name, "cancel requested");
            reply::being_cancelled(&view)
        }
        Ok(Err(error)) => reply::not_cancelled(&error),
        Err(panic) => {
            tracing::error!(job = %name, %panic, "cancelling a job panicked");
            reply::internal_error()
        }
    }
}

/// The job that a segment of a path names, if it can be a name.
pub(super) fn key(kind: JobKind, segment: &str) -> Option<JobKey> {
    let text = percent_decode_str(segment).decode_utf8().ok()?;
    Some(JobKey::new(kind, JobId::parse(&text).ok()?))
}

/// `DELETE /backup`, `DELETE /restore`
async fn remove(kind: JobKind, context: &HttpContext, body: Body) -> Result<Response, Response> {
    let bad_request = || reply::empty(StatusCode::BAD_REQUEST);
    let body = body.map_err(reply::unreadable_body)?;
    let members = Members::of_body(&body).map_err(|_| bad_request())?;
    let id = draft::id(&members).map_err(|_| bad_request())?;
    match context.api.remove(&JobKey::new(kind, id)).await {
        Ok(true) => Ok(reply::empty(StatusCode::OK)),
        Ok(false) => Ok(reply::empty(StatusCode::GONE)),
        Err(error) => Err(reply::not_removed(&error)),
    }
}
