//! Artifacts in a bucket and in a directory, in good days and bad.

mod azure;
mod directory;
mod discarding;
mod everywhere;
mod gcs;
mod halting;
mod journal;
mod looks;
mod random_faults;
mod s3_ambient;
mod s3_commits;
mod s3_downloads;
mod s3_faults;
mod s3_members;
mod s3_ranges;
mod s3_tls;
mod s3_uploads;
mod scene;

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use adapters::blob_store::{ObjectBlobStore, TransferSettings};
use domain::{
    artifact::{Expected, ObjectKey, Sha256},
    ports::{BlobStore, BlobStoreError, Halt, LocalFile, Moved, Tally, UploadJournal},
    request::{FileStore, S3Addressing, S3Credentials, S3Store, Store},
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use self::journal::Journal;
use crate::{
    azurite::Azurite,
    garage::Garage,
    gcs_shim::{self, GcsShim},
    s3_server::{ACCESS_KEY, S3Server, SECRET_KEY},
    swift::Swift,
};

const BUCKET: &str = "backups";
const MIB: usize = 1024 * 1024;

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("", name)
}

pub(crate) fn bucket_at(endpoint: String) -> S3Store {
    S3Store {
        endpoint: Some(endpoint),
        region: None,
        bucket: BUCKET.to_owned(),
        addressing: S3Addressing::Path,
        credentials: S3Credentials::keys(ACCESS_KEY, SECRET_KEY),
        encryption: None,
        storage_class: None,
        checksum: None,
        prefix: String::new(),
        skip_ssl: false,
    }
}

fn patient(retry_timeout: Duration) -> ObjectBlobStore {
    ObjectBlobStore::new(TransferSettings {
        retry_timeout,
        ..TransferSettings::default()
    })
}

/// Bytes that repeat nowhere near.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn sha256(bytes: &[u8]) -> Sha256 {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    let digest: [u8; 32] = digest.as_ref().try_into().unwrap();
    digest.into()
}

/// A directory of this machine, for what is sent and what comes back.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// The file that has this path now, if there is one.
fn local(path: &Path) -> LocalFile {
    let identity = fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()));
    LocalFile {
        directory: path.parent().unwrap().to_owned(),
        names: vec![path.file_name().unwrap().to_str().unwrap().to_owned()],
        identity: identity.unwrap_or_default(),
    }
}

/// Uploads bytes by way of a file.
async fn upload(blobs: &ObjectBlobStore, store: &Store, name: &str, bytes: &[u8]) -> Result<u64, BlobStoreError> {
    let desk = Desk::new();
    let source = desk.file("source", bytes);
    let moved = send(blobs, store, name, &source, bytes.len() as u64).await?;
    assert_eq!(moved.sha256, sha256(bytes));
    Ok(moved.size_bytes)
}

/// Uploads a file that nobody halts.
async fn send(
    blobs: &ObjectBlobStore,
    store: &Store,
    name: &str,
    source: &Path,
    size: u64,
) -> Result<Moved, BlobStoreError> {
    let (journal, halt) = (Journal::new(), Halt::default());
    let sent = blobs
        .upload(store, &key(name), &local(source), size, journal.clone(), &halt)
        .await?;
    assert_eq!(journal.tally().done(), Some(size), "all of it was counted");
    Ok(sent)
}

/// Downloads bytes by way of a file.
async fn download(blobs: &ObjectBlobStore, store: &Store, name: &str) -> Result<Vec<u8>, BlobStoreError> {
    let desk = Desk::new();
    let target = desk.file("target", b"");
    let (expected, halt, tally) = (Expected::default(), Halt::default(), Tally::default());
    let moved = blobs
        .download(store, &key(name), &local(&target), expected, &halt, &tally)
        .await?;
    let bytes = fs::read(&target).unwrap();
    // Also where some of it was fetched twice.
    assert_eq!(tally.done(), Some(moved.size_bytes), "all of it was counted, and once");
    assert_eq!((moved.size_bytes, moved.sha256), (bytes.len() as u64, sha256(&bytes)));
    Ok(bytes)
}

/// Compares without printing megabytes.
fn assert_same(actual: &[u8], expected: &[u8], what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    assert!(actual == expected, "{what}: the bytes differ");
}

