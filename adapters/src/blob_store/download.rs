//! An object of a bucket becomes a file.

use std::{ops::Range, sync::Arc};

use domain::{
    artifact::{Expected, ObjectKey, Sha256},
    ports::{LocalFile, Moved},
};
use futures_util::{StreamExt, stream};
use object_store::{GetOptions, GetRange, GetResult, ObjectMeta, path::Path};
use tokio::time::timeout;

use super::{
    bucket::{Bucket, object_path},
    budget::{Budget, Buffer},
    connector::NotKept,
    failure::Failure,
    fault::Fault,
    local::{Hashing, Target},
    parts::parts,
    retry::Patience,
    tally,
};

/// Longer objects are fetched in ranges of this length.
const RANGE_BYTES: u64 = 16 * 1024 * 1024;
/// Ranges on their way at a time.
const RANGES_AT_A_TIME: usize = 4;
/// So much of a range is collected before it is written.
const WRITE_BYTES: usize = 512 * 1024;
/// So much of an answer its connection may hold meanwhile: it reads up to 400 KiB ahead, and while
/// these are still being taken, up to as many again.
const CONNECTION_BYTES: usize = 1024 * 1024;

/// Downloads an object into an empty file.
pub(super) async fn download(
    bucket: &Bucket,
    key: &ObjectKey,
    target: &LocalFile,
    expected: Expected,
    budget: &Arc<Budget>,
) -> Result<Moved, Failure> {
    let path = object_path(key)?;
    let patience = bucket.patience();
    let object = match patience.retry(|| bucket.head(&path)).await? {
        Some(object) => object,
        // It may be the bucket that is missing.
        None => return Err(bucket.explain(&path, Failure::no_object()).await),
    };
    refuse_other_size(object.size, expected)?;
    let download = Download {
        version: strong_tag(&object),
        length: object.size,
        bucket,
        path,
        patience,
        budget,
    };
    tally::expect(download.length);
    let target = Target::open(target).await?;
    let sha256 = bucket.stall.watch(download.fill(&target)).await?;
    target.finish(download.length).await?;
    checked(download.length, sha256, expected)
}

/// To be asked before anything is moved.
pub(super) fn refuse_other_size(size_bytes: u64, expected: Expected) -> Result<(), Failure> {
    match expected.size_bytes {
        Some(size) if size != size_bytes => Err(Failure::unexpected(&format!(
            "it has {size_bytes} bytes, but {size} were expected"
        ))),
        Some(_) | None => Ok(()),
    }
}

/// What was downloaded, if it is what was expected.
pub(super) fn checked(size_bytes: u64, sha256: Sha256, expected: Expected) -> Result<Moved, Failure> {
    match expected.refusal(size_bytes, sha256) {
        Some(refusal) => Err(Failure::unexpected(&refusal)),
        None => Ok(Moved { size_bytes, sha256 }),
    }
}

struct Download<'a> {
    bucket: &'a Bucket,
    path: Path,
    /// The object's ETag, by which another object of the same name is told from it.
    version: Option<String>,
    length: u64,
    patience: Patience,
    budget: &'a Arc<Budget>,
}

/// A piece of the object, and how much of it is there.
struct Progress<'a> {
    /// Is told of what is written, where that comes in order.
    hashing: Option<&'a Hashing>,
    /// Up to here it is written.
    at: u64,
    end: u64,
    /// As far as it was ever written: only what is new is progress. Otherwise an answer that always
    /// breaks off at the same place would be asked for for ever.
    furthest: u64,
}

impl Progress<'_> {
    fn of(range: Range<u64>) -> Self {
        Self {
            hashing: None,
            at: range.start,
            end: range.end,
            furthest: range.start,
        }
    }

    fn is_done(&self) -> bool {
        self.at >= self.end
    }
}

/// A weak tag matches nothing where a strong one is asked for.
fn strong_tag(object: &ObjectMeta) -> Option<String> {
    object.e_tag.clone().filter(|tag| !tag.starts_with("W/"))
}

