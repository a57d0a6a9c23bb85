//! Uploads in parts that a store has opened.

use std::{sync::Arc, time::Duration};

use object_store::{Attributes, path::Path};
use tokio::{runtime::Handle, task::JoinHandle, time::sleep};

use super::{
    bucket::{Bucket, Objects},
    failure::Failure,
    retry::Patience,
};

/// After a failure, what is left to do is tried for no longer than this.
pub(super) const LONGEST_AFTERMATH: Duration = Duration::from_secs(30);
/// How often an upload is aborted: a part that was still on its way may arrive after the first time.
const ABORTS: usize = 3;
const PAUSE_BETWEEN_ABORTS: Duration = Duration::from_millis(250);

/// An upload whose parts are in the store, where they would stay, and cost, for ever.
///
/// Dropped, as when the whole transfer is cancelled, it leaves a task behind that removes them.
pub(super) struct Unfinished {
    pub(super) id: String,
    objects: Arc<dyn Objects>,
    path: Path,
    limit: Duration,
    is_open: bool,
}

impl Unfinished {
    /// One that is yet to be created.
    pub(super) fn new(bucket: &Bucket, path: &Path) -> Self {
        Self {
            id: String::new(),
            objects: Arc::clone(&bucket.objects),
            path: path.clone(),
            limit: bucket.limits.retry.min(LONGEST_AFTERMATH),
            is_open: false,
        }
    }

    /// Has the store open it, for an object with these attributes.
    pub(super) async fn create(mut self, attributes: Attributes) -> Result<Self, Failure> {
        self.id = self
            .objects
            .create_multipart_opts(&self.path, attributes.into())
            .await?;
        self.is_open = true;
        Ok(self)
    }

    /// It is an object now.
    pub(super) fn forget(mut self) {
        self.is_open = false;
    }

    /// Removes it, and waits for that.
    pub(super) async fn abort(mut self) -> Aborted {
        match self.spawn_abort() {
            // A panic in there has been reported, and there is nothing else to be done.
            Some(task) => task.await.unwrap_or(Aborted::Removed),
            None => Aborted::Removed,
        }
    }

    /// In a task of its own, so that it goes on if the one who waits for it is cancelled.
    fn spawn_abort(&mut self) -> Option<JoinHandle<Aborted>> {
        self.is_open = false;
        let runtime = Handle::try_current().ok()?;
        Some(runtime.spawn(abort(
            Arc::clone(&self.objects),
            self.path.clone(),
            self.id.clone(),
            self.limit,
        )))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.is_open {
            self.spawn_abort();
        }
    }
}

/// What an abort has met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aborted {
    /// Parts, perhaps, which it has removed as far as it could.
    Removed,
    /// Nothing: the store did not know the upload any more.
    WasGone,
}

async fn abort(objects: Arc<dyn Objects>, path: Path, id: String, limit: Duration) -> Aborted {
    let patience = Patience::new(limit);
    for round in 0..ABORTS {
        let abort = || async { Ok(objects.abort_multipart(&path, &id).await?) };
        match patience.retry(abort).await {
            Ok(()) => sleep(PAUSE_BETWEEN_ABORTS).await,
            // It is gone: by the round before, or because it was completed after all.
            Err(failure) if round == 0 && failure.is_missing() => return Aborted::WasGone,
            Err(_) if round > 0 => return Aborted::Removed,
            Err(failure) => {
                tracing::warn!(key = %path, upload = id, cause = failure.summary(), "parts may stay behind in the store");
                return Aborted::Removed;
            }
        }
    }
    Aborted::Removed
}
