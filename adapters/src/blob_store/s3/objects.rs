//! A bucket that is told how to keep new objects.

use std::fmt;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    aws::AmazonS3,
    multipart::{MultipartStore, PartId},
    path::Path,
};

/// Makes objects with one client, and does all else with another.
///
/// `object_store` takes no storage class where it opens an upload in parts, and sends the wish for
/// encryption with requests that S3 does not want it in. So the client that makes objects, or opens
/// uploads, has all of that as its default headers, which it signs.
#[derive(Debug)]
pub(super) struct S3Objects {
    pub(super) making: AmazonS3,
    pub(super) all_else: AmazonS3,
}

impl fmt::Display for S3Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.all_else.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for S3Objects {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.making.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.making.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.all_else.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.all_else.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.all_else.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.all_else.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.all_else.copy_opts(from, to, options).await
    }
}

#[async_trait]
impl MultipartStore for S3Objects {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.making.create_multipart(path).await
    }

    async fn create_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<MultipartId> {
        self.making.create_multipart_opts(path, options).await
    }

    async fn put_part(&self, path: &Path, id: &MultipartId, part: usize, data: PutPayload) -> Result<PartId> {
        self.all_else.put_part(path, id, part, data).await
    }

    async fn complete_multipart(&self, path: &Path, id: &MultipartId, parts: Vec<PartId>) -> Result<PutResult> {
        self.all_else.complete_multipart(path, id, parts).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.all_else.abort_multipart(path, id).await
    }
}
