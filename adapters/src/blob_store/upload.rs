//! A file becomes an object of a bucket.

use std::{
    future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use domain::artifact::ObjectKey;
use futures_util::{StreamExt, stream};
use object_store::{
    ObjectStore, PutMode, PutPayload,
    aws::AmazonS3,
    multipart::{MultipartStore, PartId},
    path::Path,
};
use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    budget::Budget,
    failure::Failure,
    local::Source,
    parts::{PART_BYTES, Part, parts},
    retry::Patience,
    s3::{Bucket, object_path},
};

/// Parts on their way at a time. One connection seldom fills a line; many need memory.
const PARTS_AT_A_TIME: usize = 2;
/// After a failure, what is left to do is tried for no longer than this.
const LONGEST_AFTERMATH: Duration = Duration::from_secs(30);
/// When one part has failed, the others on their way may arrive for this long.
const LONGEST_ARRIVAL: Duration = Duration::from_secs(5);
/// How often an upload is aborted: a part that was still on its way may arrive after the first time.
const ABORTS: usize = 3;
const PAUSE_BETWEEN_ABORTS: Duration = Duration::from_millis(250);

/// Uploads a file as a new object and returns the length that the store tells of it.
pub(super) async fn upload(
    bucket: &Bucket,
    key: &ObjectKey,
    source: &Source,
    budget: &Arc<Budget>,
) -> Result<u64, Failure> {
    let upload = Upload {
        path: object_path(key)?,
        patience: bucket.patience(),
        bucket,
        source,
        budget,
    };
    if source.size <= PART_BYTES {
        upload.in_one_piece().await?;
    } else {
        upload.in_parts().await?;
    }
    upload.stored_length().await
}

struct Upload<'a> {
    bucket: &'a Bucket,
    path: Path,
    source: &'a Source,
    budget: &'a Arc<Budget>,
    patience: Patience,
}

/// How a request on condition ended.
enum Commit {
    Done,
    Taken,
    /// The store does not take the condition.
    ConditionUnknown,
    Refused(Failure),
}

