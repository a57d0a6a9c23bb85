//! Artifacts in object storage: the [`BlobStore`] port over the `object_store` crate.
//!
//! ```text
//! ObjectBlobStore ─┬─ S3 ────> s3 ────┬─> bucket ── upload / download ──> retry ──> connector ──> the store
//!                  ├─ SWIFT ─> swift ─┤
//!                  ├─ GCS ───> gcs ───┤
//!                  ├─ AZURE ─> azure ─┘
//!                  └─ FILE ──> file ──────────────────────────────────────────────> a directory
//! ```
//!
//! `object_store` signs, names and parses; what it must not decide for us is here: how long to try
//! again, how much memory parts may take, what stays behind after a failure, and what people read.

mod azure;
mod bucket;
mod budget;
mod condition;
mod connector;
mod digest;
mod download;
mod failure;
mod fault;
mod file;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gcs;
mod halting;
mod hidden;
mod leftovers;
mod local;
mod mark;
mod movement;
mod network;
mod parts;
mod probe;
mod redaction;
mod retry;
mod s3;
#[cfg(test)]
mod swaps;
mod swift;
mod tally;
mod trust;
mod unfinished;
mod upload;

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    artifact::{Expected, ObjectKey},
    ports::{
        BlobStore, BlobStoreError, Direction, Finding, Halt, LocalFile, Moved, Observer, Tally, Unobserved,
        UploadJournal,
    },
    request::{AllowedEndpoints, Store},
};
use tracing::Instrument;

use self::{
    bucket::Bucket,
    budget::Budget,
    failure::{Action, Failure},
    file::Directory,
    halting::unless_halted,
    local::Source,
    network::Network,
    s3::S3Connections,
    tally::Transfer,
};

pub use self::{
    parts::PART_BYTES,
    s3::{AMBIENT_VARIABLES, AmbientCredentials},
    trust::CaCertificates,
};

/// So long a store may take for an answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// How patient transfers are, and where files may go.
#[derive(Debug, Clone)]
pub struct TransferSettings {
    /// Transient faults are retried until this long has gone by without progress.
    pub retry_timeout: Duration,
    /// A transfer in which no byte moves for this long is given up, whatever is tried again meanwhile.
    pub stall_timeout: Duration,
    /// What all transfers together may hold of files, in bytes.
    pub memory_bytes: u64,
    /// The directories below which `FILE` destinations may lie. None: there are no such destinations.
    pub allowed_file_roots: Vec<PathBuf>,
    /// The hosts that destinations may be at.
    pub allowed_endpoints: AllowedEndpoints,
    /// CAs of stores, in addition to the system's.
    pub ca_certificates: CaCertificates,
    /// What may be done with the agent's own credentials. None: nothing.
    pub ambient: Option<AmbientCredentials>,
}

