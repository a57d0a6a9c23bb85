//! What an upload that was cut off has left in a bucket.

use domain::artifact::ObjectKey;
use hyper::Request;
use object_store::{aws::AwsAuthorizer, client::HttpRequestBody, multipart::MultipartStore, path::Path};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;

use super::{
    connector::read_at_most,
    failure::Failure,
    fault::Fault,
    listing::uploads_of,
    s3::{Bucket, object_path},
};

/// Signatures want these as they are, and all else escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// A listing has 1,000 entries at most, and those of the key itself come first.
const MAX_LISTING_BYTES: usize = 1024 * 1024;

/// Aborts the known uploads of a key, and those of this very key that the store lists.
pub(super) async fn discard(bucket: &Bucket, key: &ObjectKey, known: &[String]) -> Result<(), Failure> {
    let path = object_path(key)?;
    let known = abort_all(bucket, &path, known).await;
    let listed = match bucket.patience().retry(|| list(bucket, key)).await {
        Ok(listed) => abort_all(bucket, &path, &listed).await,
        Err(failure) if is_unknown(&failure) => {
            tracing::debug!(cause = failure.summary(), "the store does not list unfinished uploads");
            Ok(())
        }
        Err(failure) => Err(failure),
    };
    known.and(listed)
}

/// Aborts all that it can, and fails with the first failure.
async fn abort_all(bucket: &Bucket, path: &Path, ids: &[String]) -> Result<(), Failure> {
    let mut result = Ok(());
    // Without an id the request would be one to remove the object.
    for id in ids.iter().filter(|id| !id.is_empty()) {
        let abort = || async { Ok(bucket.s3.abort_multipart(path, id).await?) };
        let aborted = match bucket.patience().retry(abort).await {
            Err(failure) if failure.is_missing() => Ok(()),
            aborted => aborted,
        };
        result = result.and(aborted);
    }
    result
}

/// Whether a store says that it does not know the request, and not that it refuses it.
fn is_unknown(failure: &Failure) -> bool {
    failure
        .answer()
        .is_some_and(|answer| matches!(answer.status, 400 | 404 | 405 | 501))
}

/// The ids of the uploads of this very key; `object_store` does not ask for them.
async fn list(bucket: &Bucket, key: &ObjectKey) -> Result<Vec<String>, Failure> {
    let own = &bucket.own;
    let cannot_ask = |error: &dyn std::fmt::Display| Failure::strange(format!("unfinished uploads: {error}"));
    let mut url = own.url.clone();
    let prefix = utf8_percent_encode(key.as_str(), ESCAPED);
    url.set_query(Some(&format!("prefix={prefix}&uploads=")));
    let mut request = Request::builder()
        .method(Method::GET)
        .uri(url.as_str())
        .body(HttpRequestBody::empty())
        .map_err(|error| cannot_ask(&error))?;
    AwsAuthorizer::new(&own.credential, "s3", &own.region)
        .try_authorize(&mut request, None)
        .map_err(|error| cannot_ask(&error))?;
    let fault = |error| match Fault::in_chain(&error) {
        Some(fault) => fault.clone().into(),
        None => cannot_ask(&error),
    };
    let answer = own.connector.client().execute(request).await.map_err(fault)?;
    let (body, whole) = read_at_most(MAX_LISTING_BYTES, answer.into_body(), bucket.limits.answer).await;
    whole.map_err(fault)?;
    Ok(uploads_of(key.as_str(), &String::from_utf8_lossy(&body)))
}
