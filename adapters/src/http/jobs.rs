//! `/backup` and `/restore`: trigger, poll, cancel, remove.

mod operation;

use std::time::Duration;

use domain::{
    job::{JobId, JobKey, JobView},
    plan::JobKind,
    ports::{JobStoreError, StartError},
    request::Faults,
};
use percent_encoding::percent_decode_str;
use warp::{http::StatusCode, reply::Response};

use super::{
    draft,
    json::Members,
    query, reply,
    route::{Call, Routes},
};

pub(super) fn add_to(routes: &mut Routes, kind: JobKind) {
    routes.add(operation::trigger(kind), move |call| async move {
        trigger(kind, call).await.unwrap_or_else(|answer| answer)
    });
    routes.add(operation::remove(kind), move |call| async move {
        remove(kind, call).await.unwrap_or_else(|answer| answer)
    });
    routes.add(operation::poll(kind), move |call| poll(kind, call));
    routes.add(operation::cancel(kind), move |call| cancel(kind, call));
}

/// `POST /backup`, `PUT /restore`. The early answers are errors here.
async fn trigger(kind: JobKind, call: Call) -> Result<Response, Response> {
    let Call {
        context,
        body,
        id: about,
        ..
    } = call;
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
    let _ = about.set(id.clone());
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
    // Calls that change something run in tasks of their own, so the client may go now.
    match context.api.start(request).await {
        Ok(()) => Ok(reply::accepted(&key)),
        Err(error) => {
            if let StartError::Store(error) = &error {
                tracing::error!(job = %key, %error, "a job was refused because it could not be recorded");
            }
            Err(reply::not_started(&error))
        }
    }
}

/// `GET /backup/{id}`, `GET /restore/{id}`
async fn poll(kind: JobKind, call: Call) -> Response {
    let Some(key) = key(kind, &call.segment) else {
        return reply::empty(StatusCode::BAD_REQUEST);
    };
    let Ok(patience) = query::wait(&call.query) else {
        return reply::empty(StatusCode::BAD_REQUEST);
    };
    let found = match patience {
        Some(patience) => found_changed(&call, &key, patience).await,
        None => call.context.api.find(&key).await,
    };
    match found {
        Ok(Some(view)) => reply::found(&view),
        Ok(None) => reply::empty(StatusCode::NOT_FOUND),
        Err(error) => reply::job_store_failed(&error.to_string()),
    }
}

/// The job once there is news of it, as long as this may wait.
async fn found_changed(call: &Call, key: &JobKey, patience: Duration) -> Result<Option<JobView>, JobStoreError> {
    let Call { context, routes, .. } = call;
    // Half of the connections stay for those who do not wait.
    let wait = routes.waits.begin(context.limits.connections / 2);
    tokio::select! {
        found = context.api.find_changed(key, patience) => found,
        () = wait.over() => context.api.find(key).await,
        () = call.stop.0.cancelled() => context.api.find(key).await,
    }
}

/// `POST /backup/{id}/cancel`, `POST /restore/{id}/cancel`
async fn cancel(kind: JobKind, call: Call) -> Response {
    let Some(key) = key(kind, &call.segment) else {
        return reply::empty(StatusCode::BAD_REQUEST);
    };
    let _ = call.id.set(key.id.clone());
    match call.context.api.cancel(&key).await {
        Ok(view) => {
            tracing::warn!(job = %key, "cancel requested");
            reply::being_cancelled(&view)
        }
        Err(error) => reply::not_cancelled(&error),
    }
}

/// The job that a segment of a path names, if it can be a name.
pub(super) fn key(kind: JobKind, segment: &str) -> Option<JobKey> {
    let text = percent_decode_str(segment).decode_utf8().ok()?;
    Some(JobKey::new(kind, JobId::parse(&text).ok()?))
}

/// `DELETE /backup`, `DELETE /restore`
async fn remove(kind: JobKind, call: Call) -> Result<Response, Response> {
    let bad_request = || reply::empty(StatusCode::BAD_REQUEST);
    let body = call.body.map_err(reply::unreadable_body)?;
    let members = Members::of_body(&body).map_err(|_| bad_request())?;
    let id = draft::id(&members).map_err(|_| bad_request())?;
    let _ = call.id.set(id.clone());
    match call.context.api.remove(&JobKey::new(kind, id)).await {
        Ok(true) => Ok(reply::empty(StatusCode::OK)),
        Ok(false) => Ok(reply::empty(StatusCode::GONE)),
        Err(error) => Err(reply::not_removed(&error)),
    }
}
