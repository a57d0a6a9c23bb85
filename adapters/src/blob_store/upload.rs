//! A file becomes an object of a bucket.

use std::{
    future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use domain::{
    artifact::ObjectKey,
    ports::{Halt, Moved, UploadJournal},
};
use futures_util::{Stream, StreamExt, stream};
use object_store::{GetResult, PutMode, PutOptions, PutPayload, multipart::PartId, path::Path};
use tokio::time::{sleep, timeout};

use super::{
    bucket::{Bucket, Objects, object_path},
    budget::Budget,
    digest::Digest,
    failure::Failure,
    halting::unless_halted,
    local::Source,
    mark::Mark,
    parts::{PART_BYTES, Part, parts},
    retry::Patience,
    unfinished::{Aborted, LONGEST_AFTERMATH, Unfinished},
};

/// Parts of one file on their way at a time. One connection seldom fills a line; and should its store
/// fall silent, a transfer must not hold all the memory of the others.
const PARTS_AT_A_TIME: usize = 3;
/// When one part has failed, the others on their way may arrive for this long. When an upload is told
/// to halt while its object is being made visible, that may go on for so long.
const LONGEST_ARRIVAL: Duration = Duration::from_secs(5);

/// Uploads a file as a new object. The length is that which the store tells of it.
pub(super) async fn upload(
    bucket: &Bucket,
    key: &ObjectKey,
    source: &Source,
    budget: &Arc<Budget>,
    journal: &dyn UploadJournal,
    halt: &Halt,
) -> Result<Moved, Failure> {
    let upload = Upload {
        path: object_path(key)?,
        patience: bucket.patience(),
        bucket,
        source,
        budget,
        journal,
        halt,
        digest: Digest::default(),
        mark: if bucket.takes_marks { Mark::new() } else { Mark::none() },
        is_committing: AtomicBool::new(false),
    };
    if source.size <= PART_BYTES.min(bucket.parts.most_bytes) {
        upload.in_one_piece().await?;
        upload.patience.renew(source.size);
    } else {
        upload.in_parts().await?;
    }
    Ok(Moved {
        size_bytes: upload.stored_length().await?,
        sha256: upload.digest.value(),
    })
}

struct Upload<'a> {
    bucket: &'a Bucket,
    path: Path,
    source: &'a Source,
    budget: &'a Arc<Budget>,
    patience: Patience,
    journal: &'a dyn UploadJournal,
    halt: &'a Halt,
    /// Of what was read.
    digest: Digest,
    /// Of the object that this upload makes.
    mark: Mark,
    /// Whether the object may have become visible.
    is_committing: AtomicBool,
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
        let prepare = async {
            // Before memory is taken: a store that is slow to answer must not keep it from others.
            self.refuse_if_taken().await?;
            let whole = Part {
                index: 0,
                offset: 0,
                length: usize::try_from(self.source.size).expect("it is at most one part"),
            };
            let bytes = self.source.read(whole, self.budget, &self.digest).await?;
            self.source.refuse_if_changed().await?;
            Ok(bytes)
        };
        let bytes = unless_halted(self.halt, prepare).await?;
        let put = |mode| {
            let bytes = bytes.clone();
            async move { self.put(bytes, mode).await }
        };
        let put = self.commit(|| put(PutMode::Create), || put(PutMode::Overwrite));
        match self.bucket.stall.watch(put).await {
            Err(failure) => self.accept_if_halted_too_late(failure).await,
            Ok(()) => Ok(()),
        }
    }

    /// Makes the object visible, and ends early only if it is told to and that takes long.
    async fn commit<C, P>(&self, conditional: impl Fn() -> C, plain: impl Fn() -> P) -> Result<(), Failure>
    where
        C: Future<Output = Result<(), Failure>>,
        P: Future<Output = Result<(), Failure>>,
    {
        self.is_committing.store(true, Ordering::Relaxed);
        tokio::select! {
            result = self.commit_at_leisure(conditional, plain) => result,
            () = self.halted_for_long() => Err(Failure::halted()),
        }
    }

    async fn halted_for_long(&self) {
        self.halt.fired().await;
        sleep(LONGEST_ARRIVAL).await;
    }

    /// Whoever is told that an upload was stopped takes the object for absent, so it must be.
    async fn accept_if_halted_too_late(&self, failure: Failure) -> Result<(), Failure> {
        let may_be_ours = failure.is_halt() && self.is_committing.load(Ordering::Relaxed);
        self.accept_if_ours(may_be_ours, failure).await
    }

    /// Makes the object visible: on condition that its name is free, which many stores know and some
    /// refuse, or else without.
    async fn commit_at_leisure<C, P>(&self, conditional: impl Fn() -> C, plain: impl Fn() -> P) -> Result<(), Failure>
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
                    Some(409) if failure.is_conflict_of_place() => Ok(Commit::Refused(failure)),
                    Some(409 | 412) => Ok(Commit::Taken),
                    Some(400 | 501) => Ok(Commit::ConditionUnknown),
                    Some(_) | None => Ok(Commit::Refused(failure)),
                },
            }
        };
        let result = self.patience.retry(attempt).await;
        // An earlier try whose answer was lost can have made an object of ours, and so can one that was
        // answered with success in words that make no sense.
        let may_be_ours = tries.into_inner() > 1
            || match &result {
                Ok(Commit::Refused(failure)) | Err(failure) => failure.is_strange(),
                Ok(Commit::Done | Commit::Taken | Commit::ConditionUnknown) => false,
            };
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
            match self.bucket.look(&self.path).await? {
                None => {
                    was_sent.store(true, Ordering::Relaxed);
                    plain().await
                }
                // It was free when the last try was sent, whose answer was lost.
                Some(object) if was_sent.load(Ordering::Relaxed) && self.is_ours(&object) => Ok(()),
                Some(_) => Err(Failure::taken()),
            }
        };
        match self.patience.retry(attempt).await {
            Err(failure) => self.accept_if_ours(was_sent.load(Ordering::Relaxed), failure).await,
            Ok(()) => Ok(()),
        }
    }

    async fn put(&self, bytes: Bytes, mode: PutMode) -> Result<(), Failure> {
        let payload = PutPayload::from(bytes);
        let options = PutOptions {
            mode,
            attributes: self.mark.attributes(),
            ..PutOptions::default()
        };
        self.bucket.objects.put_opts(&self.path, payload, options).await?;
        Ok(())
    }

    /// The name was free before the first try, so an object that bears our mark is that of a try whose
    /// answer was lost. Stores differ in what they then say to the next try.
    async fn accept_if_ours(&self, may_be_ours: bool, failure: Failure) -> Result<(), Failure> {
        if !may_be_ours {
            return Err(failure);
        }
        let patience = Patience::new(self.bucket.limits.retry.min(LONGEST_AFTERMATH));
        match patience.retry(|| self.bucket.look(&self.path)).await {
            Ok(Some(object)) if self.is_ours(&object) => Ok(()),
            // Nobody knows whose it is; to say that it is another's would be wrong as often as right.
            Err(unknown) if !failure.is_halt() && !failure.is_transient() => Err(unknown),
            Ok(_) | Err(_) => Err(failure),
        }
    }

    /// Of a store that gives no mark back, the length must do.
    fn is_ours(&self, object: &GetResult) -> bool {
        object.meta.size == self.source.size && self.mark.is_on(&object.attributes).unwrap_or(true)
    }

    async fn in_parts(&self) -> Result<(), Failure> {
        let unfinished = self.open().await?;
        match self.fill_and_complete(&unfinished.id).await {
            Ok(()) => {
                unfinished.forget();
                Ok(())
            }
            Err(failure) => {
                // Asked first: of what is complete nothing may be removed.
                let failure = match self.accept_if_halted_too_late(failure).await {
                    Ok(()) => {
                        unfinished.forget();
                        return Ok(());
                    }
                    Err(failure) => failure,
                };
                match unfinished.abort().await {
                    // It was completed at the last moment, or somebody else has removed it.
                    Aborted::WasGone => self.accept_if_halted_too_late(failure).await,
                    // An object that shows up now may lack what was removed.
                    Aborted::Removed => Err(failure),
                }
            }
        }
    }

    /// Makes the store open an upload, again and again if need be.
    async fn open(&self) -> Result<Unfinished, Failure> {
        let mut trouble = self.patience.trouble();
        loop {
            unless_halted(self.halt, future::ready(Ok(()))).await?;
            match self.create().await {
                Ok(unfinished) => return Ok(unfinished),
                Err(failure) => unless_halted(self.halt, trouble.bear(failure)).await?,
            }
        }
    }

    /// In a task of its own: if the transfer is cancelled meanwhile, the upload that the store makes
    /// is known at last, and removed.
    async fn create(&self) -> Result<Unfinished, Failure> {
        let unfinished = Unfinished::new(self.bucket, &self.path);
        let mut created = tokio::spawn(unfinished.create(self.mark.attributes()));
        let created = tokio::select! {
            created = &mut created => created,
            () = self.halt.fired() => {
                // What the store makes of it is to be gone before others are told that it is.
                if let Ok(Ok(Ok(unfinished))) = timeout(LONGEST_AFTERMATH, created).await {
                    unfinished.abort().await;
                }
                return Err(Failure::halted());
            }
        };
        created.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    async fn fill_and_complete(&self, id: &String) -> Result<(), Failure> {
        let opened = self.journal.opened(id).await;
        opened.map_err(|text| Failure::unknown_upload(&text))?;
        let sent = unless_halted(self.halt, self.fill(id)).await?;
        let complete = |objects: &Arc<dyn Objects>| {
            let (objects, sent) = (Arc::clone(objects), sent.clone());
            async move {
                objects.complete_multipart(&self.path, id, sent).await?;
                Ok(())
            }
        };
        self.commit(|| complete(&self.bucket.creating), || complete(&self.bucket.objects))
            .await
    }

    /// Sends all parts.
    async fn fill(&self, id: &String) -> Result<Vec<PartId>, Failure> {
        let size = self.source.size;
        let part_bytes = self.bucket.parts.part_bytes(size).ok_or_else(|| {
            Failure::strange(format!(
                "a file of {size} bytes is larger than what this store can take in parts"
            ))
        })?;
        let at_a_time = self.budget.holds(part_bytes).min(PARTS_AT_A_TIME);
        if at_a_time == 1 {
            tracing::info!(
                key = %self.path,
                part_bytes,
                "the file is so large that only one part at a time fits into transfer_memory: it is sent slowly"
            );
        }
        let is_hopeless = AtomicBool::new(false);
        let sending = self
            .read_in_order(part_bytes)
            .take_while(|_| future::ready(!is_hopeless.load(Ordering::Relaxed)))
            .map(|read| self.send(id, read))
            .buffer_unordered(at_a_time);
        let mut sending = pin!(sending);
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
        self.source.refuse_if_changed().await?;
        // The transfer took its time; somebody else may have been faster.
        self.refuse_if_taken().await?;
        Ok(sent.into_iter().map(|(_, part)| part).collect())
    }

    /// Reads the parts one after another, as their digest wants it, and no more than are wanted.
    fn read_in_order(&self, part_bytes: u64) -> impl Stream<Item = Result<(Part, Bytes), Failure>> {
        stream::iter(parts(self.source.size, part_bytes)).then(async |part| {
            let bytes = self.source.read(part, self.budget, &self.digest).await?;
            Ok((part, bytes))
        })
    }

    async fn send(&self, id: &String, read: Result<(Part, Bytes), Failure>) -> Result<(usize, PartId), Failure> {
        let (part, bytes) = read?;
        // A part that is sent twice under the same number counts once.
        let put = || async {
            let payload = PutPayload::from(bytes.clone());
            let objects = &self.bucket.objects;
            let sent = objects.put_part(&self.path, id, part.index, payload).await?;
            // It is what the part is called by when the object is put together.
            if sent.content_id.trim_matches('"').is_empty() {
                return Err(Failure::unsteady("the store took a part, but gave it an empty ETag"));
            }
            Ok(sent)
        };
        let sent = self.bucket.stall.watch(self.patience.retry(put)).await?;
        self.patience.renew(part.length as u64);
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
        tokio::select! {
            stored = self.patience.retry(head) => stored,
            // The object is there, as the store has confirmed: to deny it would be worse.
            () = self.halted_for_long() => Ok(self.source.size),
        }
    }
}
