//! Artifacts in object storage: the [`BlobStore`] port over the `object_store` crate.
//!
//! ```text
//! ObjectBlobStore ── S3 ───> s3 ── upload / download ──> retry ──> connector ──> the store
//!                 └─ FILE ─> file ───────────────────────────────────────────> a directory
//! ```
//!
//! `object_store` signs, names and parses; what it must not decide for us is here: how long to try
//! again, how much memory parts may take, what stays behind after a failure, and what people read.

mod budget;
mod connector;
mod download;
mod failure;
mod fault;
mod file;
mod local;
mod parts;
mod region;
mod retry;
mod s3;
mod upload;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    artifact::ObjectKey,
    ports::{BlobStore, BlobStoreError},
    request::{FileStore, S3Store, Store},
};

use self::{
    budget::Budget,
    failure::{Action, Failure},
    file::Directory,
    local::Source,
    region::Regions,
    s3::Bucket,
};

pub use self::parts::PART_BYTES;

/// How patient transfers are, and where files may go.
#[derive(Debug, Clone)]
pub struct TransferSettings {
    /// Transient faults are retried until this long has gone by without progress.
    pub retry_timeout: Duration,
    /// The directories below which `FILE` destinations may lie. None: there are no such destinations.
    pub allowed_file_roots: Vec<PathBuf>,
}

impl Default for TransferSettings {
    fn default() -> Self {
        Self {
            retry_timeout: Duration::from_secs(3 * 60),
            allowed_file_roots: Vec::new(),
        }
    }
}

/// How long a transfer bears a store that fails or is silent.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Faults are retried until this long has gone by without progress.
    retry: Duration,
    /// A store may let this long go by before it answers, or between two pieces of an answer.
    answer: Duration,
}

/// Keeps artifacts in S3 buckets and in directories.
///
/// Whoever drops the future of an upload or download cancels it: a task of the runtime then removes
/// the parts that are in the store already, and what is on this machine is removed at once.
#[derive(Debug)]
pub struct ObjectBlobStore {
    limits: Limits,
    allowed_file_roots: Vec<PathBuf>,
    budget: Arc<Budget>,
    regions: Regions,
}

impl ObjectBlobStore {
    /// A store of these settings, with a memory budget that all its transfers share.
    #[must_use]
    pub fn new(settings: TransferSettings) -> Self {
        Self {
            limits: Limits {
                retry: settings.retry_timeout,
                answer: Duration::from_secs(30),
            },
            allowed_file_roots: settings.allowed_file_roots,
            budget: Arc::new(Budget::default()),
            regions: Regions::default(),
        }
    }

    /// Sets how long a store may be silent, instead of 30 s.
    #[must_use]
    pub fn with_answer_timeout(mut self, answer_timeout: Duration) -> Self {
        self.limits.answer = answer_timeout;
        self
    }

    async fn connect(&self, s3: &S3Store) -> Result<Bucket, Failure> {
        Bucket::connect(s3, self.limits, &self.regions).await
    }

    async fn open(&self, file: &FileStore) -> Result<Directory, Failure> {
        Directory::open(file, &self.allowed_file_roots, self.limits.retry).await
    }

    async fn look_up(&self, store: &Store, key: &ObjectKey) -> Result<bool, Failure> {
        match store {
            Store::S3(s3) => self.connect(s3).await?.exists(key).await,
            Store::File(file) => self.open(file).await?.exists(key).await,
            Store::Swift(_) => Err(Failure::no_swift()),
        }
    }

    async fn send(&self, store: &Store, key: &ObjectKey, source: &Path, size: u64) -> Result<u64, Failure> {
        let source = Source::open(source, size).await?;
        match store {
            Store::S3(s3) => {
                let bucket = self.connect(s3).await?;
                upload::upload(&bucket, key, &source, &self.budget).await
            }
            Store::File(file) => {
                let directory = self.open(file).await?;
                directory.upload(key, &source, &self.budget).await
            }
            Store::Swift(_) => Err(Failure::no_swift()),
        }
    }

    async fn fetch(&self, store: &Store, key: &ObjectKey, target: &Path) -> Result<u64, Failure> {
        match store {
            Store::S3(s3) => {
                let bucket = self.connect(s3).await?;
                download::download(&bucket, key, target).await
            }
            Store::File(file) => {
                let directory = self.open(file).await?;
                directory.download(key, target).await
            }
            Store::Swift(_) => Err(Failure::no_swift()),
        }
    }
}

#[async_trait]
impl BlobStore for ObjectBlobStore {
    async fn exists(&self, store: &Store, key: &ObjectKey) -> Result<bool, BlobStoreError> {
        let found = self.look_up(store, key).await;
        found.map_err(|failure| failure.told_of(Action::LookUp, store, key))
    }

    async fn upload(
        &self,
        store: &Store,
        key: &ObjectKey,
        source: &Path,
        size_bytes: u64,
    ) -> Result<u64, BlobStoreError> {
        let stored = self.send(store, key, source, size_bytes).await;
        stored.map_err(|failure| failure.told_of(Action::Upload, store, key))
    }

    async fn download(&self, store: &Store, key: &ObjectKey, target: &Path) -> Result<u64, BlobStoreError> {
        let length = self.fetch(store, key, target).await;
        length.map_err(|failure| failure.told_of(Action::Download, store, key))
    }
}