impl Upload<'_> {
    async fn in_one_piece(&self) -> Result<(), Failure> {
        // Before memory is taken: a store that is slow to answer must not keep it from others.
        self.refuse_if_taken().await?;
        let length = usize::try_from(self.source.size).expect("it is at most one part");
        let bytes = self.source.read(0, length, self.budget).await?;
        self.source.refuse_if_changed().await?;
        let put = |mode| {
            let bytes = bytes.clone();
            async move { self.put(bytes, mode).await }
        };
        self.commit(|| put(PutMode::Create), || put(PutMode::Overwrite)).await
    }

    /// Makes the object visible: on condition that its name is free, which many stores know and some
    /// refuse, or else without.
    async fn commit<C, P>(&self, conditional: impl Fn() -> C, plain: impl Fn() -> P) -> Result<(), Failure>
    where
        C: Future<Output = Result<(), Failure>>,
        P: Future<Output = Result<(), Failure>>,
    {
        let tries = AtomicUsize::new(0);
        let attempt = || async {
            tries.fetch_add(1, Ordering::Relaxed);
            match conditional().await {
                Ok(()) => Ok(Commit::Done),
                Err(failure) if failure.is_transient() => Err(failure),
                Err(failure) => match failure.answer().map(|answer| answer.status) {
                    Some(409 | 412) => Ok(Commit::Taken),
                    Some(400 | 501) => Ok(Commit::ConditionUnknown),
                    Some(_) | None => Ok(Commit::Refused(failure)),
                },
            }
        };
        let result = self.patience.retry(attempt).await;
        // Only an earlier try whose answer was lost can have made an object of ours.
        let may_be_ours = tries.into_inner() > 1;
        match result {
            Ok(Commit::Done) => Ok(()),
            Ok(Commit::Taken) => self.accept_if_ours(may_be_ours, Failure::taken()).await,
            Ok(Commit::Refused(failure)) | Err(failure) => self.accept_if_ours(may_be_ours, failure).await,
            Ok(Commit::ConditionUnknown) => self.commit_plainly(plain).await,
        }
    }

    /// Without a condition, but with a look before each try.
    async fn commit_plainly<P>(&self, plain: impl Fn() -> P) -> Result<(), Failure>
    where
        P: Future<Output = Result<(), Failure>>,
    {
        let was_sent = AtomicBool::new(false);
        let attempt = || async {
            match self.bucket.head(&self.path).await? {
                None => {
                    was_sent.store(true, Ordering::Relaxed);
                    plain().await
                }
                // It was free when the last try was sent, whose answer was lost.
                Some(object) if was_sent.load(Ordering::Relaxed) && object.size == self.source.size => Ok(()),
                Some(_) => Err(Failure::taken()),
            }
        };
        self.patience.retry(attempt).await
    }

    async fn put(&self, bytes: Bytes, mode: PutMode) -> Result<(), Failure> {
        let payload = PutPayload::from(bytes);
        self.bucket.s3.put_opts(&self.path, payload, mode.into()).await?;
        Ok(())
    }

    /// The name was free before the first try, so an object of our length is that of a try whose
    /// answer was lost. Stores differ in what they then say to the next try.
    async fn accept_if_ours(&self, may_be_ours: bool, failure: Failure) -> Result<(), Failure> {
        if !may_be_ours {
            return Err(failure);
        }
        let patience = Patience::new(self.bucket.limits.retry.min(LONGEST_AFTERMATH));
        match patience.retry(|| self.bucket.head(&self.path)).await {
            Ok(Some(object)) if object.size == self.source.size => Ok(()),
            Ok(_) | Err(_) => Err(failure),
        }
    }

    async fn in_parts(&self) -> Result<(), Failure> {
        let unfinished = self.patience.retry(|| self.create()).await?;
        let result = self.fill(&unfinished.id).await;
        match result {
            Ok(()) => unfinished.forget(),
            Err(_) => unfinished.abort().await,
        }
        result
    }

    /// In a task of its own: if the transfer is cancelled meanwhile, the upload that the store makes
    /// is known at last, and removed.
    async fn create(&self) -> Result<Unfinished, Failure> {
        let mut unfinished = Unfinished::new(self);
        let created = tokio::spawn(async move {
            unfinished.id = unfinished.s3.create_multipart(&unfinished.path).await?;
            unfinished.is_open = true;
            Ok(unfinished)
        });
        created
            .await
            .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    async fn fill(&self, id: &String) -> Result<(), Failure> {
        let is_hopeless = AtomicBool::new(false);
        let mut sending = stream::iter(parts(self.source.size))
            .take_while(|_| future::ready(!is_hopeless.load(Ordering::Relaxed)))
            .map(|part| self.send(id, part))
            .buffer_unordered(PARTS_AT_A_TIME);
        let mut sent: Vec<(usize, PartId)> = Vec::new();
        while let Some(result) = sending.next().await {
            match result {
                Ok(part) => sent.push(part),
                Err(failure) => {
                    is_hopeless.store(true, Ordering::Relaxed);
                    // A part that arrives after the upload was aborted would stay behind.
                    let _ = timeout(LONGEST_ARRIVAL, sending.for_each(|_| future::ready(()))).await;
                    return Err(failure);
                }
            }
        }
        sent.sort_unstable_by_key(|(index, _)| *index);
        let sent: Vec<_> = sent.into_iter().map(|(_, part)| part).collect();
        self.source.refuse_if_changed().await?;
        // The transfer took its time; somebody else may have been faster.
        self.refuse_if_taken().await?;
        let complete = |s3: &AmazonS3| {
            let (s3, sent) = (s3.clone(), sent.clone());
            async move {
                s3.complete_multipart(&self.path, id, sent).await?;
                Ok(())
            }
        };
        self.commit(|| complete(&self.bucket.creating), || complete(&self.bucket.s3))
            .await
    }

    async fn send(&self, id: &String, part: Part) -> Result<(usize, PartId), Failure> {
        let bytes = self.source.read(part.offset, part.length, self.budget).await?;
        // A part that is sent twice under the same number counts once.
        let put = || async {
            let payload = PutPayload::from(bytes.clone());
            Ok(self.bucket.s3.put_part(&self.path, id, part.index, payload).await?)
        };
        let sent = self.patience.retry(put).await?;
        self.patience.renew();
        Ok((part.index, sent))
    }

    async fn refuse_if_taken(&self) -> Result<(), Failure> {
        match self.patience.retry(|| self.bucket.head(&self.path)).await? {
            Some(_) => Err(Failure::taken()),
            None => Ok(()),
        }
    }

    async fn stored_length(&self) -> Result<u64, Failure> {
        let head = || async {
            let object = self.bucket.head(&self.path).await?;
            // There are stores that show an object a moment after they took it.
            let object = object.ok_or_else(|| Failure::unsteady("the store took the object, but does not show it"));
            Ok(object?.size)
        };
        self.patience.retry(head).await
    }
}

/// An upload whose parts are in the store, where they would stay, and cost, for ever.
///
/// Dropped, as when the whole transfer is cancelled, it leaves a task behind that removes them.
struct Unfinished {
    id: String,
    s3: AmazonS3,
    path: Path,
    limit: Duration,
    is_open: bool,
}

impl Unfinished {
    /// One that is yet to be created.
    fn new(upload: &Upload<'_>) -> Self {
        Self {
            id: String::new(),
            s3: upload.bucket.s3.clone(),
            path: upload.path.clone(),
            limit: upload.bucket.limits.retry.min(LONGEST_AFTERMATH),
            is_open: false,
        }
    }

    fn forget(mut self) {
        self.is_open = false;
    }

    async fn abort(mut self) {
        if let Some(task) = self.spawn_abort() {
            // A panic in there has been reported, and there is nothing else to be done.
            let _ = task.await;
        }
    }

    /// In a task of its own, so that it goes on if the one who waits for it is cancelled.
    fn spawn_abort(&mut self) -> Option<JoinHandle<()>> {
        self.is_open = false;
        let runtime = Handle::try_current().ok()?;
        Some(runtime.spawn(abort(self.s3.clone(), self.path.clone(), self.id.clone(), self.limit)))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.is_open {
            self.spawn_abort();
        }
    }
}

async fn abort(s3: AmazonS3, path: Path, id: String, limit: Duration) {
    let patience = Patience::new(limit);
    for round in 0..ABORTS {
        let abort = || async { Ok(s3.abort_multipart(&path, &id).await?) };
        match patience.retry(abort).await {
            Ok(()) => sleep(PAUSE_BETWEEN_ABORTS).await,
            // It is gone: by the round before, or because it was completed after all.
            Err(failure) if round > 0 || failure.is_missing() => return,
            Err(failure) => {
                tracing::warn!(key = %path, upload = id, cause = failure.summary(), "parts may stay behind in the store");
                return;
            }
        }
    }
}
