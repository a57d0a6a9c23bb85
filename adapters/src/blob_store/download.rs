//! An object of a bucket becomes a file.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use domain::{
    artifact::{Expected, ObjectKey, Sha256},
    ports::{LocalFile, Moved},
};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use object_store::{GetOptions, GetRange, ObjectMeta, path::Path};
use tokio::time::timeout;

use super::{
    bucket::{Bucket, object_path},
    budget::{Budget, Buffer},
    connector::NotKept,
    failure::Failure,
    fault::Fault,
    local::{Target, Writing},
    parts::{PART_BYTES, Part, parts},
    retry::Patience,
    tally,
};

/// Longer objects are fetched in ranges of this length. Each is in memory until its turn to be written
/// comes: to be hashed it need not be read again, and a file grows in order.
const RANGE_BYTES: u64 = 4 * 1024 * 1024;
/// Ranges on their way at a time. With two that wait for the disk they fit into the usual memory, so that
/// none has to wait for it, and connections are kept. Should its store fall silent, a transfer must not
/// hold all the memory of the others.
const RANGES_AT_A_TIME: usize = 4;
/// So much of an object that comes in one stream is collected before it is written.
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

/// How much of an object there is that comes in one stream.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// Up to here it is written.
    at: u64,
    /// As far as it ever came: only what is new is progress. Otherwise an answer that always breaks off
    /// at the same place would be asked for for ever.
    furthest: u64,
}

/// What the store sends of what was asked for.
struct Incoming<'a> {
    bucket: &'a Bucket,
    pieces: BoxStream<'static, object_store::Result<Bytes>>,
    /// So many bytes are still to come.
    left: u64,
}

impl Incoming<'_> {
    /// None when all is there.
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let silence = self.bucket.limits.answer;
        let piece = match timeout(silence, self.pieces.next()).await {
            Ok(Some(piece)) => piece?,
            Ok(None) if self.left == 0 => return Ok(None),
            Ok(None) => {
                return Err(Failure::unsteady("the store's answer ended before the object did"));
            }
            Err(_) => return Err(Failure::from(Fault::silence(silence))),
        };
        match self.left.checked_sub(piece.len() as u64) {
            Some(left) => self.left = left,
            None => return Err(Failure::strange("the store sent more than it was asked for")),
        }
        self.bucket.stall.moved();
        Ok(Some(piece))
    }
}

/// A weak tag matches nothing where a strong one is asked for.
fn strong_tag(object: &ObjectMeta) -> Option<String> {
    object.e_tag.clone().filter(|tag| !tag.starts_with("W/"))
}

