//! A place for objects as the transfers see it: the same whatever kind of store it is.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::artifact::ObjectKey;
use object_store::{
    GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, RetryConfig, multipart::MultipartStore, path::Path,
};

use super::{Limits, failure::Failure, movement::Stall, parts::PartRules, retry::Patience};

/// What a store must be able to do.
pub(super) trait Objects: ObjectStore + MultipartStore {}

impl<T: ObjectStore + MultipartStore> Objects for T {}

/// A bucket, or whatever a store calls it, that can be spoken to.
#[derive(Clone)]
pub(super) struct Bucket {
    pub(super) objects: Arc<dyn Objects>,
    /// The same, but it completes uploads in parts only under a free name.
    pub(super) creating: Arc<dyn Objects>,
    /// How the store wants files cut into parts.
    pub(super) parts: PartRules,
    pub(super) limits: Limits,
    /// Watches over the parts and pieces of the transfer.
    pub(super) stall: Arc<Stall>,
    pub(super) open_uploads: Arc<dyn OpenUploads>,
    /// Whether an object can be made with a [`Mark`](super::mark::Mark).
    pub(super) takes_marks: bool,
}

/// Without its clients, whose credentials may print themselves.
impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket")
            .field("parts", &self.parts)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// `object_store` would try again without regard to progress; we do so ourselves.
pub(super) fn no_retries() -> RetryConfig {
    RetryConfig {
        max_retries: 0,
        retry_timeout: Duration::MAX,
        ..RetryConfig::default()
    }
}

/// Knows which uploads a store has opened and not completed.
#[async_trait]
pub(super) trait OpenUploads: std::fmt::Debug + Send + Sync {
    /// The ids of those of this very key.
    ///
    /// # Errors
    ///
    /// If the store did not say.
    async fn of(&self, key: &ObjectKey) -> Result<Vec<String>, Failure>;
}

impl Bucket {
    pub(super) fn patience(&self) -> Patience {
        Patience::new(self.limits.retry)
    }

    /// The length of an object; none if there is none.
    pub(super) async fn find(&self, key: &ObjectKey) -> Result<Option<u64>, Failure> {
        let path = object_path(key)?;
        let patience = self.patience();
        let found = patience.retry(|| self.head(&path)).await?;
        Ok(found.map(|object| object.size))
    }

    /// What the store tells of an object; none if it says that there is none.
    pub(super) async fn head(&self, path: &Path) -> Result<Option<ObjectMeta>, Failure> {
        Ok(self.look(path).await?.map(|answer| answer.meta))
    }

    /// The same, with all that the store tells.
    pub(super) async fn look(&self, path: &Path) -> Result<Option<GetResult>, Failure> {
        let options = GetOptions::new().with_head(true);
        match self.objects.get_opts(path, options).await.map_err(Failure::from) {
            Ok(answer) => Ok(Some(answer)),
            Err(failure) if failure.is_missing() => Ok(None),
            Err(failure) if failure.is_transient() || failure.answer().is_none() => Err(failure),
            Err(failure) => Err(self.explain(path, failure).await),
        }
    }

    /// The refusal of a HEAD has no body, so the reason is asked for with a GET of one byte.
    pub(super) async fn explain(&self, path: &Path, failure: Failure) -> Failure {
        let options = GetOptions::new().with_range(Some(GetRange::Bounded(0..1)));
        let status = failure.answer().map_or(404, |answer| answer.status);
        match self.objects.get_opts(path, options).await.map_err(Failure::from) {
            Err(reason)
                if reason
                    .answer()
                    .is_some_and(|answer| answer.status == status && answer.code.is_some()) =>
            {
                reason
            }
            Ok(_) | Err(_) => failure,
        }
    }
}

/// The key as it is, character by character. (`Path::from` would escape some of them.)
pub(super) fn object_path(key: &ObjectKey) -> Result<Path, Failure> {
    let bad = || Failure::strange("no object can have this name: it has an empty segment, or control characters");
    let path = Path::parse(key.as_str()).map_err(|_| bad())?;
    // A slash at the beginning or end is dropped silently.
    if path.as_ref() == key.as_str() && !path.is_root() {
        Ok(path)
    } else {
        Err(bad())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_as_they_are_or_are_refused() {
        for key in ["a", "a/b c+é%20#?~.tar.gz", "a b/{x}/\\"] {
            assert_eq!(object_path(&ObjectKey::new("", key)).unwrap().as_ref(), key);
        }
        for key in ["", "/a", "a/", "a//b", "a/../b", "a\nb"] {
            assert!(object_path(&ObjectKey::new("", key)).is_err(), "{key:?}");
        }
    }
}
