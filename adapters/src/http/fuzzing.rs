//! Ways in to what reads requests, for the fuzz targets alone.

use std::time::Duration;

use domain::{
    job::JobKey,
    plan::JobKind,
    ports::{PageQuery, Place},
    request::{JobRequest, RequestRules},
};

use super::{auth, draft, jobs, json::Members, query};

/// What a body asks for, read and checked as a trigger is; an error is what the client is told.
///
/// # Errors
///
/// All that is wrong with it.
pub fn request(kind: JobKind, body: &[u8], rules: &RequestRules) -> Result<JobRequest, String> {
    draft::request(kind, Members::of_body(body)?, rules)
}

/// The job that a segment of a URL's path names.
#[must_use]
pub fn job_key(kind: JobKind, segment: &str) -> Option<JobKey> {
    jobs::key(kind, segment)
}

/// User and password of an `Authorization` header.
#[must_use]
pub fn credentials(header: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (user, password) = auth::parse(header)?;
    Some((user.to_vec(), password.to_vec()))
}

/// How long the query of a poll asks to wait.
///
/// # Errors
///
/// If it says something else than a time.
pub fn wait(text: &str) -> Result<Option<Duration>, String> {
    query::wait(text)
}

/// Which jobs a query asks for.
///
/// # Errors
///
/// With all that is wrong.
pub fn page(text: &str) -> Result<PageQuery, String> {
    query::page(text)
}

/// What leads back to a place of the list.
#[must_use]
pub fn cursor(place: &Place) -> String {
    query::cursor(place)
}
