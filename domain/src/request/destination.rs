//! Where artifacts go and come from.

mod azure;
mod gcs;
mod s3;

use std::{fmt, path::PathBuf};

pub use self::{
    azure::{AzureCredential, AzureStore},
    gcs::{GcsStore, ServiceAccount},
    s3::{S3Addressing, S3Checksum, S3Credentials, S3Encryption, S3Store},
};
use crate::secret::Secret;

/// A place for artifacts: the store itself, and what of it is shown to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The store.
    pub store: Store,
    /// What the client sent, for the polling body. Holds no secrets.
    pub echo: DestinationEcho,
}

/// A store, with all that is needed to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// An S3 bucket, at AWS or anywhere.
    S3(S3Store),
    /// An OpenStack Swift container.
    Swift(SwiftStore),
    /// A directory of this machine.
    File(FileStore),
    /// A bucket of Google Cloud Storage.
    Gcs(GcsStore),
    /// A container of Azure Blob Storage.
    Azure(AzureStore),
}

/// The kinds of stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StoreKind {
    /// An S3 bucket.
    S3,
    /// An OpenStack Swift container.
    Swift,
    /// A directory of this machine.
    File,
    /// A bucket of Google Cloud Storage.
    Gcs,
    /// A container of Azure Blob Storage.
    Azure,
}

impl StoreKind {
    /// Its word in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Swift => "swift",
            Self::File => "file",
            Self::Gcs => "gcs",
            Self::Azure => "azure",
        }
    }
}

impl Store {
    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> StoreKind {
        match self {
            Self::S3(_) => StoreKind::S3,
            Self::Swift(_) => StoreKind::Swift,
            Self::File(_) => StoreKind::File,
            Self::Gcs(_) => StoreKind::Gcs,
            Self::Azure(_) => StoreKind::Azure,
        }
    }

    /// What stands before the file name in the object's key, character by character.
    #[must_use]
    pub fn prefix(&self) -> &str {
        match self {
            Self::S3(s3) => &s3.prefix,
            Self::Gcs(gcs) => &gcs.prefix,
            Self::Azure(azure) => &azure.prefix,
            Self::Swift(_) | Self::File(_) => "",
        }
    }
}

impl Store {
    /// Whether both mean the same place, whoever goes there.
    #[must_use]
    pub fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::S3(one), Self::S3(other)) => {
                (&one.endpoint, &one.bucket, &one.prefix) == (&other.endpoint, &other.bucket, &other.prefix)
            }
            (Self::Swift(one), Self::Swift(other)) => {
                let place = |swift: &SwiftStore| {
                    let SwiftStore {
                        auth_url,
                        domain,
                        container_name,
                        project_name,
                        region,
                        username,
                        ..
                    } = swift;
                    // The first generation's accounts belong to users.
                    let account = project_name.is_empty().then_some(username);
                    let texts = [auth_url, domain, container_name, project_name].map(Clone::clone);
                    (texts, region.clone(), account.cloned())
                };
                place(one) == place(other)
            }
            (Self::File(one), Self::File(other)) => one.path == other.path,
            (Self::Gcs(one), Self::Gcs(other)) => {
                (&one.endpoint, &one.bucket, &one.prefix) == (&other.endpoint, &other.bucket, &other.prefix)
            }
            (Self::Azure(one), Self::Azure(other)) => {
                let place = |azure: &AzureStore| {
                    let texts = [&azure.account, &azure.container, &azure.prefix].map(Clone::clone);
                    (azure.endpoint.clone(), texts)
                };
                place(one) == place(other)
            }
            (Self::S3(_) | Self::Swift(_) | Self::Gcs(_) | Self::Azure(_) | Self::File(_), _) => false,
        }
    }

    /// The keys and passwords, and parts of them that would do as well.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::S3(s3) => s3.credentials.secrets().into_iter().cloned().collect(),
            Self::Swift(swift) => vec![swift.password.clone()],
            Self::File(_) => Vec::new(),
            Self::Gcs(gcs) => gcs.service_account.secrets(),
            Self::Azure(azure) => azure.credential.secrets(),
        }
    }

    pub(super) fn remove_secrets(&mut self) {
        match self {
            Self::S3(s3) => s3.credentials.remove_secrets(),
            Self::Swift(swift) => swift.password = Secret::default(),
            Self::File(_) => {}
            Self::Gcs(gcs) => {
                gcs.service_account.private_key = Secret::default();
                gcs.service_account.key_file = Secret::default();
            }
            Self::Azure(azure) => match &mut azure.credential {
                AzureCredential::AccountKey(secret) | AzureCredential::SasToken(secret) => *secret = Secret::default(),
            },
        }
    }
}

/// For people: names the place, without secrets.
impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3(s3) => {
                let endpoint = s3.endpoint.as_deref().unwrap_or("AWS");
                write!(f, "bucket {:?} at {endpoint}", s3.bucket)
            }
            Self::Swift(swift) => {
                write!(f, "container {:?} at {}", swift.container_name, swift.auth_url)
            }
            Self::File(file) => write!(f, "directory {:?}", file.path),
            Self::Gcs(gcs) => {
                let endpoint = gcs.endpoint.as_deref().unwrap_or("Google Cloud Storage");
                write!(f, "bucket {:?} at {endpoint}", gcs.bucket)
            }
            Self::Azure(azure) => {
                let endpoint = azure.endpoint.as_deref().unwrap_or("Azure");
                write!(
                    f,
                    "container {:?} of account {:?} at {endpoint}",
                    azure.container, azure.account
                )
            }
        }
    }
}

/// A Swift container and the account that may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwiftStore {
    /// The Keystone v3 URL, or one that ends in `/auth/v1.0`.
    pub auth_url: String,
    /// The domain of user and project.
    pub domain: String,
    /// The container.
    pub container_name: String,
    /// The project.
    pub project_name: String,
    /// The catalogue's region that is meant; none: the first.
    pub region: Option<String>,
    /// The user.
    pub username: String,
    /// The user's password.
    pub password: Secret,
}

/// A directory that objects are files of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStore {
    /// An absolute path below one of the allowed roots.
    pub path: PathBuf,
}

/// What a client sent about its destination and reads back, as it was sent; empty where absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DestinationEcho {
    /// The type, in upper case.
    pub kind: String,
    /// `skipSSL`
    pub skip_ssl: bool,
    /// `region`
    pub region: String,
    /// `endpoint`
    pub endpoint: String,
    /// `bucket`
    pub bucket: String,
    /// `authUrl`
    pub auth_url: String,
    /// `domain`
    pub domain: String,
    /// `container_name`
    pub container_name: String,
    /// `project_name`
    pub project_name: String,
    /// `account`, of an `AZURE` destination
    pub account: String,
    /// `container`, of an `AZURE` destination
    pub container: String,
    /// `path`, of a `FILE` destination
    pub path: String,
    /// `filenamePrefix`
    pub filename_prefix: String,
}
