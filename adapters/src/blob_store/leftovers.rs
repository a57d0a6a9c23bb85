//! What an upload that was cut off has left in a bucket.

use domain::artifact::ObjectKey;
use object_store::path::Path;

use super::{
    bucket::{Bucket, object_path},
    failure::Failure,
};

/// Aborts the known uploads of a key, and those of this very key that the store lists.
pub(super) async fn discard(bucket: &Bucket, key: &ObjectKey, known: &[String]) -> Result<(), Failure> {
    let path = object_path(key)?;
    let known = abort_all(bucket, &path, known).await;
    let listed = match bucket.patience().retry(|| bucket.open_uploads.of(key)).await {
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
        let abort = || async { Ok(bucket.objects.abort_multipart(path, id).await?) };
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
