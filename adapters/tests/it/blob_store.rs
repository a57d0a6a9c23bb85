//! Artifacts in a bucket and in a directory, in good days and bad.

mod directory;
mod discarding;
mod everywhere;
mod halting;
mod journal;
mod s3_ambient;
mod s3_downloads;
mod s3_faults;
mod s3_members;
mod s3_tls;
mod s3_uploads;
mod scene;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use adapters::blob_store::{ObjectBlobStore, TransferSettings};
use domain::{
    artifact::{Expected, ObjectKey, Sha256},
    ports::{BlobStore, BlobStoreError, Halt, Moved},
    request::{FileStore, S3Addressing, S3Credentials, S3Store, Store},
};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use self::journal::Journal;
use crate::s3_server::{ACCESS_KEY, S3Server, SECRET_KEY};

const BUCKET: &str = "backups";
const MIB: usize = 1024 * 1024;

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("", name)
}

fn bucket_at(endpoint: String) -> S3Store {
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
    let halt = Halt::default();
    blobs
        .upload(store, &key(name), source, size, Journal::new(), &halt)
        .await
}

/// Downloads bytes by way of a file.
async fn download(blobs: &ObjectBlobStore, store: &Store, name: &str) -> Result<Vec<u8>, BlobStoreError> {
    let desk = Desk::new();
    let target = desk.file("target", b"");
    let (expected, halt) = (Expected::default(), Halt::default());
    let moved = blobs.download(store, &key(name), &target, expected, &halt).await?;
    let bytes = fs::read(&target).unwrap();
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

/// A store of either kind. In both, an object is a file.
struct Place {
    name: &'static str,
    store: Store,
    blobs: ObjectBlobStore,
    objects: PathBuf,
    server: Option<S3Server>,
    _directory: Option<TempDir>,
}

impl Place {
    async fn all() -> [Self; 2] {
        [Self::s3().await, Self::directory()]
    }

    async fn s3() -> Self {
        let server = S3Server::start().await;
        server.create_bucket(BUCKET);
        Self {
            name: "S3",
            store: Store::S3(bucket_at(server.endpoint())),
            blobs: patient(Duration::from_secs(20)),
            objects: server.object(BUCKET, ""),
            server: Some(server),
            _directory: None,
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
            server: None,
            _directory: Some(directory),
        }
    }

    fn object(&self, name: &str) -> PathBuf {
        self.objects.join(name)
    }

    /// What lies around that is no object.
    fn leftovers(&self) -> Vec<String> {
        match &self.server {
            Some(server) => server.leftovers(),
            None => hidden_files(&self.objects),
        }
    }
}

fn hidden_files(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.')).collect()
}
