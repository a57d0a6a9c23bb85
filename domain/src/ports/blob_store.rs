use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::{
    artifact::{Expected, ObjectKey, Sha256},
    ports::{Finding, Halt, LocalFile, Tally},
    request::Store,
};

/// Keeps artifacts as objects in a store.
///
/// Transient faults are retried inside, so an error is final. Error texts are for people: they name
/// the place, the key, what the store said and what to check, and hold no secrets.
#[cfg_attr(any(test, feature = "test-doubles"), mockall::automock)]
#[async_trait]
pub trait BlobStore: fmt::Debug + Send + Sync {
    /// The length in bytes of the object of this key; none if there is no object.
    ///
    /// # Errors
    ///
    /// If the store did not say.
    async fn find(&self, store: &Store, key: &ObjectKey) -> Result<Option<u64>, BlobStoreError>;

    /// The `journal` is told of what the store keeps from then on, before any byte is sent.
    ///
    /// Uploads the file `source`, which has `size_bytes` bytes, as `key`, and returns the length that
    /// the store then tells of the object, and the digest of what was sent. A file that has another
    /// length, or changes while it is read, is not uploaded.
    ///
    /// The object appears complete or not at all, and survives a crash of its store as far as the
    /// store can promise that. An object that is there already is not replaced.
    ///
    /// # Errors
    ///
    /// After an error nothing that was sent stays behind, as far as the store could still be
    /// reached; whether the object exists is unknown only if the store fell silent while it was
    /// being completed. An upload that is told to halt ends so too.
    async fn upload(
        &self,
        store: &Store,
        key: &ObjectKey,
        source: &LocalFile,
        size_bytes: u64,
        journal: Arc<dyn UploadJournal>,
        halt: &Halt,
    ) -> Result<Moved, BlobStoreError>;

    /// Removes what an upload of `key` that was cut off has left in the store, but for complete
    /// objects: those of the `known` uploads, and those that were opened for this very key and not
    /// made known any more.
    ///
    /// # Errors
    ///
    /// If the store could not be asked, or something stayed behind.
    async fn discard_upload(&self, store: &Store, key: &ObjectKey, known: &[String]) -> Result<(), BlobStoreError>;

    /// Looks whether a store can be used, step by step, within seconds: the way to it, and then reads the
    /// beginning of `object`; without one it makes a small object, and removes it.
    async fn examine(&self, store: &Store, object: Option<ObjectKey>) -> Vec<Finding>;

    /// Downloads the object `key` into the empty file `target` and returns its length, which is that
    /// which the store told of the object, and its digest. The file is synced to disk.
    ///
    /// # Errors
    ///
    /// Also if the object is not as `expected`. After an error, or when it was told to halt, what the
    /// file holds is of no use.
    async fn download(
        &self,
        store: &Store,
        key: &ObjectKey,
        target: &LocalFile,
        expected: Expected,
        halt: &Halt,
        tally: &Tally,
    ) -> Result<Moved, BlobStoreError>;
}

/// What went over the wire, whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// The length of the object, in bytes.
    pub size_bytes: u64,
    /// The digest of the file.
    pub sha256: Sha256,
}

/// Writes down what an upload has made a store keep, so that somebody else can remove it, and how far it
/// has come.
#[async_trait]
pub trait UploadJournal: fmt::Debug + Send + Sync {
    /// The store has opened an upload of this name.
    ///
    /// # Errors
    ///
    /// If it could not be written down; then the upload must not go on.
    async fn opened(&self, upload_id: &str) -> Result<(), String>;

    /// Where the upload counts the bytes that the store has taken.
    fn tally(&self) -> Tally {
        Tally::default()
    }
}

/// Why a transfer failed; each text is a whole message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlobStoreError {
    /// There is no such object, bucket or directory.
    #[error("{0}")]
    NotFound(String),
    /// The store refused.
    #[error("{0}")]
    Denied(String),
    /// The name is taken.
    #[error("{0}")]
    AlreadyExists(String),
    /// The store was not reached, or failed for so long that it was given up.
    #[error("{0}")]
    Unavailable(String),
    /// The file on this machine could not be read or written.
    #[error("{0}")]
    Local(String),
    /// The store was told something that it does not take, or answered something strange.
    #[error("{0}")]
    Other(String),
}