impl Download<'_> {
    async fn fill(&self, target: &Target) -> Result<Sha256, Failure> {
        // Without a tag, two ranges might be of two objects.
        if self.version.is_some() && self.length > RANGE_BYTES {
            match self.in_ranges(target).await {
                Err(failure) if failure.is_strange() => {
                    tracing::debug!(cause = failure.summary(), "the store does not send ranges as asked");
                    tally::restarted();
                }
                result => return result,
            }
        }
        self.in_one_stream(target).await
    }

    async fn in_ranges(&self, target: &Target) -> Result<Sha256, Failure> {
        let hashing = target.hash();
        let mut ranges = stream::iter(parts(self.length, RANGE_BYTES))
            .map(|part| self.range(part.offset..part.end(), target))
            .buffered(RANGES_AT_A_TIME);
        while let Some(end) = ranges.next().await {
            hashing.up_to(end?);
        }
        self.bucket.stall.excuse(hashing.value()).await
    }

    /// Returns the range's end.
    async fn range(&self, range: Range<u64>, target: &Target) -> Result<u64, Failure> {
        let mut trouble = self.patience.trouble();
        let mut progress = Progress::of(range);
        while !progress.is_done() {
            let wanted = GetRange::Bounded(progress.at..progress.end);
            if let Err(failure) = self.fetch(Some(wanted), &mut progress, target).await {
                trouble.bear(failure).await?;
            }
        }
        Ok(progress.end)
    }

    async fn in_one_stream(&self, target: &Target) -> Result<Sha256, Failure> {
        let mut trouble = self.patience.trouble();
        let mut hashing = target.hash();
        let (mut at, mut furthest) = (0, 0);
        // Without a tag, what follows might be of another object.
        let mut can_resume = self.version.is_some();
        while at < self.length {
            if !can_resume && at > 0 {
                at = 0;
                hashing = target.hash();
            }
            let start = at;
            let mut progress = Progress {
                hashing: Some(&hashing),
                at,
                end: self.length,
                furthest,
            };
            let wanted = (start > 0).then_some(GetRange::Offset(start));
            let result = match self.fetch(wanted, &mut progress, target).await {
                Err(failure) if start > 0 && failure.is_strange() => {
                    can_resume = false;
                    Err(Failure::unsteady("the store does not send the rest of an object"))
                }
                result => result,
            };
            (at, furthest) = (progress.at, progress.furthest);
            if let Err(failure) = result {
                trouble.bear(failure).await?;
            }
        }
        self.bucket.stall.excuse(hashing.value()).await
    }

    /// Asks once, and writes what comes.
    async fn fetch(
        &self,
        range: Option<GetRange>,
        progress: &mut Progress<'_>,
        target: &Target,
    ) -> Result<(), Failure> {
        // Before the store is asked: what was asked for comes, and takes memory unread; and others may hold
        // all the memory for as long as their stores are silent.
        let lent = self.budget.lend_beside(CONNECTION_BYTES, WRITE_BYTES);
        let buffer = self.bucket.stall.excuse(lent).await;
        let mut options = GetOptions::new().with_if_match(self.version.clone()).with_range(range);
        if buffer.is_scarce() {
            // A connection that waits for its next range keeps the memory that it has read into.
            options.extensions.insert(NotKept);
        }
        let answer = self.bucket.objects.get_opts(&self.path, options).await;
        let answer = answer
            .map_err(Failure::from)
            .map_err(|failure| match failure.answer() {
                Some(answer) if matches!(answer.status, 412 | 416) => Failure::changed_object(),
                _ => failure,
            })?;
        if self.version.is_some() && answer.meta.e_tag != self.version {
            return Err(Failure::changed_object());
        }
        if answer.meta.size != self.length {
            return Err(match self.version {
                // It is the same object, so the store is wrong.
                Some(_) => Failure::unsteady("the store told a wrong length of the object"),
                None => Failure::changed_object(),
            });
        }
        self.receive(answer, progress, target, buffer).await
    }

    async fn receive(
        &self,
        answer: GetResult,
        progress: &mut Progress<'_>,
        target: &Target,
        mut buffer: Buffer,
    ) -> Result<(), Failure> {
        let silence = self.bucket.limits.answer;
        let mut pieces = answer.into_stream();
        let mut pending = 0;
        let end = loop {
            let mut piece = match timeout(silence, pieces.next()).await {
                Ok(Some(Ok(piece))) => piece,
                Ok(Some(Err(error))) => break Err(error.into()),
                Ok(None) => break Ok(()),
                Err(_) => break Err(Failure::from(Fault::silence(silence))),
            };
            if piece.len() as u64 > progress.end - progress.at - pending as u64 {
                break Err(Failure::strange("the store sent more than it was asked for"));
            }
            self.bucket.stall.moved();
            while !piece.is_empty() {
                let length = piece.len().min(WRITE_BYTES - pending);
                buffer.as_mut()[pending..pending + length].copy_from_slice(&piece.split_to(length));
                pending += length;
                if pending == WRITE_BYTES {
                    buffer = self.write(buffer, &mut pending, progress, target).await?;
                }
            }
            let received = progress.at + pending as u64;
            if received > progress.furthest {
                self.patience.renew(received - progress.furthest);
                progress.furthest = received;
            }
        };
        // What came before a fault need not come again.
        self.write(buffer, &mut pending, progress, target).await?;
        end?;
        if !progress.is_done() {
            return Err(Failure::unsteady("the store's answer ended before the object did"));
        }
        Ok(())
    }

    async fn write(
        &self,
        buffer: Buffer,
        pending: &mut usize,
        progress: &mut Progress<'_>,
        target: &Target,
    ) -> Result<Buffer, Failure> {
        let buffer = target.write(progress.at, buffer, *pending).await?;
        progress.at += std::mem::take(pending) as u64;
        if let Some(hashing) = progress.hashing {
            hashing.up_to(progress.at);
        }
        Ok(buffer)
    }
}
