//! Ways in to what reads answers of stores, for the fuzz targets alone.

use domain::request::AzureCredential;
use reqwest::header::HeaderValue;

use super::{azure, fault, parts::PartRules, redaction::Redaction, s3};

pub use super::swift::fuzzing as swift;

/// The ids in an S3 listing of unfinished uploads.
#[must_use]
pub fn uploads_of(key: &str, xml: &str) -> Vec<String> {
    s3::uploads_of(key, xml)
}

/// The region that an answer to a question for it tells.
#[must_use]
pub fn region_of(body: &str) -> Option<String> {
    s3::region_of(body)
}

/// What may be shown of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The store's code.
    pub code: Option<String>,
    /// The store's message.
    pub message: Option<String>,
    /// The bucket's region, which becomes a part of a host name.
    pub region: Option<String>,
    /// All of it as people see it.
    pub shown: String,
}

/// Reads a refusal out of an answer's headers and body.
#[must_use]
pub fn refusal(status: u16, region: Option<&str>, code: Option<&str>, retry_after: &[u8], body: &str) -> Refusal {
    let retry_after = HeaderValue::from_bytes(retry_after).ok();
    let redaction = Redaction::default();
    let answer = fault::Answer::read(status, region, body, &redaction)
        .with_code(code, &redaction)
        .with_retry_after(retry_after.as_ref());
    Refusal {
        shown: answer.to_string(),
        code: answer.code,
        message: answer.message,
        region: answer.region,
    }
}

/// Takes a credential apart as it would be used.
///
/// # Errors
///
/// What the client is told.
pub fn azure_credential(credential: &AzureCredential) -> Result<(), String> {
    azure::credential(credential)
        .map(drop)
        .map_err(|failure| failure.to_string())
}

/// The length of the parts of a file of that size, with a store of these bounds.
#[must_use]
pub fn part_bytes(most_parts: u64, most_bytes: u64, size: u64) -> Option<u64> {
    PartRules { most_parts, most_bytes }.part_bytes(size)
}
