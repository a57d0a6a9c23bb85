//! `GET /jobs`: all jobs, newest first.

use domain::{
    job::JobView,
    plan::Transfer,
    ports::{JobPage, JobStoreError},
};
use serde::Serialize;
use warp::{
    http::{Method, StatusCode},
    reply::Response,
};

use super::{
    operation::{Access, Holds, Operation, Takes, answer},
    polling::{FileSize, status_and_state, time},
    query, reply,
    route::{Call, Routes},
    watching::{ProgressTold, Watched, ms},
};

pub(super) fn add_to(routes: &mut Routes) {
    let operation = Operation {
        method: Method::GET,
        path: "/jobs".to_owned(),
        name: "list_jobs".to_owned(),
        summary: "All jobs, newest first, a page at a time. Their logs are told by their own paths.",
        takes: Takes::Query(query::OF_LIST),
        access: Access::Known,
        audited: None,
        answers: vec![
            answer(
                StatusCode::OK,
                Holds::Jobs,
                "The jobs that are wanted; ask again with next as cursor for those behind them.",
            ),
            answer(
                StatusCode::BAD_REQUEST,
                Holds::Error,
                "A parameter is unknown or wrong; error_message names them all.",
            ),
        ],
    };
    routes.add(operation, list);
}

async fn list(call: Call) -> Response {
    let wanted = match query::page(&call.query) {
        Ok(wanted) => wanted,
        Err(problem) => return reply::bad_query(&problem),
    };
    match call.context.api.list(wanted).await {
        Ok(page) => reply::listed(&Page::from(&page)),
        Err(JobStoreError(problem)) => reply::job_store_failed(&problem),
    }
}

/// A part of the list.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    jobs: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// One job of the list. What is empty, or not known yet, is left out.
#[derive(Debug, Serialize)]
struct Row {
    kind: &'static str,
    id: String,
    host: String,
    database: String,
    status: &'static str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
    start_time: String,
    end_time: String,
    execution_time_ms: u64,
    skip_storage: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filesize: Option<FileSize>,
    unlock_owed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock_released: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locked_since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock_held_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_position: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<ProgressTold>,
}

impl Page {
    /// All members that there can be.
    pub(super) fn most() -> Self {
        let some = || "-".to_owned();
        let Watched {
            locked_since,
            lock_held_ms,
            queue_position,
            progress,
            phases: _,
        } = Watched::most();
        let row = Row {
            kind: "-",
            id: some(),
            host: some(),
            database: some(),
            status: "-",
            state: "-",
            outcome: Some("-"),
            error_message: Some(some()),
            start_time: some(),
            end_time: some(),
            execution_time_ms: 0,
            skip_storage: false,
            filename: Some(some()),
            filesize: Some(FileSize::of(0)),
            unlock_owed: false,
            lock_released: Some(false),
            locked_since,
            lock_held_ms,
            queue_position,
            progress,
        };
        Self {
            jobs: vec![row],
            next: Some(some()),
        }
    }

    /// As few as there can be.
    pub(super) fn least() -> Self {
        Self {
            jobs: Vec::new(),
            next: None,
        }
    }
}

impl From<&JobPage> for Page {
    fn from(page: &JobPage) -> Self {
        Self {
            jobs: page.jobs.iter().map(Row::from).collect(),
            next: page.next.as_ref().map(query::cursor),
        }
    }
}

impl From<&JobView> for Row {
    fn from(view: &JobView) -> Self {
        let (status, state) = status_and_state(view);
        let Watched {
            locked_since,
            lock_held_ms,
            queue_position,
            progress,
            phases: _,
        } = Watched::from(view);
        Self {
            kind: view.key.kind.as_str(),
            id: view.key.id.to_string(),
            host: view.host.clone(),
            database: view.database.clone(),
            status,
            state,
            outcome: view.status.outcome().map(domain::job::Outcome::as_str),
            error_message: view.error_message(),
            start_time: time(Some(view.accepted_at)),
            end_time: time(view.ended_at),
            execution_time_ms: view.ended_at.map_or(0, |end| ms(end - view.accepted_at)),
            skip_storage: view.transfer == Transfer::ByScripts,
            filename: view.artifact.as_ref().map(|artifact| artifact.filename.clone()),
            filesize: view.artifact.as_ref().map(|artifact| FileSize::of(artifact.size_bytes)),
            unlock_owed: view.owes_unlock,
            lock_released: view.lock.is_released(),
            locked_since,
            lock_held_ms,
            queue_position,
            progress,
        }
    }
}