impl Default for TransferSettings {
    fn default() -> Self {
        Self {
            retry_timeout: Duration::from_secs(3 * 60),
            stall_timeout: Duration::from_secs(5 * 60),
            memory_bytes: 32 * 1024 * 1024,
            allowed_file_roots: Vec::new(),
            allowed_endpoints: AllowedEndpoints::default(),
            ca_certificates: CaCertificates::default(),
            ambient: None,
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
    /// So long no byte need move in a part or piece.
    stall: Duration,
}

/// Keeps artifacts in buckets and in directories.
///
/// A transfer that is told to halt returns when what it made in a store is removed. Whoever drops its
/// future cancels it too, but then a task of the runtime removes that in its own time.
#[derive(Debug)]
pub struct ObjectBlobStore {
    limits: Limits,
    allowed_file_roots: Vec<PathBuf>,
    budget: Arc<Budget>,
    s3: S3Connections,
    network: Network,
    observer: Arc<dyn Observer>,
}

impl ObjectBlobStore {
    /// A store of these settings, with a memory budget that all its transfers share.
    #[must_use]
    pub fn new(settings: TransferSettings) -> Self {
        let network = Network::new(settings.ca_certificates, settings.allowed_endpoints);
        Self {
            limits: Limits {
                retry: settings.retry_timeout,
                answer: ANSWER_PATIENCE,
                stall: settings.stall_timeout,
            },
            allowed_file_roots: settings.allowed_file_roots,
            budget: Arc::new(Budget::new(settings.memory_bytes)),
            s3: S3Connections::new(network.clone(), settings.ambient),
            network,
            observer: Arc::new(Unobserved),
        }
    }

    /// Has somebody told of what moves, and of what is tried again.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Sets how long a store may be silent, instead of 30 s.
    #[must_use]
    pub fn with_answer_timeout(mut self, answer_timeout: Duration) -> Self {
        self.limits.answer = answer_timeout;
        self
    }

    /// Makes ready to speak to a store.
    async fn open(&self, store: &Store) -> Result<Place, Failure> {
        self.open_within(store, self.limits).await
    }

    async fn open_within(&self, store: &Store, limits: Limits) -> Result<Place, Failure> {
        Ok(match store {
            Store::S3(s3) => Place::Bucket(self.s3.connect(s3, limits).await?),
            Store::Swift(swift) => Place::Bucket(swift::connect(swift, limits, &self.network).await?),
            Store::Gcs(gcs) => Place::Bucket(gcs::connect(gcs, limits, &self.network).await?),
            Store::Azure(azure) => Place::Bucket(azure::connect(azure, limits, &self.network).await?),
            Store::File(file) => Place::Directory(Directory::open(file, &self.allowed_file_roots, limits).await?),
        })
    }

    async fn look_up(&self, store: &Store, key: &ObjectKey) -> Result<Option<u64>, Failure> {
        match self.open(store).await? {
            Place::Bucket(bucket) => bucket.find(key).await,
            Place::Directory(directory) => directory.find(key).await,
        }
    }

    async fn send(
        &self,
        store: &Store,
        key: &ObjectKey,
        (source, size): (&LocalFile, u64),
        journal: &dyn UploadJournal,
        halt: &Halt,
    ) -> Result<Moved, Failure> {
        let source = unless_halted(halt, Source::open(source, size)).await?;
        match unless_halted(halt, self.open(store)).await? {
            Place::Bucket(bucket) => {
                let sent = upload::upload(&bucket, key, &source, &self.budget, journal, halt).await;
                if sent.is_err() && size > PART_BYTES && matches!(store, Store::Azure(_)) {
                    azure::tell_of_blocks(key);
                }
                sent
            }
            Place::Directory(directory) => directory.upload(key, &source, &self.budget, journal, halt).await,
        }
    }

    async fn clean_up(&self, store: &Store, key: &ObjectKey, known: &[String]) -> Result<(), Failure> {
        match self.open(store).await? {
            Place::Bucket(bucket) => leftovers::discard(&bucket, key, known).await,
            Place::Directory(directory) => directory.discard(known).await,
        }
    }

    fn transfer(&self, direction: Direction, store: &Store, tally: Tally) -> Transfer {
        Transfer {
            observer: Arc::clone(&self.observer),
            direction,
            store: store.kind(),
            tally,
        }
    }

    async fn fetch(
        &self,
        store: &Store,
        key: &ObjectKey,
        target: &LocalFile,
        expected: Expected,
    ) -> Result<Moved, Failure> {
        match self.open(store).await? {
            Place::Bucket(bucket) => download::download(&bucket, key, target, expected, &self.budget).await,
            Place::Directory(directory) => directory.download(key, target, expected, &self.budget).await,
        }
    }
}

/// A store that can be spoken to. A directory of this machine is not one that is asked over a network:
/// it has files in place of parts.
#[derive(Debug)]
enum Place {
    Bucket(Bucket),
    Directory(Directory),
}

#[async_trait]
impl BlobStore for ObjectBlobStore {
    async fn find(&self, store: &Store, key: &ObjectKey) -> Result<Option<u64>, BlobStoreError> {
        let found = self.look_up(store, key).await;
        found.map_err(|failure| failure.told_of(Action::LookUp, store, key, self.s3.own_secrets()))
    }

    async fn upload(
        &self,
        store: &Store,
        key: &ObjectKey,
        source: &LocalFile,
        size_bytes: u64,
        journal: Arc<dyn UploadJournal>,
        halt: &Halt,
    ) -> Result<Moved, BlobStoreError> {
        let span = tracing::error_span!("upload", store = store.kind().as_str());
        let sending = self
            .send(store, key, (source, size_bytes), journal.as_ref(), halt)
            .instrument(span);
        let tally = journal.tally();
        tally.expect(size_bytes);
        let transfer = self.transfer(Direction::Upload, store, tally);
        let stored = transfer.told(sending).await;
        stored.map_err(|failure| failure.told_of(Action::Upload, store, key, self.s3.own_secrets()))
    }

    async fn examine(&self, store: &Store, object: Option<ObjectKey>) -> Vec<Finding> {
        self.probe(store, object).await
    }

    async fn discard_upload(&self, store: &Store, key: &ObjectKey, known: &[String]) -> Result<(), BlobStoreError> {
        let discarded = self.clean_up(store, key, known).await;
        discarded.map_err(|failure| failure.told_of(Action::Discard, store, key, self.s3.own_secrets()))
    }

    async fn download(
        &self,
        store: &Store,
        key: &ObjectKey,
        target: &LocalFile,
        expected: Expected,
        halt: &Halt,
        tally: &Tally,
    ) -> Result<Moved, BlobStoreError> {
        let span = tracing::error_span!("download", store = store.kind().as_str());
        let fetching = unless_halted(halt, self.fetch(store, key, target, expected)).instrument(span);
        let fetched = self
            .transfer(Direction::Download, store, tally.clone())
            .told(fetching)
            .await;
        fetched.map_err(|failure| failure.told_of(Action::Download, store, key, self.s3.own_secrets()))
    }
}