impl Download<'_> {
    async fn fill(&self, target: &Target) -> Result<Sha256, Failure> {
        let writing = target.write(&self.bucket.stall);
        let fetched = self.fetch(&writing).await;
        // If nothing more was taken, it tells why.
        let sha256 = writing.finish().await?;
        fetched?;
        Ok(sha256)
    }

    async fn fetch(&self, writing: &Writing) -> Result<(), Failure> {
        // Without a tag, two ranges might be of two objects.
        if self.version.is_some() && self.length > RANGE_BYTES {
            match self.in_ranges(writing).await {
                Err(failure) if failure.is_strange() => {
                    tracing::debug!(cause = failure.summary(), "the store does not send ranges as asked");
                    tally::restarted();
                    writing.begin_again().await?;
                }
                result => return result,
            }
        }
        self.in_one_stream(writing).await
    }

    async fn in_ranges(&self, writing: &Writing) -> Result<(), Failure> {
        // Where memory is little, a part of an upload has room all the same.
        let fitting = self
            .budget
            .holds_beside(PART_BYTES, RANGE_BYTES + CONNECTION_BYTES as u64);
        let at_a_time = fitting.min(RANGES_AT_A_TIME);
        let turn = AtomicU64::new(0);
        // They ask for memory in their order, so the one whose turn it is has some if any has.
        let mut ranges = stream::iter(parts(self.length, RANGE_BYTES))
            .map(|part| self.range(part, &turn, writing))
            .buffered(at_a_time);
        while let Some(range) = ranges.next().await {
            let (buffer, length) = range?;
            turn.fetch_add(length as u64, Ordering::Relaxed);
            // A disk that is slower than the store holds up all ranges.
            writing.append(buffer, length).await?;
        }
        Ok(())
    }

    async fn range(&self, part: Part, turn: &AtomicU64, writing: &Writing) -> Result<(Buffer, usize), Failure> {
        // As long as an earlier one is on its way, bytes have to move.
        let is_all = || turn.load(Ordering::Relaxed) == part.offset && writing.is_idle();
        let mut buffer = self.lend(part.length, is_all).await;
        let mut trouble = self.patience.trouble();
        let mut filled = 0;
        while filled < part.length {
            if let Err(failure) = self.fetch_rest(part, &mut buffer, &mut filled).await {
                trouble.bear(failure).await?;
            }
        }
        Ok((buffer, part.length))
    }

    /// Asks once for what is not there yet. What came before a fault need not come again.
    async fn fetch_rest(&self, part: Part, buffer: &mut Buffer, filled: &mut usize) -> Result<(), Failure> {
        let range = part.offset + *filled as u64..part.end();
        let left = range.end - range.start;
        let wanted = Some(GetRange::Bounded(range));
        let mut incoming = self.ask(wanted, left, buffer).await?;
        while let Some(piece) = incoming.next().await? {
            let end = *filled + piece.len();
            buffer.as_mut()[*filled..end].copy_from_slice(&piece);
            *filled = end;
            self.patience.renew(piece.len() as u64);
        }
        Ok(())
    }

    async fn in_one_stream(&self, writing: &Writing) -> Result<(), Failure> {
        let mut trouble = self.patience.trouble();
        let mut progress = Progress::default();
        // Without a tag, what follows might be of another object.
        let mut can_resume = self.version.is_some();
        while progress.at < self.length {
            if !can_resume && progress.at > 0 {
                writing.begin_again().await?;
                progress.at = 0;
            }
            let start = progress.at;
            let result = match self.fetch_on(&mut progress, writing).await {
                Err(failure) if start > 0 && failure.is_strange() => {
                    can_resume = false;
                    Err(Failure::unsteady("the store does not send the rest of an object"))
                }
                result => result,
            };
            if let Err(failure) = result {
                trouble.bear(failure).await?;
            }
        }
        Ok(())
    }

    /// Asks once for all that is not there yet, and writes what comes.
    async fn fetch_on(&self, progress: &mut Progress, writing: &Writing) -> Result<(), Failure> {
        let mut buffer = self.lend(WRITE_BYTES, || writing.is_idle()).await;
        let wanted = (progress.at > 0).then_some(GetRange::Offset(progress.at));
        let mut incoming = self.ask(wanted, self.length - progress.at, &buffer).await?;
        let mut pending = 0;
        let end = loop {
            let mut piece = match incoming.next().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break Ok(()),
                Err(failure) => break Err(failure),
            };
            while !piece.is_empty() {
                let length = piece.len().min(WRITE_BYTES - pending);
                buffer.as_mut()[pending..pending + length].copy_from_slice(&piece.split_to(length));
                pending += length;
                if pending == WRITE_BYTES {
                    buffer = writing.write(buffer, pending).await?;
                    progress.at += pending as u64;
                    pending = 0;
                }
            }
            let received = progress.at + pending as u64;
            if received > progress.furthest {
                self.patience.renew(received - progress.furthest);
                progress.furthest = received;
            }
        };
        // What came before a fault need not come again.
        writing.write(buffer, pending).await?;
        progress.at += pending as u64;
        end
    }

    /// Before the store is asked: what was asked for comes, and takes memory unread; and others may hold
    /// all the memory for as long as their stores are silent.
    async fn lend(&self, length: usize, is_all: impl Fn() -> bool) -> Buffer {
        let lent = self.budget.lend_beside(CONNECTION_BYTES, length);
        self.bucket.stall.excuse(is_all, lent).await
    }

    /// Asks the store; `left` is what it has to send.
    async fn ask(&self, range: Option<GetRange>, left: u64, buffer: &Buffer) -> Result<Incoming<'_>, Failure> {
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
        Ok(Incoming {
            bucket: self.bucket,
            pieces: answer.into_stream(),
            left,
        })
    }
}