/// Waits for something that happens by itself, soon.
async fn until(what: &str, happened: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !happened() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// A store of any kind. In some, an object is a file.
struct Place {
    name: &'static str,
    store: Store,
    blobs: ObjectBlobStore,
    objects: PathBuf,
    server: Server,
}

/// What a place is kept by.
enum Server {
    S3(S3Server),
    Garage(Garage),
    Gcs(GcsShim),
    Azure(Azurite),
    Swift(Swift),
    /// It is removed when this is dropped.
    Directory {
        _directory: TempDir,
    },
}

impl Place {
    async fn all() -> Vec<Self> {
        let mut all = vec![Self::s3().await, Self::directory(), Self::gcs().await];
        all.extend(Self::garage().await);
        all.extend(Self::azure().await);
        all.extend(Self::swift().await);
        all
    }

    async fn gcs() -> Self {
        let shim = GcsShim::start().await;
        shim.server.create_bucket(BUCKET);
        Self {
            name: "GCS",
            store: Store::Gcs(gcs_shim::store_at(shim.endpoint(), BUCKET)),
            blobs: patient(Duration::from_secs(20)),
            objects: shim.server.object(BUCKET, ""),
            server: Server::Gcs(shim),
        }
    }

    /// None if there is no Garage.
    async fn garage() -> Option<Self> {
        let garage = Garage::bucket().await?;
        Some(Self {
            name: "S3 by Garage",
            store: Store::S3(garage.store()),
            blobs: patient(Duration::from_secs(20)),
            objects: PathBuf::from("/nonexistent"),
            server: Server::Garage(garage),
        })
    }

    /// None if there is no Azurite.
    async fn azure() -> Option<Self> {
        let azurite = Azurite::container().await?;
        Some(Self {
            name: "AZURE",
            store: Store::Azure(azurite.store()),
            blobs: patient(Duration::from_secs(20)),
            objects: PathBuf::from("/nonexistent"),
            server: Server::Azure(azurite),
        })
    }

    /// None if there is no Swift.
    async fn swift() -> Option<Self> {
        let swift = Swift::container().await?;
        Some(Self {
            name: "SWIFT",
            store: Store::Swift(swift.store()),
            blobs: patient(Duration::from_secs(60)),
            objects: PathBuf::from("/nonexistent"),
            server: Server::Swift(swift),
        })
    }

    async fn s3() -> Self {
        let server = S3Server::start().await;
        server.create_bucket(BUCKET);
        Self {
            name: "S3",
            store: Store::S3(bucket_at(server.endpoint())),
            blobs: patient(Duration::from_secs(20)),
            objects: server.object(BUCKET, ""),
            server: Server::S3(server),
        }
    }

    fn directory() -> Self {
        let directory = TempDir::new().unwrap();
        let settings = TransferSettings {
            allowed_file_roots: vec![directory.path().to_owned()],
            ..TransferSettings::default()
        };
        Self {
            name: "FILE",
            store: Store::File(FileStore {
                path: directory.path().to_owned(),
            }),
            blobs: ObjectBlobStore::new(settings),
            objects: directory.path().to_owned(),
            server: Server::Directory { _directory: directory },
        }
    }

    fn object(&self, name: &str) -> PathBuf {
        self.objects.join(name)
    }

    /// Puts an object there, past the agent.
    async fn put(&self, name: &str, bytes: &[u8]) {
        match &self.server {
            Server::Azure(azurite) => azurite.put(name, bytes).await,
            Server::Garage(garage) => garage.put(name, bytes).await,
            Server::Swift(swift) => swift.put(name, bytes).await,
            Server::S3(_) | Server::Gcs(_) | Server::Directory { .. } => fs::write(self.object(name), bytes).unwrap(),
        }
    }

    /// What an object holds, seen past the agent; none if there is none.
    async fn stored(&self, name: &str) -> Option<Vec<u8>> {
        match &self.server {
            Server::Azure(azurite) => azurite.stored(name).await,
            Server::Garage(garage) => garage.stored(name).await,
            Server::Swift(swift) => swift.stored(name).await,
            Server::S3(_) | Server::Gcs(_) | Server::Directory { .. } => fs::read(self.object(name)).ok(),
        }
    }

    /// What lies around that is no object. Nobody can see what Azure keeps of unfinished uploads.
    async fn leftovers(&self) -> Vec<String> {
        match &self.server {
            Server::S3(server) => server.leftovers(),
            Server::Garage(garage) => garage.leftovers().await,
            Server::Gcs(shim) => shim.server.leftovers(),
            Server::Azure(_) => Vec::new(),
            Server::Swift(swift) => swift.leftovers().await,
            Server::Directory { .. } => hidden_files(&self.objects),
        }
    }
}

fn hidden_files(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.')).collect()
}
