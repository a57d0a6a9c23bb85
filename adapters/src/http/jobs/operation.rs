//! What clients may do with jobs of a kind.

use domain::{plan::JobKind, ports::AuditAction};
use warp::http::{Method, StatusCode};

use crate::http::{
    operation::{Access, Holds, Operation, Takes, answer},
    query,
};

pub(super) fn trigger(kind: JobKind) -> Operation {
    let polling = Holds::Polling(kind);
    let (method, summary) = match kind {
        JobKind::Backup => (Method::POST, "Accepts a backup, which then runs to its end by itself."),
        JobKind::Restore => (Method::PUT, "Accepts a restore, which then runs to its end by itself."),
    };
    Operation {
        method,
        path: format!("/{kind}"),
        name: kind.to_string(),
        summary,
        takes: Takes::Trigger(kind),
        access: Access::Known,
        audited: Some((AuditAction::Trigger, Some(kind))),
        answers: vec![
            answer(
                StatusCode::CREATED,
                Holds::Nothing,
                "The job is accepted; poll it at Location.",
            ),
            answer(
                StatusCode::BAD_REQUEST,
                polling,
                "The body has faults; error_message names them all. Nothing stays of the request.",
            ),
            answer(
                StatusCode::CONFLICT,
                polling,
                "The id is taken; the body is that of the job that has it.",
            ),
            answer(
                StatusCode::TOO_MANY_REQUESTS,
                Holds::Error,
                "As many jobs wait as may wait.",
            ),
            answer(
                StatusCode::SERVICE_UNAVAILABLE,
                Holds::Error,
                "The agent is stopping and takes no new jobs.",
            ),
            answer(
                StatusCode::INSUFFICIENT_STORAGE,
                Holds::Error,
                "The job could not be recorded on the agent's own disk.",
            ),
        ],
    }
}

pub(super) fn remove(kind: JobKind) -> Operation {
    Operation {
        method: Method::DELETE,
        path: format!("/{kind}"),
        name: format!("delete_{kind}"),
        summary: "Forgets a job that has ended.",
        takes: Takes::Id,
        access: Access::Known,
        audited: Some((AuditAction::Delete, Some(kind))),
        answers: vec![
            answer(StatusCode::OK, Holds::Nothing, "The job is forgotten."),
            answer(StatusCode::BAD_REQUEST, Holds::Nothing, "The body holds no valid id."),
            answer(
                StatusCode::CONFLICT,
                Holds::Polling(kind),
                "The job has not ended, or owes an unlock.",
            ),
            answer(StatusCode::GONE, Holds::Nothing, "There is no such job."),
        ],
    }
}

pub(super) fn poll(kind: JobKind) -> Operation {
    Operation {
        method: Method::GET,
        path: format!("/{kind}/{{id}}"),
        name: format!("get_{kind}"),
        summary: "Tells how a job is doing: at once, or with wait at its next change of state.",
        takes: Takes::Query(query::OF_POLL),
        access: Access::Known,
        audited: None,
        answers: vec![
            answer(StatusCode::OK, Holds::Polling(kind), "The job, failed or not."),
            answer(
                StatusCode::BAD_REQUEST,
                Holds::Nothing,
                "This is no valid id, or no time to wait.",
            ),
            answer(StatusCode::NOT_FOUND, Holds::Nothing, "There is no such job."),
        ],
    }
}

pub(super) fn cancel(kind: JobKind) -> Operation {
    Operation {
        method: Method::POST,
        path: format!("/{kind}/{{id}}/cancel"),
        name: format!("cancel_{kind}"),
        summary: "Ends a job early, with its cleanup and unlock; or gives its owed unlock up.",
        takes: Takes::Nothing,
        access: Access::Known,
        audited: Some((AuditAction::Cancel, Some(kind))),
        answers: vec![
            answer(
                StatusCode::ACCEPTED,
                Holds::Polling(kind),
                "The job is being ended; poll it until it has.",
            ),
            answer(StatusCode::BAD_REQUEST, Holds::Nothing, "This is no valid id."),
            answer(StatusCode::NOT_FOUND, Holds::Nothing, "There is no such job."),
            answer(StatusCode::CONFLICT, Holds::Polling(kind), "The job has ended already."),
        ],
    }
}
