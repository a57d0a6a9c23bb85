//! What is known of an S3 bucket.

use crate::secret::Secret;

/// How a bucket is named in a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum S3Addressing {
    /// `https://endpoint/bucket/key`
    Path,
    /// `https://bucket.endpoint/key`
    VirtualHosted,
}

/// An S3 bucket and the keys to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Store {
    /// A URL with its scheme; none means AWS.
    pub endpoint: Option<String>,
    /// None: to be looked up at the store.
    pub region: Option<String>,
    /// The bucket's name.
    pub bucket: String,
    /// How it is named in URLs.
    pub addressing: S3Addressing,
    /// Who asks.
    pub credentials: S3Credentials,
    /// How the store is to encrypt what it keeps; none: as the bucket says.
    pub encryption: Option<S3Encryption>,
    /// The storage class of new objects; none: as the bucket says.
    pub storage_class: Option<String>,
    /// The checksum that is sent along with what is stored.
    pub checksum: Option<S3Checksum>,
    /// Stands before the file name in the key.
    pub prefix: String,
    /// The request's `skipSSL`, for scripts that move the bytes themselves.
    pub skip_ssl: bool,
}

/// Whose name requests to a bucket are made in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum S3Credentials {
    /// The request's own keys.
    Keys {
        /// The access key id.
        key: Secret,
        /// The secret access key.
        secret: Secret,
        /// The token of a session, if the keys are those of one.
        token: Option<Secret>,
    },
    /// The agent's own. Never with an endpoint that a request names, and only for buckets that the
    /// operator lists.
    Ambient,
}

impl S3Credentials {
    /// Keys that belong to no session.
    #[must_use]
    pub fn keys(key: impl Into<String>, secret: impl Into<String>) -> Self {
        Self::Keys {
            key: Secret::new(key),
            secret: Secret::new(secret),
            token: None,
        }
    }

    /// The secret, the key and the token; none, where they are the agent's own.
    #[must_use]
    pub fn secrets(&self) -> Vec<&Secret> {
        match self {
            Self::Keys { key, secret, token } => [secret, key].into_iter().chain(token).collect(),
            Self::Ambient => Vec::new(),
        }
    }

    pub(super) fn remove_secrets(&mut self) {
        match self {
            Self::Keys { .. } => *self = Self::keys("", ""),
            Self::Ambient => {}
        }
    }
}

/// Encryption by the store, with keys that it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum S3Encryption {
    /// `AES256`: the store's own key.
    Aes256,
    /// `aws:kms`: a key of the key service.
    Kms {
        /// Which; none: the account's key for S3.
        key_id: Option<String>,
    },
}

/// A checksum that the store compares with what it got, and keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum S3Checksum {
    /// `crc64nvme`
    Crc64Nvme,
    /// `sha256`
    Sha256,
}
