//! An object of a bucket becomes a file.

use domain::artifact::ObjectKey;
use futures_util::StreamExt;
use object_store::{GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, path::Path};
use tokio::time::timeout;

use super::{
    failure::Failure,
    fault::Fault,
    local::Target,
    retry::Patience,
    s3::{Bucket, object_path},
};

/// Downloads an object into an empty file and returns its length.
pub(super) async fn download(bucket: &Bucket, key: &ObjectKey, target: &std::path::Path) -> Result<u64, Failure> {
    let path = object_path(key)?;
    let patience = bucket.patience();
    let object = match patience.retry(|| bucket.head(&path)).await? {
        Some(object) => object,
        // It may be the bucket that is missing.
        None => return Err(bucket.explain(&path, Failure::no_object()).await),
    };
    let download = Download {
        version: strong_tag(&object),
        length: object.size,
        bucket,
        path,
        patience,
    };
    let mut target = Target::open(target).await?;
    bucket.stall.watch(download.fill(&mut target)).await?;
    target.finish().await
}

struct Download<'a> {
    bucket: &'a Bucket,
    path: Path,
    /// The object's ETag, by which another object of the same name is told from it.
    version: Option<String>,
    length: u64,
    patience: Patience,
}

/// A weak tag matches nothing where a strong one is asked for.
fn strong_tag(object: &ObjectMeta) -> Option<String> {
    object.e_tag.clone().filter(|tag| !tag.starts_with("W/"))
}

impl Download<'_> {
    async fn fill(&self, target: &mut Target) -> Result<(), Failure> {
        let mut trouble = self.patience.trouble();
        let mut furthest = 0;
        // Without a tag, what follows might be of another object.
        let mut can_resume = self.version.is_some();
        while target.length() < self.length {
            if !can_resume {
                target.restart();
            }
            let start = target.length();
            let result = match self.get(start).await {
                Ok(answer) => self.receive(answer, target, &mut furthest).await,
                Err(failure) if start > 0 && failure.is_strange() => {
                    can_resume = false;
                    Err(Failure::unsteady("the store does not send the rest of an object"))
                }
                Err(failure) => Err(failure),
            };
            if let Err(failure) = result {
                trouble.bear(failure).await?;
            }
        }
        Ok(())
    }

    async fn get(&self, start: u64) -> Result<GetResult, Failure> {
        let options = GetOptions::new()
            .with_if_match(self.version.clone())
            .with_range((start > 0).then_some(GetRange::Offset(start)));
        let answer = self
            .bucket
            .s3
            .get_opts(&self.path, options)
            .await
            .map_err(Failure::from);
        answer.map_err(|failure| match failure.answer() {
            Some(answer) if matches!(answer.status, 412 | 416) => Failure::changed_object(),
            _ => failure,
        })
    }

    async fn receive(&self, answer: GetResult, target: &mut Target, furthest: &mut u64) -> Result<(), Failure> {
        if answer.meta.size != self.length || (self.version.is_some() && answer.meta.e_tag != self.version) {
            return Err(Failure::changed_object());
        }
        let silence = self.bucket.limits.answer;
        let mut pieces = answer.into_stream();
        loop {
            let piece = match timeout(silence, pieces.next()).await {
                Ok(Some(piece)) => piece?,
                Ok(None) => break,
                Err(_) => return Err(Failure::from(Fault::silence(silence))),
            };
            if piece.len() as u64 > self.length - target.length() {
                return Err(Failure::strange("the store sent more than the object's length"));
            }
            self.bucket.stall.moved();
            target.add(&piece).await?;
            // Only what is new is progress: otherwise an answer that always breaks off at the same
            // place would be asked for for ever.
            if target.length() > *furthest {
                *furthest = target.length();
                self.patience.renew();
            }
        }
        if target.length() < self.length {
            return Err(Failure::unsteady("the store's answer ended before the object did"));
        }
        Ok(())
    }
}
